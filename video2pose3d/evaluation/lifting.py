"""A lifter over the Sequences of a benchmark: windows, their tails, and flip averaging.

As published: windows of the lifter's length stand side by side from the first frame on, and the
last one ends with the last frame, of which only the frames not yet lifted are taken. A sequence
shorter than a window is padded with its first and last frames. (MotionBERT's script leaves out the
up to 242 frames after the last whole window; here every frame counts.) What a lifter says of the
root is set to 0, as in MotionBERT's, MotionAGFormer's and P-STMO's scripts, and moves no other
joint. (VideoPose3D's and MixSTE's leave it: of their P1 it is one joint of 17.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from video2pose3d.datasets import Sequence
from video2pose3d.errors import UserError
from video2pose3d.lifters import Lifter
from video2pose3d.skeletons import Skeleton

WINDOWS = 16  # in memory at once, each twice


class _Window(NamedTuple):
    """frames: (T,) of a sequence to lift; taken: slice of those whose result is kept."""

    sequence: int
    frames: np.ndarray
    taken: slice


def lift(
    lifter: Lifter, sequences: list[Sequence], *, batch: int = WINDOWS, flip: bool = True
) -> list[np.ndarray]:
    """Joints of each sequence, (T, J, 3) float64 in its unit, relative to its root.

    flip: lift each window mirrored as well, and take the mean. UserError for a lifter of other
    joints or another unit.
    """
    if sequences:
        _check(lifter, sequences[0])
    lifted = [np.zeros(sequence.target.shape) for sequence in sequences]
    windows = [
        w for n, s in enumerate(sequences) for w in _windows(n, len(s.inputs), lifter.frames)
    ]
    for start in range(0, len(windows), batch):
        part = windows[start : start + batch]
        x = np.stack([sequences[w.sequence].inputs[w.frames] for w in part])
        joints = _forward(lifter, x, sequences[0].skeleton, flip)
        for window, result in zip(part, joints, strict=True):
            lifted[window.sequence][window.frames[window.taken]] = result[window.taken]
    return lifted


def in_mm(joints: np.ndarray, sequence: Sequence) -> np.ndarray:
    """What a lifter gave for a sequence, (T, J, 3) in its unit, as mm."""
    return joints * sequence.to_mm[:, None, None]


def _windows(sequence: int, N: int, T: int) -> Iterator[_Window]:
    if N <= T:
        before = (T - N) // 2
        frames = np.clip(np.arange(T) - before, 0, N - 1)
        yield _Window(sequence, frames, slice(before, before + N))
        return
    for start in range(0, N, T):
        first = min(start, N - T)
        yield _Window(sequence, np.arange(first, first + T), slice(start - first, T))


def _forward(lifter: Lifter, inputs: np.ndarray, skeleton: Skeleton, flip: bool) -> np.ndarray:
    """(B, T, J, 3) inputs to joints relative to the root."""
    mirror = list(skeleton.mirror)

    def mirrored(x: torch.Tensor) -> torch.Tensor:
        x = x[:, :, mirror]
        return torch.cat([-x[..., :1], x[..., 1:]], dim=-1)

    x = torch.from_numpy(inputs).to(lifter.device)
    with torch.inference_mode():
        y = lifter.model(x)
        if flip:
            y = (y + mirrored(lifter.model(mirrored(x)))) / 2
    joints = y.float().cpu().numpy().astype(np.float64)
    joints[:, :, skeleton.root] = 0
    return joints


def _check(lifter: Lifter, sequence: Sequence) -> None:
    unit = lifter.metadata.get("unit", sequence.unit)
    if unit != sequence.unit:
        what = f"{lifter.name} gives joints in {unit}s, this benchmark has {sequence.unit}s"
        raise UserError(what, cure="give --weights that were trained on it")
    J = getattr(getattr(lifter.model, "config", None), "J", len(sequence.skeleton))
    if len(sequence.skeleton) != J:
        what = f"{lifter.name} takes {J} joints, this benchmark has {len(sequence.skeleton)}"
        raise UserError(what, cure="give --weights that were trained on it")
    skeleton = lifter.metadata.get("skeleton", sequence.skeleton.name)
    if skeleton != sequence.skeleton.name:
        what = f"{lifter.name} gives the joints of {skeleton}, not of {sequence.skeleton.name}"
        raise UserError(what, cure="give --weights that were trained on it")
