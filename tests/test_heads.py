"""Claims about the heads on the motion representation, and their files."""

import json

import bodies
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.spatial.transform import Rotation
from torch import nn

from video2pose3d import heads, lifters
from video2pose3d.errors import UserError
from video2pose3d.heads import action, smpl
from video2pose3d.lifters import ssr_stf
from video2pose3d.skeletons import H36M17
from video2pose3d.smpl import rotations
from video2pose3d.structures import Keypoints2D

CH, FRAMES = 16, 9
CLASSES = ("walk", "wave", "sit")


def backbone() -> nn.Module:
    torch.manual_seed(0)
    model = ssr_stf.Model(ssr_stf.Config(N=1, C=32, Ch=CH, heads=2)).eval()
    for parameter in model.parameters():  # not the half-asleep network of the first step
        nn.init.normal_(parameter, std=0.2)
    return model


def action_head() -> nn.Module:
    torch.manual_seed(1)
    return action.Model(action.Config(Ch=CH, classes=len(CLASSES), hidden=8)).eval()


def smpl_head() -> nn.Module:
    torch.manual_seed(1)
    head = smpl.Model(smpl.Config(Ch=CH, hidden=8)).eval()
    for mlp in (head.pose, head.shape):
        nn.init.normal_(mlp[-1].weight, std=0.2)
    return head


MODELS = {"action": action_head, "smpl": smpl_head}


@pytest.fixture(params=MODELS)
def saved(request, tmp_path):
    """The task and its head's file."""
    path = tmp_path / "head.safetensors"
    classes = CLASSES if request.param == "action" else ()
    heads.save(
        path, request.param, MODELS[request.param](), "ssr_stf", backbone(), frames=FRAMES,
        classes=classes, about={"licence": "ours"}, dtype=torch.float32,
    )  # fmt: skip
    return request.param, path


def person(pose: np.ndarray, **film) -> Keypoints2D:
    keypoints, _, _ = bodies.film(pose, np.zeros(10), **film)
    xy, scores = keypoints[..., :2].copy(), keypoints[..., 2].copy()
    return Keypoints2D(np.arange(len(xy)), xy, scores, H36M17, (640, 480), 30.0)


def walker(T: int = 20, **film) -> Keypoints2D:
    return person(bodies.walk_in_place(T, np.random.default_rng(0)), **film)


# ------------------------------------------------------------------ files


def test_a_saved_head_loads_as_it_was_with_its_lifter(saved):
    task, path = saved
    head = heads.load(path)
    assert (head.task, head.lifter.name, head.lifter.frames) == (task, "ssr_stf", FRAMES)
    assert head.metadata["licence"] == "ours"
    assert head.classes == (CLASSES if task == "action" else ())
    expected = MODELS[task]()
    assert head.model.config == expected.config
    for key, tensor in expected.state_dict().items():
        torch.testing.assert_close(head.model.state_dict()[key], tensor)
    x = torch.randn(1, FRAMES, 17, 3)
    with torch.inference_mode():
        torch.testing.assert_close(head.lifter.model(x), backbone()(x))


def test_a_head_in_half_precision_hardly_differs(saved, tmp_path):
    task, path = saved
    head = heads.load(path)
    half = tmp_path / "half.safetensors"
    heads.save(
        half, task, head.model, "ssr_stf", head.lifter.model, frames=FRAMES, about={}
    )  # fmt: skip
    assert half.stat().st_size < 0.6 * path.stat().st_size
    for key, tensor in heads.load(half).model.state_dict().items():
        torch.testing.assert_close(tensor, head.model.state_dict()[key], atol=1e-3, rtol=1e-3)


def test_a_lifter_is_no_head_and_a_head_no_lifter(saved, tmp_path):
    _, path = saved
    lifters.save(tmp_path / "lifter.safetensors", "ssr_stf", backbone(), frames=9, about={})
    with pytest.raises(UserError, match="not a head"):
        heads.load(tmp_path / "lifter.safetensors")
    with pytest.raises(UserError, match="not a lifter"):
        lifters.load(path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"task": "dance"}, "damaged header"),
        ({"head": "{"}, "damaged header"),
        ({"classes": "3"}, "damaged header"),
        ({"backbone": "[]"}, "damaged header"),
        ({"head": '{"Ch": 32}'}, "do not fit"),
        ({"head": '{"width": 3}'}, "do not fit"),
        ({"backbone": "{}"}, "not a lifter"),
    ],
)
def test_a_header_that_says_something_else_is_one_clear_error(saved, changes, says):
    _, path = saved
    metadata, tensors = lifters.read(path)
    save_file(tensors, path, {**metadata, **changes})
    with pytest.raises(UserError, match=says):
        heads.load(path)


# ------------------------------------------------------------------ action


def test_people_who_are_not_there_do_not_count():
    head, E = action_head(), torch.randn(2, 2, 5, 17, CH)
    present = torch.tensor([[True, False], [True, True]])
    other = E.clone()
    other[0, 1] = 9
    with torch.inference_mode():
        torch.testing.assert_close(head(E, present), head(other, present))
        alone = head(E[:1, :1], present[:1, :1])
        torch.testing.assert_close(head(E, present)[:1], alone)


def test_the_order_of_people_and_of_frames_does_not_count():
    head, E = action_head(), torch.randn(2, 2, 5, 17, CH)
    present = torch.ones(2, 2, dtype=torch.bool)
    with torch.inference_mode():
        torch.testing.assert_close(head(E, present), head(E.flip(1).flip(2), present))


def test_a_clip_is_sampled_from_where_somebody_is_seen():
    T, frames = 40, 10
    xy = np.zeros((1, 2, T, 17, 2), np.float32)
    xy[..., 0] = np.arange(T)[:, None] + 3.0 * np.arange(17)  # a row of joints that walks
    scores = np.zeros((1, 2, T, 17), np.float32)
    scores[0, 0, 10:30] = 1
    for rng in (None, np.random.default_rng(0)):
        x, present = action.inputs(xy, scores, bodies.CAMERA, frames, rng)
        assert x.shape == (1, 2, frames, 17, 3)
        assert present.tolist() == [[True, False]]
        assert (x[0, 0, ..., 2] == 1).all()
        assert not x[0, 1].any()
        assert (np.diff(x[0, 0, :, 0, 0]) > 0).all()


def test_a_short_clip_fills_the_window_and_an_empty_one_is_empty():
    clip, _, _ = bodies.film(np.zeros((3, 72)), np.zeros(10))
    xy, scores = clip[None, None, ..., :2], clip[None, None, ..., 2]
    x, present = action.inputs(xy, scores, bodies.CAMERA, 12)
    assert present.all()
    assert (x[..., 2] == 1).all()
    x, present = action.inputs(xy, 0 * scores, bodies.CAMERA, 12)
    assert not present.any()
    assert not x.any()


def test_how_two_people_stand_to_each_other_shows():
    near, far = (
        np.stack([bodies.film(np.zeros((3, 72)), np.zeros(10), aside=a)[0] for a in (0, step)])
        for step in (0.5, 1.5)
    )
    x = [
        action.inputs(both[None, ..., :2], both[None, ..., 2], bodies.CAMERA, 3)[0]
        for both in (near, far)
    ]
    apart = [(one[0, 1, ..., 0] - one[0, 0, ..., 0]).mean() for one in x]
    tall = [np.ptp(one[0, 0, ..., 1]) for one in x]
    assert apart[1] / tall[1] > 2.5 * apart[0] / tall[0]


def test_a_batch_in_which_nobody_is_seen_has_finite_logits():
    x, present = torch.zeros(2, 2, FRAMES, 17, 3), torch.zeros(2, 2, dtype=torch.bool)
    with torch.inference_mode():
        logits = action_head()(action.represent_people(backbone(), x, present), present)
    assert torch.isfinite(logits).all()
    torch.testing.assert_close(logits[0], logits[1])


@pytest.mark.parametrize("saved", ["action"], indirect=True)
def test_recognise_gives_a_probability_for_every_class(saved):
    head = heads.load(saved[1])
    first, second = walker(20), walker(15, aside=0.8)
    second.frames[:] += 10
    found = action.recognise(head, [first, second], bodies.CAMERA)
    assert found.shape == (3,)
    assert found.sum() == pytest.approx(1, abs=1e-5)
    swapped = action.recognise(head, [second, first], bodies.CAMERA)
    np.testing.assert_allclose(swapped, found, atol=1e-5)
    for nobody in ([], [walker(0)]):
        with pytest.raises(ValueError, match="somebody"):
            action.recognise(head, nobody, bodies.CAMERA)


# ------------------------------------------------------------------ SMPL


def test_at_first_the_body_stands_upright_at_rest():
    torch.manual_seed(0)
    estimate = smpl.Model(smpl.Config(Ch=CH, hidden=8)).eval()(torch.randn(2, 5, 17, CH))
    rest = torch.eye(3).expand(2, 5, 23, 3, 3)
    torch.testing.assert_close(estimate.R[:, :, 1:], rest, atol=0.1, rtol=0)
    assert (estimate.R[:, :, 0, 1, 1] < -0.9).all()  # y is down where the lifter looks from
    assert estimate.shape.abs().max() < 0.1


def test_rotations_are_rotations_whatever_the_six_numbers():
    R = smpl._orthonormal(torch.randn(100, 2, 3))
    torch.testing.assert_close(R @ R.mT, torch.eye(3).expand(100, 3, 3), atol=1e-5, rtol=0)
    assert (torch.linalg.det(R) > 0.99).all()
    six = R[..., :2].mT
    torch.testing.assert_close(smpl._orthonormal(six), R, atol=1e-5, rtol=0)


def test_angles_are_the_lengths_of_axis_angles():
    omega = torch.randn(200, 3)
    omega = omega * (3.1 * torch.rand(200, 1) / omega.norm(dim=-1, keepdim=True))
    angles = smpl._angles(rotations(omega))
    torch.testing.assert_close(angles, omega.norm(dim=-1), atol=1e-3, rtol=0)


def test_of_the_loss_only_the_norm_is_left_for_the_truth():
    truth = smpl.Estimate(rotations(torch.randn(2, 5, 24, 3)), torch.randn(2, 10))
    joints = torch.randn(2, 5, 24, 3)
    weights = smpl.LossWeights(norm=0.0)
    assert smpl.loss(truth, joints, truth, joints, weights) < 1e-6
    assert smpl.loss(truth, joints + 1, truth, joints, weights) < 1e-5  # relative to the first
    other = smpl.Estimate(truth.R, truth.shape + 1)
    assert smpl.loss(other, joints, truth, joints, weights) == pytest.approx(weights.shape, 1e-3)
    moved = joints.clone()
    moved[:, :, 1, 0] += 0.24  # one of 24 joints: 0.01 m on average, and no faster
    loss = smpl.loss(truth, moved, truth, joints, weights)
    assert loss == pytest.approx(0.01 * weights.joints, 1e-3)


@pytest.mark.parametrize("saved", ["smpl"], indirect=True)
@pytest.mark.parametrize("n", [0, 1, FRAMES, 40])
def test_bodies_come_back_frame_for_frame(saved, n):
    pose, shape = smpl.recover(heads.load(saved[1]), walker(n), bodies.CAMERA)
    assert pose.shape == (n, 72)
    assert shape.shape == (10,)
    assert pose.dtype == shape.dtype == np.float32
    assert np.isfinite(pose).all()
    assert np.isfinite(shape).all()


@pytest.mark.parametrize("saved", ["smpl"], indirect=True)
def test_a_body_turns_with_the_camera_and_keeps_its_limbs(saved):
    """The same clip by a camera panned aside: only the root differs, by the pan."""
    head, T, pan = heads.load(saved[1]), FRAMES, 0.3
    keypoints = walker(T)
    turn = Rotation.from_euler("y", pan)
    rays = np.concatenate(
        [
            (keypoints.xy - bodies.CAMERA.K[:2, 2]) / bodies.CAMERA.K[0, 0],
            np.ones((T, 17, 1)),
        ],
        axis=-1,
    )
    turned = rays @ turn.as_matrix().T
    xy = turned[..., :2] / turned[..., 2:] * bodies.CAMERA.K[0, 0] + bodies.CAMERA.K[:2, 2]
    aside = Keypoints2D(
        keypoints.frames, xy.astype(np.float32), keypoints.scores, H36M17, (640, 480), 30.0
    )
    (pose, shape), (pose_aside, shape_aside) = (
        smpl.recover(head, k, bodies.CAMERA) for k in (keypoints, aside)
    )
    np.testing.assert_allclose(shape_aside, shape, atol=0.02)
    root, root_aside = (Rotation.from_rotvec(p[:, :3]) for p in (pose, pose_aside))
    assert ((turn * root).inv() * root_aside).magnitude().max() < 0.05
    limbs, limbs_aside = (Rotation.from_rotvec(p[:, 3:].reshape(-1, 3)) for p in (pose, pose_aside))
    assert (limbs.inv() * limbs_aside).magnitude().max() < 0.05


def test_headers_are_plain_text(saved):
    metadata, _ = lifters.read(saved[1])
    assert json.loads(metadata["backbone"])["unit"] == "metre"
    assert all(isinstance(value, str) for value in metadata.values())
