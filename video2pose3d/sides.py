"""Left and right: limbs that a detector took for each other, put back by how people move.

Every frame's legs and arms are kept or exchanged so that each joint goes on as it went: the Viterbi
path over the choices of each frame and the frame before. Joints are expected where they were
headed, so two legs that pass each other, seen from the side, are no mistake. Exchanging has its
price, by change and by time: where the picture does not tell, and where the detector insists, it
is left alone.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.ndimage import percentile_filter

from video2pose3d.skeletons import H36M17

# Legs, arms: the joints of the left and of the right in each limb pair.
LIMBS = tuple(
    [H36M17.indices(f"left_{joint}", f"right_{joint}") for joint in limb]
    for limb in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist"))
)
_CHOICES = np.array(list(product((False, True), repeat=len(LIMBS))))  # (4, limbs) exchanged
_CHANGED = _CHOICES[:, None] != _CHOICES  # (4, 4, limbs) between two frames

# Found on motion capture with simulated detectors and simulated mistakes, then held against clips
# of real ones. Lengths are in sizes of the person in the picture, about a body's height.
_ERROR = 0.04  # how far a joint is from where it was headed, by the detector's errors
_ACCELERATION = 15.0  # sizes/s², by its own will
_FASTEST = 6.0  # sizes/s: what seems to move faster has jumped, and is not headed anywhere
_LONGEST_GAP = 0.25  # seconds; after more a joint may be anywhere
_SIZE_TIME = 1.0  # seconds over which a person's size is taken
# Beside a joint that jumps far, which costs 1, and 1 more if it stays there:
_CHANGE = 2.0  # to begin or to end an exchange, at the clip's ends too
_TOGETHER = 0.5  # for the second limb pair in the same frame: often it's the whole body
_EXCHANGED = 6.0  # a second, for each limb pair: detectors are mostly right


def mend(xy: np.ndarray, scores: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints whose legs and arms are on their own sides: the same arrays, pairs exchanged.

    xy: (T, 17, 2) px, H36M17; scores: (T, 17) 0..1, 0 = not seen; times: (T,) seconds.
    """
    return exchange(xy, scores, find(xy, scores, times))


def exchange(
    xy: np.ndarray, scores: np.ndarray, exchanged: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same (T, 17, 2) and (T, 17), legs and arms exchanged where (T, 2) says so."""
    xy, scores = xy.copy(), scores.copy()
    for pairs, frames in zip(LIMBS, exchanged.T, strict=True):
        for pair in pairs:
            here = np.ix_(frames, pair)
            xy[here], scores[here] = xy[here][:, ::-1], scores[here][:, ::-1]
    return xy, scores


def find(xy: np.ndarray, scores: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T, 2) bool: legs, arms exchanged by the detector; arguments as for `mend`."""
    chosen = np.zeros((len(xy), len(LIMBS)), dtype=bool)
    if not len(xy):
        return chosen
    step = np.diff(times, prepend=times[:1])
    price = _EXCHANGED * np.minimum(step, _LONGEST_GAP)[:, None] * _CHOICES.sum(axis=1)  # (T, 4)
    change, ends = _change(_CHANGED), _change(_CHOICES)
    jumps = _jumps(xy.astype(np.float64), scores.astype(np.float64), step, _size(xy, scores, step))
    # Which of a limb pair's jumps it is for choices (two frames before, one before, now).
    changed = np.moveaxis(_CHANGED, -1, 0).astype(int)
    limb = np.arange(len(LIMBS))[:, None, None, None]
    was, then = changed[..., None], changed[:, None]  # (limbs, 4, 4, 1), (limbs, 1, 4, 4)

    best = np.where(np.eye(len(_CHOICES)) == 1, ends, np.inf)  # (4, 4): one before, now
    came = np.zeros((len(xy), *best.shape), dtype=np.int8)
    for t in range(1, len(xy)):
        cost = best[..., None] + change + price[t] + jumps[t][limb, was, then].sum(axis=0)
        came[t], best = cost.argmin(axis=0), cost.min(axis=0)
    before, now = np.unravel_index((best + ends).argmin(), best.shape)
    for t in range(len(xy) - 1, -1, -1):
        chosen[t] = _CHOICES[now]
        before, now = came[t, before, now], before
    return chosen


def _change(limbs: np.ndarray) -> np.ndarray:
    """(...) the price of changing the limb pairs (..., limbs) bool at once."""
    count = limbs.sum(axis=-1)
    return np.where(count > 0, _CHANGE + _TOGETHER * (count - 1), 0)


def _jumps(xy: np.ndarray, scores: np.ndarray, step: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(T, limbs, 2, 2) how far joints are from where they were headed: 0..1 for each, summed.

    By whether the limb pair was exchanged between two frames before and one before, and between
    that and now. step: (T,) seconds since the frame before; size: (T,) px.
    """
    last = np.maximum(np.arange(len(xy)) - 1, 0)
    before = last[last]
    tolerance = (size * np.hypot(_ERROR, _ACCELERATION * step**2))[:, None]
    top_speed = (size * _FASTEST)[:, None]
    joined = step <= _LONGEST_GAP
    went_on = joined[last] * np.minimum(step / np.maximum(step[last], 1e-6), 1)
    known = np.minimum(scores, np.minimum(scores[last], scores[before])) * joined[:, None]
    jumps = np.zeros((len(xy), len(LIMBS), 2, 2))
    for limb, pairs in enumerate(LIMBS):
        for pair, was, then in product(pairs, (0, 1), (0, 1)):
            here = xy[:, pair]
            moved = here[last] - (here[before, ::-1] if was else here[before])
            speed = np.linalg.norm(moved, axis=-1) / np.maximum(step[last], 1e-6)[:, None]
            headed = went_on[:, None] / (1 + (speed / top_speed) ** 4)
            beside = (here[:, ::-1] if then else here) - here[last] - headed[..., None] * moved
            far = (beside**2).sum(axis=-1) / tolerance**2
            jumps[:, limb, was, then] += known[:, pair].min(axis=1) * (far / (1 + far)).sum(axis=1)
    return jumps


def _size(xy: np.ndarray, scores: np.ndarray, step: np.ndarray) -> np.ndarray:
    """(T,) px: the longer side of the box about the person, as it mostly is around that time."""
    seen = scores[..., None] > 0
    low, high = np.where(seen, xy, np.inf).min(axis=1), np.where(seen, xy, -np.inf).max(axis=1)
    longer = np.maximum(high - low, 1).max(axis=1)
    frames = _SIZE_TIME / max(float(np.median(step)), 1e-3)
    return percentile_filter(longer, 80, size=max(1, round(frames)))
