"""Published data sets of 2D keypoints with their 3D truth, and motion capture: one reader a file.

A benchmark's reader has `read(path, split) -> list[Sequence]` (split "train" or "test", other
choices of the benchmark as keywords) and `WHERE`, one line that says where its file comes from and
under which licence, which the UserError about a missing file shows. Motion capture (mocap, bvh,
amass; collection for folders of them) has no cameras and is read as `mocap.Mocap`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from video2pose3d.errors import UserError
from video2pose3d.skeletons import Skeleton

__all__ = ["Sequence", "Split", "on_screen", "with_scores"]

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Sequence:
    """One person seen by one camera: T frames of J joints, 2D and 3D.

    inputs: (T, J, 3) float32 x, y, score; x, y normalised to the screen: xy * 2/W - [1, H/W].
    target: (T, J, 3) float32, what a lifter learns to give, relative to the root unless the
    benchmark says otherwise; `target * to_mm` is in mm.
    truth: (T, J, 3) float64 mm relative to the root, what errors are measured against.
    to_mm: (T,) float64 mm a unit of target. valid: (T,) bool, frames that are scored.
    unit: of the target, "metre" or "screen" (half a picture's width: what `on_screen` makes of px).
    Where a file tells no mm (MotionBERT's training half), truth and to_mm are NaN.
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
    unit: Literal["metre", "screen"] = "metre"

    def __post_init__(self) -> None:
        T, J = self.inputs.shape[:2]
        expected = {"inputs": (T, J, 3), "target": (T, J, 3), "truth": (T, J, 3)}
        expected |= {"to_mm": (T,), "valid": (T,)}
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name}: expected {shape}, got {getattr(self, name).shape}")
        if len(self.skeleton) != J:
            raise ValueError(f"{self.skeleton.name} has {len(self.skeleton)} joints, got {J}")

    @classmethod
    def in_metres(
        cls, subject: str, action: str, camera: str, inputs: np.ndarray, joints: np.ndarray,
        valid: np.ndarray, skeleton: Skeleton, fps: float,
    ) -> Sequence:  # fmt: skip
        """The usual case: joints (T, J, 3) metres in CAMERA are the target and the truth."""
        joints = joints.astype(np.float64)
        joints = joints - joints[:, skeleton.root, None]
        return cls(
            subject, action, camera, inputs, joints.astype(np.float32), 1000 * joints,
            np.full(len(joints), 1000.0), valid, skeleton, fps,
        )  # fmt: skip


def on_screen(xy: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(..., 2) px in a picture of size W, H to -1..1 across it, the same scale down it."""
    width, height = size
    return (xy * (2 / width) - [1, height / width]).astype(np.float32)


def with_scores(xy: np.ndarray, scores: np.ndarray | None = None) -> np.ndarray:
    """(T, J, 2) and scores (T, J), 1 where there are none: (T, J, 3) float32, a lifter's input."""
    scores = np.ones(xy.shape[:-1]) if scores is None else scores
    return np.concatenate([xy, scores[..., None]], axis=-1).astype(np.float32)


def find(path: Path, name: str, where: str) -> Path:
    """The file of that name in a folder, or the file given; a UserError says where to get it."""
    path = Path(path)
    file = path / name if path.is_dir() or not path.suffix else path
    if not file.is_file():
        raise UserError("no such file", path=file, cure=where)
    return file


def checked(sequences: list[Sequence], file: Path, where: str) -> list[Sequence]:
    """Those that have frames; UserError where none has, and for NaN: one of them in a batch, and a
    network's weights are all NaN. 3D is only looked at in frames that are scored.
    """
    some = [s for s in sequences if len(s.inputs)]
    if not some:
        raise UserError("holds no frames of this split", path=file, cure=where)
    for s in some:
        fine = np.isfinite(s.inputs) & (np.isfinite(s.target) | ~s.valid[:, None, None])
        bad = np.flatnonzero(~fine.all(axis=(1, 2)))
        if len(bad):
            name = " ".join(part for part in (s.subject, s.action, s.camera) if part)
            what = f"{name}: frame {bad[0]} has a joint that is no number"
            raise UserError(what, path=file, cure="fill in or cut out what was not found")
    return some


def check_split(split: str) -> None:
    if split not in ("train", "test"):
        raise ValueError(f"split: expected train or test, got {split!r}")
