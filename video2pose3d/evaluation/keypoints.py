"""2D keypoints beside a clip's exact truth: how a detector errs, and what its scores know of it.

What training's imagined detector (`training.detector`) is held against.
"""

from __future__ import annotations

import numpy as np

from video2pose3d.evaluation import detector
from video2pose3d.evaluation.scores import Table
from video2pose3d.geometry import body_axes
from video2pose3d.skeletons import H36M17

COLUMNS = (
    "left", "up", "front", "rms", "median", "90th", "99th", "lasting %", "score %", "score~error %"
)  # fmt: skip


def table(
    title: str, xy: np.ndarray, scores: np.ndarray, joints: np.ndarray, K: np.ndarray
) -> Table:
    """Errors of one person's keypoints, joint by joint, in mm at the person's depth.

    xy: (T, 17, 2) px; scores: (T, 17), 0 = not seen and not counted; joints: (T, 17, 3) metres in
    CAMERA; K: (3, 3). Errors are from where COCO detectors usually point (`detector.points`).
    left, up, front: the constant part, in the body's axes; rms: root mean square of the rest, an
    axis; median, 90th, 99th: percentiles of its length; in per cent lasting: its correlation from
    frame to frame, score: the mean, score~error: correlation of score and length.
    """
    expected = detector.points(joints) @ K.T
    millimetres = 1e3 * joints[:, :1, 2:] / K[0, 0]  # a pixel at the pelvis' depth
    errors = (xy - expected[..., :2] / expected[..., 2:]) * millimetres  # (T, 17, 2)
    left_up_front = body_axes(joints)[:, [0, 2, 1]]
    body = left_up_front.swapaxes(1, 2)[:, :2]  # (T, 2, 3): as the picture shows them
    rows = {}
    for j, name in enumerate(H36M17.labels):
        seen = scores[:, j] > 0
        if seen.sum() >= 3:
            rows[name] = _row(errors[:, j], scores[:, j], body, seen)
    return Table(title, COLUMNS, rows)


def _row(
    errors: np.ndarray, scores: np.ndarray, body: np.ndarray, seen: np.ndarray
) -> tuple[float, ...]:
    """errors: (T, 2) mm; scores, seen: (T,); body: (T, 2, 3)."""
    constant, *_ = np.linalg.lstsq(body[seen].reshape(-1, 3), errors[seen].ravel(), rcond=None)
    rest = errors - body @ constant
    both = seen[1:] & seen[:-1]
    size = np.linalg.norm(rest[seen], axis=-1)
    return (
        *(float(v) for v in constant),
        float(np.sqrt(np.square(rest[seen]).mean())),
        *(float(v) for v in np.percentile(size, (50, 90, 99))),
        100 * _correlation(rest[1:][both].ravel(), rest[:-1][both].ravel()),
        100 * float(scores[seen].mean()),
        100 * _correlation(scores[seen], size),
    )


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's; NaN where one of them is constant, or nothing."""
    if not len(a):
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 1e-9 else float("nan")
