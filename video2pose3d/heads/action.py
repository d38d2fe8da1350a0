"""Action recognition on the motion representation: which of its classes a clip shows.

The Transformer-GCN dual-stream paper ("Motion2vec"), sec. IV-D: global average pooling of the
backbone's temporal-spatial features, then a classification head, "a MLP or a linear layer with
hidden layers", under cross-entropy. What it leaves open follows its lineage, MotionBERT (Zhu et
al., ICCV 2023): batch normalisation, ReLU, dropout, the mean over the people of a clip.

Axes: N clips, M people, T frames, J joints, Ch channels; NTU RGB+D has up to two people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from video2pose3d.heads._mlp import Mlp
from video2pose3d.lifters._windows import normalise, seen_rays
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Camera, Keypoints2D

if TYPE_CHECKING:
    from video2pose3d.heads import Head


@dataclass(frozen=True)
class Config:
    """The head; the defaults are for NTU RGB+D 60."""

    Ch: int = 512  # width of E
    classes: int = 60  # NTU RGB+D 60, sec. IV-D
    hidden: int = 2048  # not given; MotionBERT's
    dropout: float = 0.5  # not given; MotionBERT's


class Model(nn.Module):
    """E (N, M, T, J, Ch) and who is there, (N, M) bool → logits (N, classes).

    People who are not there do not count towards the mean.
    """

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.mlp = Mlp(config.Ch, config.hidden, config.classes, config.dropout)

    def forward(self, E: Tensor, present: Tensor) -> Tensor:
        pooled = E.mean(dim=(2, 3))  # global average pool, (N, M, Ch)
        weight = present.to(pooled.dtype)[..., None]  # (N, M, 1)
        pooled = (pooled * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1)  # (N, Ch)
        return self.mlp(pooled)


def loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy: (N, classes), (N,) int64 → ()."""
    return F.cross_entropy(logits, labels)


def inputs(
    xy: np.ndarray,
    scores: np.ndarray,
    camera: Camera,
    frames: int,
    rng: np.random.Generator | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What the lifter is shown of a batch of clips: (N, M, frames, J, 3) float32, present (N, M).

    xy: (N, M, T, J, 2) px, scores: (N, M, T, J), 0 = not seen. Of the frames from the first to the
    last in which anybody is seen, `frames` at even distances: the middle of each stretch, or with
    rng anywhere in it. All people of a clip are seen by one virtual camera, so that it shows how
    they stand to each other.
    """
    N, M, T, J = scores.shape
    seen = (scores > 0).any(axis=(1, 3))  # (N, T)
    first, last = seen.argmax(axis=1), T - seen[:, ::-1].argmax(axis=1)  # all where nobody is seen
    within = np.full((N, frames), 0.5) if rng is None else rng.random((N, frames))
    share = (np.arange(frames) + within) / frames
    places = (first[:, None] + share * (last - first)[:, None]).astype(int)  # (N, frames)
    rows = np.arange(N)[:, None]
    xy, scores = xy[rows, :, places], scores[rows, :, places]  # (N, frames, M, J, ...)
    rays, scores = seen_rays(
        xy.reshape(N, frames, M * J, 2), scores.reshape(N, frames, M * J), camera
    )
    x, _ = normalise(rays, scores)
    x = x.reshape(N, frames, M, J, 3).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(x), (x[..., 2] > 0).any(axis=(2, 3))


def represent_people(backbone: Any, x: Tensor, present: Tensor) -> Tensor:
    """E (N, M, T, J, Ch) of x (N, M, T, J, 3); zero, and not computed, for those who aren't there.

    backbone: a lifter's Model, or whatever has its `represent`.
    """
    if not present.any():  # lifters don't take batches of none; the head still counts nobody
        present = torch.zeros_like(present)
        present[0, 0] = True
    found = backbone.represent(x[present])  # (people, T, J, Ch)
    E = found.new_zeros(*x.shape[:-1], found.shape[-1])
    E[present] = found
    return E


def recognise(head: Head, people: Sequence[Keypoints2D], camera: Camera) -> np.ndarray:
    """How likely each of the head's classes is for one clip: (classes,) float32, sum 1.

    people: those in the clip, in H36M17 px, at least one in one frame; whole clips of one action
    are what NTU RGB+D has.
    """
    if any(keypoints.skeleton != H36M17 for keypoints in people):
        raise ValueError("expected keypoints in h36m17")
    if not sum(len(keypoints.frames) for keypoints in people):
        raise ValueError("expected somebody in at least one frame")
    frames = np.unique(np.concatenate([keypoints.frames for keypoints in people]))
    xy = np.zeros((1, len(people), len(frames), len(H36M17), 2), np.float32)
    scores = np.zeros(xy.shape[:-1], np.float32)
    for m, keypoints in enumerate(people):
        at = np.searchsorted(frames, keypoints.frames)
        xy[0, m, at], scores[0, m, at] = keypoints.xy, keypoints.scores
    x, present = inputs(xy, scores, camera, head.lifter.frames)
    with torch.inference_mode():
        there = torch.from_numpy(present).to(head.lifter.device)
        E = represent_people(head.lifter.model, torch.from_numpy(x).to(head.lifter.device), there)
        return head.model(E, there)[0].softmax(dim=-1).float().cpu().numpy()
