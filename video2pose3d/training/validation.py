"""How good a lifter is while it learns, on data that it does not learn from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import default_collate

from video2pose3d import metrics
from video2pose3d.datasets.mocap import Mocap
from video2pose3d.skeletons import H36M17, Skeleton
from video2pose3d.training.batches import (
    Batches,
    MocapBatches,
    read_batches,
    read_mocap,
    read_sequences,
)
from video2pose3d.training.config import TrainingConfig
from video2pose3d.training.data import Batch, Sampler
from video2pose3d.training.recipe import Recipe
from video2pose3d.training.windows import Windows

Watch = Callable[[nn.Module, torch.device], dict[str, float]]  # of a lifter: figure → value

AT_ONCE = 16  # windows in memory


def read(config: TrainingConfig, data: Path, per_step: int) -> tuple[Batches, Watch]:
    """What a run learns from, and what it reports beside its loss; as for `read_batches`."""
    if config.data.name == "mocap":
        train, val = read_mocap(config, data)
        return MocapBatches(train, config, per_step), watch_mocap(val, config)
    batches = read_batches(config, data, per_step)
    if config.data.watch is None:
        return batches, lambda model, device: {}
    frames = config.stage[-1].frames
    windows = Windows(read_sequences(config, data, config.data.watch), frames, frames)
    return batches, lambda model, device: watch_windows(model, windows, device)


def watch_mocap(mocap: Mocap, config: TrainingConfig) -> Watch:
    """The same windows every time: as in training ("noisy") and without faults ("clean")."""
    clean = Recipe(clean=1.0, faults=0.0, tilt=0.0)
    batches = {
        name: Sampler(mocap, recipe, seed=1).batch(0, config.val_windows, config.stage[-1].frames)
        for name, recipe in (("noisy", config.recipe), ("clean", clean))
    }

    def watch(model: nn.Module, device: torch.device) -> dict[str, float]:
        return {
            f"{name}_{figure}": value
            for name, batch in batches.items()
            for figure, value in validate(model, batch, device).items()
        }

    return watch


def validate(model: nn.Module, batch: Batch, device: torch.device) -> dict[str, float]:
    """MPJPE, P-MPJPE and velocity error in mm (and mm a frame) over the frames that count."""
    estimate = _lift(model, torch.from_numpy(batch.inputs).split(AT_ONCE), device)
    return _errors(1000 * estimate, 1000.0 * batch.targets, batch.weights > 0, H36M17)


def watch_windows(model: nn.Module, windows: Windows, device: torch.device) -> dict[str, float]:
    """The same of a benchmark's windows. No protocol (see `evaluate`): one pass, all frames."""
    N = len(windows)
    sequences, rows = zip(*(windows.rows(i) for i in range(N)), strict=True)
    to_mm = np.stack([s.to_mm[r] for s, r in zip(sequences, rows, strict=True)])
    truth = np.stack([s.truth[r] for s, r in zip(sequences, rows, strict=True)])
    items = default_collate([windows[i] for i in range(N)])
    estimate = _lift(model, items["inputs"].split(AT_ONCE), device)
    counts = items["weights"].numpy() > 0
    return _errors(estimate * to_mm[..., None, None], truth, counts, sequences[0].skeleton)


def _lift(model: nn.Module, batches: Iterable[torch.Tensor], device: torch.device) -> np.ndarray:
    model.eval()
    with torch.inference_mode():
        parts = [model(inputs.to(device)).float().cpu() for inputs in batches]
    return torch.cat(parts).numpy().astype(np.float64)


def _errors(
    estimate: np.ndarray, truth: np.ndarray, counts: np.ndarray, skeleton: Skeleton
) -> dict[str, float]:
    """estimate, truth: (B, T, J, 3) mm, each with its root set to 0 here; counts: (B, T) bool.

    NaN where nothing is to be measured, as of windows of one frame no velocity is.
    """
    root = skeleton.root
    estimate, truth = (x - x[:, :, root, None] for x in (estimate, truth))
    found, true = estimate[counts], truth[counts]
    both = counts[:, 1:] & counts[:, :-1]
    motion = np.diff(estimate, axis=1)[both], np.diff(truth, axis=1)[both]
    of = {
        "mpjpe": (metrics.mpjpe, found, true),
        "p_mpjpe": (metrics.p_mpjpe, found, true),
        "mpjve": (metrics.mpjpe, *motion),
    }
    return {
        name: round(measure(a, b), 2) if len(a) else float("nan")
        for name, (measure, a, b) in of.items()
    }
