"""Muon, an optimiser for matrices: its step is as long in each singular direction of a gradient.

K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; its update scaled
to AdamW's as in J. Liu et al., "Muon is Scalable for LLM Training", 2025, eq. 4, so that one
learning rate serves both. torch.optim.Muon does the same, but one matrix after another and always
in bfloat16, which on processors without such instructions takes longer than all else in a step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from video2pose3d.training.precision import half_is_faster

COEFFICIENTS = 3.4445, -4.7750, 2.0315  # of Newton and Schulz's iteration, Jordan's
ITERATIONS = 5
MOMENTUM = 0.95  # Nesterov's


class Muon(torch.optim.Optimizer):
    """params: matrices (A, B); those of one shape are stepped together."""

    def __init__(self, params: Iterable[nn.Parameter], lr: float, weight_decay: float):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape].append(parameter)
            for (A, B), matrices in alike.items():
                updates = orthogonal(torch.stack([self._update(matrix) for matrix in matrices]))
                decay = group["lr"] * group["weight_decay"]
                step = 0.2 * group["lr"] * max(A, B) ** 0.5
                for matrix, update in zip(matrices, updates, strict=True):
                    matrix.mul_(1 - decay).sub_(update, alpha=step)

    def _update(self, matrix: Tensor) -> Tensor:
        """Its gradient with momentum, (A, B)."""
        assert matrix.grad is not None
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        mean = state["momentum_buffer"].lerp_(matrix.grad, 1 - MOMENTUM)
        return matrix.grad.lerp(mean, MOMENTUM)


def orthogonal(G: Tensor) -> Tensor:
    """Matrices (N, A, B) with their singular values brought to 0.7 to 1.2, directions kept.

    About U V^T of each one's G = U S V^T, by Newton and Schulz's iteration.
    """
    a, b, c = COEFFICIENTS
    X = G.bfloat16() if half_is_faster(G.device) else G
    wide = X if X.shape[1] <= X.shape[2] else X.mT
    X = wide / wide.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    for _ in range(ITERATIONS):
        XX = X @ X.mT
        X = torch.baddbmm(X, torch.baddbmm(XX, XX, XX, beta=b, alpha=c), X, beta=a)
    return (X if G.shape[1] <= G.shape[2] else X.mT).to(G)
