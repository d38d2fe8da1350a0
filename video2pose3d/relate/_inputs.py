"""What the network is shown of keypoints, and back from what it says to rays.

Axes: B windows, T frames, V views, J joints.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from video2pose3d.lifters._windows import aim, look, look_back


class Inputs(NamedTuple):
    """x: (B, T, V, J, 3) float32 x, y, score for the network; R (B * V, 3, 3), half (B * V,): the

    virtual camera of each view, see `lifters._windows.aim`.
    """

    x: np.ndarray
    R: np.ndarray
    half: np.ndarray

    def look(self, rays: np.ndarray) -> np.ndarray:
        """Rays (B, T, V, J, 2) as the network sees them, the person within [-1, 1]."""
        return _views_apart(look(_views_as_windows(rays), self.R, self.half), rays.shape[2])

    def look_back(self, xy: np.ndarray) -> np.ndarray:
        """The inverse of `look`."""
        return _views_apart(look_back(_views_as_windows(xy), self.R, self.half), xy.shape[2])


def prepare(rays: np.ndarray, scores: np.ndarray) -> Inputs:
    """rays (B, T, V, J, 2) x/z, y/z in each view's CAMERA; scores (B, T, V, J), 0 = not seen.

    Each view is normalised for itself, as lifters' inputs are. A joint that was not seen stands on
    the line between where it was seen before and after, and where it never was, in the middle.
    """
    V = scores.shape[2]
    R, half = aim(_views_as_windows(rays), _views_as_windows(scores))
    xy = _views_apart(look(_views_as_windows(rays), R, half), V)
    xy = bridge(xy, scores > 0)
    x = np.concatenate([xy, scores[..., None]], axis=-1)
    return Inputs(x.astype(np.float32), R, half)


def bridge(xy: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """xy (B, T, ..., 2) with lines over time where not seen (B, T, ...): held before the first and

    after the last that was; 0 where none was.
    """
    T = xy.shape[1]
    t = np.arange(T).reshape(1, T, *[1] * (seen.ndim - 2))
    before = np.maximum.accumulate(np.where(seen, t, -1), axis=1)
    after = np.flip(np.minimum.accumulate(np.flip(np.where(seen, t, T), 1), axis=1), 1)
    before, after = np.where(before < 0, after, before), np.where(after == T, before, after)
    never = before == T
    before, after = np.where(never, 0, before), np.where(never, 0, np.minimum(after, T - 1))
    share = (t - before) / np.maximum(after - before, 1)
    a, b = (np.take_along_axis(xy, at[..., None], axis=1) for at in (before, after))
    return np.where(never[..., None], 0.0, a + share[..., None] * (b - a))


def _views_as_windows(values: np.ndarray) -> np.ndarray:
    """(B, T, V, ...) → (B * V, T, ...)."""
    return values.swapaxes(1, 2).reshape(-1, values.shape[1], *values.shape[3:])


def _views_apart(values: np.ndarray, V: int) -> np.ndarray:
    """(B * V, T, ...) → (B, T, V, ...)."""
    return values.reshape(-1, V, *values.shape[1:]).swapaxes(1, 2)
