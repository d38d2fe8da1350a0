"""Foot lock: legs moved a little so that standing feet stand still.

A contact's ankle keeps one place over the floor (it may still rise, as heels do); before and after,
what it was moved by fades away. Hips stay, bones keep their lengths, knees bend in the plane they
did.
"""

from __future__ import annotations

import numpy as np

from video2pose3d.motion.clock import LONGEST_GAP, runs, segments
from video2pose3d.skeletons import H36M17

_FADE = 0.3  # seconds; in less, legs are quicker than the truth's
# Metres that an ankle is moved. The path has followed the feet before (root.py): what still lacks
# more comes of a wrong pose or place, and legs bent for it would leave the truth.
_FURTHEST = 0.06
_LEGS = (
    H36M17.indices("right_hip", "right_knee", "right_ankle"),
    H36M17.indices("left_hip", "left_knee", "left_ankle"),
)


def lock(joints: np.ndarray, contact: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T, J, 3) joints in WORLD whose feet hold still while in contact.

    joints: (T, J, 3) metres, WORLD; contact: (T, 2) bool, right then left; times: (T,) seconds.
    """
    out = joints.astype(np.float64)
    for side, (hip, knee, ankle) in enumerate(_LEGS):
        for part in segments(times):
            leg = out[part][:, [hip, knee, ankle]]
            move = _corrections(leg[:, 2], contact[part, side], times[part])
            out[part, knee], out[part, ankle] = _bend(leg, leg[:, 2] + move)
    return out.astype(joints.dtype)


def slide(joints: np.ndarray, contact: np.ndarray, times: np.ndarray) -> float:
    """mm/s that ankles move over the floor while in contact, on average; 0 without contacts."""
    ankles = joints[:, [leg[2] for leg in _LEGS]][..., [0, 2]].astype(np.float64)
    step = np.diff(times)
    speed = np.linalg.norm(np.diff(ankles, axis=0), axis=-1) / step[:, None]
    standing = contact[1:] & contact[:-1] & (step <= LONGEST_GAP)[:, None]
    return float(1000 * speed[standing].mean()) if standing.any() else 0.0


def _corrections(ankle: np.ndarray, contact: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T, 3) metres to move (T, 3) ankles by."""
    move, fade = np.zeros_like(ankle), np.zeros(len(ankle))
    for inside in runs(contact):
        first, end = inside.start, inside.stop
        offset = (np.median(ankle[inside], axis=0) - ankle[inside]) * [1.0, 0.0, 1.0]
        length = np.linalg.norm(offset, axis=-1, keepdims=True)
        offset *= np.minimum(1, _FURTHEST / np.maximum(length, 1e-9))
        move[inside] += offset
        near = np.searchsorted(times, [times[first] - _FADE, times[end - 1] + _FADE])
        for beside, edge in ((slice(near[0], first), 0), (slice(end, near[1]), -1)):
            away = np.abs(times[beside] - times[inside][edge]) / _FADE
            part = (1 + np.cos(np.pi * away)) / 2 * ~contact[beside]
            move[beside] += part[:, None] * offset[edge]
            fade[beside] += part
    # Between two contacts close together both fade at once: then the mean of the two.
    return move / np.maximum(fade, 1)[:, None]


def _bend(leg: np.ndarray, ankle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Knees and ankles, (T, 3) each, of legs (T, 3, 3: hip, knee, ankle) that reach for `ankle`."""
    hip, knee, old_ankle = leg[:, 0], leg[:, 1], leg[:, 2]
    thigh = np.linalg.norm(knee - hip, axis=-1, keepdims=True)
    shin = np.linalg.norm(old_ankle - knee, axis=-1, keepdims=True)
    reach = ankle - hip
    wanted = np.maximum(np.linalg.norm(reach, axis=-1, keepdims=True), 1e-9)
    along = reach / wanted
    # A leg that is too short goes as far as it can.
    distance = np.clip(wanted, np.abs(thigh - shin) + 1e-6, thigh + shin - 1e-6)
    ankle = hip + along * distance
    foot_of_knee = (thigh**2 - shin**2 + distance**2) / (2 * distance)
    height = np.sqrt(np.maximum(thigh**2 - foot_of_knee**2, 0))
    side = knee - hip
    side = side - (side * along).sum(axis=-1, keepdims=True) * along
    side /= np.maximum(np.linalg.norm(side, axis=-1, keepdims=True), 1e-9)
    return hip + along * foot_of_knee + side * height, ankle
