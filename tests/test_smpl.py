"""Claims about the SMPL body model and the files it is read from."""

import os
import pickle
import struct
import sys
import types
from typing import ClassVar

import bodies
import numpy as np
import pytest
import scipy.sparse
import torch
from scipy.spatial.transform import Rotation

from video2pose3d import smpl_pickle
from video2pose3d.errors import UserError
from video2pose3d.smpl import SMPL, rotations

LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST = 16, 18, 20


@pytest.fixture(scope="module")
def body() -> SMPL:
    return SMPL(**bodies.arrays())


def random_pose(n: int, seed: int = 0) -> torch.Tensor:
    return 0.4 * torch.randn(n, 72, generator=torch.Generator().manual_seed(seed))


# ------------------------------------------------------------------ the body


def test_at_rest_the_body_is_its_template(body):
    vertices, joints = body(torch.zeros(2, 72), torch.zeros(2, 10))
    np.testing.assert_allclose(vertices[1], bodies.arrays()["v_template"], atol=1e-6)
    np.testing.assert_allclose(joints[1], bodies.joints_at_rest(), atol=1e-6)


def test_an_elbow_bent_by_a_right_angle_turns_the_forearm_forward(body):
    pose = torch.zeros(1, 72)
    pose[0, 3 * LEFT_ELBOW + 1] = -np.pi / 2  # about y: the arm lies along +x, forward is +z
    _, (joints,) = body(pose, torch.zeros(1, 10))
    rest = torch.tensor(bodies.joints_at_rest(), dtype=torch.float32)
    forearm = rest[LEFT_WRIST, 0] - rest[LEFT_ELBOW, 0]
    expected = rest.clone()
    for joint in (LEFT_WRIST, 22):
        expected[joint] = rest[LEFT_ELBOW] + torch.tensor(
            [0, 0, float(rest[joint, 0] - rest[LEFT_ELBOW, 0])]
        )
    torch.testing.assert_close(joints, expected, atol=1e-5, rtol=0)
    assert float(joints[LEFT_WRIST, 2]) == pytest.approx(float(forearm), abs=1e-5)


def test_without_pose_blend_shapes_vertices_go_with_the_joint_that_owns_them():
    arrays = bodies.arrays()
    body = SMPL(**{**arrays, "posedirs": 0 * arrays["posedirs"]})
    vertices, joints = body(random_pose(3), torch.zeros(3, 10))
    owned = vertices.unflatten(1, (24, 4)).mean(dim=2)  # four about each joint
    torch.testing.assert_close(owned, joints, atol=1e-5, rtol=0)


def test_joints_and_vertices_turn_with_the_root(body):
    pose = random_pose(1)
    turn = Rotation.from_euler("xyz", [0.7, -1.1, 0.4])
    turned = pose.clone()
    turned[0, :3] = torch.tensor(
        (turn * Rotation.from_rotvec(pose[0, :3].numpy())).as_rotvec(), dtype=torch.float32
    )
    R = torch.tensor(turn.as_matrix(), dtype=torch.float32)
    (before, joints), (after, joints_after) = (body(p, torch.zeros(1, 10)) for p in (pose, turned))
    root = joints[:, :1]
    torch.testing.assert_close(joints_after - root, (joints - root) @ R.T, atol=1e-5, rtol=0)
    torch.testing.assert_close(after - root, (before - root) @ R.T, atol=1e-5, rtol=0)


def test_the_first_shape_parameter_of_this_body_makes_it_taller(body):
    shape = torch.zeros(1, 10)
    shape[0, 0] = 2.0  # 5 % each
    _, joints = body(torch.zeros(1, 72), shape)
    np.testing.assert_allclose(joints[0], 1.1 * bodies.joints_at_rest(), atol=1e-5)


@pytest.mark.parametrize("scale", [0.0, 0.5])
def test_gradients_reach_pose_and_shape_at_rest_and_bent(body, scale):
    pose = (scale * random_pose(2)).requires_grad_()
    shape = torch.zeros(2, 10, requires_grad=True)
    vertices, joints = body(pose, shape)
    (vertices.square().sum() + joints.square().sum()).backward()
    assert pose.grad is not None
    assert shape.grad is not None
    assert torch.isfinite(pose.grad).all()
    assert (pose.grad.reshape(2, 24, 3)[:, 16:20].abs().sum(dim=(0, 2)) > 0).all()
    assert (shape.grad.abs() > 0).any()


def test_joints_over_time_are_those_of_the_whole_body_and_follow_the_translation(body):
    rng = np.random.default_rng(0)
    pose, shape = random_pose(5).numpy(), rng.normal(size=10)
    trans = rng.normal(size=(5, 3))
    joints = body.joints(pose, shape, trans)
    assert joints.shape == (5, 24, 3)
    assert joints.dtype == np.float32
    _, expected = body(torch.tensor(pose), torch.tensor(shape, dtype=torch.float32).expand(5, 10))
    np.testing.assert_allclose(joints, expected.numpy() + trans[:, None], atol=1e-5)
    further = body.joints(pose, shape, trans + np.array([1, 2, 3]))
    np.testing.assert_allclose(further - joints, np.broadcast_to([1, 2, 3], (5, 24, 3)), atol=1e-5)


def test_rotations_are_those_of_scipy_and_smooth_at_none():
    omega = torch.randn(50, 3, dtype=torch.float64)
    expected = Rotation.from_rotvec(omega.numpy()).as_matrix()
    np.testing.assert_allclose(rotations(omega).numpy(), expected, atol=1e-12)
    nothing = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rotations, nothing, eps=1e-6, atol=1e-5)


# ------------------------------------------------------------------ its file


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings: that is how the official files were made."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, obj: bytes) -> None:
        self.write(b"T" + struct.pack("<I", len(obj)) + obj)
        self.memoize(obj)

    dispatch[bytes] = save_bytes


@pytest.fixture
def chumpy(monkeypatch):
    """Modules with chumpy's names, only while a pickle is written."""

    class Ch:
        def __init__(self, **state):
            self.__dict__.update(state)

        def __setstate__(self, state):
            raise AssertionError("chumpy was asked to load")

    class Select(Ch): ...

    class add(Ch): ...

    for module, members in (
        ("chumpy", ()), ("chumpy.ch", (Ch,)), ("chumpy.reordering", (Select,)),
        ("chumpy.ch_ops", (add,)),
    ):  # fmt: skip
        fake = types.ModuleType(module)
        monkeypatch.setitem(sys.modules, module, fake)
        for member in members:
            member.__module__, member.__qualname__ = module, member.__name__
            setattr(fake, member.__name__, member)
    return types.SimpleNamespace(Ch=Ch, Select=Select, add=add)


def official(chumpy) -> dict:
    """The dictionary of the official .pkl, with what else lies in it."""
    arrays = bodies.arrays()
    shapes, order = arrays["shapedirs"], np.arange(arrays["shapedirs"].size)
    everything = np.flip(shapes.ravel())
    return {
        **arrays,
        "shapedirs": chumpy.Select(
            a=chumpy.Ch(x=everything, dterms=("x",), _dirty_vars=set()),
            idxs=order[::-1],
            preferred_shape=shapes.shape,
        ),
        "posedirs": chumpy.Ch(x=np.asfortranarray(arrays["posedirs"])),
        "J_regressor": scipy.sparse.csc_matrix(arrays["J_regressor"]),
        "v_shaped": chumpy.add(a=1),
        "bs_type": "lrotmin",
    }


def same(body: SMPL) -> None:
    expected = SMPL(**bodies.arrays())
    for (name, got), (_, want) in zip(body.named_buffers(), expected.named_buffers(), strict=True):
        torch.testing.assert_close(got, want, msg=name)
    assert body.parents == expected.parents == bodies.PARENTS
    assert np.array_equal(body.faces, expected.faces)


def test_the_npz_is_read(tmp_path):
    np.savez(tmp_path / "body.npz", **bodies.arrays(), part2num=np.array([1]))
    same(SMPL.read(tmp_path / "body.npz"))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_the_official_pickle_is_read_without_chumpy(tmp_path, chumpy, protocol):
    (tmp_path / "body.pkl").write_bytes(pickle.dumps(official(chumpy), protocol))
    same(SMPL.read(tmp_path / "body.pkl"))


def test_a_pickle_of_python_2_is_read(tmp_path, chumpy):
    with open(tmp_path / "body.pkl", "wb") as file:
        Python2Pickler(file, 2).dump(official(chumpy))
    assert b"T" in (tmp_path / "body.pkl").read_bytes()
    same(SMPL.read(tmp_path / "body.pkl"))


class Runs:
    """A pickle of this makes a folder when it is loaded by pickle itself."""

    def __init__(self, call, *args):
        self.call = (call, args)

    def __reduce__(self):
        return self.call


def hostile(folder: str) -> list:
    return [
        Runs(os.mkdir, folder),
        Runs(eval, f"__import__('os').mkdir({folder!r})"),
        Runs(getattr, "text", "upper"),
        {"v_template": Runs(os.mkdir, folder)},
        {"anything": [Runs(np.save, folder, 1)]},
        {"weights": np.array([Runs(os.mkdir, folder)], dtype=object)},
    ]


@pytest.mark.parametrize("case", range(6))
def test_a_hostile_pickle_runs_nothing(tmp_path, case):
    path, made = tmp_path / "body.pkl", tmp_path / "made"
    path.write_bytes(pickle.dumps(hostile(str(made))[case], 2))
    with pytest.raises(UserError, match="which could run code"):
        SMPL.read(path)
    assert not made.exists()


@pytest.mark.parametrize(
    "pickled",
    [
        b"cnumpy.core.multiarray\n_reconstruct\n(dS'x'\nI1\nsb.",  # attributes onto what is known
        b"ccopy_reg\n_reconstructor\n(c__builtin__\nobject\nc__builtin__\nobject\nNtR.",
        b"(dS'f'\ncnumpy\nndarray\n)\x81(I1\n(I9\ntcnumpy\ndtype\n(S'O8'\ntRI00\nS'ab'\ntbs.",
        b"(dS'f'\ncnumpy\nndarray\n)\x81(I1\n(I9\ntcnumpy\ndtype\n(S'f8'\ntRI00\nS'ab'\ntbs.",
        b"I1\n.",
        b"",
        b"\x80\x02}q\x00",
    ],
)
def test_a_pickle_of_something_else_is_one_clear_error(tmp_path, pickled):
    path = tmp_path / "body.pkl"
    path.write_bytes(pickled)
    with pytest.raises(UserError, match="not a pickle of arrays"):
        smpl_pickle.read(path, ["f"])


def test_a_matrix_whose_indices_lie_outside_it_is_refused(tmp_path):
    matrix = scipy.sparse.csc_matrix(np.eye(3))
    matrix.indices[1] = 10**6
    (tmp_path / "body.pkl").write_bytes(pickle.dumps({"J_regressor": matrix}, 2))
    with pytest.raises(UserError, match="not a pickle of arrays"):
        smpl_pickle.read(tmp_path / "body.pkl", ["J_regressor"])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"weights": None}, "weights is missing"),
        ({"posedirs": np.zeros((96, 3, 459))}, "posedirs"),  # SMPL-H's
        ({"shapedirs": np.zeros((96, 3, 8))}, "shapedirs"),
        ({"kintree_table": np.full((2, 24), 30)}, "kintree_table"),
    ],
)
def test_another_model_is_one_clear_error(tmp_path, changes, says):
    arrays = {**bodies.arrays(), **changes}
    np.savez(tmp_path / "body.npz", **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(UserError, match=says):
        SMPL.read(tmp_path / "body.npz")


def test_a_missing_file_says_where_to_get_it_under_which_licence(tmp_path):
    with pytest.raises(UserError, match=r"smpl\.is\.tue\.mpg\.de.*non-commercial"):
        SMPL.read(tmp_path / "SMPL_NEUTRAL.npz")
