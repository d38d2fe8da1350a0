"""What a training run is told, checked."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from video2pose3d import discovery
from video2pose3d.datasets import Split
from video2pose3d.errors import UserError
from video2pose3d.training.config_files import find, read_table
from video2pose3d.training.fields import check, made, reading, tuples
from video2pose3d.training.losses import TERMS
from video2pose3d.training.recipe import Recipe

C = TypeVar("C", bound="RunConfig")


@dataclass(frozen=True)
class Stage:
    """Up to the fraction `until` of the steps: batches of `windows` windows of `frames` frames."""

    frames: int
    windows: int
    until: float = 1.0


@dataclass(frozen=True)
class Data:
    """[data]: which reader of datasets/ and how its sequences are cut; other keys are `options`."""

    name: str = "mocap"
    stride: int | None = None  # frames from one window to the next; None: as long as a window
    watch: Split | None = None  # a split that is measured at every report, and never learned from
    workers: int = 0  # processes that make batches ahead
    body: str | None = None  # for AMASS's clips: the SMPL file, in the folder of the data
    options: dict[str, Any] = field(default_factory=dict)  # keywords of the reader's `read`


@dataclass(frozen=True)
class Optimiser:
    """[optimiser]."""

    lr: float  # at its peak
    matrices: str = "adamw"  # or "muon": those of the blocks, see training.optimisers
    weight_decay: float = 0.01
    clip: float = 0.0  # norm of the gradient; 0: not clipped
    ema: float = 0.0  # how much of the averaged weights each step keeps; 0: no average
    accumulate: int = 1  # batches a step (and process)


@dataclass(frozen=True)
class Schedule:
    """[schedule]: how long, and the learning rate as a fraction of its peak.

    Either `steps`, or `epochs` of a benchmark's windows. The rate is multiplied by `factor` after
    every epoch, rises over the first `warmup` steps and falls to nought over the last `decay`.
    """

    steps: int = 0
    epochs: int = 0
    factor: float = 1.0
    warmup: int = 0
    decay: int = 0

    def rate(self, step: int, steps: int, epoch: int) -> float:
        up = (step + 1) / self.warmup if self.warmup else 1.0
        down = (steps - step) / self.decay if self.decay else 1.0
        return self.factor**epoch * max(0.0, min(1.0, up, down))


@dataclass(frozen=True)
class Pretraining:
    """[pretrain]: contextualised representations, Motion2vec sec. III-B and IV-B."""

    mask: float = 0.7  # share P of the tokens that are masked, sec. IV-E and Table V
    maskings: int = 3  # M masked versions of a window that share one teacher pass
    layers: int = 8  # K, the teacher's last blocks that make the target; all where it has fewer
    noise: float = 0.01  # standard deviation in the masked places; not given, as in data2vec 2.0
    tau: tuple[float, float] = (0.999, 0.9999)  # the teacher keeps tau, from first to last step;
    # "linear increase" between values that are not given: data2vec's


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every run of `loop.run` is told."""

    stage: tuple[Stage, ...]
    schedule: Schedule
    optimiser: Optimiser
    model: dict[str, Any] = field(default_factory=dict)  # `variant` and fields of Config
    data: Data = field(default_factory=Data)
    recipe: Recipe = field(default_factory=Recipe)  # of motion capture
    seed: int = 0
    val_windows: int = 64
    minutes_between_checkpoints: float = 5.0
    about: dict[str, str] = field(default_factory=dict)  # for the header of the published file
    start: str | None = None  # weights to begin with, of the same network: a shipped name or a file

    def stage_at(self, step: int, steps: int) -> Stage:
        return next((s for s in self.stage if step < s.until * steps), self.stage[-1])

    def windows_at(self, step: int, steps: int) -> int:
        """How many windows were seen before a step, had each step one batch."""
        seen = begin = 0
        for stage in self.stage:
            end = max(begin, min(step, math.ceil(stage.until * steps)))
            seen, begin = seen + (end - begin) * stage.windows, end
        return seen


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(RunConfig):
    """A training run of a lifter, as its TOML file says it; see configs/ for commented ones."""

    lifter: str
    loss: dict[str, float] = field(default_factory=dict)  # factors of losses.TERMS
    pretrain: Pretraining | None = None

    @classmethod
    def read(cls, name: str | Path) -> TrainingConfig:
        """The config of a file, or a shipped one by its name; UserError for what is none."""
        path = find(name)
        with reading(path, "a training config"):
            return cls._from_table(read_table(path))

    @classmethod
    def _from_table(cls, table: dict[str, Any]) -> TrainingConfig:
        if "task" in table:
            raise UserError("this config trains no lifter", cure="use video2pose3d train")
        config = run_config(cls, table, pretrain=Pretraining)
        if config.data.body is not None and config.data.name != "mocap":
            raise ValueError("[data] has body, which is for mocap")
        unknown = set(config.loss) - set(TERMS)
        if unknown:
            raise ValueError(f"[loss] has {', '.join(sorted(unknown))}, not {', '.join(TERMS)}")
        if not config.loss and config.pretrain is None:
            raise ValueError("[loss] is missing")
        if config.pretrain is not None:
            _check_share("mask", config.pretrain.mask)
        config.model_config()
        return config

    def make_model(self) -> nn.Module:
        """A lifter with fresh weights; UserError for a [model] that it has no fields for."""
        return make_lifter(self.lifter, self.model)

    def model_config(self) -> Any:
        """The lifter's Config."""
        return lifter_config(self.lifter, self.model)


def run_config(kind: type[C], table: dict[str, Any], **more: type) -> C:
    """A config made of its tables; ValueError for what does not fit or can't work.

    more: further tables of the file, and what each of them is.
    """
    table = {**table, "stage": tuple(made(Stage, stage, least=1) for stage in table["stage"])}
    known = {f.name for f in dataclasses.fields(Data)} - {"options"}
    data = table.get("data", {})
    own = {key: data[key] for key in data if key in known}
    table["data"] = made(Data, {**own, "options": {k: data[k] for k in data if k not in known}})
    kinds = {"schedule": Schedule, "optimiser": Optimiser, "recipe": Recipe, **more}
    for key, of in kinds.items():
        if key in table:
            table[key] = made(of, table[key], least=0 if of is Schedule else 1)
    config = made(kind, table)
    if bool(config.schedule.steps) == bool(config.schedule.epochs):
        raise ValueError("[schedule] wants either steps or epochs")
    if not config.stage or config.stage[-1].until != 1:
        raise ValueError("the last [[stage]] has to go on until 1")
    for name, count in (("stride", config.data.stride), ("val_windows", config.val_windows)):
        if count == 0:
            raise ValueError(f"{name} is 0, not 1 or more")
    _check_share("ema", config.optimiser.ema)
    if config.optimiser.matrices not in ("adamw", "muon"):
        raise ValueError(f"matrices is {config.optimiser.matrices!r}, not adamw or muon")
    if config.data.name == "mocap":
        alien = [key for key in data if key in ("stride", "watch", *config.data.options)]
        if alien:
            raise ValueError(f"[data] has {', '.join(alien)}, which is not for mocap")
    return config


def _check_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name} is {value}, not in 0 to 1")


def make_lifter(name: str, fields: dict[str, Any]) -> nn.Module:
    """A lifter with fresh weights, as a config's `lifter` and [model] say."""
    return discovery.load("lifters", name).Model(lifter_config(name, fields))


def lifter_config(name: str, fields: dict[str, Any]) -> Any:
    """A lifter's Config: a variant of its VARIANTS, or its defaults, with fields changed."""
    module = discovery.load("lifters", name)
    fields = tuples(fields)
    variant = fields.pop("variant", None)
    if variant is not None and variant not in module.VARIANTS:
        names = ", ".join(module.VARIANTS)
        raise UserError(f"{variant!r} is not a variant of {name}: choose from {names}")
    try:
        check(module.Config, fields, least=1)
        start = module.Config() if variant is None else module.VARIANTS[variant]
        return dataclasses.replace(start, **fields)
    except (TypeError, ValueError) as error:
        raise UserError(f"[model] does not fit {name} ({error})") from error
