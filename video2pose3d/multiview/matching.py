"""Who is who in which view: people matched by whether their keypoints' lines of sight meet.

Two tracks of one person see every joint along lines that cross; those of two people pass each
other by. Tracks are joined best pair first, as long as more speaks for it than against and nobody
would be at two places of one picture at once; so the order of cameras does not matter, a person may
be unseen in a view, and a track that broke in two comes together again.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from video2pose3d.multiview.triangulation import NEAREST, closest

_MEET = 0.12  # metres: median distance between lines of sight that still counts as meeting
_APART = 0.5  # metres: lines further apart, or that meet behind a camera, say no more than this
_SURE = 0.3  # score of keypoints that are compared
_LEAST = 12  # joints compared, over all frames, to say anything
_SAMPLES = 200  # frames compared at most


def match(
    views: np.ndarray, centres: np.ndarray, lines: np.ndarray, scores: np.ndarray
) -> list[list[int]]:
    """Groups of tracks, each of one person; a track alone is a group of one.

    views: (N,) which view each track is of; centres: (V, 3) metres, where the cameras stand;
    lines: (N, T, J, 3) unit lines of sight; scores: (N, T, J), 0 where the track is not.
    """
    n = len(views)
    present = (scores > 0).any(axis=-1)
    gain = np.zeros((n, n))
    for a, b in combinations(range(n), 2):
        if views[a] != views[b]:
            gain[a, b] = gain[b, a] = _gain(
                centres[views[a]], lines[a], scores[a], centres[views[b]], lines[b], scores[b]
            )
        elif (present[a] & present[b]).any():
            gain[a, b] = gain[b, a] = -np.inf
    return join(gain)


def join(gain: np.ndarray) -> list[list[int]]:
    """Groups of tracks, the best pair first, as long as more speaks for it than against.

    gain: (N, N), symmetric: how much speaks for two tracks being one person (above 0) or two.
    """
    n, gain = len(gain), gain.copy()
    groups: list[list[int]] = [[i] for i in range(n)]
    while n:
        a, b = np.unravel_index(int(gain.argmax()), gain.shape)
        if gain[a, b] <= 0:
            break
        groups[a] += groups[b]
        groups[b] = []
        gain[a] += gain[b]
        gain[a, a] = 0
        gain[:, a] = gain[a]
        gain[b] = gain[:, b] = 0
    return [sorted(group) for group in groups if group]


def _gain(
    centre_a: np.ndarray,
    lines_a: np.ndarray,
    scores_a: np.ndarray,
    centre_b: np.ndarray,
    lines_b: np.ndarray,
    scores_b: np.ndarray,
) -> float:
    """How much speaks for two tracks being one person (above 0) or two (below).

    The median distance between their lines of sight, against what still counts as meeting, for each
    joint that both saw: so a long agreement goes before a short one.
    """
    sure = np.minimum(scores_a, scores_b) > _SURE
    amount = int(sure.sum())
    if amount < _LEAST:
        return 0.0
    frames = np.flatnonzero(sure.any(axis=-1))
    frames = frames[:: max(1, len(frames) // _SAMPLES)]
    along_a, along_b, gap = closest(centre_a, lines_a[frames], centre_b, lines_b[frames])
    ahead = (along_a > NEAREST) & (along_b > NEAREST)
    typical = float(np.median(np.where(ahead, gap, np.inf)[sure[frames]]))
    return amount * (_MEET - min(typical, _APART))
