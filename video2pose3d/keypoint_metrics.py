"""How far estimated keypoints are from the truth in the picture: AP, AR, PCK, MSE.

AP and AR are COCO's (cocodataset.org/#keypoints-eval, as its COCOeval computes them over all areas,
with at most 20 detections a picture); pixels throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from video2pose3d.skeletons import Skeleton

# COCO's standard deviations over the root of a person's area. It has none for the trunk's joints of
# Human3.6M: they get their neighbours'. Sides are alike.
SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062,
    "hip": 0.107, "knee": 0.087, "ankle": 0.089,
    "pelvis": 0.107, "spine": 0.107, "thorax": 0.079, "neck": 0.035, "head": 0.035,
}  # fmt: skip
PCK_SHARE = 0.05  # of the longer side of the person's box; the paper names no threshold
_OKS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)
_MOST = 20  # detections a picture
_EPS = np.spacing(1)


@dataclass(frozen=True)
class People:
    """Who is in one picture. xy: (P, J, 2) px; seen: (P, J) bool, what was labelled.

    boxes: (P, 4) px x1 y1 x2 y2; areas: (P,) px², of the person's outline; crowd: (P,) bool.
    """

    xy: np.ndarray
    seen: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray


def sigmas(skeleton: Skeleton) -> np.ndarray:
    """(J,) for `average_precision`."""
    return np.array([SIGMAS[joint.split("_")[-1]] for joint in skeleton.joints])


def average_precision(
    truth: Sequence[People], found: Sequence[tuple[np.ndarray, np.ndarray]], sigmas: np.ndarray
) -> tuple[float, float]:
    """AP and AR, fractions, the means over OKS thresholds 0.5, 0.55, ... 0.95.

    truth, found: one for each picture; found: keypoints (D, J, 2) px and scores (D,) of people.
    NaN where nobody is labelled.
    """
    scores, right, ignored, people = [], [], [], 0
    for present, (xy, score) in zip(truth, found, strict=True):
        order = np.argsort(-score, kind="mergesort")[:_MOST]
        ignore = present.crowd | ~present.seen.any(axis=1)
        people += int((~ignore).sum())
        hit, void = _match(oks(xy[order], present, sigmas), ignore, present.crowd)
        scores.append(score[order])
        right.append(hit)
        ignored.append(void)
    if not people:
        return float("nan"), float("nan")
    order = np.argsort(-np.concatenate(scores), kind="mergesort")
    right = np.concatenate(right, axis=1)[:, order]
    void = np.concatenate(ignored, axis=1)[:, order]
    curves = [_curve(hit[~out], people) for hit, out in zip(right, void, strict=True)]
    return float(np.mean([c.mean() for c, _ in curves])), float(np.mean([r for _, r in curves]))


def oks(xy: np.ndarray, present: People, sigmas: np.ndarray) -> np.ndarray:
    """Object keypoint similarity, (D, P): of every detection (D, J, 2) to everybody present."""
    d = xy[:, None] - present.xy[None]  # (D, P, J, 2)
    # Somebody without labels is only as far away as a keypoint is from their box made twice as wide
    # and high.
    low, high = present.boxes[:, None, :2], present.boxes[:, None, 2:]
    side = high - low
    outside = np.maximum(low - side - xy[:, None], 0) + np.maximum(xy[:, None] - high - side, 0)
    labelled = present.seen.any(axis=1)
    d = np.where(labelled[None, :, None, None], d, outside)
    e = (d**2).sum(axis=-1) / (2 * sigmas) ** 2 / (present.areas[:, None] + _EPS) / 2
    counts = np.where(labelled[:, None], present.seen, True)  # (P, J)
    return (np.exp(-e) * counts).sum(axis=-1) / counts.sum(axis=-1)


def pck(
    xy: np.ndarray, truth: np.ndarray, seen: np.ndarray, boxes: np.ndarray, share: float = PCK_SHARE
) -> float:
    """Fraction of labelled joints no further from the truth than `share` of the box's longer side.

    xy, truth: (N, J, 2) px; seen: (N, J) bool; boxes: (N, 4) px.
    """
    limit = share * (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    return float((np.linalg.norm(xy - truth, axis=-1) <= limit[:, None])[seen].mean())


def mse(xy: np.ndarray, truth: np.ndarray, seen: np.ndarray) -> float:
    """Mean squared error of the coordinates of labelled joints, px²: (N, J, 2), (N, J)."""
    return float(((xy - truth) ** 2)[seen].mean())


def _match(
    similar: np.ndarray, ignore: np.ndarray, crowd: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(D, P) similarities, best detection first → right, void: (thresholds, D) bool.

    Each detection takes the most similar person who is free; void where that is one to ignore.
    """
    D, P = similar.shape
    right, void = np.zeros((2, len(_OKS), D), dtype=bool)
    people = np.argsort(ignore, kind="mergesort")  # those to ignore last
    for k, threshold in enumerate(_OKS):
        taken = np.zeros(P, dtype=bool)
        for i in range(D):
            best, mine = min(threshold, 1 - 1e-10), -1
            for p in people:
                if taken[p] and not crowd[p]:
                    continue
                if mine >= 0 and not ignore[mine] and ignore[p]:
                    break
                if similar[i, p] >= best:
                    best, mine = similar[i, p], p
            if mine >= 0:
                taken[mine] = True
                right[k, i], void[k, i] = not ignore[mine], ignore[mine]
    return right, void


def _curve(right: np.ndarray, people: int) -> tuple[np.ndarray, float]:
    """Detections, surest first, as precision at 101 recalls, and the recall of all of them."""
    true = np.cumsum(right)
    recall = true / people
    precision = true / (np.arange(1, len(right) + 1) + _EPS)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, _RECALLS, side="left")
    reached = np.append(precision, 0.0)[np.minimum(at, len(right))]
    return reached, float(recall[-1]) if len(right) else 0.0
