"""Training the action head: clips with labels, cross-entropy, top-1 accuracy.

Clips are read from train.npz and val.npz (NTU RGB+D's X-Sub or X-View, say), at most 4 GiB each:

    keypoints   (N, M, T, 17, 3) float: x, y px and score of N clips, M people, T frames; score 0
                where somebody is not seen or the clip is over
    labels      (N,) int, 0 to C − 1
    image_size  (2,) W, H px
    classes     (C,) str, names; optional
    skeleton    "h36m17" (without it, too) or "coco17", as HRNet gives for NTU RGB+D
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from video2pose3d import archives, skeletons
from video2pose3d.errors import UserError
from video2pose3d.geometry import ASSUMED_FOV, camera_from_fov
from video2pose3d.heads import action
from video2pose3d.structures import Camera

_KEYS = ("keypoints", "labels", "image_size", "classes", "skeleton")
_CURE = "give keypoints (N, M, T, 17, 3), labels (N,), image_size (2,)"


@dataclass(frozen=True)
class Data:
    """[data] of a config: frames of a window; fov: degrees along the picture's longer side."""

    frames: int
    fov: float = ASSUMED_FOV


@dataclass(frozen=True)
class Clips:
    """xy: (N, M, T, 17, 2) px, scores: (N, M, T, 17), H36M17; labels: (N,) int64."""

    xy: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    camera: Camera
    classes: tuple[str, ...]

    @classmethod
    def read(cls, path: Path, fov: float) -> Clips:
        """fov: degrees along the picture's longer side."""
        arrays = archives.read(path, _KEYS)
        try:
            keypoints = arrays["keypoints"]
            labels = archives.as_type(arrays["labels"], np.int64, "labels", path)
            w, h = (int(v) for v in arrays["image_size"])
            camera = camera_from_fov((w, h), fov, "assumed")
            fits = keypoints.shape[3:] == (17, 3) and labels.shape == keypoints.shape[:1]
            if not fits or 0 in keypoints.shape:
                raise ValueError(f"keypoints {keypoints.shape}, labels {labels.shape}")
            if labels.min() < 0 or min(w, h) < 1:
                raise ValueError(f"labels from {labels.min()} on, pictures of {w} x {h}")
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(f"not clips of actions ({error})", path=path, cure=_CURE) from error
        xy, scores = keypoints[..., :2].astype(np.float32), keypoints[..., 2].astype(np.float32)
        if skeletons.named(str(arrays.get("skeleton", "h36m17"))) is skeletons.COCO17:
            xy, scores = skeletons.h36m_from_coco(xy, scores)
        names = arrays["classes"].ravel() if "classes" in arrays else range(labels.max() + 1)
        return cls(xy, scores, labels, camera, tuple(str(name) for name in names))


class ActionTask:
    """What `downstream` trains when a config says task = "action"."""

    def __init__(self, folder: Path, data: Data):
        """folder: with train.npz and val.npz."""
        self.frames = data.frames
        self.train = Clips.read(folder / "train.npz", data.fov)
        self.val = Clips.read(folder / "val.npz", data.fov)
        self.classes = self.train.classes
        highest = int(max(self.train.labels.max(), self.val.labels.max()))
        if highest >= len(self.classes):
            what = f"label {highest}, but {len(self.classes)} classes"
            raise UserError(what, path=folder, cure="name all classes in train.npz")

    def __len__(self) -> int:
        return len(self.train.labels)

    def head_config(self, Ch: int, J: int, fields: dict[str, Any]) -> action.Config:
        return action.Config(Ch=Ch, classes=len(self.classes), **fields)

    def loss(self, backbone: Any, head: Any, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        labels = torch.from_numpy(self.train.labels[rows])
        logits = self._logits(backbone, head, self.train, rows, rng)
        return action.loss(logits, labels.to(logits.device))

    def scores(self, backbone: Any, head: Any, batch: int) -> dict[str, float]:
        """Top-1 accuracy over val.npz, %."""
        clips, right = self.val, 0
        for rows in np.array_split(np.arange(len(clips.labels)), -(-len(clips.labels) // batch)):
            found = self._logits(backbone, head, clips, rows, None).argmax(dim=-1).cpu().numpy()
            right += int((found == clips.labels[rows]).sum())
        return {"top1": round(100 * right / len(clips.labels), 2)}

    def _logits(
        self, backbone: Any, head: Any, clips: Clips, rows: np.ndarray,
        rng: np.random.Generator | None,
    ) -> Tensor:  # fmt: skip
        x, present = action.inputs(
            clips.xy[rows], clips.scores[rows], clips.camera, self.frames, rng
        )
        device = next(head.parameters()).device
        there = torch.from_numpy(present).to(device)
        E = action.represent_people(backbone, torch.from_numpy(x).to(device), there)
        return head(E, there)
