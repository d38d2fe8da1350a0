"""A little body in the form of SMPL's file: 24 joints of human size, four vertices about each."""

from __future__ import annotations

import numpy as np

from video2pose3d.skeletons import H36M17

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
