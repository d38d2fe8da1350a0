"""Smoothing joints over time: in seconds, not frames; without delay; never across a gap."""

from __future__ import annotations

import numpy as np

from video2pose3d.motion.clock import durations, segments

METHODS = ("gaussian", "one_euro", "none")

# Lifters that see a second at once shake little: more would round off quick movements.
GAUSSIAN_SIGMA = 0.05  # seconds
# Casiez et al., "1 € Filter", CHI 2012: cutoff = minimum + slope * speed.
ONE_EURO_CUTOFF = 1.0  # Hz, of a joint at rest
ONE_EURO_SLOPE = 2.0  # Hz per m/s
ONE_EURO_SPEED_CUTOFF = 2.0  # Hz, for the speed itself


def smooth(joints: np.ndarray, times: np.ndarray, method: str) -> np.ndarray:
    """(T, J, 3) metres at (T,) seconds, smoothed within each segment by one of METHODS."""
    if method not in METHODS:
        raise ValueError(f"method: expected one of {METHODS}, got {method!r}")
    if method == "none":
        return joints.copy()
    function = {"gaussian": gaussian, "one_euro": one_euro}[method]
    out = np.empty_like(joints)
    for part in segments(times):
        out[part] = function(joints[part], times[part])
    return out


def gaussian(values: np.ndarray, times: np.ndarray, sigma: float = GAUSSIAN_SIGMA) -> np.ndarray:
    """(T, ...) averaged under a bell of `sigma` seconds; each sample counts for its duration."""
    reach = 3 * sigma
    index = np.arange(len(times))
    furthest = int((np.searchsorted(times, times + reach, side="right") - 1 - index).max(initial=0))
    weight = durations(times)
    trailing = (slice(None),) + (None,) * (values.ndim - 1)
    total = values * weight[trailing]
    norm = weight.copy()
    for k in range(1, furthest + 1):
        bell = np.exp(-0.5 * ((times[k:] - times[:-k]) / sigma) ** 2)
        total[k:] += values[:-k] * (bell * weight[:-k])[trailing]
        total[:-k] += values[k:] * (bell * weight[k:])[trailing]
        norm[k:] += bell * weight[:-k]
        norm[:-k] += bell * weight[k:]
    return (total / norm[trailing]).astype(values.dtype)


def one_euro(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T, J, 3) by the 1 € filter, run forwards and backwards and averaged: no delay is left."""
    forwards = _one_euro_pass(values, times)
    backwards = _one_euro_pass(values[::-1], -times[::-1])[::-1]
    return ((forwards + backwards) / 2).astype(values.dtype)


def _one_euro_pass(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    out = values.astype(np.float64)
    velocity = np.zeros_like(out[:1])[0]
    for t in range(1, len(out)):
        step = times[t] - times[t - 1]
        change = (values[t] - values[t - 1]) / step
        velocity = velocity + _gain(ONE_EURO_SPEED_CUTOFF, step) * (change - velocity)
        speed = np.linalg.norm(velocity, axis=-1, keepdims=True)
        gain = _gain(ONE_EURO_CUTOFF + ONE_EURO_SLOPE * speed, step)
        out[t] = out[t - 1] + gain * (values[t] - out[t - 1])
    return out


def _gain(cutoff: float | np.ndarray, step: float) -> float | np.ndarray:
    """How far a first-order low-pass of that cutoff (Hz) goes towards a new sample."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff * step))
