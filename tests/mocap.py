"""A little motion capture file in the form of the training data: a stick figure that walks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from video2pose3d.skeletons import H36M17


def walk(frames: int, seed: int = 0) -> np.ndarray:
    """(T, 17, 3) metres, Z up: a stick figure that steps along +y, the way it faces."""
    body = np.zeros((17, 3))
    for joint, place in {
        "pelvis": (0, 0, 0.93), "spine": (0, 0, 1.17), "thorax": (0, 0, 1.42),
        "neck": (0, 0.02, 1.55), "head": (0, 0.03, 1.66),
        "left_hip": (-0.1, 0, 0.93), "left_knee": (-0.1, 0.02, 0.5), "left_ankle": (-0.1, 0, 0.08),
        "left_shoulder": (-0.17, 0, 1.4), "left_elbow": (-0.2, 0, 1.12),
        "left_wrist": (-0.2, 0.1, 0.9),
    }.items():  # fmt: skip
        body[H36M17.index(joint)] = place
        body[H36M17.mirror[H36M17.index(joint)]] = np.array(place) * [-1, 1, 1]
    t = np.arange(frames) / 50
    swing = np.zeros((frames, 17, 3))
    for side, sign in (("left", 1), ("right", -1)):
        for joint, reach in (("knee", 0.15), ("ankle", 0.3), ("elbow", -0.1), ("wrist", -0.2)):
            j = H36M17.index(f"{side}_{joint}")
            swing[:, j, 1] = sign * reach * np.sin(2 * np.pi * t + seed)
    return body + swing + np.stack([0 * t, 1.2 * t, 0 * t], axis=-1)[:, None]


def write(folder: Path, names: Sequence[str], clips: Sequence[np.ndarray]) -> None:
    """One npz a name, all with the same clips (T, 17, 3), at 50 frames a second."""
    lengths = np.array([len(clip) for clip in clips])
    for name in names:
        np.savez(
            folder / f"{name}.npz",
            positions=np.concatenate(clips).astype(np.float32),
            clip_start=np.cumsum(lengths) - lengths,
            clip_length=lengths,
            source=np.array(["UI-PRMD", "CMU-AMC", "UI-PRMD"][: len(clips)]),
            fps=np.float32(50),
        )
