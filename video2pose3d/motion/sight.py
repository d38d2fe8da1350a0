"""Limbs moved to where they were seen.

A lifter draws its poses from what bodies usually do, and its knees and wrists, put back into the
picture, lie some pixels beside those it was given. Across the line of sight keypoints are the
better witness; along it they say nothing, and there the lifter is left alone.
"""

from __future__ import annotations

import numpy as np

from video2pose3d.motion.clock import segments
from video2pose3d.motion.smoothing import gaussian
from video2pose3d.skeletons import H36M17


def _both(*joints: str) -> list[int]:
    return H36M17.indices(*(f"{side}_{joint}" for side in ("left", "right") for joint in joints))


# How much of the way to where a surely seen joint was seen. Detectors mean wrists and ankles as
# lifters do, knees and elbows less so; hips, shoulders and the head they define differently. On
# motion capture kept for validation and on rendered clips: 0.4 to 0.9 mm nearer to the truth.
_TRUST = np.zeros(len(H36M17))
_TRUST[_both("wrist", "ankle")] = 0.8
_TRUST[_both("knee", "elbow")] = 0.4
_WILD = 0.2  # metres: a joint seen so far beside is rather a wrong keypoint
_SIGMA = 0.1  # seconds, of the smoothing: detectors shake more than lifters do


def offsets(residuals: np.ndarray, scores: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T, J, 3) metres, CAMERA axes, by which to move joints towards where they were seen.

    residuals: (T, J, 2) metres at the joint's depth from body to sight (root.residuals);
    scores: (T, J) 0..1; times: (T,) seconds.
    """
    trust = _TRUST * scores / (1 + (residuals**2).sum(axis=-1) / _WILD**2) ** 2
    move = np.zeros((*scores.shape, 3))
    for part in segments(times):
        move[part, :, :2] = gaussian((trust[..., None] * residuals)[part], times[part], _SIGMA)
    return move
