"""A wider lifter that begins with all that a narrower one has learnt.

T. Chen, I. Goodfellow, J. Shlens: "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR
2016, sec. 2.2 (Net2WiderNet), with every channel copied equally often, which layer norms need.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from video2pose3d.lifters.ssr_stf import Model

# What lies one after another in a layer's channels, and is copied each for itself: queries, keys
# and values of the two halves of the attention; the outputs of these halves; of the two streams.
_PARTS_OUT = {"qkv": 6}
_PARTS_IN = {"proj": 2, "fuse": 2}
_DIFFERENCE = 0.5  # between how copies are read, in standard deviations of the layer's weights


def widened(tensors: Mapping[str, Tensor], wide: Model, seed: int = 0) -> dict[str, Tensor]:
    """The weights of an SSR-STF with 1/k of `wide`'s channels and heads, for `wide`.

    The wide network gives the same poses, up to rounding: each of its layers has every channel k
    times, and the next one's weights for the k add up to the weight that there was. They are not
    alike, for copies that are read alike would learn the same for ever. ValueError where a
    tensor's sides do not go into `wide`'s.
    """
    generator = torch.Generator().manual_seed(seed)
    readers = {name for name, module in wide.named_modules() if isinstance(module, nn.Linear)}
    out = {}
    for name, target in wide.state_dict().items():
        layer, _, kind = name.rpartition(".")
        value, last = tensors[name].float(), layer.rpartition(".")[2]
        reads = layer in readers and kind == "weight"
        for axis, (n, wanted) in enumerate(zip(value.shape, target.shape, strict=True)):
            if n == wanted:
                continue
            k, rest = divmod(wanted, n)
            if rest:
                raise ValueError(f"{name} has {n} channels, which {wanted} are no multiple of")
            if reads and axis == 1:
                value = _split(value, k, _PARTS_IN.get(last, 1), generator)
            else:
                value = _copied(value, axis, k, _PARTS_OUT.get(last, 1))
        out[name] = value
    return out


def _copied(value: Tensor, axis: int, k: int, parts: int) -> Tensor:
    """Each of the parts along an axis k times, one behind the other."""
    apart = value.unflatten(axis, (parts, 1, -1))
    return apart.repeat_interleave(k, dim=axis + 1).flatten(axis, axis + 2)


def _split(weight: Tensor, k: int, parts: int, generator: torch.Generator) -> Tensor:
    """Weights (out, in) for k copies of each input: (out, k * in), k different terms of each."""
    apart = weight.unflatten(1, (parts, 1, -1)) / k  # (out, parts, 1, in / parts)
    noise = torch.randn(*apart.shape[:2], k, apart.shape[3], generator=generator)
    noise = noise - noise.mean(dim=2, keepdim=True)
    return (apart + _DIFFERENCE * weight.std() * noise).flatten(1)
