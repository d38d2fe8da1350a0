"""Training a head on a lifter's motion representation, the lifter frozen or fine-tuned with it.

A config whose first key is `task` is for this file; see configs/action_ntu60.toml and
configs/smpl_mesh.toml. What the two tasks learn from is described in `action` and `mesh`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from video2pose3d import heads, lifters, weights
from video2pose3d.errors import UserError
from video2pose3d.lifters._windows import NORMALISATION
from video2pose3d.training import checkpoints
from video2pose3d.training.epochs import Run, descend, train
from video2pose3d.training.head_config import HeadConfig, Task
from video2pose3d.training.publishing import begin_with

__all__ = ["HeadConfig", "publish_head", "train_head"]

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
    if threads is not None:
        torch.set_num_threads(threads)
    task = config.make_task(Path(data))
    if len(task) < 2:
        raise UserError("fewer than two clips to train on", path=Path(data) / "train.npz")
    run = _new_run(config, task, torch.device(device))
    return train(
        run, Path(output), seed=config.seed,
        epochs=config.epochs if epochs is None else epochs,
        learn=lambda rng: _epoch(run, config, task, rng),
        measure=lambda: _scores(run, config, task),
    )  # fmt: skip


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


def _new_run(config: HeadConfig, task: Task, device: torch.device) -> Run:
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
    facts = {
        "head_config": dataclasses.asdict(head.config),
        "frames": task.frames,  # of a window
        "classes": list(task.classes),
        "origin": origin,  # the lifter's weights that it began with
    }
    return Run({"backbone": backbone, "head": head}, optimiser, facts)


def _epoch(run: Run, config: HeadConfig, task: Task, rng: np.random.Generator) -> float:
    """Every clip once, but for those that do not fill a batch; the mean loss."""
    for group, lr in zip(
        run.optimiser.param_groups,
        (config.optimiser.lr_head, config.optimiser.lr_backbone),
        strict=False,  # a frozen lifter has no group
    ):
        group["lr"] = lr * config.optimiser.factor**run.epoch
    backbone, head = run.modules["backbone"], run.modules["head"]
    head.train()
    backbone.train(not config.frozen)
    batch = min(config.batch, len(task))
    order = rng.permutation(len(task))
    loss = descend(
        run.optimiser,
        (
            task.loss(backbone, head, order[start : start + batch], rng)
            for start in range(0, len(order) - batch + 1, batch)
        ),
    )
    _settle(run, task, order[: SETTLE * batch], batch, rng)
    return loss


def _settle(run: Run, task: Task, rows: np.ndarray, batch: int, rng: np.random.Generator) -> None:
    """Measure the means of the head's batch norms anew, with the weights as they now are.

    "Precise BN": Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021.
    """
    backbone, head = run.modules["backbone"].eval(), run.modules["head"].eval()
    for module in head.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.reset_running_stats()
            module.train()
    with torch.no_grad():
        for start in range(0, len(rows) - batch + 1, batch):
            task.loss(backbone, head, rows[start : start + batch], rng)


def _scores(run: Run, config: HeadConfig, task: Task) -> dict[str, float]:
    backbone, head = run.modules["backbone"].eval(), run.modules["head"].eval()
    with torch.inference_mode():
        return task.scores(backbone, head, config.batch)
