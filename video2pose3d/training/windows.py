"""Benchmark sequences cut into windows, each also as its mirror image."""

from __future__ import annotations

from collections.abc import Sequence as Items

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from video2pose3d.datasets import Sequence


class Windows(Dataset[dict[str, Tensor]]):
    """N windows of T frames; item i is a window, item N + i the same in a mirror.

    An item has inputs (T, J, 3), targets (T, J, 3) and weights (T,): 1 in frames that count, 0 in
    those that the benchmark does not score and where a sequence had ended, whose last frame is
    repeated. Windows begin every `stride` frames, until one reaches the end of its sequence.
    """

    def __init__(self, sequences: Items[Sequence], T: int, stride: int):
        self.sequences, self.T = sequences, T
        self.places = [
            (s, first)
            for s, sequence in enumerate(sequences)
            for first in _firsts(len(sequence.inputs), T, stride)
        ]

    def __len__(self) -> int:
        """N, without the mirror images."""
        return len(self.places)

    def __getitem__(self, item: int) -> dict[str, Tensor]:
        mirrored, i = divmod(item, len(self))
        sequence, rows = self.rows(i)
        inputs, targets = sequence.inputs[rows], sequence.target[rows]
        if mirrored:
            inputs, targets = mirror(inputs, sequence), mirror(targets, sequence)
        inside = self.places[i][1] + np.arange(self.T) < len(sequence.inputs)
        weights = (inside & sequence.valid[rows]).astype(np.float32)
        return {
            "inputs": torch.from_numpy(inputs),
            "targets": torch.from_numpy(targets),
            "weights": torch.from_numpy(weights),
        }

    def rows(self, i: int) -> tuple[Sequence, np.ndarray]:
        """The sequence of window i, and which of its frames (T,) the window shows."""
        s, first = self.places[i]
        sequence = self.sequences[s]
        return sequence, np.minimum(first + np.arange(self.T), len(sequence.inputs) - 1)


def mirror(joints: np.ndarray, sequence: Sequence) -> np.ndarray:
    """Left and right change names and sides: (T, J, 3), x first and 0 in the middle."""
    return joints[:, list(sequence.skeleton.mirror)] * np.array([-1, 1, 1], np.float32)


def _firsts(frames: int, T: int, stride: int) -> range:
    """First frames of the windows that cover a sequence."""
    beyond = max(frames - T, 0)  # the first window that begins here or later reaches the end
    return range(0, beyond + stride, stride) if frames else range(0)
