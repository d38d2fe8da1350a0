"""AdamW for everything, or Muon for the matrices of the blocks and AdamW for the rest."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn

from video2pose3d.training.config import Optimiser
from video2pose3d.training.muon import Muon


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for matrices and AdamW for the others, as one optimiser.

    Muon learns more from as many steps, where steps are what is scarce.
    """

    def __init__(self, matrices: list[nn.Parameter], others: list[nn.Parameter], **common: Any):
        super().__init__(matrices + others, common)
        self.parts = (
            Muon(matrices, **common),
            torch.optim.AdamW(others, **common),
        )
        self._share()

    def _share(self) -> None:
        """A learning rate set in these groups is the one that the parts go by."""
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def step(self, closure: None = None) -> None:
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share()


def make_optimiser(model: nn.Module, settings: Optimiser) -> torch.optim.Optimizer:
    """The optimiser of those parameters of a model that are to be learned."""
    common: dict[str, Any] = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if settings.matrices == "adamw":
        return torch.optim.AdamW([p for _, p in named], **common)
    matrices, others = [], []
    for name, parameter in named:
        inside = re.search(r"\.\d+\.", name)  # of a numbered block, not of an embedding or a head
        large = parameter.ndim == 2 and min(parameter.shape) > 8
        (matrices if inside and large else others).append(parameter)
    return MuonWithAdamW(matrices, others, **common)
