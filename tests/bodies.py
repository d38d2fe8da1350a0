"""A little body in the form of SMPL's file: 24 joints of human size, four vertices about each."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from video2pose3d import geometry
from video2pose3d.skeletons import H36M17
from video2pose3d.smpl import SMPL

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
_LEFT_LEG = [(0.07, -0.09, 0), (0.10, -0.48, 0), (0.09, -0.9, -0.02), (0.1, -0.95, 0.1)]
_LEFT_ARM = [(0.08, 0.38, 0), (0.2, 0.4, 0), (0.46, 0.4, 0), (0.7, 0.4, 0), (0.79, 0.4, 0)]
_TRUNK = [(0, 0, 0), (0, 0.12, 0), (0, 0.25, 0), (0, 0.3, 0), (0, 0.5, 0), (0, 0.6, 0.03)]
_TRUNK_JOINTS = (0, 3, 6, 9, 12, 15)
LEFT_LEG, LEFT_ARM = (1, 4, 7, 10), (13, 16, 18, 20, 22)  # each with its right side one further

# Human3.6M's joints in SMPL's; where it has none, the nearest.
H36M = [
    {
        "pelvis": 0, "spine": 6, "thorax": 12, "neck": 15, "head": 15,
        "left_hip": 1, "left_knee": 4, "left_ankle": 7, "right_hip": 2, "right_knee": 5,
        "right_ankle": 8, "left_shoulder": 16, "left_elbow": 18, "left_wrist": 20,
        "right_shoulder": 17, "right_elbow": 19, "right_wrist": 21,
    }[joint] for joint in H36M17.joints
]  # fmt: skip


def joints_at_rest() -> np.ndarray:
    """(24, 3) metres: a T-pose that faces +z, y up."""
    joints = np.zeros((24, 3))
    joints[list(_TRUNK_JOINTS)] = _TRUNK
    for left, places in ((LEFT_LEG, _LEFT_LEG), (LEFT_ARM, _LEFT_ARM)):
        joints[list(left)] = places
        joints[[j + 1 for j in left]] = np.array(places) * [-1, 1, 1]
    return joints


def arrays() -> dict[str, np.ndarray]:
    """The published keys. Bigger with the first shape parameter; other shapes move a little."""
    rng = np.random.default_rng(0)
    joints = joints_at_rest()
    corners = 0.05 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    template = (joints[:, None] + corners).reshape(-1, 3)
    V = len(template)
    shapes = 0.003 * rng.normal(size=(V, 3, 12))  # some files hold more than ten
    shapes[..., 0] = 0.05 * template
    regressor = np.kron(np.eye(24), np.full((1, 4), 0.25))
    parents = np.array(PARENTS, np.int64)
    return {
        "v_template": template,
        "shapedirs": shapes,
        "posedirs": 0.002 * rng.normal(size=(V, 3, 207)),
        "J_regressor": regressor,
        "weights": np.kron(np.eye(24), np.ones((4, 1))),
        "kintree_table": np.stack([parents, np.arange(24)]).astype(
            np.uint32
        ),  # the root's: 2³² − 1
        "f": (4 * np.arange(24)[:, None] + [0, 1, 2]).astype(np.uint32),
    }


CAMERA = geometry.camera_from_fov((640, 480), geometry.ASSUMED_FOV, "assumed")


def walk_in_place(T: int, rng: np.random.Generator) -> np.ndarray:
    """(T, 72) axis-angle in a body's own axes, arms down: legs swing in turn."""
    phase = _phase(T, rng)
    pose = _arms_down(T)
    for hip, knee, side in ((1, 4, 1), (2, 5, -1)):
        pose[:, hip, 0] = -0.6 * side * np.sin(phase)
        pose[:, knee, 0] = 0.6 * (1 + side * np.sin(phase))
    return pose.reshape(T, 72)


def wave(T: int, rng: np.random.Generator) -> np.ndarray:
    """(T, 72) as above: the right forearm goes up and to and fro."""
    pose = _arms_down(T)
    pose[:, 17, 2] = -0.3
    pose[:, 19, 2] = -1.2 + 0.6 * np.sin(_phase(T, rng))
    return pose.reshape(T, 72)


def gesticulate(T: int, rng: np.random.Generator) -> np.ndarray:
    """(T, 72) as above: shoulders, elbows, hips and knees, each in its own way."""
    pose = _arms_down(T)
    for joint in (1, 2, 4, 5, 16, 17, 18, 19):
        swing = np.sin(_phase(T, rng))[:, None] * rng.normal(size=3)
        pose[:, joint] += 0.3 * swing + 0.3 * rng.normal(size=3)
    return pose.reshape(T, 72)


def _arms_down(T: int) -> np.ndarray:
    pose = np.zeros((T, 24, 3))
    pose[:, 16, 2], pose[:, 17, 2] = -1.2, 1.2
    return pose


def _phase(T: int, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0, 6) + rng.uniform(0.4, 0.8) * np.arange(T)


def film(
    pose: np.ndarray, shape: np.ndarray, yaw: float = 0.0, aside: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Somebody 4 m before CAMERA: keypoints (T, 17, 3) px and score, joints (T, 24, 3), pose.

    The pose that comes back has its root in CAMERA, y down.
    """
    upright = Rotation.from_euler("x", np.pi) * Rotation.from_euler("y", yaw)
    pose = pose.copy()
    pose[:, :3] = (upright * Rotation.from_rotvec(pose[:, :3])).as_rotvec()
    trans = np.broadcast_to([aside, 0, 4.0], (len(pose), 3))
    joints = SMPL(**arrays()).joints(pose, shape, trans)
    xy = geometry.project(joints[:, H36M], CAMERA)
    keypoints = np.concatenate([xy, np.ones((*xy.shape[:2], 1))], axis=-1)
    return keypoints.astype(np.float32), joints, pose
