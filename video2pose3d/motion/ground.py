"""The ground: which way is up, and how high the camera stands above the floor.

Nobody says how a camera was tilted. Three things tell, none alone enough, so they are weighed as
least squares with honest variances: cameras are held nearly level, without roll, looking slightly
down; people who stand or walk carry their centre of mass above their feet; and feet on the
ground, wherever they go, lie in one plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from video2pose3d.motion.clock import durations
from video2pose3d.skeletons import H36M17

ANKLE_HEIGHT = 0.085  # metres above the floor, of a standing foot in a shoe
_LEVEL_CAMERA = np.array([0.0, -np.cos(np.radians(6)), -np.sin(np.radians(6))])
_ROLL, _PITCH = np.radians(3), np.radians(12)  # how far cameras stray from that
_AXIS_BIAS, _AXIS_NOISE = np.radians(4), np.radians(10)  # of the line from feet to centre of mass
_AXIS_OUTLIER = np.radians(12)  # further off, somebody is not standing
_FOOT_ERROR = 0.05  # metres, of a standing ankle's height
_ERROR_TIME = 0.5  # seconds that such errors last
_ITERATIONS = 12
_BODY_RADIUS = 0.10  # metres from a joint of somebody who lies to the floor

# Shares of body mass by the joints nearest to it (from Winter's segment masses, trunk 50 %).
_MASS = {
    "pelvis": 0.14, "spine": 0.18, "thorax": 0.18, "head": 0.08,
    "right_hip": 0.05, "left_hip": 0.05, "right_knee": 0.09, "left_knee": 0.09,
    "right_ankle": 0.03, "left_ankle": 0.03, "right_elbow": 0.025, "left_elbow": 0.025,
    "right_wrist": 0.015, "left_wrist": 0.015,
}  # fmt: skip


@dataclass(frozen=True)
class Body:
    """One person's movement in CAMERA, as evidence about the ground.

    joints: (T, J, 3) metres; scores: (T, J); contact: (T, 2) bool; times: (T,) seconds.
    """

    joints: np.ndarray
    scores: np.ndarray
    contact: np.ndarray
    times: np.ndarray


@dataclass(frozen=True)
class Ground:
    """up: (3,) unit vector, CAMERA axes; heights: (P,) metres of the camera above each person's
    floor; uncertainty: degrees, of `up`; stood: whether anybody was seen to stand on it."""

    up: np.ndarray
    heights: np.ndarray
    uncertainty: float
    stood: bool


def estimate(bodies: list[Body]) -> Ground:
    """The ground from everything that people did on it."""
    up = _LEVEL_CAMERA
    ankles = [body.joints[:, _ANKLES].astype(np.float64) for body in bodies]
    axes = [_axes(body) for body in bodies]
    levels = np.array([_level(a, body.contact, up) for a, body in zip(ankles, bodies, strict=True)])
    n = 3 + len(bodies)
    for iteration in range(_ITERATIONS):
        matrix, target = np.zeros((n, n)), np.zeros(n)
        # The length of `up` stays 1.
        matrix[:3, :3] += 1e6 * np.outer(up, up)
        target[:3] += 1e6 * up
        for axis, sigma in ((0, _ROLL), (2, _PITCH)):
            matrix[axis, axis] += 1 / sigma**2
            target[axis] += _LEVEL_CAMERA[axis] / sigma**2
        # From afar at first, so that a steep camera is found too; then only those who stand.
        outlier = _AXIS_OUTLIER * max(1.0, 4 - iteration)
        stood = 0.0
        for p, body in enumerate(bodies):
            share = np.minimum(durations(body.times) / _ERROR_TIME, 1)
            information, amount = _standing(axes[p], share, up, outlier)
            matrix[:3, :3] += information
            stood += amount
            _add_feet(matrix, target, 3 + p, ankles[p], body.contact, share, up, levels[p])
            matrix[3 + p, 3 + p] += 1e-6
            target[3 + p] += 1e-6 * levels[p]
        solution = np.linalg.solve(matrix, target)
        up = solution[:3] / np.linalg.norm(solution[:3])
        levels = np.where([body.contact.any() for body in bodies], solution[3:], levels)
    levels = np.array(
        [
            level if body.contact.any() else _level(a, body.contact, up)
            for level, a, body in zip(levels, ankles, bodies, strict=True)
        ]
    )
    covariance = np.linalg.inv(matrix)[:3, :3]
    uncertainty = float(np.degrees(np.sqrt(max(np.trace(covariance) - 1e-6, 0.0))))
    return Ground(up, ANKLE_HEIGHT - levels, uncertainty, stood > 0.5)


_ANKLES = H36M17.indices("right_ankle", "left_ankle")


def _axes(body: Body) -> np.ndarray:
    """(T, 3) from the middle of the feet to the centre of mass, 1 long in a body stretched out."""
    joints = body.joints.astype(np.float64)
    mass = np.array(list(_MASS.values())) / sum(_MASS.values())
    centre = np.einsum("tjc,j->tc", joints[:, H36M17.indices(*_MASS)], mass)
    axis = centre - joints[:, _ANKLES].mean(axis=1)
    leg = [
        np.linalg.norm(joints[:, H36M17.index(a)] - joints[:, H36M17.index(b)], axis=-1).mean()
        for a, b in (("right_hip", "right_knee"), ("right_knee", "right_ankle"))
    ]
    return axis / max(sum(leg), 1e-6)


def _standing(
    axes: np.ndarray, share: np.ndarray, up: np.ndarray, outlier: float
) -> tuple[np.ndarray, float]:
    """What (T, 3) body axes say about `up`: information (3, 3), and how much time was of use."""
    length = np.maximum(np.linalg.norm(axes, axis=-1), 1e-6)
    axis = axes / length[:, None]
    angle = np.arccos(np.clip(axis @ up, -1, 1))
    weight = share * np.minimum(length, 1) ** 2 / (1 + (angle / outlier) ** 2) ** 2
    amount = float(weight.sum())
    if amount < 1e-9:
        return np.zeros((3, 3)), 0.0
    across = np.eye(3) - np.einsum("t,ti,tj->ij", weight, axis, axis) / amount
    return across / (_AXIS_BIAS**2 + _AXIS_NOISE**2 / amount), amount


def _add_feet(
    matrix: np.ndarray,
    target: np.ndarray,
    unknown: int,
    ankles: np.ndarray,
    contact: np.ndarray,
    share: np.ndarray,
    up: np.ndarray,
    level: float,
) -> None:
    """Standing ankles lie in a plane: up · ankle = level, the latter being one more unknown."""
    points = ankles[contact]
    off = points @ up - level
    weight = np.broadcast_to(share[:, None], contact.shape)[contact] / _FOOT_ERROR**2
    weight = weight / (1 + (off / (4 * _FOOT_ERROR)) ** 2) ** 2
    rows = np.concatenate([points, np.full((len(points), 1), -1.0)], axis=1)
    index = np.array([0, 1, 2, unknown])
    matrix[np.ix_(index, index)] += (rows * weight[:, None]).T @ rows


def _level(ankles: np.ndarray, contact: np.ndarray, up: np.ndarray) -> float:
    """metres along `up` where ankles stand; of somebody whose feet never do, where they are low."""
    heights = ankles @ up
    if contact.any():
        return float(np.median(heights[contact]))
    return float(np.percentile(heights.min(axis=1), 10)) if len(heights) else 0.0


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
