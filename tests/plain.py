"""The layers of the lifters letter by letter, from a state dict: what the fast ones must equal."""

import torch
import torch.nn.functional as F
from torch import Tensor


class Layers:
    """Layers by name over a state dict w; maps are (..., tokens, channels)."""

    def __init__(self, w: dict[str, Tensor]):
        self.w = w

    def linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, self.w[f"{name}.weight"], self.w.get(f"{name}.bias"))

    def norm(self, name: str, x: Tensor, eps: float = 1e-5) -> Tensor:
        mean, var = x.mean(dim=-1, keepdim=True), x.var(dim=-1, unbiased=False, keepdim=True)
        return (x - mean) / (var + eps).sqrt() * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def mlp(self, name: str, x: Tensor) -> Tensor:
        x = self.linear(f"{name}.0", x)
        x = x * (1 + torch.erf(x / 2**0.5)) / 2
        return self.linear(f"{name}.2", x)

    def scale(self, name: str, x: Tensor) -> Tensor:
        return self.w[f"{name}.gamma"] * x if f"{name}.gamma" in self.w else x

    def transformer(self, name: str, x: Tensor, heads: int, eps: float = 1e-5) -> Tensor:
        """Attention over the last axis but one, and an MLP."""
        q, k, v = self.linear(f"{name}.attention.qkv", self.norm(f"{name}.norm1", x, eps)).chunk(
            3, dim=-1
        )
        y = self.linear(f"{name}.attention.proj", attention(q, k, v, heads))
        x = x + self.scale(f"{name}.scale1", y)
        y = self.mlp(f"{name}.mlp", self.norm(f"{name}.norm2", x, eps))
        return x + self.scale(f"{name}.scale2", y)


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """(..., tokens, C) each, the heads one by one."""
    d = q.shape[-1] // heads
    out = []
    for h in range(heads):
        one = slice(h * d, (h + 1) * d)
        weights = (q[..., one] @ k[..., one].transpose(-1, -2) / d**0.5).softmax(dim=-1)
        out.append(weights @ v[..., one])
    return torch.cat(out, dim=-1)
