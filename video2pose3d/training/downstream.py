"""Training a head on a lifter's motion representation, the lifter frozen or fine-tuned with it.

A config whose first key is `task` is for this file; see configs/action_ntu60.toml and
configs/smpl_mesh.toml. What the two tasks learn from is described in `action` and `mesh`.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from video2pose3d import heads, lifters, weights
from video2pose3d.errors import UserError
from video2pose3d.lifters._windows import NORMALISATION
from video2pose3d.training import checkpoints
from video2pose3d.training.head_config import HeadConfig, Task
from video2pose3d.training.hooks import Log
from video2pose3d.training.publishing import begin_with
from video2pose3d.training.runner import processes

__all__ = ["HeadConfig", "publish_head", "train_head"]

log = logging.getLogger("video2pose3d")

SETTLE = 32  # batches whose means the head's batch norms keep


def train_head(
    config: HeadConfig | str | Path,
    data: Path,
    output: Path,
    *,
    epochs: int | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> Path:
    """Train a head; go on from `output`'s checkpoint where there is one, as if never stopped.

    data: folder with train.npz and val.npz, see `action` and `mesh`. output: folder for last.pt and
    log.csv. epochs: instead of the config's. Returns the checkpoint's path.
    """
    config = config if isinstance(config, HeadConfig) else HeadConfig.read(config)
    if processes() > 1:
        raise UserError("heads are trained by one process", cure="start it without torchrun")
    if threads is not None:
        torch.set_num_threads(threads)
    task = config.make_task(Path(data))
    if len(task) < 2:
        raise UserError("fewer than two clips to train on", path=Path(data) / "train.npz")
    run = _new_run(config, task, torch.device(device))
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    checkpoint = output / "last.pt"
    if checkpoint.exists():
        run.load(checkpoint)
        log.info("goes on from epoch %d", run.epoch)
    rows = Log(output / "log.csv")
    for _ in range(run.epoch, config.epochs if epochs is None else epochs):
        loss = _epoch(run, config, task)
        run.scores = _scores(run, config, task)
        run.save(checkpoint)
        rows.write({"epoch": run.epoch, "loss": round(loss, 4), **run.scores})
    return checkpoint


def publish_head(
    config: HeadConfig | str | Path,
    checkpoint: Path,
    output: Path,
    about: Mapping[str, str] | None = None,
) -> None:
    """Write a checkpoint's head and lifter as the file that `heads.load` reads.

    about: what its users should know, beside the config's own table [about].
    """
    config = config if isinstance(config, HeadConfig) else HeadConfig.read(config)
    state = checkpoints.read(checkpoint, ("backbone", "head", "optimiser", "epoch", "scores"))
    module: Any = heads.MODULES[config.task]
    head = module.Model(module.Config(**state["head_config"]))
    backbone = config.make_model()
    head.load_state_dict(state["head"])
    backbone.load_state_dict(state["backbone"])
    facts = {"epochs": str(state["epoch"]), "scores": json.dumps(state["scores"])}
    heads.save(
        output, config.task, head, config.lifter, backbone, frames=state["frames"],
        classes=tuple(state["classes"]), about={**config.about, **facts, **state["origin"],
                                                **(about or {})},
    )  # fmt: skip


@dataclass
class _Run:
    """What training carries from epoch to epoch, and what its checkpoint holds."""

    backbone: nn.Module
    head: Any
    optimiser: torch.optim.Optimizer
    frames: int  # of a window
    classes: tuple[str, ...]
    origin: dict[str, str]  # the lifter's weights that it began with
    epoch: int = 0
    scores: dict[str, float] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """The whole state or nothing."""
        state = {
            "backbone": self.backbone.state_dict(),
            "head": self.head.state_dict(),
            "head_config": dataclasses.asdict(self.head.config),
            "optimiser": self.optimiser.state_dict(),
            "frames": self.frames,
            "classes": list(self.classes),
            "origin": self.origin,
            "epoch": self.epoch,
            "scores": self.scores,
        }
        checkpoints.write(state, path)

    def load(self, path: Path) -> None:
        state = checkpoints.read(path, ("backbone", "head", "optimiser", "epoch", "scores"))
        try:
            self.backbone.load_state_dict(state["backbone"])
            self.head.load_state_dict(state["head"])
            self.optimiser.load_state_dict(state["optimiser"])
        except (KeyError, ValueError, RuntimeError) as error:
            what = f"a checkpoint of another config ({str(error).splitlines()[0]})"
            raise UserError(what, path=path, cure="give another --output") from error
        self.epoch, self.scores, self.origin = state["epoch"], state["scores"], state["origin"]


def _new_run(config: HeadConfig, task: Task, device: torch.device) -> _Run:
    torch.manual_seed(config.seed)
    backbone: Any = config.make_model()
    origin = {}
    if config.start is not None:
        file = begin_with(backbone, config.start)
        origin = {"backbone_sha256": weights.sha256(file)}
        header, _ = lifters.read(file)
        if config.frozen and header.get("format") == lifters.BACKBONE:
            what = "a pre-trained backbone, whose motion representation nobody has trained yet"
            cure = "give lr_backbone, or fine-tune it to a lifter first: video2pose3d train"
            raise UserError(what, path=file, cure=cure)
        if config.frozen and header.get("normalisation") != NORMALISATION:
            what = "its input is normalised in another way than heads' is"
            raise UserError(what, path=file, cure="fine-tune it: give lr_backbone")
    with torch.inference_mode():
        J, Ch = backbone.eval().represent(torch.zeros(1, 2, 17, 3)).shape[2:]
    module: Any = heads.MODULES[config.task]
    try:
        head = module.Model(task.head_config(Ch, J, config.head)).to(device)
    except TypeError as error:
        raise UserError(f"[head] does not fit {config.task} ({error})") from error
    backbone.to(device).requires_grad_(not config.frozen)
    groups = [{"params": list(head.parameters()), "lr": config.optimiser.lr_head}]
    if not config.frozen:
        groups.append({"params": list(backbone.parameters()), "lr": config.optimiser.lr_backbone})
    optimiser = torch.optim.AdamW(groups, weight_decay=config.optimiser.weight_decay)
    return _Run(backbone, head, optimiser, task.frames, task.classes, origin)


def _epoch(run: _Run, config: HeadConfig, task: Task) -> float:
    """Every clip once, but for those that do not fill a batch; the mean loss."""
    # Drawn from the epoch's own generators, so that a resumed run sees the same.
    rng = np.random.default_rng([config.seed, run.epoch])
    torch.manual_seed(int(rng.integers(2**31)))
    for group, lr in zip(
        run.optimiser.param_groups,
        (config.optimiser.lr_head, config.optimiser.lr_backbone),
        strict=False,  # a frozen lifter has no group
    ):
        group["lr"] = lr * config.optimiser.factor**run.epoch
    run.head.train()
    run.backbone.train(not config.frozen)
    batch = min(config.batch, len(task))
    order = rng.permutation(len(task))
    losses = []
    for start in range(0, len(order) - batch + 1, batch):
        loss = task.loss(run.backbone, run.head, order[start : start + batch], rng)
        run.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        run.optimiser.step()
        losses.append(float(loss.detach()))
    _settle(run, task, order[: SETTLE * batch], batch, rng)
    run.epoch += 1
    return float(np.mean(losses))


def _settle(run: _Run, task: Task, rows: np.ndarray, batch: int, rng: np.random.Generator) -> None:
    """Measure the means of the head's batch norms anew, with the weights as they now are.

    "Precise BN": Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021.
    """
    run.head.eval()
    run.backbone.eval()
    for module in run.head.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.reset_running_stats()
            module.train()
    with torch.no_grad():
        for start in range(0, len(rows) - batch + 1, batch):
            task.loss(run.backbone, run.head, rows[start : start + batch], rng)


def _scores(run: _Run, config: HeadConfig, task: Task) -> dict[str, float]:
    run.head.eval()
    run.backbone.eval()
    with torch.inference_mode():
        return task.scores(run.backbone, run.head, config.batch)
