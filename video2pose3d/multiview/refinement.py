"""Triangulated joints over time: bodies whose bones keep their lengths and that move smoothly.

All joints of all frames are one least-squares problem, solved by Gauss and Newton's steps with
weights that are made anew each time: lines of sight (robust and by score, `triangulation`), how
fast a joint changes its speed, and how long the bones are. Its normal equations are a band in time,
so a step takes time and memory linear in the clip; a long clip is stepped in overlapping windows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg import solveh_banded

from video2pose3d.motion import bones
from video2pose3d.motion.clock import durations, segments
from video2pose3d.motion.path import bends
from video2pose3d.multiview.triangulation import Sights, evidence, typical_error
from video2pose3d.skeletons import H36M17

_ITERATIONS = 12
_FREE = 3  # of them before bones are held to their lengths
_ERROR_TIME = 0.1  # seconds that a detector's errors last
# m/s² of a joint: of one that hardly moves, and at most. Jerks beyond are the detector's.
_CALM, _ACCELERATION = 2.0, 8.0
_ACCELERATION_TIME = 0.1  # seconds that it lasts
_BONE = 0.01  # metres that a bone may differ from its length
_FILL = 0.15  # metres that a joint may be from where it was guessed
_LEAST = 1e-6  # per metre²: rank where nothing is known at all
_WINDOW, _OVERLAP = 600, 60  # frames

# (B, J): a bone is where its child is less where its parent is.
_ENDS = np.zeros((len(H36M17.bones), len(H36M17)))
for _bone, (_parent, _child) in enumerate(H36M17.bones):
    _ENDS[_bone, [_child, _parent]] = 1, -1
_CHILDREN = [child for _, child in H36M17.bones]


def refine(sights: Sights, points: np.ndarray, guess: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Joints (T, J, 3) metres, smooth and with bones all but constant, in the calibration's world.

    points: (T, J, 3) as triangulated, NaN where they could not be; guess: (T, J, 3) without gaps,
    about where joints are then; times: (T,) seconds.
    """
    missing = ~np.isfinite(points).all(axis=-1)
    joints = np.where(missing[..., None], guess, points)
    error = typical_error(sights.residuals(joints), sights.scores * ~missing)
    hold = missing[..., None, None] * np.eye(3) / _FILL**2 + _LEAST * np.eye(3)
    for iteration in range(_ITERATIONS):
        matrix, target = evidence(sights, joints, error)
        matrix, target = matrix + hold, target + (hold @ guess[..., None])[..., 0]
        pull = target - (matrix @ joints[..., None])[..., 0]
        lengths = None
        if iteration >= _FREE:
            lengths = bones.lengths(joints, np.where(missing, 0, sights.twice), H36M17)
        step = np.zeros_like(joints)
        for part in segments(times):
            step[part] = _step(joints[part], matrix[part], pull[part], lengths, times[part])
        joints = joints + step
    return joints


def shape(joints: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(T, J, 3) joints of those bone lengths, as near to those given as a body's whole can be.

    The pelvis is no better known than other joints, so what bones lack moves it, too.
    """
    shaped = bones.set_lengths(joints, lengths, H36M17)
    return shaped + (joints - shaped).mean(axis=1, keepdims=True)


def _step(
    joints: np.ndarray, matrix: np.ndarray, pull: np.ndarray, lengths: np.ndarray | None,
    times: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """(T, J, 3) metres that joints (T, J, 3) of one segment are to move.

    matrix, pull: (T, J, 3, 3), (T, J, 3) by which lines of sight hold and draw each joint;
    lengths: (J,) of the bones, None for bones that are free.
    """
    n = len(joints)
    share = np.minimum(durations(times) / _ERROR_TIME, 1)[:, None]
    matrix, pull = matrix * share[..., None, None], pull * share[..., None]
    along, lack = _bones(joints, lengths)
    firm = np.zeros((n, 1)) if lengths is None else share / _BONE**2
    pull += _ENDS.T @ (firm[..., None] * lack[..., None] * along)
    coefficients, weights = np.zeros((0, 3)), np.zeros((0, joints.shape[1]))
    if n > 2:
        coefficients, span = bends(times)
        threes = np.stack([joints[k : n - 2 + k] for k in range(3)])
        bend = np.einsum("tk,ktji->tji", coefficients, threes)
        usual = np.minimum(_CALM**2 + (bend**2).mean(axis=-1), _ACCELERATION**2)
        weights = (span / _ACCELERATION_TIME)[:, None] / usual
        for k in range(3):
            pull[k : n - 2 + k] -= (coefficients[:, k, None] * weights)[..., None] * bend
    step = np.zeros_like(joints)
    for part, kept in _windows(n):
        held = _within_frames(matrix[part], along[part], firm[part])
        bent = slice(part.start, max(part.stop - 2, part.start))
        solved = _solve(held, pull[part], coefficients[bent], weights[bent])
        step[kept] = solved[kept.start - part.start : kept.stop - part.start]
    return step


def _bones(joints: np.ndarray, lengths: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(T, B, 3) unit vectors along bones; (T, B) metres that they lack of their lengths (J,)."""
    bone = _ENDS @ joints
    length = np.maximum(np.linalg.norm(bone, axis=-1), 1e-6)
    lack = np.zeros_like(length) if lengths is None else lengths[_CHILDREN] - length
    return bone / length[..., None], lack


def _within_frames(matrix: np.ndarray, along: np.ndarray, firm: np.ndarray) -> np.ndarray:
    """(T, 3 J, 3 J) normal equations of each frame by itself, from those of joints (T, J, 3, 3),
    bones' unit vectors (T, B, 3) and how firm they are (T, 1)."""
    n, J = matrix.shape[:2]
    rows = (_ENDS[..., None] * along[:, :, None]).reshape(n, len(_ENDS), 3 * J)
    held = np.swapaxes(firm[..., None] * rows, -1, -2) @ rows
    by_joint = held.reshape(n, J, 3, J, 3)
    for j in range(J):
        by_joint[:, j, :, j] += matrix[:, j]
    return held


def _windows(frames: int) -> Iterator[tuple[slice, slice]]:
    """Stretches that overlap, and the part of each whose step is taken.

    What lies outside a window stands still while it is solved; the next step sees to the seams.
    """
    for start in range(0, frames, _WINDOW):
        kept = slice(start, min(start + _WINDOW, frames))
        yield slice(max(start - _OVERLAP, 0), min(kept.stop + _OVERLAP, frames)), kept


def _solve(
    held: np.ndarray, pull: np.ndarray, coefficients: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """(T, J, 3) that solves the normal equations of a window.

    held: (T, 3 J, 3 J) within frames; pull: (T, J, 3); coefficients, weights: (T - 2, 3) and
    (T - 2, J) of the second derivatives over three frames in a row.
    """
    n, J = pull.shape[:2]
    size = 3 * J
    # scipy's lower form: bands[i - j, j] is the matrix's element i, j; frames 2 apart are the last.
    bands = np.zeros((2 * size + 1, n, size))
    for d in range(size):
        bands[d, :, : size - d] = np.diagonal(held, -d, 1, 2)
    stiff = np.repeat(weights, 3, axis=-1)
    for k in range(3):
        for i in range(k + 1):
            product = (coefficients[:, k] * coefficients[:, i])[:, None] * stiff
            bands[size * (k - i), i : i + len(product)] += product
    bands = bands.reshape(len(bands), n * size)[: n * size]
    return solveh_banded(bands, pull.ravel(), lower=True, overwrite_ab=True).reshape(n, J, 3)
