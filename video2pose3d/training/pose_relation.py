"""Training of the network that relates poses, `relate`: a config with task = "pose_relation".

Motion capture seen by random rigs (`rigs`). The loss of a keypoint that is e away from where the
detector would point without errors is log(1 + e / NEAR): the tenth millimetre counts more than the
hundredth, so that what is nearly right is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModel
from torch import Tensor

from video2pose3d import relate, weights
from video2pose3d.datasets.mocap import Mocap
from video2pose3d.training.batches import RigBatches, read_mocap
from video2pose3d.training.config import RunConfig, run_config
from video2pose3d.training.config_files import find, read_table
from video2pose3d.training.fields import check, reading
from video2pose3d.training.hooks import read_checkpoint
from video2pose3d.training.loop import changed, per_step, run
from video2pose3d.training.precision import autocast
from video2pose3d.training.publishing import shipped_weights
from video2pose3d.training.recipe import Recipe
from video2pose3d.training.rigs import Rigs, RigSampler
from video2pose3d.training.runner import join
from video2pose3d.training.starting import check_same
from video2pose3d.training.validation import Watch

TASK = "pose_relation"
NEAR = 0.02  # half sizes of the person: some 17 mm
WATCHED = 1, 4  # views of the rigs that are measured at every report


@dataclass(frozen=True, kw_only=True)
class PoseRelationConfig(RunConfig):
    """A training run, as its TOML file says it."""

    task: str

    @classmethod
    def read(cls, name: str | Path) -> PoseRelationConfig:
        """The config of a file, or a shipped one by its name; UserError for what is none."""
        path = find(name, tasks=(TASK,))
        with reading(path, "a config of a pose relation network"):
            config = run_config(cls, read_table(path))
            if config.task != TASK or config.data.name != "mocap":
                raise ValueError(f"not task {TASK}, or data that are no mocap")
            config.network()
            return config

    def network(self) -> relate.Config:
        check(relate.Config, self.model, least=1)
        config = relate.Config(**self.model)
        longest = max(stage.frames for stage in self.stage)
        if longest > config.f:
            raise ValueError(f"a stage has {longest} frames, f is {config.f}")
        return config


class Relating(BaseModel):
    """What is learned; `lifter`, as the machinery calls it, is the network that ships."""

    def __init__(self, network: relate.Model):
        super().__init__()
        self.lifter = network

    def forward(
        self, inputs: Tensor, targets: Tensor, weights: Tensor, mode: str = "loss"
    ) -> dict[str, Tensor]:
        """inputs (B, T, V, J, 3), targets (B, T, V, J, 2), weights (B, T)."""
        with autocast(inputs.device):
            mended = self.lifter(inputs)
        return {
            f"{name}_loss": (value.mean(dim=(2, 3)) * weights).sum() / weights.sum().clamp(min=1)
            for name, value in losses(mended, targets).items()
        }


def losses(mended: relate.Mended, targets: Tensor) -> dict[str, Tensor]:
    """(B, T, V, J) each: of the keypoints, and, half as much, of those before views were related,

    with the error that was expected of them (a Laplace distribution's log likelihood).
    """
    off, alone = (
        ((xy.float() - targets).square().sum(dim=-1) + 1e-6).sqrt()
        for xy in (mended.xy, mended.alone)
    )
    errors = mended.errors.float()
    return {"xy": (1 + off / NEAR).log(), "alone": 0.5 * (alone / errors + errors.log())}


def train_pose_relation(
    config: PoseRelationConfig | str | Path,
    data: Path,
    output: Path,
    *,
    steps: int | None = None,
    start: str | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> Path:
    """Train; everything as `loop.train` of a lifter. Returns the checkpoint's path."""
    config = config if isinstance(config, PoseRelationConfig) else PoseRelationConfig.read(config)
    config = changed(config, steps, start)
    if threads is not None:
        torch.set_num_threads(threads)
    where = join(device)
    learned, held_out = read_mocap(config, Path(data))
    batches = RigBatches(learned, config, per_step(config))
    torch.manual_seed(config.seed)
    network = relate.Model(config.network())
    if config.start is not None:
        begin_with(network, config.start)
    watch = make_watch(config, held_out)
    return run(config, Relating(network), batches, Path(output), where, watch=watch)


def begin_with(network: relate.Model, name: str) -> None:
    """Copy the weights of a published network into a fresh one; UserError for another config."""
    file = weights.find(name, kind="relation", offline=True)
    begun = relate.load(file).model
    check_same(network.config, begun.config, file)
    network.load_state_dict(begun.state_dict())


def make_watch(config: PoseRelationConfig, mocap: Mocap) -> Watch:
    """The same rigs every time: as in training, and without errors; medians in mm."""
    clean = Recipe(clean=1.0, faults=0.0, tilt=0.0)
    frames = config.stage[-1].frames
    rigs = {
        f"{name}_{V}": RigSampler(mocap, recipe, seed=1).batch(0, config.val_windows, frames, V)
        for name, recipe in (("noisy", config.recipe), ("clean", clean))
        for V in WATCHED
    }

    def watch(network: Any, device: torch.device) -> dict[str, float]:
        return {
            f"{name}_{when}": round(error, 2)
            for name, batch in rigs.items()
            for when, error in validate(network, batch, device).items()
        }

    return watch


def validate(network: relate.Model, rigs: Rigs, device: torch.device) -> dict[str, float]:
    """The median error in mm of keypoints that were seen, before and after."""
    network.eval()
    with torch.inference_mode():
        mended = network(torch.from_numpy(rigs.inputs).to(device)).xy.float().cpu().numpy()
    seen = rigs.inputs[..., 2] > 0
    millimetres = 1000 * rigs.metres[..., None]

    def median(xy: np.ndarray) -> float:
        error = np.linalg.norm(xy - rigs.targets, axis=-1) * millimetres
        return float(np.median(error[seen]))

    return {"before": median(rigs.inputs[..., :2]), "after": median(mended)}


def publish_pose_relation(
    config: PoseRelationConfig | str | Path,
    checkpoint: Path,
    output: Path,
    about: Mapping[str, str] | None = None,
) -> None:
    """Write a checkpoint's weights, averaged ones if it has them, as the file `relate.load` reads.

    about: what its users should know, beside the config's own table [about]; scores, say.
    """
    config = config if isinstance(config, PoseRelationConfig) else PoseRelationConfig.read(config)
    state = read_checkpoint(checkpoint)
    network = relate.Model(config.network())
    network.load_state_dict(shipped_weights(state))
    facts = {key: state["facts"][key] for key in ("windows_seen",)}
    about = {**config.about, "steps": str(state["step"]), **facts, **(about or {})}
    relate.save(output, network, frames=config.stage[-1].frames, about=about)
