"""One clock for all cameras: what each saw, at the times of the first one's frames."""

from __future__ import annotations

import numpy as np

from video2pose3d.structures import Keypoints2D

_NEXT = 1.6  # frames apart that neighbours may be for a value between them
_EXACT = 0.02  # of a frame: as good as at the same time


def at_times(
    keypoints: Keypoints2D, own_times: np.ndarray, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(T, J, 2) px and scores (T, J) at `times`; score 0 where the person was not seen just then.

    own_times: seconds of all frames of the keypoints' clip; times: (T,) seconds, the same clock.
    """
    seen = own_times[keypoints.frames]
    after = np.clip(np.searchsorted(seen, times), 1, max(len(seen) - 1, 1))
    if len(seen) == 1:
        after = np.zeros(len(times), dtype=np.int64)
    before = np.maximum(after - 1, 0)
    step = 1 / keypoints.fps
    span = seen[after] - seen[before]
    share = np.where(span > 0, (times - seen[before]) / np.where(span > 0, span, 1), 0.0)
    off = np.minimum(np.abs(times - seen[before]), np.abs(times - seen[after])) / step
    # At a frame's own time it alone counts.
    share = np.where(off < _EXACT, np.round(np.clip(share, 0, 1)), share)
    # A last frame stands for half a frame beyond it.
    outside = (share < 0) | (share > 1)
    there = np.where(outside | (span > _NEXT * step), off <= 0.5, True)
    share = np.where(outside | (span > _NEXT * step), np.round(np.clip(share, 0, 1)), share)
    share = share[:, None]
    first, second = keypoints.scores[before], keypoints.scores[after]
    scores = (1 - share) * first + share * second
    scores[(share < 1) & (first == 0) | (share > 0) & (second == 0)] = 0
    scores[~there] = 0
    xy = (1 - share[..., None]) * keypoints.xy[before] + share[..., None] * keypoints.xy[after]
    return xy.astype(np.float64), scores.astype(np.float64)
