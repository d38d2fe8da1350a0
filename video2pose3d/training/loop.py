"""A run from its config to its last checkpoint: one lifter learns from one source of batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch import Tensor, nn

from video2pose3d.errors import UserError
from video2pose3d.files import alone_in
from video2pose3d.skeletons import Skeleton
from video2pose3d.training import losses
from video2pose3d.training.batches import Batches
from video2pose3d.training.config import RunConfig, TrainingConfig
from video2pose3d.training.hooks import Checkpoints, Rate, Reports, make_average
from video2pose3d.training.optimisers import make_optimiser
from video2pose3d.training.precision import autocast
from video2pose3d.training.publishing import begin_with
from video2pose3d.training.runner import join, make_runner, part, processes
from video2pose3d.training.validation import Watch, read

C = TypeVar("C", bound=RunConfig)


class Lifting(BaseModel):
    """What is learned: a lifter, and the loss of the poses it gives."""

    def __init__(self, lifter: Any, factors: dict[str, float], skeleton: Skeleton):
        super().__init__()
        self.lifter, self.factors = lifter, factors
        self.W: Tensor
        self.register_buffer("W", losses.joint_weights(skeleton), persistent=False)

    def forward(
        self, inputs: Tensor, targets: Tensor, weights: Tensor, mode: str = "loss"
    ) -> dict[str, Tensor]:
        """inputs (B, T, J, 3), targets (B, T, J, 3), weights (B, T): the loss, term by term."""
        with autocast(inputs.device):
            estimate = self.lifter(inputs)
        terms = losses.terms(estimate, targets, weights, self.W, self.factors)
        return {f"{name}_loss": value for name, value in terms.items()}


def train(
    config: TrainingConfig | str | Path,
    data: Path,
    output: Path,
    *,
    steps: int | None = None,
    start: str | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> Path:
    """Train a lifter; go on from `output`'s checkpoint where there is one.

    data: for motion capture the folder with train and val, as `collection.read` reads them, for
    a benchmark what its reader takes. output: folder for last.pt and log.csv. steps: instead of the
    config's, which also moves the decay: a resumed run can be brought to its end early or
    prolonged. start: weights to begin with, instead of the config's. Under torchrun all processes
    train the one lifter. Returns the checkpoint's path.
    """
    config = ready(config, steps=steps, start=start)
    if config.pretrain is not None:
        raise UserError("this config pre-trains", cure="use video2pose3d pretrain")
    if threads is not None:
        torch.set_num_threads(threads)
    where = join(device)
    batches, watch = read(config, Path(data), per_step(config))
    task = Lifting(new_lifter(config, batches.skeleton), config.loss, batches.skeleton)
    return run(config, task, batches, Path(output), where, watch=watch)


def ready(
    config: TrainingConfig | str | Path, *, steps: int | None, start: str | None
) -> TrainingConfig:
    """The config, read where it is a name, with what the caller wants otherwise."""
    config = config if isinstance(config, TrainingConfig) else TrainingConfig.read(config)
    return changed(config, steps, start)


def changed(config: C, steps: int | None, start: str | None) -> C:
    """The config with what the caller wants otherwise; None leaves what it has."""
    schedule = dataclasses.replace(config.schedule, steps=steps or config.schedule.steps)
    return dataclasses.replace(config, schedule=schedule, start=start or config.start)


def new_lifter(config: TrainingConfig, skeleton: Skeleton) -> nn.Module:
    """The lifter as it is before the first step; UserError for one of other joints."""
    torch.manual_seed(config.seed)
    model: Any = config.make_model()
    if len(skeleton) != model.config.J:
        what = f"[model] is of {model.config.J} joints, {config.data.name} has {len(skeleton)}"
        raise UserError(what, cure="give it J, or parents, of its joints")
    if config.start is not None:
        begin_with(model, config.start)
    return model


def per_step(config: RunConfig) -> int:
    """How many batches a step takes, in all processes together."""
    return config.optimiser.accumulate * processes()


def run(
    config: RunConfig,
    task: BaseModel,
    batches: Batches,
    output: Path,
    device: torch.device,
    *,
    watch: Watch,
    hooks: Sequence[Hook] = (),
) -> Path:
    """Learn a task, whose `lifter` is what ships, to the end; the checkpoint's path."""
    with alone_in(output) if get_rank() == 0 else nullcontext():
        average = make_average(config.optimiser)
        facts = {
            "normalisation": batches.normalisation,
            "unit": batches.unit,
            "skeleton": batches.skeleton.name,
            "windows_seen": str(config.windows_at(batches.steps, batches.steps) * per_step(config)),
        }
        if config.start is not None:
            facts["began_with"] = Path(config.start).name
        checkpoints = Checkpoints(output / "last.pt", average, facts)
        runner = make_runner(
            task,
            make_optimiser(task, config.optimiser),
            batches,
            config,
            [
                Rate(config.schedule, config.optimiser.lr),
                *hooks,
                *([] if average is None else [average]),
                checkpoints,
                Reports(checkpoints, watch, config, per_step(config)),
            ],
            output,
            device,
        )
        runner.train()
        part()  # not before the checkpoint is written
    return checkpoints.path
