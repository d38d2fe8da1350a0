"""Training batches by number: batch n is a pure function of the config, its seed and n.

So a run that was killed goes on as if it had not been, and processes that train together take
every so-manieth batch without a word to each other.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from video2pose3d import discovery, lifters
from video2pose3d.datasets import Sequence, collection
from video2pose3d.datasets.mocap import Mocap
from video2pose3d.errors import UserError
from video2pose3d.skeletons import H36M17
from video2pose3d.training.config import RunConfig, TrainingConfig
from video2pose3d.training.data import Batch, Sampler
from video2pose3d.training.rigs import Rigs, RigSampler
from video2pose3d.training.windows import Windows


class MocapBatches(Dataset[dict[str, Tensor]]):
    """Motion capture seen by random cameras, without end; per_step: batches that a step takes."""

    skeleton, normalisation, unit = H36M17, lifters.NORMALISATION, "metre"
    steps_per_epoch = None
    make_sampler = Sampler

    def __init__(self, mocap: Mocap, config: RunConfig, per_step: int):
        if not config.schedule.steps:
            raise UserError("motion capture has no epochs", cure="give [schedule] steps")
        self.sampler = self.make_sampler(mocap, config.recipe, config.seed)
        self.config, self.per_step, self.steps = config, per_step, config.schedule.steps

    def __getitem__(self, n: int) -> dict[str, Tensor]:
        stage = self.config.stage_at(n // self.per_step, self.steps)
        return tensors(self.sampler.batch(n, stage.windows, stage.frames))


class RigBatches(MocapBatches):
    """The same, each window seen by several cameras; a stage's windows are counted once a view."""

    unit = "half the person's size"
    make_sampler = RigSampler


class SequenceBatches(Dataset[dict[str, Tensor]]):
    """The windows of a benchmark, shuffled anew every epoch, half of them mirrored.

    An epoch takes every window once; what is left over in its last step is filled with the first.
    """

    normalisation = lifters.SCREEN

    def __init__(self, sequences: list[Sequence], config: TrainingConfig, per_step: int):
        (stage, *more) = config.stage
        if more:
            raise UserError(
                f"{config.data.name} is cut into windows once", cure="give one [[stage]]"
            )
        if not sequences:
            raise UserError(f"{config.data.name} has no sequences in its training split")
        self.windows = Windows(sequences, stage.frames, config.data.stride or stage.frames)
        self.size, self.seed = stage.windows, config.seed
        self.skeleton = sequences[0].skeleton
        self.unit = sequences[0].unit
        self.steps_per_epoch = -(-len(self.windows) // (self.size * per_step))
        self.per_epoch = self.steps_per_epoch * per_step  # batches
        self.steps = config.schedule.steps or config.schedule.epochs * self.steps_per_epoch
        self.shuffled = -1, np.zeros(0, int)  # the last epoch asked for, and its items

    def __getitem__(self, n: int) -> dict[str, Tensor]:
        epoch, place = divmod(n, self.per_epoch)
        items = self._order(epoch)[place * self.size : (place + 1) * self.size]
        return default_collate([self.windows[int(item)] for item in items])

    def _order(self, epoch: int) -> np.ndarray:
        """The items of an epoch, in their order."""
        if self.shuffled[0] != epoch:
            N = len(self.windows)
            rng = np.random.default_rng([self.seed, epoch])
            items = rng.permutation(N) + N * rng.integers(0, 2, N)
            self.shuffled = epoch, np.resize(items, self.per_epoch * self.size)
        return self.shuffled[1]


# Item n: inputs (B, T, J, 3), targets (B, T, J, 3) and weights (B, T) of batch n; RigBatches' have
# a V before J, and targets of two coordinates. normalisation and unit: what a network that learns
# from them takes and gives. steps: of the whole run.
Batches = MocapBatches | SequenceBatches


def read_batches(config: TrainingConfig, data: Path, per_step: int) -> Batches:
    """The batches of the training split, the only one that is opened.

    data: for motion capture as for `read_mocap`, else what the data set's reader takes.
    """
    if config.data.name == "mocap":
        train = collection.read(data, "train", body=_body(config, data))
        return MocapBatches(train, config, per_step)
    return SequenceBatches(read_sequences(config, data, "train"), config, per_step)


def read_mocap(config: RunConfig, folder: Path) -> tuple[Mocap, Mocap]:
    """train and val of the motion capture: each an npz, or a folder of BVH and AMASS files."""
    return collection.read_both(folder, body=_body(config, folder))


def _body(config: RunConfig, folder: Path) -> Path | None:
    return None if config.data.body is None else folder / config.data.body


def read_sequences(config: TrainingConfig, data: Path, split: str) -> list[Sequence]:
    """The sequences of a benchmark's split, read as the config's [data] says."""
    read, options = discovery.load("datasets", config.data.name).read, config.data.options
    try:
        inspect.signature(read).bind(data, split, **options)
    except TypeError as error:
        raise UserError(f"[data] does not fit {config.data.name} ({error})") from error
    return read(data, split, **options)


def tensors(batch: Batch | Rigs) -> dict[str, Tensor]:
    return {
        "inputs": torch.from_numpy(batch.inputs),
        "targets": torch.from_numpy(batch.targets),
        "weights": torch.from_numpy(batch.weights),
    }


def load(
    batches: Batches, first: int, per_process: int, *, rank: int, processes: int, workers: int
) -> Iterator[dict[str, Tensor]]:
    """What one process takes from step `first` to the last, per_process batches a step."""
    per_step = per_process * processes
    mine = range(first * per_step + rank, batches.steps * per_step, processes)
    return iter(DataLoader(batches, batch_size=None, sampler=mine, num_workers=workers))
