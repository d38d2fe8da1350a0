"""A wider lifter that begins with all that a narrower one has learnt.

T. Chen, I. Goodfellow, J. Shlens: "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR
2016, sec. 2.2 (Net2WiderNet), with every channel copied equally often, which layer norms need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeGuard

import torch
from torch import Tensor, nn

from video2pose3d.lifters.ssr_stf import Config, Model

WIDENED = {"C", "Ch", "heads"}  # fields in which the two configs differ
_HALVES = {"criss-cross": 2, "conventional": 1}  # of the channels, which attend each for itself
_DIFFERENCE = 0.5  # between how copies are read, in standard deviations of the layer's weights


def is_wider(model: nn.Module, narrow: Config) -> TypeGuard[Model]:
    """Whether `widened` can fill a model's channels: with copies of whole heads, of their size."""
    if not isinstance(model, Model):
        return False
    wide = model.config
    k, rest = divmod(wide.C, narrow.C)
    return not rest and wide.heads == k * narrow.heads and wide.Ch % narrow.Ch == 0


def widened(tensors: Mapping[str, Tensor], wide: Model, seed: int = 0) -> dict[str, Tensor]:
    """The weights of an SSR-STF with 1/k of `wide`'s channels and heads, for `wide`.

    The wide network gives the same poses, up to rounding: each of its layers has every channel k
    times, and the next one's weights for the k add up to the weight that there was. They are not
    alike, for copies that are read alike would learn the same for ever. ValueError where the
    tensors are not `wide`'s, or their sides do not go into its own.
    """
    if tensors.keys() != wide.state_dict().keys():
        names = sorted(tensors.keys() ^ wide.state_dict().keys())
        raise ValueError(f"only one of the two has {', '.join(names[:3])}")
    # What lies one after another in a layer's channels, and is copied each for itself: queries,
    # keys and values of the halves of the attention; the outputs of these halves; of the streams.
    halves = _HALVES[wide.config.attention]
    parts_out, parts_in = {"qkv": 3 * halves}, {"proj": halves, "fuse": 2}
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
                value = _split(value, k, parts_in.get(last, 1), generator)
            else:
                value = _copied(value, axis, k, parts_out.get(last, 1))
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
