"""Claims about windows: normalisation, flip averaging, blending, clips of any length."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import nn

from video2pose3d import geometry
from video2pose3d.lifters import Lifter, lift
from video2pose3d.lifters._windows import BATCH_WINDOWS, _mirror, normalise, seen_rays
from video2pose3d.skeletons import COCO17, H36M17
from video2pose3d.structures import Keypoints2D

T, J = 9, 17
CAMERA = geometry.camera_from_fov((640, 480), 60.0, source="given")


class Flat(nn.Module):
    """Lifts x, y to x, y, 0 and remembers how it was called."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, x):
        assert torch.isfinite(x).all()
        self.calls.append(x.clone())
        return torch.cat([x[..., :2], torch.zeros_like(x[..., :1])], dim=-1)


class OfItsOwnTime(nn.Module):
    """Says of every joint but the pelvis how far its frame is into the window: shows seams."""

    def forward(self, x):
        y = torch.zeros_like(x)
        y[:, :, 1:, 2] = torch.linspace(0, 1, x.shape[1])[None, :, None]
        return y


def lifter(model: nn.Module, frames: int = T) -> Lifter:
    return Lifter("flat", model, frames, "cpu", {})


def person(frames, fps: float = 30.0, seed: int = 0) -> Keypoints2D:
    frames = np.asarray(frames, np.int64)
    rng = np.random.default_rng(seed)
    still = rng.uniform(150, 300, size=(1, J, 2))
    xy = still + rng.normal(scale=3, size=(len(frames), J, 2))
    scores = rng.uniform(0.5, 1, size=(len(frames), J))
    return Keypoints2D(
        frames, xy.astype(np.float32), scores.astype(np.float32), H36M17, (640, 480), fps
    )


def with_rays(rays):
    """A window (1, T, J) of rays and full scores."""
    return rays, np.ones(rays.shape[:-1])


# ------------------------------------------------------------------ normalisation


@pytest.fixture
def standing() -> np.ndarray:
    """(T, J, 3) metres in CAMERA: somebody about 1.7 m tall, 4 m away, hardly moving."""
    rng = np.random.default_rng(3)
    body = rng.uniform([-0.3, -0.85, -0.2], [0.3, 0.85, 0.2], size=(J, 3))
    body[1], body[2] = [0, -0.85, 0], [0, 0.85, 0]
    return body + rng.normal(scale=0.005, size=(T, J, 3)) + [0, 0, 4.0]


def test_a_standing_person_fills_minus_one_to_one(standing):
    inputs, R = normalise(*with_rays((standing[..., :2] / standing[..., 2:])[None]))
    assert inputs.dtype == np.float32
    assert np.abs(inputs[..., 1]).max() == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(R[0], np.eye(3), atol=0.02)


@pytest.mark.parametrize(("pan", "tilt"), [(0.5, 0.0), (-0.4, 0.2), (0.0, -0.5)])
def test_where_in_the_picture_somebody_is_does_not_show_in_the_input(standing, pan, tilt):
    turn = Rotation.from_euler("xy", [tilt, pan]).as_matrix()  # of a camera without roll
    aside = standing @ turn.T
    here, _ = normalise(*with_rays((standing[..., :2] / standing[..., 2:])[None]))
    there, R = normalise(*with_rays((aside[..., :2] / aside[..., 2:])[None]))
    np.testing.assert_allclose(there, here, atol=0.02)
    np.testing.assert_allclose(R[0] @ turn, np.eye(3), atol=0.03)


def test_zoom_and_distance_do_not_show_in_the_input(standing):
    rays = (standing[..., :2] / standing[..., 2:])[None]
    near, _ = normalise(*with_rays(rays))
    far, _ = normalise(*with_rays(rays / 3))
    np.testing.assert_allclose(near, far, atol=0.02)


def test_what_was_not_seen_is_exactly_nothing(standing):
    rays, scores = with_rays((standing[..., :2] / standing[..., 2:])[None])
    scores[0, 2], scores[0, :, 5] = 0, 0
    rays[0, 2], rays[0, :, 5] = 77, -77
    inputs, _ = normalise(rays, scores)
    assert not inputs[0, 2].any()
    assert not inputs[0, :, 5].any()
    assert np.abs(inputs[0, 3, 0]).max() > 0


def test_nobody_at_all_is_still_a_finite_input():
    inputs, R = normalise(np.zeros((1, T, J, 2)), np.zeros((1, T, J)))
    assert not inputs.any()
    np.testing.assert_allclose(R[0], np.eye(3), atol=1e-9)


# ------------------------------------------------------------------ lifting


@pytest.mark.parametrize("n", [0, 1, 2, T - 1, T, T + 1, 2 * T, 100])
def test_every_length_of_clip_comes_back_frame_for_frame(n):
    keypoints = person(range(5, 5 + n))
    (poses,) = lift(lifter(Flat()), [keypoints], CAMERA)
    assert poses.space == "CAMERA_ROOT"
    assert np.array_equal(poses.frames, keypoints.frames)
    assert np.array_equal(poses.scores, keypoints.scores)
    assert poses.joints.shape == (n, J, 3)
    assert np.isfinite(poses.joints).all()
    assert not poses.joints[:, 0].any()


def test_a_gap_is_seen_as_frames_without_confidence():
    model = Flat()
    lift(lifter(model), [person([0, 1, 2, 5, 6])], CAMERA)
    window = model.calls[0][0]
    seen = (window[..., 2] > 0).all(dim=-1)
    assert seen.tolist() == [False, True, True, True, False, False, True, True, False]
    assert not window[~seen].any()


def test_before_and_after_a_long_gap_are_lifted_apart():
    frames = [*range(12), *range(10**9, 10**9 + 12)]
    (poses,) = lift(lifter(Flat()), [person(frames)], CAMERA)
    assert np.isfinite(poses.joints).all()


def test_keypoints_that_are_no_numbers_are_not_seen():
    keypoints = person(range(T))
    keypoints.xy[3, 4] = np.nan
    model = Flat()
    (poses,) = lift(lifter(model), [keypoints], CAMERA)
    assert model.calls[0][0, 3, 4].tolist() == [0, 0, 0]
    assert np.isfinite(poses.joints).all()


def test_windows_blend_without_seams():
    (poses,) = lift(lifter(OfItsOwnTime(), 41), [person(range(400))], CAMERA)
    depth = np.linalg.norm(poses.joints[:, 5], axis=-1)
    assert np.abs(np.diff(depth)).max() < 2.5 / 41  # a seam would be a step of about 0.5


def test_lifting_commutes_with_the_mirror():
    class Odd(nn.Module):
        def forward(self, x):
            return torch.stack([x[..., 0] + 0.3, x[..., 1] * x[..., 0], x.roll(1, 2)[..., 1]], -1)

    keypoints = person(range(T))
    mirrored = dataclasses.replace(
        keypoints,
        xy=(keypoints.xy * [-1, 1] + [640, 0]).astype(np.float32)[:, list(H36M17.mirror)],
        scores=keypoints.scores[:, list(H36M17.mirror)],
    )
    plain, mirrored = lift(lifter(Odd()), [keypoints, mirrored], CAMERA)
    np.testing.assert_allclose(
        mirrored.joints[:, list(H36M17.mirror)], plain.joints * [-1, 1, 1], atol=1e-5
    )


def test_people_are_lifted_together_and_do_not_mix():
    model = Flat()
    people = [person(range(n), seed=n) for n in (5, 30, 14)]
    together = lift(lifter(model), people, CAMERA)
    windows = sum(len(call) for call in model.calls) // 2  # every one goes in mirrored, too
    assert len(model.calls) == 2 * -(-windows // BATCH_WINDOWS)  # people share batches
    for keypoints, poses in zip(people, together, strict=True):
        (alone,) = lift(lifter(Flat()), [keypoints], CAMERA)
        np.testing.assert_allclose(poses.joints, alone.joints, atol=1e-6)
    assert lift(lifter(model), [], CAMERA) == []


def test_a_long_clip_goes_through_in_bounded_batches():
    model = Flat()
    lift(lifter(model), [person(range(2000))], CAMERA)
    assert max(len(call) for call in model.calls) == BATCH_WINDOWS


def test_fast_cameras_are_lifted_at_the_rate_of_training():
    model, keypoints = Flat(), person(range(2 * T), fps=100.0)
    (poses,) = lift(lifter(model), [keypoints], CAMERA)
    assert model.calls[0].shape[:2] == (2, T)  # the even and the odd frames
    assert np.isfinite(poses.joints).all()


def test_keypoints_of_another_skeleton_are_refused():
    keypoints = dataclasses.replace(person(range(3)), skeleton=COCO17)
    with pytest.raises(ValueError, match="h36m17"):
        lift(lifter(Flat()), [keypoints], CAMERA)


# ------------------------------------------------------------------ the motion representation


class Linear(nn.Module):
    """A representation of 6 channels that mixes neighbouring frames, and a linear head on it."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.mix = torch.randn(6, 6, generator=generator)
        self.head = torch.randn(6, 3, generator=generator)

    def represent(self, x):
        return torch.cat([x, x.roll(1, dims=1)], dim=-1) @ self.mix

    def forward(self, x):
        return self.represent(x) @ self.head


def as_lift_without_flip(E, keypoints):
    """What `lift` would make of E by the head, if the whole clip is one window."""
    _, R = normalise(*(a[None] for a in seen_rays(keypoints.xy, keypoints.scores, CAMERA)))
    joints = E.astype(np.float64) @ Linear().head.double().numpy()
    return (joints - joints[:, :1]) @ R[0]


@pytest.mark.parametrize("n", [0, 1, 2, T - 1, T, T + 1, 2 * T, 100])
def test_every_length_of_clip_is_represented_frame_for_frame(n):
    E = lifter(Linear()).represent(person(range(5, 5 + n)), CAMERA)
    assert E.shape == (n, J, 6)
    assert E.dtype == np.float32
    assert np.isfinite(E).all()


def test_the_representation_leads_the_head_to_the_joints_that_lift_gives_without_flip():
    keypoints = person(range(T))

    class Unflipped(nn.Module):
        """Undoes the mirror that `lift` puts before the second call, and after it."""

        def __init__(self):
            super().__init__()
            self.calls = 0

        def forward(self, x):
            self.calls += 1
            return Linear()(x) if self.calls % 2 else _mirror(Linear()(_mirror(x)))

    (poses,) = lift(lifter(Unflipped()), [keypoints], CAMERA)
    E = lifter(Linear()).represent(keypoints, CAMERA)
    np.testing.assert_allclose(as_lift_without_flip(E, keypoints), poses.joints, atol=1e-4)


def test_the_representation_of_a_long_clip_has_no_seams():
    class OfItsWindow(nn.Module):
        def represent(self, x):
            return torch.linspace(0, 1, x.shape[1])[None, :, None, None].expand(*x.shape[:3], 2)

    E = lifter(OfItsWindow(), 41).represent(person(range(400)), CAMERA)
    assert np.abs(np.diff(E, axis=0)).max() < 2.5 / 41


def test_a_clip_longer_than_the_window_is_represented_as_its_windows_are():
    """A movement that repeats with the windows: every whole window in the middle is the same."""
    cycle = person(range(T - 1))
    keypoints = dataclasses.replace(
        person(range(6 * (T - 1))),
        xy=np.tile(cycle.xy, (6, 1, 1)),
        scores=np.tile(cycle.scores, (6, 1)),
    )
    E = lifter(Linear()).represent(keypoints, CAMERA)
    np.testing.assert_allclose(E[2 * T - 2 : 3 * T - 3], E[3 * T - 3 : 4 * T - 4], atol=1e-2)


def test_the_representation_is_not_averaged_with_the_mirror_image():
    class Counting(Linear):
        windows = 0

        def represent(self, x):
            self.windows += len(x)
            return super().represent(x)

    model = Counting()
    lifter(model).represent(person(range(T)), CAMERA)
    assert model.windows == 1
