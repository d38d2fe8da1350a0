"""Pre-training on 2D poses alone: contextualised representation learning.

M. Ye, L. Yang, H. Zhu, Z. Zheng, X. Wang, Y. Lou: "Dual-stream Transformer-GCN Model with
Contextualized Representations Learning for Monocular 3D Human Pose Estimation" (Motion2vec), sec.
III-B, after data2vec. A student that sees masked features learns to give what a teacher makes of
the whole; the teacher is the student's own moving average. Its released code never moves the
teacher and learns from test data; this follows the paper.

For any lifter: `embed_input` gives F(0), `encode` the outputs of the blocks. What is masked are
tokens of F(0), before the positions are added. The paper's mask is B x L over features B x L x C; T
is its number of frames throughout, so L is read as the T * J tokens of C channels, as in data2vec.
The loss is over all tokens, masked or not: "the L2 loss between F and F~".
"""

from __future__ import annotations

import copy
from collections import deque
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn

from video2pose3d.errors import UserError
from video2pose3d.training.batches import read_batches
from video2pose3d.training.config import Pretraining, TrainingConfig
from video2pose3d.training.loop import new_lifter, per_step, ready, run
from video2pose3d.training.precision import autocast
from video2pose3d.training.publishing import backbone
from video2pose3d.training.runner import bare, join


class Contextualising(BaseModel):
    """Student (`lifter`), teacher and the loss between them."""

    def __init__(self, lifter: Any, settings: Pretraining):
        super().__init__()
        self.lifter, self.settings = lifter, settings
        keep = backbone(lifter)
        for name, parameter in lifter.named_parameters():
            parameter.requires_grad_(name in keep)  # the head learns nothing here
        self.teacher = copy.deepcopy(lifter).requires_grad_(False)

    def forward(self, inputs: Tensor, mode: str = "loss", **_: Tensor) -> dict[str, Tensor]:
        """inputs: (B, T, J, 3) x, y, score; the 3D side of a batch is not looked at."""
        M = self.settings.maskings
        with autocast(inputs.device):
            target = self.target(inputs)  # (B, T, J, C): one teacher pass for all maskings
            f0 = self.lifter.embed_input(inputs)
            f0 = f0.repeat(M, 1, 1, 1)  # (M*B, T, J, C)
            f = deque(self.lifter.encode(self.mask(f0)), maxlen=1).pop()  # F(N)
        return {"loss": F.mse_loss(f.float(), target.repeat(M, 1, 1, 1))}

    @torch.no_grad()
    def target(self, inputs: Tensor) -> Tensor:
        """Eq. 14: the mean of the teacher's last K normalised outputs, normalised."""
        self.teacher.eval()
        outputs = list(self.teacher.encode(self.teacher.embed_input(inputs)))
        top = [_norm(f) for f in outputs[-self.settings.layers :]]
        return _norm(sum(top) / len(top))

    def mask(self, f0: Tensor) -> Tensor:
        """Gaussian noise in the places of a share P of each row's tokens (sec. III-B1)."""
        rows, T, J, _ = f0.shape
        count = round(self.settings.mask * T * J)
        rank = torch.rand(rows, T * J, device=f0.device).argsort(dim=1).argsort(dim=1)
        masked = (rank < count).view(rows, T, J, 1)
        return torch.where(masked, self.settings.noise * torch.randn_like(f0), f0)

    @torch.no_grad()
    def move_teacher(self, tau: float) -> None:
        """delta <- tau * delta + (1 - tau) * theta (sec. III-B2); running statistics are copied."""
        for delta, theta in zip(self.teacher.parameters(), self.lifter.parameters(), strict=True):
            delta.lerp_(theta, 1 - tau)
        for delta, theta in zip(self.teacher.buffers(), self.lifter.buffers(), strict=True):
            delta.copy_(theta)


class Teaching(Hook):
    """After each step the teacher follows, the slower the longer the run."""

    def after_train_iter(self, runner: Runner, batch_idx: int, **_: Any) -> None:
        task: Any = bare(runner)
        first, last = task.settings.tau
        part = batch_idx / max(1, runner.max_iters - 1)
        task.move_teacher(first + part * (last - first))


def pretrain(
    config: TrainingConfig | str | Path,
    data: Path,
    output: Path,
    *,
    steps: int | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> Path:
    """Pre-train a lifter's backbone on the 2D side of the training split, as `train` trains.

    Returns the checkpoint's path; `publish` makes of it the file that fine-tuning starts with.
    """
    config = ready(config, steps=steps, start=None)
    if config.pretrain is None:
        raise UserError("this config has no [pretrain]", cure="use video2pose3d train")
    if threads is not None:
        torch.set_num_threads(threads)
    where = join(device)
    batches = read_batches(config, Path(data), per_step(config))
    task = Contextualising(new_lifter(config, batches.skeleton), config.pretrain)
    return run(config, task, batches, Path(output), where, watch=_nothing, hooks=[Teaching()])


def _nothing(model: nn.Module, device: torch.device) -> dict[str, float]:
    """No figure is taken: the loss says how far the student is."""
    return {}


def _norm(f: Any) -> Tensor:
    """LN of eq. 14, without gain and bias: over the channels of a token."""
    return F.layer_norm(f.float(), f.shape[-1:])
