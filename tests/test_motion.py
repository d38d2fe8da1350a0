"""The whole of motion, on people whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from walker import ANKLE, Film, film, stands, turn, walk

from video2pose3d import lifters, metrics, motion
from video2pose3d.datasets.mocap import Mocap
from video2pose3d.evaluation import filming
from video2pose3d.geometry import pixels_to_rays, transform
from video2pose3d.motion import bones, smoothing
from video2pose3d.motion.root import locate_each
from video2pose3d.networks import find_lifter
from video2pose3d.options import Options
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Camera, Keypoints2D, Poses3D

TIMES = np.arange(120) / 30
LEGS = H36M17.indices("right_ankle", "left_ankle")


def reconstruct(*films: Film, **settings: object) -> motion.Reconstruction:
    one = films[0]
    people = [film.seen for film in films]
    return motion.reconstruct(people, one.times, one.camera, motion.Settings(**settings))


def in_camera(result: motion.Reconstruction, person: int = 0) -> np.ndarray:
    """(T, J, 3) a person's joints_world, back in CAMERA."""
    back = np.linalg.inv(result.world_from_camera)
    return transform(back, result.people[person].joints_world)


def tilt_error(result: motion.Reconstruction, truth: Film) -> float:
    return float(np.degrees(np.arccos(min(1.0, result.world_from_camera[1, :3] @ truth.up))))


def mpjpe(a: np.ndarray, b: np.ndarray) -> float:
    """Mean distance of joints, both relative to the pelvis, in mm."""
    return float(1000 * np.linalg.norm((a - a[:, :1]) - (b - b[:, :1]), axis=-1).mean())


def picked(seen: tuple[Keypoints2D, Poses3D], frames: list[int]) -> tuple[Keypoints2D, Poses3D]:
    """The same person, seen in some frames only."""
    k, p = seen
    index = np.array(frames, dtype=np.int64)
    return (
        replace(k, frames=index, xy=k.xy[index], scores=k.scores[index]),
        replace(p, frames=index, joints=p.joints[index], scores=p.scores[index]),
    )


def finite(result: motion.Reconstruction) -> bool:
    return all(
        np.isfinite(array).all()
        for person in result.people
        for array in (person.joints_world, person.root_camera, person.poses.joints)
    ) and bool(np.isfinite(result.world_from_camera).all())


@pytest.mark.parametrize("yaw", [0.0, 0.8, np.pi / 2, np.pi])
def test_exact_input_gives_the_truth_back(yaw: float) -> None:
    truth = film(walk(TIMES, yaw=yaw), TIMES, distance=6)
    result = reconstruct(truth)
    assert np.linalg.norm(in_camera(result) - truth.joints, axis=-1).mean() < 0.03
    assert tilt_error(result, truth) < 2
    assert result.world_from_camera[1, 3] == pytest.approx(truth.height, abs=0.1)
    assert not result.warnings


def test_errors_of_lifter_and_keypoints_are_made_smaller_in_every_way() -> None:
    truth = film(walk(TIMES, yaw=1.2), TIMES, error=0.03, pixels=4)
    result = reconstruct(truth)
    out, lifted = in_camera(result), truth.poses.joints.astype(np.float64)
    alone = locate_each(
        pixels_to_rays(truth.keypoints.xy, truth.camera), truth.keypoints.scores, lifted
    )
    assert mpjpe(out, truth.joints) < 0.85 * mpjpe(lifted, truth.joints)

    def depth_wobble(root: np.ndarray) -> float:
        return float((root[:, 2] - truth.joints[:, 0, 2]).std())

    assert depth_wobble(result.people[0].root_camera) < 0.6 * depth_wobble(alone)
    quality = result.people[0].quality
    assert quality.jitter_after < 0.15 * quality.jitter_before
    assert quality.reprojection_px < 10


@pytest.mark.parametrize("smooth", smoothing.METHODS)
@pytest.mark.parametrize("foot_lock", ["auto", "off"])
def test_bones_keep_one_length_whatever_the_settings(smooth: str, foot_lock: str) -> None:
    truth = film(walk(TIMES), TIMES, error=0.03, pixels=4)
    person = reconstruct(truth, smooth=smooth, foot_lock=foot_lock).people[0]
    assert bones.variation(person.joints_world, H36M17) < 0.01
    assert person.quality.bone_variation_before > 3


def test_world_has_the_camera_at_plus_z_and_the_first_place_at_its_origin() -> None:
    truth = film(walk(TIMES, yaw=0.4), TIMES, pitch=12, roll=3)
    result = reconstruct(truth)
    matrix = result.world_from_camera
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-9)
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1)
    assert matrix[2, 3] > 0  # the camera is at z > 0
    assert matrix[0, 2] == pytest.approx(0)  # and looks along -z
    assert matrix[2, 2] < 0
    assert matrix[0, 0] > 0.9
    np.testing.assert_allclose(result.people[0].joints_world[0, 0, [0, 2]], 0, atol=1e-6)


@pytest.mark.parametrize("pitch", [-10.0, 0.0, 20.0, 40.0])
def test_up_is_found_for_cameras_that_look_up_or_down(pitch: float) -> None:
    height = 1.2 + 5 * np.tan(np.radians(max(pitch, 0.0)))
    truth = film(walk(TIMES, yaw=0.6), TIMES, pitch=pitch, height=height, error=0.02, pixels=2)
    assert tilt_error(reconstruct(truth), truth) < 4


@pytest.mark.parametrize(
    "frames", [[5], [5, 6], [5, 6, 7], [3, 90], [*range(20), 60, *range(90, 120)]]
)
def test_any_number_of_frames_with_any_gaps(frames: list[int]) -> None:
    truth = film(walk(TIMES), TIMES, error=0.02, pixels=2)
    result = motion.reconstruct([picked(truth.seen, frames)], TIMES, truth.camera)
    assert finite(result)
    assert len(result.people[0].joints_world) == len(frames)
    off = result.people[0].root_camera - truth.joints[frames, 0]
    assert np.linalg.norm(off, axis=-1).max() < 0.5


def test_nobody_still_gives_a_world() -> None:
    truth = film(walk(TIMES), TIMES)
    result = motion.reconstruct([], TIMES, truth.camera)
    assert result.people == ()
    assert result.world_from_camera[1, 3] > 0
    assert result.world_from_camera[1, 1] < 0


def test_frames_in_which_nothing_was_seen_are_bridged() -> None:
    truth = film(walk(TIMES, yaw=np.pi / 2), TIMES)
    scores, xy = truth.keypoints.scores.copy(), truth.keypoints.xy.copy()
    scores[50:58], xy[50:58] = 0, 0
    seen = replace(truth, keypoints=replace(truth.keypoints, scores=scores, xy=xy))
    result = reconstruct(seen)
    off = np.linalg.norm(result.people[0].root_camera - truth.joints[:, 0], axis=-1)
    assert off[50:58].max() < 0.06


def test_nothing_seen_at_all_is_no_disaster() -> None:
    truth = film(walk(TIMES), TIMES)
    blind = replace(truth.keypoints, scores=0 * truth.keypoints.scores, xy=0 * truth.keypoints.xy)
    assert finite(reconstruct(replace(truth, keypoints=blind)))


def test_a_few_wild_keypoints_do_no_harm() -> None:
    truth = film(walk(TIMES), TIMES)
    rng = np.random.default_rng(0)
    wild = rng.random(truth.keypoints.scores.shape) < 0.1
    xy = truth.keypoints.xy + 300 * (wild[..., None] * rng.normal(size=(2,))).astype(np.float32)
    result = reconstruct(replace(truth, keypoints=replace(truth.keypoints, xy=xy)))
    off = np.linalg.norm(result.people[0].root_camera - truth.joints[:, 0], axis=-1)
    assert off.mean() < 0.08


@pytest.mark.parametrize("fov", [30.0, 100.0])
def test_a_person_at_the_edge_of_the_picture_is_placed_as_well(fov: float) -> None:
    distance = 1.5 / np.tan(np.radians(fov / 2)) * 1.5
    truth = film(walk(TIMES), TIMES, aside=1.2, distance=distance + 2, fov=fov)
    off = reconstruct(truth).people[0].root_camera - truth.joints[:, 0]
    assert np.linalg.norm(off, axis=-1).mean() < 0.05


def test_time_is_what_the_clock_says_not_what_frames_count() -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.07, 120))
    truth = film(walk(times, yaw=np.pi / 2), times, error=0.01, pixels=1)
    x = reconstruct(truth).people[0].joints_world[:, 0, 0]
    assert np.polyfit(times, x, 1)[0] == pytest.approx(1.0, abs=0.03)
    assert np.gradient(x, times).std() < 0.25


def test_the_floor_does_not_follow_a_jump() -> None:
    stand = np.repeat(walk(TIMES)[:1], len(TIMES), axis=0)
    flight = np.maximum(0, 0.3 - 4.9 * ((TIMES % 1.5) - 0.75) ** 2)
    stand[..., 1] += flight[:, None]
    stand[..., 2] -= stand[:, :1, 2]
    truth = film(stand, TIMES, error=0.01, pixels=2)
    result = reconstruct(truth)
    person = result.people[0]
    rise = person.joints_world[:, 0, 1] - np.median(person.joints_world[flight == 0, 0, 1])
    assert rise.max() == pytest.approx(0.3, abs=0.06)
    assert not person.foot_contact[flight > 0.15].any()
    assert person.foot_contact[flight == 0].mean() > 0.8


def test_somebody_who_lies_makes_no_up_and_a_warning() -> None:
    stand = np.repeat(walk(TIMES)[:1], len(TIMES), axis=0)
    stand -= stand[:, :1]
    lie = np.stack([stand[..., 1], -stand[..., 0] + 0.25, stand[..., 2]], axis=-1)
    for yaw in (0.0, np.pi / 2):
        truth = film(turn(lie, yaw), TIMES, pitch=15, error=0.01, pixels=2)
        result = reconstruct(truth)
        assert finite(result)
        assert tilt_error(result, truth) < 15
        assert any("tilt" in warning for warning in result.warnings)


def test_two_people_of_different_size_share_one_floor() -> None:
    man = film(walk(TIMES, yaw=0.7, at=(-0.8, 0.5)), TIMES, error=0.02, pixels=2, seed=1)
    # The lifter takes the smaller for as large, and so for further away.
    woman = film(
        walk(TIMES, size=0.9, yaw=-0.9, at=(0.8, -0.5)),
        TIMES, error=0.02, pixels=2, lifter_size=1 / 0.9, seed=2,
    )  # fmt: skip
    result = reconstruct(man, woman)
    lows = [np.percentile(one.joints_world[:, LEGS, 1].min(axis=1), 20) for one in result.people]
    np.testing.assert_allclose(lows, ANKLE, atol=0.04)
    assert result.people[1].scale / result.people[0].scale == pytest.approx(0.9, abs=0.05)


def test_somebody_on_a_stage_stays_there() -> None:
    below = film(walk(TIMES, yaw=0.7, at=(-0.8, 0.5)), TIMES)
    above = film(walk(TIMES, yaw=-0.9, at=(0.8, -0.5)) + np.array([0, 0.9, 0]), TIMES)
    result = reconstruct(below, above)
    for p, truth in enumerate((below, above)):
        scaled = result.people[p].root_camera / result.people[p].scale
        assert np.linalg.norm(scaled - truth.joints[:, 0], axis=-1).mean() < 0.1


def test_a_height_scales_body_and_place_alike() -> None:
    truth = film(walk(TIMES), TIMES)
    plain, scaled = reconstruct(truth), reconstruct(truth, height=1.2)
    factor = scaled.people[0].scale
    assert scaled.people[0].quality.stature == pytest.approx(1.2, abs=0.01)
    np.testing.assert_allclose(
        scaled.people[0].root_camera, factor * plain.people[0].root_camera, atol=0.02
    )
    np.testing.assert_allclose(
        scaled.people[0].poses.joints, factor * truth.poses.joints, rtol=1e-5
    )
    assert "--height 1.2" in scaled.scale_source
    assert "assumed" in plain.scale_source


def test_feet_in_contact_stand_still_on_the_floor() -> None:
    world = walk(TIMES, yaw=1.0)
    truth = film(world, TIMES, error=0.02, pixels=3)
    locked = reconstruct(truth).people[0]
    free = reconstruct(truth, foot_lock="off").people[0]
    assert locked.quality.foot_slide < 20 < free.quality.foot_slide
    stood = stands(world)
    both = (locked.foot_contact & stood).sum()
    assert 2 * both / (locked.foot_contact.sum() + stood.sum()) > 0.85
    heights = locked.joints_world[:, LEGS, 1][locked.foot_contact]
    assert np.median(heights) == pytest.approx(ANKLE, abs=0.03)


def test_input_is_left_alone() -> None:
    truth = film(walk(TIMES), TIMES, error=0.02, pixels=2)
    before = truth.poses.joints.copy(), truth.keypoints.xy.copy(), truth.keypoints.scores.copy()
    reconstruct(truth, height=1.9)
    after = truth.poses.joints, truth.keypoints.xy, truth.keypoints.scores
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_keypoints_of_other_frames_are_refused() -> None:
    truth = film(walk(TIMES), TIMES)
    k, _ = picked(truth.seen, [1, 2])
    _, p = picked(truth.seen, [1, 3])
    with pytest.raises(ValueError, match="same frames"):
        motion.reconstruct([(k, p)], TIMES, truth.camera)


def test_what_a_lifter_found_only_gets_better(data: Path) -> None:
    sequences = filming.film(Mocap.read(data / "mocap" / "val.npz"), limit=4)
    lifter = lifters.load(find_lifter(Options()))
    seen = [sequence.keypoints["noisy"] for sequence in sequences]
    before, after, shaken = [], [], []
    for s, k, poses in zip(
        sequences, seen, lifters.lift(lifter, seen, filming.CAMERA), strict=True
    ):
        result = motion.reconstruct([(k, poses)], k.frames / k.fps, filming.CAMERA)
        for errors, joints in ((before, poses.joints), (after, in_camera(result))):
            joints = joints - joints[:, :1]
            errors.append((metrics.mpjpe(joints, s.truth), metrics.p_mpjpe(joints, s.truth),
                           metrics.mpjve(joints, s.truth)))  # fmt: skip
        quality = result.people[0].quality
        shaken.append(quality.jitter_after / quality.jitter_before)
    assert (np.mean(after, axis=0) < np.mean(before, axis=0)).all()
    assert max(shaken) < 0.1


@pytest.mark.parametrize("name", ["walk", "walk_b", "walk_c", "two_people"])
def test_rendered_examples(data: Path, name: str) -> None:
    truth = np.load(data / "examples" / f"{name}_truth.npz")
    size = (int(truth["width"]), int(truth["height"]))
    camera = Camera(truth["K"].astype(np.float64), size, np.zeros(5), "known")
    frames = np.arange(len(truth["camera"]), dtype=np.int64)
    joints = truth["camera"].reshape(len(frames), -1, 17, 3).astype(np.float32)
    xy = truth["image"].reshape(len(frames), -1, 17, 2).astype(np.float32)
    scores = np.ones((len(frames), 17), np.float32)
    people = [
        (
            Keypoints2D(frames, xy[:, p], scores, H36M17, size, 30.0),
            Poses3D(frames, joints[:, p] - joints[:, p, :1], scores, H36M17, "CAMERA_ROOT", 30.0),
        )
        for p in range(joints.shape[1])
    ]
    result = motion.reconstruct(people, frames / 30, camera)
    up, height = truth["R"][:, 1], -(truth["R"].T @ truth["t"])[1]
    assert np.degrees(np.arccos(result.world_from_camera[1, :3] @ up)) < 1.5
    assert result.world_from_camera[1, 3] == pytest.approx(height, abs=0.1)
    for p in range(len(people)):
        assert np.linalg.norm(in_camera(result, p) - joints[:, p], axis=-1).mean() < 0.06
