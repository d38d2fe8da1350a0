"""When each clip began, from the people's movement: to a frame of a camera or two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.signal import find_peaks

from video2pose3d.multiview.arrangement import ALIKE, chain
from video2pose3d.multiview.movement import RATE, Mover, agreement

_CLEAR = 0.05  # by which the best agreement has to be above any other
_AS_GOOD = 0.08  # by which any other may be better than that of clips that began at once
_TRACKS = 4  # longest of each view that are compared


@dataclass(frozen=True)
class Clocks:
    """offsets: (V,) seconds that each clip began after the first; sure: (V,) whether movement tells
    that; agreement: (V,) 0..1 of the movements by which each was set."""

    offsets: np.ndarray
    sure: np.ndarray
    agreement: np.ndarray


def find_offsets(movers: Sequence[Mover], views: int) -> Clocks:
    """Clips whose movements agree as well if all began at once are left so."""
    lags, peaks = np.zeros((views, views)), np.zeros((views, views))
    for a, b in combinations(range(views), 2):
        found = [_lag(one, other) for one in _longest(movers, a) for other in _longest(movers, b)]
        if found:
            peaks[a, b], lags[a, b] = max(found)
    offsets, sure, agrees = np.zeros(views), np.zeros(views, bool), np.zeros(views)
    sure[0] = True
    for parent, child in chain(peaks):
        lag = lags[parent, child] if parent < child else -lags[child, parent]
        offsets[child] = offsets[parent] + lag
        agrees[child] = max(peaks[parent, child], peaks[child, parent])
        sure[child] = sure[parent]
    agrees[0] = agrees.max()
    return Clocks(np.where(sure, offsets, 0), sure, agrees)


def _longest(movers: Sequence[Mover], view: int) -> list[Mover]:
    mine = [one for one in movers if one.view == view]
    return sorted(mine, key=lambda one: -len(one.times))[:_TRACKS]


def _lag(a: Mover, b: Mover) -> tuple[float, float]:
    """The clearest agreement, 0 if there is none, and by how much later b's clip began."""
    lags, agrees = agreement(a, b)
    peaks, _ = find_peaks(np.concatenate([[-1], agrees, [-1]]))
    order = peaks[np.argsort(-agrees[peaks - 1])] - 1
    if not len(order) or agrees[order[0]] < ALIKE:
        return 0.0, 0.0
    best = order[0]
    at_once = int(np.abs(lags).argmin())
    if abs(lags[at_once]) < 1 / RATE and agrees[at_once] > agrees[best] - _AS_GOOD:
        return float(agrees[at_once]), 0.0
    if len(order) > 1 and agrees[best] - agrees[order[1]] < _CLEAR:
        return 0.0, 0.0
    return float(agrees[best]), float(lags[best])
