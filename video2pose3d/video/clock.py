"""The times of frames: mended where a file tells nonsense, and their exact mean rate."""

from __future__ import annotations

from bisect import bisect_left
from fractions import Fraction

import numpy as np

MIN_FPS, MAX_FPS, USUAL_FPS = 0.1, 1000.0, 30.0  # a mean rate outside is an error in the file


def mend(times: np.ndarray, rate: float) -> tuple[np.ndarray, list[str]]:
    """Make times a clock: (T,) float64 seconds, from 0, strictly increasing; and warnings.

    The longest increasing run of times is believed; a frame outside it is put evenly between its
    believed neighbours. When that leaves a mean rate outside 0.1 to 1000 fps, or no clock at all,
    no time is believed and frames follow each other at 30 fps. times: (T,) seconds as stored; rate:
    declared fps.
    """
    if len(times) == 0:
        return times, []
    warnings = []
    index = np.arange(len(times))
    if (np.diff(times) <= 0).any():
        good = _longest_increasing(times)
        warnings.append(f"times out of order, mended: {len(times) - len(good)} of {len(times)}")
        outside = np.minimum(index - good[0], 0) + np.maximum(index - good[-1], 0)
        times = np.interp(index, good, times[good]) + outside / rate
    times = times - times[0]
    if len(times) > 1:
        fps = (len(times) - 1) / times[-1]
        swallowed = (np.diff(times) <= 0).any()  # steps too small for a float beside the others
        if swallowed or not MIN_FPS <= fps <= MAX_FPS:
            warnings.append(f"times say {fps:g} frames per second: taken as {USUAL_FPS:g}")
            times = index / USUAL_FPS
    return times, warnings


def mean_rate(timestamps: np.ndarray, declared: Fraction, tick: float) -> float:
    """Mean frames per second of timestamps, (T >= 2,) seconds.

    The declared rate, exact, where every frame lies on it to within the rounding of the file's
    clock (one tick, in seconds); else that of first to last frame.
    """
    off = np.abs(timestamps - np.arange(len(timestamps)) / float(declared))
    if off.max() < max(tick * (1 - 1e-6), 1e-6):
        return float(declared)
    return float((len(timestamps) - 1) / (timestamps[-1] - timestamps[0]))


def _longest_increasing(values: np.ndarray) -> np.ndarray:
    """Indices of the longest strictly increasing subsequence (patience sorting)."""
    tails: list[float] = []  # the smallest value that ends a run of each length, ...
    ends: list[int] = []  # ... its index, ...
    before: list[int] = []  # ... and for each value the index before it in its run
    for i, value in enumerate(values):
        length = bisect_left(tails, value)
        before.append(ends[length - 1] if length else -1)
        tails[length : length + 1] = [value]
        ends[length : length + 1] = [i]
    run = [ends[-1]]
    while before[run[-1]] >= 0:
        run.append(before[run[-1]])
    return np.array(run[::-1])
