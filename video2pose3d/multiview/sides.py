"""Left and right by geometry: limbs that a detector took for each other in one of several views.

`video2pose3d.sides` puts back, view by view, what is exchanged for a moment. Here the other views
are asked: legs or arms of a view are exchanged where all lines of sight meet better for it, view by
view, the clearest first, over time on the Viterbi path. That takes a majority, so three views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from video2pose3d.multiview.calibrations import View
from video2pose3d.multiview.people import Group
from video2pose3d.multiview.triangulation import NEAREST, Sights, triangulate
from video2pose3d.sides import LIMBS, exchange

_LEAST = 3  # views that see a limb pair: of two, none is in the right
_SEEN = 0.2  # score of both joints of a pair, where they count
_FAR = 0.1  # metres at which a joint is half an outlier: detectors are sure to so much
# Beside a joint that a view sees far from where it is, which costs 1:
_CHANGE = 3.0  # to begin or to end an exchange, at the clip's ends too
_EXCHANGED = 6.0  # a second: detectors are mostly right
_LONGEST_STEP = 0.25  # seconds that count between frames
_HINT = 0.3  # joints at which a view is asked whether it has limbs exchanged


def mend(group: Group, views: Sequence[View], times: np.ndarray) -> Group:
    """The person with legs and arms on their own sides in every view.

    times: (T,) seconds.
    """
    exchanged = find(Sights.through(views, group.xy, group.scores), times)
    xy, scores = _exchange(group.xy, group.scores, exchanged)
    return replace(group, xy=xy, scores=scores)


def find(sights: Sights, times: np.ndarray) -> np.ndarray:
    """(V, T, L) bool: which limb pairs (legs, arms) each view has exchanged.

    times: (T,) seconds.
    """
    views = len(sights.scores)
    exchanged = np.zeros((views, len(times), len(LIMBS)), dtype=bool)
    if views < _LEAST:
        return exchanged
    price = _EXCHANGED * np.minimum(np.diff(times, prepend=times[:1]), _LONGEST_STEP)
    for _ in range(views * len(LIMBS)):
        points = np.nan_to_num(triangulate(sights))
        costs = _beside(sights, points).sum(axis=0)
        paths = np.zeros_like(exchanged)
        gains = np.zeros((views, len(LIMBS)))
        for v in _candidates(sights, points):
            other = np.zeros_like(exchanged)
            other[v] = True
            changed = _exchanged(sights, other)
            moved = np.nan_to_num(triangulate(changed))
            gain = costs - _beside(changed, moved).sum(axis=0)  # (T, L)
            for limb in range(len(LIMBS)):
                toll = np.where(exchanged[v, :, limb], -price, price)
                paths[v, :, limb], gains[v, limb] = _path(gain[:, limb] - toll)
        chosen = gains == gains.max(axis=0)
        paths &= (chosen & (gains > 0))[:, None]
        if not paths.any():
            break
        sights = _exchanged(sights, paths)
        exchanged ^= paths
    return exchanged


def _exchange(
    places: np.ndarray, scores: np.ndarray, exchanged: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same (V, T, J, 2) and (V, T, J), limb pairs exchanged where (V, T, L) says so."""
    parts = [exchange(*one) for one in zip(places, scores, exchanged, strict=True)]
    return np.stack([place for place, _ in parts]), np.stack([score for _, score in parts])


def _exchanged(sights: Sights, where: np.ndarray) -> Sights:
    rays, scores = _exchange(sights.rays, sights.scores, where)
    return replace(sights, rays=rays, scores=scores)


def _candidates(sights: Sights, points: np.ndarray) -> np.ndarray:
    """The views in which an exchange may pay: exchanged, they see limbs of points (T, J, 3) better.

    To ask all of them, by triangulating anew, takes a while where there are many.
    """
    other = _exchanged(sights, np.ones((*sights.scores.shape[:2], len(LIMBS)), dtype=bool))
    better = _beside(sights, points) - _beside(other, points)
    return np.flatnonzero((better.clip(0).sum(axis=1) > _HINT).any(axis=-1))


def _beside(sights: Sights, points: np.ndarray) -> np.ndarray:
    """(V, T, L) how many joints of each limb pair a view sees elsewhere than points (T, J, 3) are,
    by score; 0 where too few see them."""
    depth = np.maximum(sights.in_cameras(points)[..., 2], NEAREST)
    far = (sights.residuals(points) ** 2).sum(axis=-1) * (depth / _FAR) ** 2
    costs = np.zeros((*sights.scores.shape[:2], len(LIMBS)))
    for limb, pairs in enumerate(LIMBS):
        sure = sights.scores[..., pairs].min(axis=-1)  # (V, T, pairs)
        sure = sure * ((sure > _SEEN).sum(axis=0) >= _LEAST)
        outlying = (far / (1 + far))[..., pairs].sum(axis=-1)
        costs[..., limb] = (sure**2 * outlying).sum(axis=-1)
    return costs


def _path(gain: np.ndarray) -> tuple[np.ndarray, float]:
    """(T,) bool where to exchange, and what that gains in all, of what it gains by frame (T,)."""
    best = np.array([0.0, -_CHANGE])
    came = np.zeros((len(gain), 2), dtype=bool)
    for t, more in enumerate(gain):
        here = best[:, None] - _CHANGE * (1 - np.eye(2))
        came[t], best = here.argmax(axis=0).astype(bool), here.max(axis=0)
        best[1] += more
    chosen = np.zeros(len(gain), dtype=bool)
    now = int(np.argmax(best - [0, _CHANGE]))
    total = float((best - [0, _CHANGE]).max())
    for t in range(len(gain) - 1, -1, -1):
        chosen[t] = bool(now)
        now = int(came[t, now])
    return chosen, total
