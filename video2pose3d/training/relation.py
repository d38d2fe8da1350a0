"""Training of the 2D network that relates a clip's images, `keypoints.relation`: a plain loop.

Sec. IV-B of its paper: AdamW, 1e-3, weight decay 0.05, cosine after a linear warm-up; the loss is
the mean squared error of the coordinates, normalised to the crop, of labelled joints.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from video2pose3d import weights
from video2pose3d.datasets import coco, h36m_images
from video2pose3d.keypoints import relation
from video2pose3d.keypoints._topdown import normalise
from video2pose3d.training import checkpoints
from video2pose3d.training.clips import Clips, Data
from video2pose3d.training.config_files import find, read_table
from video2pose3d.training.epochs import Run, descend, train
from video2pose3d.training.fields import check, made, reading, tuples
from video2pose3d.training.relation_scores import scores
from video2pose3d.training.starting import check_same, unfit

READERS: dict[str, Any] = {"coco": coco, "h36m_images": h36m_images}


@dataclass(frozen=True)
class Optimiser:
    """[optimiser]: AdamW; the defaults are sec. IV-B's."""

    lr: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 20  # epochs of linear rise; then down to 0 by a half cosine


@dataclass(frozen=True)
class RelationConfig:
    """The training of a relation network, as its TOML file says it."""

    task: str
    dataset: str  # coco or h36m_images: the reader of --data
    epochs: int
    batch: int  # clips a step
    model: dict[str, Any]  # `variant`, fields of keypoints.relation.Config
    data: Data = field(default_factory=Data)
    optimiser: Optimiser = field(default_factory=Optimiser)
    # What to begin with: a name (swin-t-imagenet: the spatial module), or a file of this program.
    start: str | None = None
    workers: int = 0  # processes that read pictures, beside this one
    seed: int = 0
    about: dict[str, str] = field(default_factory=dict)  # for the header of the published file

    @classmethod
    def read(cls, path: str | Path) -> RelationConfig:
        """The config of a file, or a shipped one by its name; UserError for what is none."""
        path = find(path, tasks=("relation",))
        with reading(path, "a config of a relation network"):
            table = read_table(path)
            table["data"] = made(Data, table.get("data", {}), least=1)
            table["optimiser"] = made(Optimiser, table.get("optimiser", {}))
            config = made(cls, table)
            if config.task != "relation" or config.dataset not in READERS:
                raise ValueError(f"not task relation, or dataset none of {', '.join(READERS)}")
            if config.batch < 1 or config.optimiser.warmup >= config.epochs:
                raise ValueError("batch below 1, or a warm-up as long as all epochs")
            config.network()
            return config

    def network(self) -> relation.Config:
        check(relation.Config, tuples(self.model), least=1)
        fields = {"skeleton": READERS[self.dataset].SKELETON.name, **self.model}
        return relation.config_from(fields)


def train_relation(
    config: RelationConfig | str | Path,
    data: Path,
    output: Path,
    *,
    epochs: int | None = None,
    device: str = "cpu",
) -> Path:
    """Train; go on from `output`'s checkpoint where there is one, as if never stopped.

    data: the folder that the config's dataset reads. output: folder for last.pt and log.csv, whose
    rows have Table I's columns. epochs: end there, on the same schedule. Returns the checkpoint's
    path.
    """
    config = config if isinstance(config, RelationConfig) else RelationConfig.read(config)
    read = READERS[config.dataset].read
    clips, held_out = read(Path(data), "train"), read(Path(data), "test")
    run = _new_run(config, torch.device(device))

    def learn(rng: np.random.Generator) -> float:
        seed = [config.seed, run.epoch]
        batches = Clips(clips, config.network(), config.data, config.batch, seed=seed)
        return descend(run.optimiser, _losses(run, config, batches))

    def measure() -> dict[str, float]:
        found = scores(run.modules["model"], held_out, config.batch, config.data.most)
        return {name: round(value, 3) for name, value in found.items()}

    return train(
        run, Path(output), seed=config.seed,
        epochs=config.epochs if epochs is None else epochs, learn=learn, measure=measure,
    )  # fmt: skip


def publish_relation(
    config: RelationConfig | str | Path,
    checkpoint: Path,
    output: Path,
    about: Mapping[str, str] | None = None,
) -> None:
    """Write a checkpoint's network as the file that `--keypoints-weights` takes.

    about: what its users should know, beside the config's own table [about].
    """
    config = config if isinstance(config, RelationConfig) else RelationConfig.read(config)
    state = checkpoints.read(checkpoint, ("model", "optimiser", "epoch", "scores"))
    model = relation.Model(relation.config_from(state["config"]))
    model.load_state_dict(state["model"])
    facts = {"epochs": str(state["epoch"]), "scores": json.dumps(state["scores"])}
    relation.save(output, model, {**config.about, **facts, **(about or {})})


def _new_run(config: RelationConfig, device: torch.device) -> Run:
    torch.manual_seed(config.seed)
    model = relation.Model(config.network())
    if config.start is not None:
        begin_with(model, config.start)
    model.to(device)
    of = config.optimiser
    optimiser = torch.optim.AdamW(model.parameters(), of.lr, weight_decay=of.weight_decay)
    return Run({"model": model}, optimiser, {"config": dataclasses.asdict(model.config)})


def begin_with(model: relation.Model, start: str) -> None:
    """Copy weights: ImageNet's into the spatial module, or a whole network of fewer frames.

    Positions beyond those of a shorter network stay as they were.
    """
    file = weights.find(start, kind=None if Path(start).is_file() else "backbone")
    if file.suffix == ".safetensors":
        given = relation.load(file)
        check_same(model.config, given.config, file, may_differ=("f", "drop_path"))
        module, state = model, given.state_dict()
        f = min(given.config.f, model.config.f)
        state["E_time"] = torch.cat([state["E_time"][:, :f], model.E_time.data[:, f:]], dim=1)
    else:
        module, state = model.spatial.swin, torch.load(file, weights_only=True, map_location="cpu")
        state = {key: t for key, t in state.items() if not key.startswith("head.")}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise unfit(str(error).splitlines()[-1].strip(), file) from error


def loss_of(found: Tensor, truth: Tensor, seen: Tensor) -> Tensor:
    """Mean squared error of labelled joints' coordinates: (..., 17, 2), seen (..., 17)."""
    return (found - truth).square()[seen].mean()


def _losses(run: Run, config: RelationConfig, batches: Clips) -> Iterator[Tensor]:
    """Of every clip once, but for those that do not fill a batch."""
    model = run.modules["model"]
    device = next(model.parameters()).device
    model.train()
    loader = DataLoader(batches, batch_size=None, num_workers=config.workers)
    for step, (crops, truth, seen) in enumerate(loader):
        for group in run.optimiser.param_groups:
            group["lr"] = learning_rate(config, run.epoch + step / len(batches), len(batches))
        images = normalise(crops.flatten(0, 2).numpy(), device).unflatten(0, crops.shape[:3])
        yield loss_of(model(images), truth.to(device), seen.to(device))


def learning_rate(config: RelationConfig, epoch: float, steps: int) -> float:
    """At an epoch, counted from 0 and in parts; steps: in an epoch."""
    warmup, lr = config.optimiser.warmup, config.optimiser.lr
    if epoch < warmup:
        return lr * (epoch + 1 / steps) / warmup  # not 0 in the first step
    return lr * (1 + math.cos(math.pi * (epoch - warmup) / (config.epochs - warmup))) / 2
