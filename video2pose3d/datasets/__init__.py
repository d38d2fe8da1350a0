"""Published data sets of 2D keypoints with their 3D truth, and motion capture: one reader a file.

A benchmark's reader has `read(path, split) -> list[Sequence]` (split "train" or "test", other
choices of the benchmark as keywords) and `WHERE`, one line that says where its file comes from and
under which licence, which the UserError about a missing file shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from video2pose3d.skeletons import Skeleton

__all__ = ["Sequence"]


@dataclass(frozen=True)
class Sequence:
    """One person seen by one camera: T frames of J joints, 2D and 3D.

    inputs: (T, J, 3) float32 x, y, score; x, y normalised to the screen: xy * 2/W - [1, H/W].
    target: (T, J, 3) float32, what a lifter learns to give, relative to the root unless the
    benchmark says otherwise; `target * to_mm` is in mm.
    truth: (T, J, 3) float64 mm relative to the root, what errors are measured against.
    to_mm: (T,) float64 mm a unit of target. valid: (T,) bool, frames that are scored.
    """

    subject: str
    action: str
    camera: str
    inputs: np.ndarray
    target: np.ndarray
    truth: np.ndarray
    to_mm: np.ndarray
    valid: np.ndarray
    skeleton: Skeleton
    fps: float

    def __post_init__(self) -> None:
        T, J = self.inputs.shape[:2]
        expected = {"inputs": (T, J, 3), "target": (T, J, 3), "truth": (T, J, 3)}
        expected |= {"to_mm": (T,), "valid": (T,)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name}: expected {shape}, got {getattr(self, name).shape}")
        if len(self.skeleton) != J:
            raise ValueError(f"{self.skeleton.name} has {len(self.skeleton)} joints, got {J}")
