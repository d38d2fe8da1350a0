"""The transformer block over the joints of a frame or the frames of a joint: what lifters share.

Axes as in the lifters: B batch, T frames, J joints, C channels. Maps stay (B, T, J, C).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from video2pose3d.errors import UserError
from video2pose3d.lifters._linear import Linear

Axis = Literal["joints", "frames"]


def check_heads(C: int, heads: int, parts: int = 1) -> None:
    """UserError for heads that can't share out C channels, or each of so many parts of them."""
    if heads < 1 or C % (parts * heads):
        of = f"{parts} * {heads}" if parts > 1 else heads
        raise UserError(f"heads is {heads}: {C} channels are no multiple of {of}")


def gelu(x: Tensor) -> Tensor:
    """GELU of a map that nobody else needs: in its place, where no gradient is wanted.

    On a CPU, memory for another such map costs more time than the GELU.
    """
    return F.gelu(x) if torch.is_grad_enabled() else torch.ops.aten.gelu_(x)


class Mlp(nn.Sequential):
    """Linear, GELU, Linear on the channels: (..., C) -> (..., C)."""

    def __init__(self, C: int, ratio: int):
        super().__init__(Linear(C, ratio * C), nn.GELU(), Linear(ratio * C, C))

    def forward(self, x: Tensor) -> Tensor:
        return self[2](gelu(self[0](x)))


class LayerScale(nn.Module):
    """A learnt factor for each channel (Touvron et al., CaiT, ICCV 2021), at first `initial`."""

    def __init__(self, C: int, initial: float):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((C,), initial))

    def forward(self, x: Tensor) -> Tensor:
        return self.gamma * x


def layer_scale(C: int, initial: float | None) -> nn.Module:
    """A LayerScale, or nothing where `initial` is None."""
    return nn.Identity() if initial is None else LayerScale(C, initial)


class DropPath(nn.Module):
    """Stochastic depth (Huang et al., ECCV 2016): in training, a branch is 0 for some tokens.

    For those that attend to each other: the joints of a frame, or a joint in all frames. So does
    MixSTE's published network, which lays frames, and then joints, along the batch.
    """

    def __init__(self, rate: float, axis: Axis):
        super().__init__()
        self.rate, self.axis = rate, axis

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        B, T, J, _ = x.shape
        sizes = (B, T, 1, 1) if self.axis == "joints" else (B, 1, J, 1)
        kept = torch.rand(sizes, device=x.device) >= self.rate
        return x * kept / (1 - self.rate)


FEW = 32  # tokens, such as joints, to which a CPU attends faster without the fused kernel


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k' / sqrt(d)) v: (batch, heads, tokens, d) -> same."""
    if q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v)
    with torch.autocast("cpu", enabled=False):  # bfloat16's backward pass is ten times slower there
        q, k, v = q.float(), k.float(), v.float()
        if torch.is_grad_enabled() or q.shape[-2] > FEW:  # its backward pass is the faster one
            return F.scaled_dot_product_attention(q, k, v)
        return (q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2)).softmax(dim=-1) @ v


class Attention(nn.Module):
    """Multi-head self-attention along one axis: (B, T, J, C) -> same."""

    def __init__(self, C: int, heads: int, axis: Axis, qkv_bias: bool = True):
        super().__init__()
        self.heads, self.axis = heads, axis
        self.qkv = Linear(C, 3 * C, bias=qkv_bias)
        self.proj = Linear(C, C)

    def forward(self, x: Tensor) -> Tensor:
        B, T, J, C = x.shape
        h, d = self.heads, C // self.heads
        qkv = self.qkv(x).view(B, T, J, 3, h, d)
        if self.axis == "joints":
            q, k, v = qkv.permute(3, 0, 1, 4, 2, 5).reshape(3, B * T, h, J, d)
            y = attend(q, k, v).view(B, T, h, J, d).permute(0, 1, 3, 2, 4)
        else:
            q, k, v = qkv.permute(3, 0, 2, 4, 1, 5).reshape(3, B * J, h, T, d)
            y = attend(q, k, v).view(B, J, h, T, d).permute(0, 3, 1, 2, 4)
        return self.proj(y.reshape(B, T, J, C))


class Transformer(nn.Module):
    """Attention and an MLP, each normalised before and with a skip connection around."""

    def __init__(
        self,
        C: int,
        heads: int,
        ratio: int,
        axis: Axis,
        *,
        qkv_bias: bool = True,
        eps: float = 1e-5,
        scale: float | None = None,
        drop_path: float = 0.0,
    ):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(C, eps), nn.LayerNorm(C, eps)
        self.attention = Attention(C, heads, axis, qkv_bias)
        self.mlp = Mlp(C, ratio)
        self.scale1, self.scale2 = layer_scale(C, scale), layer_scale(C, scale)
        self.drop_path = DropPath(drop_path, axis)

    def forward(self, x: Tensor) -> Tensor:
        y = x + self.drop_path(self.scale1(self.attention(self.norm1(x))))  # (B, T, J, C)
        return y + self.drop_path(self.scale2(self.mlp(self.norm2(y))))
