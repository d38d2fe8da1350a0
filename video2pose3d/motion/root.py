"""The root path: where in CAMERA the pelvis was, from 2D keypoints and the body's own shape.

A body of known size, seen under rays of known directions, can be in one place only. Sideways that
place is sure to a pixel or two; its depth rests on how large the body looks, which a lifter's
errors sway by several percent. So frames are not solved alone: the whole segment is one robust
least-squares problem in which the path must also bend as little as bodies do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from video2pose3d.motion.clock import durations, segments
from video2pose3d.motion.path import PathProblem, bends

NEAREST = 0.3  # metres: nobody is filmed from nearer
_ITERATIONS = 4
# A lifter's errors last: samples closer than this are not independent evidence.
_ERROR_TIME = 0.5  # seconds
# How much a pelvis accelerates, across the picture and in depth (there smoother than the truth,
# because the evidence is so weak; found by search on lifted and simulated clips).
_ACCELERATION = np.array([6.0, 6.0, 1.0])  # m/s², x, y, z of CAMERA
_ACCELERATION_TIME = 0.2  # seconds that an acceleration lasts
_SINK = 0.06  # metres that a standing ankle may be off the floor's height by errors
_SLIDE = 0.07  # metres that it may drift over the floor within _ERROR_TIME; less, and paths wander
_LEAST_ERROR = 0.02  # metres at the joint: keypoints and poses are never surer


@dataclass(frozen=True)
class Standing:
    """What the ground says about a path: feet in contact neither move nor leave the floor.

    feet: (T, 2, 3) metres from the pelvis, CAMERA axes, right then left; contact: (T, 2) bool;
    up: (3,) unit, CAMERA axes; level: metres along `up` from the optical centre to where an ankle
    is while its foot stands; still: whether feet in contact shall hold the path still, too.
    """

    feet: np.ndarray
    contact: np.ndarray
    up: np.ndarray
    level: float
    still: bool = True


def locate(
    rays: np.ndarray,
    scores: np.ndarray,
    joints: np.ndarray,
    times: np.ndarray,
    start: np.ndarray,
    standing: Standing | None = None,
) -> np.ndarray:
    """(T, 3) float64 metres: the pelvis in CAMERA.

    rays: (T, J, 2) x/z, y/z; scores: (T, J) 0..1; joints: (T, J, 3) metres, CAMERA_ROOT;
    times: (T,) seconds; start: (T, 3) metres, about where: from `locate_each` or an earlier path.
    Frames without any evidence are bridged within their segment.
    """
    weights = scores.astype(np.float64) ** 2
    root = start.copy()
    error = _typical_error(residuals(rays, joints, root), weights)
    anchor = _anchor(root, weights)
    for _ in range(_ITERATIONS):
        beside = residuals(rays, joints, root)
        trust = weights * _robust(beside, error) / error**2
        matrix, target = _newton(rays, joints, root, trust)
        for part in segments(times):
            root[part] = _solve(matrix[part], target[part], times[part], anchor, standing, part)
        root[:, 2] = np.maximum(root[:, 2], NEAREST)
    return root


def locate_each(rays: np.ndarray, scores: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """(T, 3) metres: the pelvis in CAMERA from each frame alone; arguments as for `locate`."""
    weights = scores.astype(np.float64) ** 2
    # At first each joint's direction is taken as seen: then the equations are linear.
    offset = rays * joints[..., 2:] - joints[..., :2]
    root = _each(*_equations(rays, offset, weights), weights)
    for _ in range(_ITERATIONS):
        beside = residuals(rays, joints, root)
        trust = weights * _robust(beside, _typical_error(beside, weights))
        root = _each(*_newton(rays, joints, root, trust), weights)
    return root


def _solve(
    matrix: np.ndarray,
    target: np.ndarray,
    times: np.ndarray,
    anchor: np.ndarray,
    standing: Standing | None,
    part: slice,
) -> np.ndarray:
    """One segment's path: evidence (T, 3, 3), (T, 3) per independent sample, bent little."""
    n = len(times)
    problem = PathProblem(n)
    share = np.minimum(durations(times) / _ERROR_TIME, 1)
    one = np.ones((n, 1))
    problem.add(one, matrix * share[:, None, None], target * share[:, None])
    # Where nothing at all was seen, something must hold the path: very weakly, the usual place.
    hold = np.broadcast_to(np.eye(3) * 1e-4, (n, 3, 3))
    problem.add(one, hold, np.broadcast_to(anchor * 1e-4, (n, 3)))
    if n > 2:
        coefficients, span = bends(times)
        stiffness = np.diag(1 / _ACCELERATION**2)
        weight = (span / _ACCELERATION_TIME)[:, None, None] * stiffness
        problem.add(coefficients, weight, np.zeros((n - 2, 3)))
    if standing is not None:
        _add_standing(problem, times, share, standing, part)
    return problem.solve()


def _add_standing(
    problem: PathProblem, times: np.ndarray, share: np.ndarray, standing: Standing, part: slice
) -> None:
    up = standing.up
    for side in range(2):
        foot = standing.feet[part, side].astype(np.float64)
        contact = standing.contact[part, side].astype(np.float64)
        # The foot stays at the floor's height: up · (root + foot) = level.
        sink = contact * share / _SINK**2
        height = standing.level - foot @ up
        problem.add(
            np.ones((len(foot), 1)),
            sink[:, None, None] * np.outer(up, up),
            (sink * height)[:, None] * up,
        )
        if len(times) < 2 or not standing.still:
            continue
        # The foot stays where it is: root[t + 1] - root[t] = foot[t] - foot[t + 1].
        step = np.diff(times)
        slide = contact[1:] * contact[:-1] / (_SLIDE**2 * step / _ERROR_TIME)
        level = np.eye(3) - np.outer(up, up)
        weight = slide[:, None, None] * level
        coefficients = np.broadcast_to([-1.0, 1.0], (len(step), 2))
        problem.add(coefficients, weight, np.einsum("nij,nj->ni", weight, foot[:-1] - foot[1:]))


def _equations(
    rays: np.ndarray, offset: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Normal equations (T, 3, 3), (T, 3) of: root_xy - rays root_z = offset, for every joint."""
    u, v = rays[..., 0], rays[..., 1]
    matrix = np.zeros((len(rays), 3, 3))
    matrix[:, 0, 0] = matrix[:, 1, 1] = weights.sum(axis=1)
    matrix[:, 0, 2] = matrix[:, 2, 0] = -(weights * u).sum(axis=1)
    matrix[:, 1, 2] = matrix[:, 2, 1] = -(weights * v).sum(axis=1)
    matrix[:, 2, 2] = (weights * (u**2 + v**2)).sum(axis=1)
    across = (weights[..., None] * offset).sum(axis=1)
    along = -(weights[..., None] * offset * rays).sum(axis=(1, 2))
    return matrix, np.concatenate([across, along[:, None]], axis=1)


def _newton(
    rays: np.ndarray, joints: np.ndarray, root: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same, about a known root: distances are then those in the picture (Gauss-Newton).

    Directions come from the model: with those seen, noise would pull small, far people nearer.
    """
    model = _directions(joints, root)
    offset = residuals(rays, joints, root) + root[:, None, :2] - model * root[:, None, 2:]
    return _equations(model, offset, weights)


def _directions(joints: np.ndarray, root: np.ndarray) -> np.ndarray:
    """(T, J, 2) x/z, y/z under which the body's joints are seen."""
    points = joints + root[:, None]
    return points[..., :2] / np.maximum(points[..., 2:], NEAREST / 2)


def residuals(rays: np.ndarray, joints: np.ndarray, root: np.ndarray) -> np.ndarray:
    """(T, J, 2) metres at the joint's depth from where the body has it to where it is seen."""
    depth = np.maximum(joints[..., 2:] + root[:, None, 2:], NEAREST / 2)
    return (rays - _directions(joints, root)) * depth


def _typical_error(beside: np.ndarray, weights: np.ndarray) -> float:
    distance = np.linalg.norm(beside, axis=-1)[weights > 0]
    return max(float(np.median(distance)), _LEAST_ERROR) if len(distance) else _LEAST_ERROR


def _robust(beside: np.ndarray, error: float) -> np.ndarray:
    """(T, J) Geman-McClure's weights: a joint three errors off counts a quarter."""
    return 1 / (1 + (beside**2).sum(axis=-1) / (3 * error) ** 2) ** 2


def _each(matrix: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(T, 3) solutions frame by frame; where they make no sense, the usual place."""
    scale = np.maximum(weights.sum(axis=1), 1e-12)[:, None]
    regular = matrix / scale[:, None] + np.eye(3) * 1e-9
    root = np.linalg.solve(regular, (target / scale)[..., None])[..., 0]
    sane = (weights > 0).sum(axis=1) >= 3
    sane &= np.isfinite(root).all(axis=1) & (root[:, 2] > NEAREST) & (root[:, 2] < 1000)
    usual = np.median(root[sane], axis=0) if sane.any() else np.array([0.0, 0.0, 4.0])
    return np.where(sane[:, None], root, usual)


def _anchor(root: np.ndarray, weights: np.ndarray) -> np.ndarray:
    seen = weights.sum(axis=1) > 0
    return np.median(root[seen], axis=0) if seen.any() else np.median(root, axis=0)
