"""Foot contact: when each foot stands on the ground.

A standing foot does not move. Seen by a camera that stands still, that is judged best across the
line of sight, where 2D keypoints are exact, and hardly along it, where depth is a guess.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import minimum_filter1d

from video2pose3d.motion.clock import derivative, durations, runs, segments
from video2pose3d.motion.smoothing import gaussian

_SIGMA = 0.05  # seconds, of the smoothing before speeds are taken
_SURE_SPEED, _LOOSE_SPEED = 0.25, 0.4  # m/s: a contact begins below one and lasts below the other
_ALONG = 0.3  # how much speed along the line of sight counts
_LIFT = 0.18  # metres above where a foot was lowest within _STEP: held high, however still
_STEP = 0.75  # seconds to each side
_SHORTEST = 0.1  # seconds


def detect(ankles: np.ndarray, up: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T, 2) bool: each foot on the ground.

    ankles: (T, 2, 3) metres, CAMERA, right then left; up: (3,) unit; times: (T,) seconds.
    """
    contact = np.zeros(ankles.shape[:2], dtype=bool)
    for part in segments(times):
        smooth = gaussian(ankles[part].astype(np.float64), times[part], _SIGMA)
        duration = durations(times[part])
        speed = _speed(smooth, times[part])
        lift = _lift(smooth @ up, duration)
        for side in range(2):
            contact[part, side] = _hysteresis(
                (speed[:, side] < _SURE_SPEED) & (lift[:, side] < _LIFT),
                (speed[:, side] < _LOOSE_SPEED) & (lift[:, side] < _LIFT),
                duration,
            )
    return contact


def _speed(points: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T, 2) m/s, mostly across the line of sight, of (T, 2, 3) points in CAMERA."""
    velocity = derivative(points, times)
    sight = points / np.maximum(np.linalg.norm(points, axis=-1, keepdims=True), 1e-9)
    along = (velocity * sight).sum(axis=-1, keepdims=True)
    across = velocity - along * sight
    return np.hypot(np.linalg.norm(across, axis=-1), _ALONG * along[..., 0])


def _lift(height: np.ndarray, duration: np.ndarray) -> np.ndarray:
    """(T, 2) metres above the lowest foot around that time; so the floor need not be known."""
    reach = round(_STEP / float(np.median(duration)))
    return height - minimum_filter1d(height.min(axis=1), 2 * reach + 1)[:, None]


def _hysteresis(sure: np.ndarray, loose: np.ndarray, duration: np.ndarray) -> np.ndarray:
    """(T,) bool: the stretches that are loosely true and somewhere surely, unless very short."""
    keep = np.zeros(len(loose), dtype=bool)
    shortest = min(_SHORTEST, duration.sum())
    for run in runs(loose):
        keep[run] = sure[run].any() and duration[run].sum() >= shortest
    return keep
