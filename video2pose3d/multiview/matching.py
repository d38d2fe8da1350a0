"""Who is who in which view: people matched by whether their keypoints' lines of sight meet.

Two tracks of one person see every joint along lines that cross; those of two people pass each
other by. Tracks are joined best pair first, as long as nobody would be at two places of one picture
at once; so the order of cameras does not matter, a person may be unseen in a view, and a track that
broke in two comes together again.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from video2pose3d.multiview.triangulation import NEAREST, closest

_MEET = 0.12  # metres: median distance between lines of sight that still counts as meeting
_SURE = 0.3  # score of keypoints that are compared
_LEAST = 30  # joints compared, over all frames, to say anything
_SAMPLES = 200  # frames compared at most


def match(
    views: np.ndarray, centres: np.ndarray, lines: np.ndarray, scores: np.ndarray
) -> list[list[int]]:
    """Groups of tracks, each of one person, the best seen first; a track alone is a group of one.

    views: (N,) which view each track is of; centres: (V, 3) metres, where the cameras stand;
    lines: (N, T, J, 3) unit lines of sight; scores: (N, T, J), 0 where the track is not.
    """
    n = len(views)
    present = (scores > 0).any(axis=-1)
    total, count = np.zeros((n, n)), np.zeros((n, n))
    apart = (views[:, None] == views) & ((present[:, None] & present).any(axis=-1))
    for a, b in combinations(range(n), 2):
        if views[a] != views[b]:
            gap = _gap(a, b, centres[views[a]], centres[views[b]], lines, scores)
            if gap is not None:
                total[a, b] = total[b, a] = gap
                count[a, b] = count[b, a] = 1
    groups: list[list[int]] = [[i] for i in range(n)]
    while n:
        mean = np.where(count > 0, total / np.maximum(count, 1), np.inf)
        mean[apart] = np.inf
        np.fill_diagonal(mean, np.inf)
        a, b = np.unravel_index(int(mean.argmin()), mean.shape)
        if mean[a, b] > _MEET:
            break
        groups[a] += groups[b]
        groups[b] = []
        for table in (total, count):
            table[a] += table[b]
            table[:, a] = table[a]
            table[b] = table[:, b] = 0
        apart[a] |= apart[b]
        apart[:, a] = apart[a]
    found = [sorted(group) for group in groups if group]
    return sorted(found, key=lambda group: -float(scores[group].sum()))


def _gap(
    a: int,
    b: int,
    centre_a: np.ndarray,
    centre_b: np.ndarray,
    lines: np.ndarray,
    scores: np.ndarray,
) -> float | None:
    """Median metres between two tracks' lines of sight; inf if they meet behind a camera; None
    without frames to tell."""
    sure = np.minimum(scores[a], scores[b]) > _SURE
    frames = np.flatnonzero(sure.any(axis=-1))
    frames = frames[:: max(1, len(frames) // _SAMPLES)]
    sure = sure[frames]
    if sure.sum() < _LEAST:
        return None
    along_a, along_b, gap = closest(centre_a, lines[a, frames], centre_b, lines[b, frames])
    ahead = (along_a > NEAREST) & (along_b > NEAREST)
    return float(np.median(np.where(ahead, gap, np.inf)[sure]))
