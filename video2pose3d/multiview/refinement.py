"""Triangulated joints over time: bodies whose bones keep their lengths and that move smoothly.

Three things are weighed by turns until they agree: where the cameras see each joint, how fast a
joint can change its speed, and how long the bones are. Each joint's path is solved as a whole, in
time and memory linear in the clip.
"""

from __future__ import annotations

import numpy as np

from video2pose3d.motion import bones
from video2pose3d.motion.clock import durations, segments
from video2pose3d.motion.path import PathProblem, bends
from video2pose3d.multiview.triangulation import Sights, evidence, typical_error
from video2pose3d.skeletons import H36M17

_ITERATIONS = 12
_FREE = 3  # of them before bones are held to their lengths
_ERROR_TIME = 0.1  # seconds that a detector's errors last
_ACCELERATION = 8.0  # m/s² of a joint, typically
_ACCELERATION_TIME = 0.1  # seconds that it lasts
_BONE = 0.01  # metres that a joint may be from where the bones would have it
_FILL = 0.15  # metres that a joint may be from where it was guessed


def refine(
    sights: Sights, points: np.ndarray, guess: np.ndarray, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Joints (T, J, 3) metres, bones constant, in the calibration's world; their lengths (J,).

    points: (T, J, 3) as triangulated, NaN where they could not be; guess: (T, J, 3) without gaps,
    about where joints are then; times: (T,) seconds.
    """
    missing = ~np.isfinite(points).all(axis=-1)
    joints = np.where(missing[..., None], guess, points)
    error = typical_error(sights.residuals(joints), sights.scores * ~missing)
    lengths = None
    for iteration in range(_ITERATIONS):
        if iteration >= _FREE:
            lengths = bones.lengths(joints, np.where(missing, 0, sights.twice), H36M17)
        matrix, target = evidence(sights, joints, error)
        if missing.any():
            hold = missing[..., None, None] * np.eye(3) / _FILL**2
            matrix, target = matrix + hold, target + missing[..., None] * guess / _FILL**2
        shaped = None if lengths is None else shape(joints, lengths)
        joints = _paths(matrix, target, shaped, times)
    lengths = bones.lengths(joints, np.where(missing, 0, sights.twice), H36M17)
    return shape(joints, lengths), lengths


def shape(joints: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(T, J, 3) joints of those bone lengths, as near to those given as a body's whole can be.

    The pelvis is no better known than other joints, so what bones lack moves it, too.
    """
    shaped = bones.set_lengths(joints, lengths, H36M17)
    return shaped + (joints - shaped).mean(axis=1, keepdims=True)


def _paths(
    matrix: np.ndarray, target: np.ndarray, shaped: np.ndarray | None, times: np.ndarray
) -> np.ndarray:
    """(T, J, 3) every joint's path from evidence (T, J, 3, 3), (T, J, 3), bent little, and near
    `shaped` (T, J, 3) where that is given."""
    out = np.zeros_like(target)
    for part in segments(times):
        duration = durations(times[part])
        share = np.minimum(duration / _ERROR_TIME, 1)
        n = len(duration)
        one = np.ones((n, 1))
        for j in range(target.shape[1]):
            problem = PathProblem(n)
            problem.add(
                one, matrix[part, j] * share[:, None, None], target[part, j] * share[:, None]
            )
            if shaped is not None:
                held = np.broadcast_to(np.eye(3) / _BONE**2, (n, 3, 3)) * share[:, None, None]
                problem.add(one, held, shaped[part, j] / _BONE**2 * share[:, None])
            # Rank where nothing is known at all.
            problem.add(one, np.broadcast_to(np.eye(3) * 1e-6, (n, 3, 3)), np.zeros((n, 3)))
            if n > 2:
                coefficients, span = bends(times[part])
                stiffness = np.eye(3) / _ACCELERATION**2
                weight = (span / _ACCELERATION_TIME)[:, None, None] * stiffness
                problem.add(coefficients, weight, np.zeros((n - 2, 3)))
            out[part, j] = problem.solve()
    return out
