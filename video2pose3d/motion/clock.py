"""Time: stretches of frames, and how long each frame stands for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

# A person unseen for longer may be anywhere: what comes after is not joined to what was before.
LONGEST_GAP = 0.5  # seconds


def segments(times: np.ndarray) -> list[slice]:
    """The stretches of (T,) seconds between gaps, in order."""
    if not len(times):
        return []
    cuts = np.flatnonzero(np.diff(times) > LONGEST_GAP) + 1
    edges = [0, *cuts.tolist(), len(times)]
    return [slice(a, b) for a, b in pairwise(edges)]


def durations(times: np.ndarray) -> np.ndarray:
    """(T,) seconds that each frame of one segment stands for: half the way to its neighbours.

    A frame on its own stands for the time of a common frame.
    """
    if len(times) < 2:
        return np.full(len(times), 1 / 30)
    step = np.diff(times)
    return np.concatenate([step[:1], step[:-1] + step[1:], step[-1:]]) / 2


def derivative(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T, ...) change per second within each segment; 0 for a frame on its own."""
    out = np.zeros_like(values)
    for part in segments(times):
        if part.stop - part.start > 1:
            out[part] = np.gradient(values[part], times[part], axis=0)
    return out


def runs(mask: np.ndarray) -> list[slice]:
    """The stretches of a (T,) bool mask that are true, in order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    return [slice(first, end) for first, end in edges.reshape(-1, 2).tolist()]
