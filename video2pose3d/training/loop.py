"""The training loop: batches, optimiser, average of the weights, checkpoints, validation."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from video2pose3d import discovery, lifters, metrics, weights
from video2pose3d.datasets.mocap import Mocap
from video2pose3d.errors import UserError
from video2pose3d.training import losses
from video2pose3d.training.data import Batch, Recipe, Sampler

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

CONFIGS = Path(__file__).parent / "configs"


@dataclass(frozen=True)
class Stage:
    """Up to the fraction `until` of the steps: batches of `windows` windows of `frames` frames."""

    until: float
    frames: int
    windows: int


@dataclass(frozen=True)
class TrainingConfig:
    """A training run, as its TOML file says it; see configs/ for a commented one."""

    lifter: str
    model: dict[str, Any]
    stage: tuple[Stage, ...]
    schedule: dict[str, int]  # steps, warmup, decay
    optimiser: dict[str, Any]  # matrices, lr, weight_decay, clip, ema
    loss: dict[str, float]  # scaled, smooth
    recipe: Recipe = field(default_factory=Recipe)
    start: str | None = None  # weights to begin with: a shipped name or a file of the same lifter
    seed: int = 0
    val_windows: int = 64
    minutes_between_checkpoints: float = 5.0
    about: dict[str, str] = field(default_factory=dict)  # for the header of the published file

    @classmethod
    def read(cls, path: Path) -> TrainingConfig:
        try:
            shipped = CONFIGS / Path(path).name
            path = shipped if not Path(path).exists() and shipped.exists() else Path(path)
            table = tomllib.loads(path.read_text(encoding="utf-8"))
            table["stage"] = tuple(Stage(**stage) for stage in table["stage"])
            recipe: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in table.get("recipe", {}).items()
            }
            table["recipe"] = Recipe(**recipe)
            return cls(**table)
        except FileNotFoundError:
            names = ", ".join(sorted(p.name for p in CONFIGS.glob("*.toml")))
            cure = f"give a TOML file; the package's own are {names} in {CONFIGS}"
            raise UserError("no such file", path=path, cure=cure) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise UserError(f"not a training config ({error})", path=path) from error

    def stage_at(self, step: int) -> Stage:
        return next(
            (s for s in self.stage if step < s.until * self.schedule["steps"]), self.stage[-1]
        )

    def rate_at(self, step: int) -> float:
        """The learning rate as a fraction of its peak: warm-up, plateau, linear decay."""
        up = (step + 1) / self.schedule["warmup"]
        down = (self.schedule["steps"] - step) / self.schedule["decay"]
        return max(0.0, min(1.0, up, down))


@dataclass
class Run:
    """What a run carries from step to step, and what its checkpoint holds."""

    model: nn.Module
    average: nn.Module  # exponential moving average of the model: the weights that ship
    optimisers: tuple[torch.optim.Optimizer, ...]
    sampler: Sampler
    step: int = 0
    windows: int = 0

    def save(self, path: Path) -> None:
        """The whole state or nothing: written beside, then renamed."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "random": self.sampler.rng.bit_generator.state,
            "step": self.step,
            "windows": self.windows,
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        os.replace(part, path)

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.sampler.rng.bit_generator.state = state["random"]
        self.step, self.windows = state["step"], state["windows"]


def new_run(config: TrainingConfig, mocap: Mocap, device: torch.device) -> Run:
    torch.manual_seed(config.seed)
    model, average = make_model(config).to(device), make_model(config).to(device)
    if config.start is not None:
        _begin_with(model, config.start)
    average.load_state_dict(model.state_dict())
    optimisers = make_optimisers(model, config.optimiser)
    return Run(model, average, optimisers, Sampler(mocap, config.recipe, config.seed))


def make_model(config: TrainingConfig) -> nn.Module:
    module = discovery.load("lifters", config.lifter)
    try:
        return module.Model(module.Config(**config.model))
    except TypeError as error:
        raise UserError(f"[model] does not fit {config.lifter} ({error})") from error


def _begin_with(model: nn.Module, name: str) -> None:
    """Copy the weights of a published lifter into a model of the same shape."""
    file = weights.find(name, kind="lifter", offline=True)
    try:
        model.load_state_dict(lifters.load(file).model.state_dict())
    except RuntimeError as error:
        cure = "give [model] the config of these weights"
        raise UserError(f"does not fit [model] ({error})", path=file, cure=cure) from error


def make_optimisers(
    model: nn.Module, settings: dict[str, Any]
) -> tuple[torch.optim.Optimizer, ...]:
    """AdamW for everything, or with matrices = "muon" Muon for the matrices inside the blocks.

    Muon (K. Jordan 2024) learns more from as many steps, where steps are what is scarce; its
    update is scaled to AdamW's, so that one learning rate serves both.
    """
    common = {"lr": settings["lr"], "weight_decay": settings["weight_decay"]}
    if settings["matrices"] == "adamw":
        return (torch.optim.AdamW(model.parameters(), **common),)
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        inside = name.startswith("blocks.") and parameter.ndim == 2 and min(parameter.shape) > 8
        (matrices if inside else others).append(parameter)
    muon = torch.optim.Muon(matrices, adjust_lr_fn="match_rms_adamw", **common)
    return muon, torch.optim.AdamW(others, **common)


def train(
    config_path: Path,
    data: Path,
    output: Path,
    *,
    steps: int | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> Path:
    """Train a lifter on motion capture; go on from `output`'s checkpoint where there is one.

    data: folder with train.npz and val.npz. output: folder for last.pt and log.csv. steps: instead
    of the config's, which also moves the decay: a resumed run can be brought to its end early or
    prolonged. Returns the checkpoint's path.
    """
    config = TrainingConfig.read(config_path)
    if steps is not None:
        config.schedule["steps"] = steps
    if threads is not None:
        torch.set_num_threads(threads)
    run = new_run(config, Mocap.read(Path(data) / "train.npz"), torch.device(device))
    val = validation_batches(Mocap.read(Path(data) / "val.npz"), config)
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    checkpoint = output / "last.pt"
    if checkpoint.exists():
        run.load(checkpoint)
        print(f"goes on from step {run.step}", flush=True)
    _loop(run, config, val, checkpoint, Log(output / "log.csv"), torch.device(device))
    return checkpoint


def publish(
    config_path: Path, checkpoint: Path, output: Path, about: Mapping[str, str] | None = None
) -> None:
    """Write a checkpoint's averaged weights as the file that `lifters.load` reads.

    about: what its users should know, beside the config's own table [about]; scores, say.
    """
    config = TrainingConfig.read(config_path)
    state = torch.load(checkpoint, weights_only=True)
    model = make_model(config)
    model.load_state_dict(state["average"])
    seen = {"steps": str(state["step"]), "windows_seen": str(state["windows"])}
    about = {**config.about, **seen, **(about or {})}
    lifters.save(output, config.lifter, model, frames=config.stage[-1].frames, about=about)


def _loop(
    run: Run,
    config: TrainingConfig,
    val: dict[str, Batch],
    checkpoint: Path,
    log: Log,
    device: torch.device,
) -> None:
    since, losses_since = time.monotonic(), []
    while run.step < config.schedule["steps"]:
        stage = config.stage_at(run.step)
        batch = run.sampler.batch(stage.windows, stage.frames)
        losses_since.append(train_step(run, config, batch, device))
        run.step, run.windows = run.step + 1, run.windows + stage.windows
        minutes = (time.monotonic() - since) / 60
        last = run.step == config.schedule["steps"]
        if last or minutes > config.minutes_between_checkpoints:
            run.save(checkpoint)
            row = {"step": run.step, "windows": run.windows, "minutes": round(minutes, 1)}
            row["loss"] = round(float(np.mean(losses_since)), 4)
            for name, batch in val.items():
                row |= {f"{name}_{k}": v for k, v in validate(run.average, batch, device).items()}
            log.write(row)
            since, losses_since = time.monotonic(), []


def train_step(run: Run, config: TrainingConfig, batch: Batch, device: torch.device) -> float:
    """One step of the optimiser and of the average; the loss."""
    for optimiser in run.optimisers:
        for group in optimiser.param_groups:
            group["lr"] = config.optimiser["lr"] * config.rate_at(run.step)
    inputs, targets, weights = (
        torch.from_numpy(a).to(device) for a in (batch.inputs, batch.targets, batch.weights)
    )
    with torch.autocast(device.type, torch.bfloat16, enabled=half_is_faster(device)):
        estimate = run.model(inputs)
    loss = losses.total(estimate.float(), targets, weights, **config.loss)
    run.model.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(run.model.parameters(), config.optimiser["clip"])
    for optimiser in run.optimisers:
        optimiser.step()
    keep = min(config.optimiser["ema"], (run.step + 1) / (run.step + 10))
    with torch.no_grad():
        for mean, new in zip(run.average.parameters(), run.model.parameters(), strict=True):
            mean.lerp_(new, 1 - keep)
    return float(loss.detach())


def half_is_faster(device: torch.device) -> bool:
    """Whether bfloat16 has instructions of its own there; without them it is 100 times slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    can = getattr(torch.cpu, "get_capabilities", dict)()  # not in every torch from 2.10 on
    return any(can.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def validation_batches(mocap: Mocap, config: TrainingConfig) -> dict[str, Batch]:
    """The same windows at every check: as in training ("noisy") and without faults ("clean")."""
    clean = Recipe(clean=1.0, faults=0.0, tilt=0.0)
    frames = config.stage[-1].frames
    return {
        name: Sampler(mocap, recipe, seed=1).batch(config.val_windows, frames)
        for name, recipe in (("noisy", config.recipe), ("clean", clean))
    }


def validate(model: nn.Module, batch: Batch, device: torch.device) -> dict[str, float]:
    """MPJPE, P-MPJPE and velocity error in mm (and mm a frame) over the frames that count."""
    model.eval()
    parts = []
    with torch.inference_mode():
        for window in torch.from_numpy(batch.inputs).split(16):
            parts.append(model(window.to(device)).float().cpu())
    estimate = torch.cat(parts).numpy().astype(np.float64)
    estimate -= estimate[:, :, :1]
    counts = batch.weights > 0
    found, truth = estimate[counts], batch.targets[counts]
    both = counts[:, 1:] & counts[:, :-1]
    motion = np.diff(estimate, axis=1)[both], np.diff(batch.targets, axis=1)[both]
    errors = {
        "mpjpe": metrics.mpjpe(found, truth),
        "p_mpjpe": metrics.p_mpjpe(found, truth),
        "mpjve": metrics.mpjpe(*motion),
    }
    return {name: round(1000 * error, 2) for name, error in errors.items()}


class Log:
    """Rows of numbers to stdout and to a CSV file that a resumed run goes on with."""

    def __init__(self, path: Path):
        self.path = path

    def write(self, row: dict[str, float]) -> None:
        print("  ".join(f"{k} {v}" for k, v in row.items()), flush=True)
        new = not self.path.exists()
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, row.keys())
            if new:
                writer.writeheader()
            writer.writerow(row)
