"""From pictures to what the relation network is trained on: batches of clips of crops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from video2pose3d import skeletons
from video2pose3d.datasets.footage import Footage
from video2pose3d.keypoints import relation
from video2pose3d.keypoints._topdown import regions

Batch = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Data:
    """[data]. The paper names no augmentation; a network without any learns its data by heart."""

    mirror: bool = False  # half of the clips; a mirrored rig of cameras would be another rig
    jitter: float = 0.0  # of the crop: moved by, and larger or smaller by, up to this share of it
    # Share of batches with fewer frames and views than there are: a video has one view, and people
    # who are soon gone.
    partial: float = 0.0
    most: int = 2000  # clips that the scores are of, evenly spread over all


class Clips(Dataset[Batch]):
    """An epoch's batches, each the same whichever process makes it.

    Item: crops (B, T, V, H, W, 3) uint8, joints (B, T, V, 17, 2) -1..1 across the crop, seen
    (B, T, V, 17) bool. T is f, or the length of the shortest footage in the batch.
    """

    def __init__(
        self, footage: list[Footage], network: relation.Config, data: Data, batch: int,
        seed: list[int],
    ) -> None:  # fmt: skip
        self.footage, self.network, self.data, self.seed = footage, network, data, seed
        rng = np.random.default_rng(seed)
        f = network.f
        starts = []
        for n, one in enumerate(footage):
            T = len(one.xy)
            first = int(rng.integers(0, min(f, max(1, T - f + 1))))  # another cut every epoch
            starts += [(n, t) for t in range(first, max(first + 1, T - f + 1), f)]
        self.batch = min(batch, len(starts))
        order = rng.permutation(len(starts))
        self.rows = [starts[i] for i in order[: len(order) // self.batch * self.batch]]

    def __len__(self) -> int:
        return len(self.rows) // self.batch

    def __getitem__(self, item: int) -> Batch:
        rng = np.random.default_rng([*self.seed, item])
        rows = self.rows[item * self.batch : (item + 1) * self.batch]
        T = min(self.network.f, *(len(self.footage[n].xy) for n, _ in rows))
        V = min(self.network.V, *(self.footage[n].xy.shape[1] for n, _ in rows))
        views = np.arange(V)
        if rng.random() < self.data.partial:
            T = int(rng.integers(1, T + 1))
            views = np.sort(rng.permutation(V)[: rng.integers(1, V + 1)])
        parts = [
            clip(self.footage[n], range(t, t + T), views, self.network, self.data, rng)
            for n, t in rows
        ]
        crops, joints, seen = (np.stack(part) for part in zip(*parts, strict=True))
        return torch.from_numpy(crops), torch.from_numpy(joints), torch.from_numpy(seen)


def clip(
    footage: Footage, frames: range, views: np.ndarray, network: relation.Config, data: Data,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Crops (T, V, H, W, 3) uint8, joints (T, V, 17, 2) -1..1, seen (T, V, 17) of one clip."""
    where = np.ix_(list(frames), views.tolist())
    shape, side = (len(frames), len(views)), network.size
    centres, sizes = regions(footage.boxes[where].reshape(-1, 4), (side, side))
    sizes = sizes * (1 + data.jitter * rng.uniform(-1, 1))  # one way for all images of the clip
    centres = centres + data.jitter * rng.uniform(-1, 1, 2) * sizes
    images = [footage.image(t, v) for t in frames for v in views]
    crops = relation.crops(images, centres, sizes, side).reshape(*shape, side, side, 3)
    joints = footage.xy[where] - centres.reshape(*shape, 1, 2)
    joints, seen = joints * 2 / sizes.reshape(*shape, 1, 2), footage.seen[where]
    if data.mirror and rng.random() < 0.5:
        swap = list(skeletons.named(network.skeleton).mirror)
        crops = np.ascontiguousarray(crops[..., ::-1, :])
        joints, seen = joints[..., swap, :] * [-1, 1], seen[..., swap]
    return crops, joints.astype(np.float32), seen
