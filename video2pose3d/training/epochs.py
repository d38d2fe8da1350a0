"""Training by epochs: how heads, and the network that relates images, are trained.

Each epoch draws from a generator of its own, so that a run which was stopped goes on as if it never
had been.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from video2pose3d.errors import UserError
from video2pose3d.files import alone_in
from video2pose3d.training import checkpoints
from video2pose3d.training.hooks import Log
from video2pose3d.training.runner import processes

log = logging.getLogger("video2pose3d")


@dataclass
class Run:
    """What training carries from epoch to epoch, and what its checkpoint holds.

    modules: networks, by the names that they have there; facts: what else a reader of it must know,
    as plain values.
    """

    modules: dict[str, Any]
    optimiser: torch.optim.Optimizer
    facts: dict[str, Any]
    epoch: int = 0
    scores: dict[str, float] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """The whole state or nothing."""
        state = {name: module.state_dict() for name, module in self.modules.items()}
        state |= {"optimiser": self.optimiser.state_dict(), **self.facts}
        checkpoints.write({**state, "epoch": self.epoch, "scores": self.scores}, path)

    def load(self, path: Path) -> None:
        state = checkpoints.read(path, (*self.modules, "optimiser", "epoch", "scores"))
        try:
            for name, module in self.modules.items():
                module.load_state_dict(state[name])
            self.optimiser.load_state_dict(state["optimiser"])
            self.facts = {name: state[name] for name in self.facts}
        except (KeyError, ValueError, RuntimeError) as error:
            what = f"a checkpoint of another config ({str(error).splitlines()[0]})"
            raise UserError(what, path=path, cure="give another --output") from error
        self.epoch, self.scores = state["epoch"], state["scores"]


def train(
    run: Run,
    output: Path,
    *,
    epochs: int,
    seed: int,
    learn: Callable[[np.random.Generator], float],
    measure: Callable[[], dict[str, float]],
) -> Path:
    """Train up to `epochs`, from the checkpoint in the folder `output` where there is one.

    learn: one epoch, gives its mean loss; measure: what is reported after it. Returns the path of
    the checkpoint, last.pt; log.csv is beside it. UserError where torchrun started several.
    """
    if processes() > 1:
        what = "what is trained in epochs is trained by one process"
        raise UserError(what, cure="start it without torchrun")
    checkpoint = output / "last.pt"
    with alone_in(output):
        if checkpoint.exists():
            run.load(checkpoint)
            log.info("goes on from epoch %d", run.epoch)
        rows = Log(output / "log.csv")
        while run.epoch < epochs:
            rng = np.random.default_rng([seed, run.epoch])
            torch.manual_seed(int(rng.integers(2**31)))  # of drop path
            loss = learn(rng)
            run.epoch += 1
            run.scores = measure()
            run.save(checkpoint)
            rows.write({"epoch": run.epoch, "loss": round(loss, 6), **run.scores})
    return checkpoint


def descend(optimiser: torch.optim.Optimizer, losses: Iterable[Tensor]) -> float:
    """A step for each loss, the next being worked out after it; their mean."""
    seen = []
    for loss in losses:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        seen.append(float(loss.detach()))
    return float(np.mean(seen))
