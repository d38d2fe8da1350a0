"""How good a reconstruction is, in numbers that need no truth: what report.json says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from video2pose3d.motion.clock import segments
from video2pose3d.motion.path import bends


@dataclass(frozen=True)
class Quality:
    """One person's figures.

    reprojection_px: median distance between keypoints seen and joints projected, in pixels;
    jitter_before, jitter_after: mean acceleration of joints in m/s², each frame on its own and as
    given out; bone_variation_before, bone_variation_after: percent, standard deviation over mean;
    foot_slide: mm/s over the floor while in contact; stature: metres.
    """

    reprojection_px: float
    jitter_before: float
    jitter_after: float
    bone_variation_before: float
    bone_variation_after: float
    foot_slide: float
    stature: float


def jitter(joints: np.ndarray, times: np.ndarray) -> float:
    """Mean acceleration, m/s², of (T, J, 3) metres at (T,) seconds; 0 for fewer than 3 frames."""
    total, count = 0.0, 0
    for part in segments(times):
        if part.stop - part.start > 2:
            c, _ = bends(times[part])
            x = joints[part].astype(np.float64)
            acceleration = sum(c[:, k, None, None] * x[k : len(x) - 2 + k] for k in range(3))
            length = np.linalg.norm(acceleration, axis=-1)
            total, count = total + float(length.sum()), count + length.size
    return total / count if count else 0.0


def reprojection(seen: np.ndarray, projected: np.ndarray, scores: np.ndarray) -> float:
    """Median px between (T, J, 2) keypoints seen (scores (T, J) above 0.3) and projected."""
    distance = np.linalg.norm(seen - projected, axis=-1)[scores > 0.3]
    return float(np.median(distance)) if len(distance) else 0.0
