"""Linear layers on maps that stay (B, T, J, C): point-wise convolutions and projections."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn


class Linear(nn.Linear):
    """nn.Linear: (..., C) -> (..., C'); on some processors by a faster product, equal to rounding.

    For float32 PyTorch asks MKL, which does not take its fastest code on AMD's processors; oneDNN
    does. Half precision is oneDNN's already, and with gradient everything stays as it is.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or torch.is_grad_enabled() or not onednn_is_faster():
            return super().forward(x)
        if x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")


class ExactLinear(nn.Linear):
    """nn.Linear in float32, whatever autocast says: for a network's ends.

    bfloat16 knows places and metres to 4 mm. The ends cost nothing and are most of its error.
    """

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


@cache
def onednn_is_faster() -> bool:
    """Where it was measured: AVX-512 without AMX, as AMD has it since Zen 4."""
    known = hasattr(torch.ops.mkldnn, "_linear_pointwise")  # what torch.compile calls
    amx = getattr(torch.cpu, "_is_amx_tile_supported", lambda: True)()
    return known and not amx and torch.backends.cpu.get_cpu_capability() == "AVX512"
