"""What the training of a head is told: its TOML file, read and checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from video2pose3d import heads
from video2pose3d.heads.smpl import LossWeights
from video2pose3d.training import action, mesh
from video2pose3d.training.config import lifter_config, make_lifter
from video2pose3d.training.config_files import find, read_table
from video2pose3d.training.fields import check, made, reading

DATA = {"action": action.Data, "smpl": mesh.Data}  # by task
Task = action.ActionTask | mesh.MeshTask


@dataclass(frozen=True)
class Optimiser:
    """[optimiser]: AdamW; both rates are multiplied by `factor` after every epoch."""

    lr_head: float
    lr_backbone: float = 0.0  # 0: the lifter is frozen
    weight_decay: float = 0.01
    factor: float = 1.0


@dataclass(frozen=True)
class HeadConfig:
    """A head's training, as its TOML file says it."""

    task: str
    lifter: str
    epochs: int
    batch: int  # clips a step
    optimiser: Optimiser
    data: Any  # action.Data or mesh.Data
    model: dict[str, Any] = field(default_factory=dict)  # the lifter's `variant`, fields of Config
    head: dict[str, Any] = field(default_factory=dict)  # fields of the head's Config
    loss: LossWeights = field(default_factory=LossWeights)  # of the SMPL head
    start: str | None = None  # the lifter's weights to begin with: a shipped name, or a file
    seed: int = 0
    about: dict[str, str] = field(default_factory=dict)  # for the header of the published file

    @classmethod
    def read(cls, name: str | Path) -> HeadConfig:
        """The config of a file, or a shipped one by its name; UserError for what is none."""
        path = find(name, tasks=DATA)
        with reading(path, "a config of a head"):
            table = read_table(path)
            if table["task"] not in DATA:
                raise ValueError(f"task {table['task']!r} is none of {', '.join(DATA)}")
            table["data"] = made(DATA[table["task"]], table["data"], least=1)
            table["optimiser"] = made(Optimiser, table["optimiser"])
            table["loss"] = made(LossWeights, table.get("loss", {}))
            config = made(cls, table)
            if config.batch < 2 or config.epochs < 1:
                raise ValueError("batch below 2 or epochs below 1")
            if config.frozen and config.start is None:
                raise ValueError("a frozen lifter wants weights to start from")
            check(heads.MODULES[config.task].Config, config.head, least=1)
            lifter_config(config.lifter, config.model)
            return config

    @property
    def frozen(self) -> bool:
        return self.optimiser.lr_backbone == 0

    def make_model(self) -> nn.Module:
        """A lifter with fresh weights; UserError for a [model] that it has no fields for."""
        return make_lifter(self.lifter, self.model)

    def make_task(self, folder: Path) -> Task:
        if self.task == "action":
            return action.ActionTask(folder, self.data)
        return mesh.MeshTask(folder, self.data, self.loss)
