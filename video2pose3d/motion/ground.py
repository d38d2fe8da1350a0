"""The ground: which way is up, and how high the camera stands above the floor.

Nobody says how a camera was tilted. Three things tell, none alone enough, so they are weighed as
least squares with honest variances: cameras are held nearly level, without roll, looking slightly
down; people who stand or walk carry their shoulders above their feet; and feet on the ground,
wherever they go, lie in one plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from video2pose3d.motion.clock import durations
from video2pose3d.skeletons import H36M17

ANKLE_HEIGHT = 0.085  # metres above the floor, of a standing foot in a shoe
LEVEL_CAMERA = np.array([0.0, -np.cos(np.radians(6)), -np.sin(np.radians(6))])
_ROLL, _PITCH = np.radians(3), np.radians(12)  # how far cameras stray from that
# The line from the middle of both feet, which is in front of the ankles, to the base of the neck:
# over 195 motion-captured clips it leans 0 +- 2.5 degrees forward on average; a lifter adds to it.
_FOOT_MIDDLE = 0.06  # metres
_STEEPEST = np.radians(65)  # further from a level camera's up, somebody lies
_LIFTED = 0.4  # metres that one ankle is above the other when it carries nothing
_AXIS_BIAS, _AXIS_NOISE = np.radians(3), np.radians(8)
_AXIS_OUTLIER = np.radians(15)  # further off, somebody is not standing
_FOOT_ERROR = 0.08  # metres, of a standing ankle's height; some do not stand on the floor
_ERROR_TIME = 0.5  # seconds that such errors last
_SAMPLES = 10  # a second, which is plenty when errors last that long
_ITERATIONS = 12
_CERTAIN = 1e6  # information that outweighs all other
_ALONE = np.eye(3)[None]


@dataclass(frozen=True)
class Body:
    """One person's movement in CAMERA, as evidence about the ground.

    joints: (T, J, 3) metres; ankles: (T, 2, 3) metres, right then left, where keypoints saw them;
    contact: (T, 2) bool; times: (T,) seconds.
    """

    joints: np.ndarray
    ankles: np.ndarray
    contact: np.ndarray
    times: np.ndarray


@dataclass(frozen=True)
class Ground:
    """up: (3,) unit vector, CAMERA axes; heights: (P,) metres of the camera above the floor as each
    person's feet tell it; uncertainty: degrees, standard deviation of `up`."""

    up: np.ndarray
    heights: np.ndarray
    uncertainty: float


def estimate(bodies: list[Body], cameras: np.ndarray = _ALONE) -> Ground:
    """The ground from everything that people did on it.

    cameras: (V, 3, 3) rotations from CAMERA to each camera that is held as cameras are. Unknown are
    `up` and, for each person, the level of standing ankles along it.
    """
    bodies = [_thinned(body) for body in bodies]
    up, levels = LEVEL_CAMERA, np.array([_low(body, LEVEL_CAMERA) for body in bodies])
    for iteration in range(_ITERATIONS):
        matrix, target = np.zeros((3 + len(bodies),) * 2), np.zeros(3 + len(bodies))
        # The length of `up` stays 1.
        matrix[:3, :3] += _CERTAIN * np.outer(up, up)
        target[:3] += _CERTAIN * up
        for axis, sigma in ((0, _ROLL), (2, _PITCH)):
            rows = cameras[:, axis]  # (V, 3): rows @ up is how the cameras have it
            matrix[:3, :3] += rows.T @ rows / sigma**2
            target[:3] += rows.sum(axis=0) * LEVEL_CAMERA[axis] / sigma**2
        # From afar at first, so that a steep camera is found too; then only those who stand.
        outlier = _AXIS_OUTLIER * max(1, 4 - iteration)
        for body, unknown in zip(bodies, range(3, len(target)), strict=True):
            matrix[:3, :3] += _standing(body, up, outlier)
            index = np.array([0, 1, 2, unknown])
            matrix[np.ix_(index, index)] += _plane(body, up, levels[unknown - 3])
            # It decides only where no foot was ever seen to stand.
            matrix[unknown, unknown] += 1 / _CERTAIN
            target[unknown] += _low(body, up) / _CERTAIN
        solution = np.linalg.solve(matrix, target)
        up, levels = solution[:3] / np.linalg.norm(solution[:3]), solution[3:]
    variance = np.trace(np.linalg.inv(matrix)[:3, :3])
    return Ground(up, ANKLE_HEIGHT - levels, float(np.degrees(np.sqrt(variance))))


_AXIS_COLUMN = ("right_ankle", "right_knee", "right_hip", "pelvis", "thorax")
_AXIS_JOINTS = {*_AXIS_COLUMN, "left_ankle", "left_hip"}


def _thinned(body: Body) -> Body:
    step = max(1, int(1 / (_SAMPLES * np.median(durations(body.times)))))
    return Body(body.joints[::step], body.ankles[::step], body.contact[::step], body.times[::step])


def _axes(body: Body, up: np.ndarray) -> np.ndarray:
    """(T, 3) from the middle of the feet to the base of the neck; 1 long in a body stretched out"""
    joint = {name: body.joints[:, H36M17.index(name)] for name in _AXIS_JOINTS}
    forward = np.cross(joint["left_hip"] - joint["right_hip"], up)
    forward /= np.maximum(np.linalg.norm(forward, axis=-1, keepdims=True), 1e-9)
    right, left = joint["right_ankle"], joint["left_ankle"]
    # A leg held high carries nothing: the other foot is what the body stands on.
    lead = np.clip((right - left) @ up / (2 * _LIFTED), -0.5, 0.5)[:, None]
    feet = (0.5 - lead) * right + (0.5 + lead) * left + _FOOT_MIDDLE * forward
    column = pairwise(_AXIS_COLUMN)
    length = sum(np.linalg.norm(joint[a] - joint[b], axis=-1).mean() for a, b in column)
    return (joint["thorax"] - feet) / max(length, 1e-6)


def _standing(body: Body, up: np.ndarray, outlier: float) -> np.ndarray:
    """(3, 3) information about `up` from bodies that stand along it: unit axes · across = 0."""
    axes = _axes(body, up)
    length = np.maximum(np.linalg.norm(axes, axis=-1), 1e-6)
    axes /= length[:, None]
    angle = np.arccos(np.clip(axes @ up, -1, 1))
    weight = _share(body) * np.minimum(length, 1) ** 4 / (1 + (angle / outlier) ** 2) ** 2
    weight *= axes @ LEVEL_CAMERA > np.cos(_STEEPEST)
    amount = max(float(weight.sum()), 1e-9)
    across = np.eye(3) - np.einsum("t,ti,tj->ij", weight, axes, axes) / amount
    return across / (_AXIS_BIAS**2 + _AXIS_NOISE**2 / amount)


def _plane(body: Body, up: np.ndarray, level: float) -> np.ndarray:
    """(4, 4) information about `up` and level from standing ankles: up · ankle - level = 0."""
    points = body.ankles[body.contact]
    off = points @ up - level
    weight = np.repeat(_share(body)[:, None], 2, axis=1)[body.contact] / _FOOT_ERROR**2
    weight = weight / (1 + (off / (4 * _FOOT_ERROR)) ** 2) ** 2
    rows = np.concatenate([points, np.full((len(points), 1), -1.0)], axis=1)
    return (rows * weight[:, None]).T @ rows


def _low(body: Body, up: np.ndarray) -> float:
    """metres along `up` where somebody's ankles stand, or, if they never do, where they are low."""
    heights = body.ankles @ up
    if body.contact.any():
        return float(np.median(heights[body.contact]))
    return float(np.percentile(heights.min(axis=1), 10))


def _share(body: Body) -> np.ndarray:
    """(T,) how much of an independent observation each frame is; all are at least one."""
    share = np.minimum(durations(body.times) / _ERROR_TIME, 1)
    return share / min(1, share.sum())


def world_from_camera(up: np.ndarray, height: float, origin: np.ndarray) -> np.ndarray:
    """(4, 4) from CAMERA to WORLD: y up, the floor at 0, the camera looking along -z.

    height: metres of the camera above the floor; origin: (3,) a point in CAMERA that shall be above
    WORLD's origin.
    """
    forward = np.array([0.0, 0.0, 1.0])
    z = (forward @ up) * up - forward
    z /= np.linalg.norm(z)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([np.cross(up, z), up, z])
    matrix[:3, 3] = -matrix[:3, :3] @ origin
    matrix[1, 3] = height
    return matrix
