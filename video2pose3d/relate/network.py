"""Keypoints mended by their relations: between frames in time, between views in space.

The image relations module of J. Jiao et al., "Towards Precise 3D Human Pose Estimation with
Multi-Perspective Spatial-Temporal Relational Transformers", 2024, sec. III-D, over pose tokens:
instead of an image's feature (`keypoints.relation`), a token holds what a detector said of it, 17
keypoints and their scores. So it serves any detector, sees no pixel and is small. Symbols and
equation numbers are the paper's.

Where it differs from the paper, and why:
- What comes out is added to what came in, and at first nothing is: a fresh network changes nothing.
- A token also holds from where each joint is to where it was and will be. At the end of each part
  it tells its joints (the one thing here with a value a joint) how far to go along which of these
  ways: smoothing that the network adapts, which is learnt sooner than coordinates are.
- There is no E_3D: cameras are unknown, any number, in any order, and no position stands for one.
  How they stand to each other is a matter of a window's thousand keypoints, and of algebra, that
  attention between the views of one instant can't do: `_agreement` does it, between the two parts,
  with what the first made of the keypoints and how sure it is of them. The second part's tokens
  hold from where each joint is to where all views agree that it is.

Parameters: 1,217,866. Axes: B batch, T frames, V views, J joints, C channels; f: frames of the
longest window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from video2pose3d.errors import UserError
from video2pose3d.lifters._transformer import Axis, Transformer, check_heads
from video2pose3d.relate._agreement import agree
from video2pose3d.skeletons import H36M17

J = len(H36M17)
AROUND = tuple(sign * n for n in (1, 2, 3, 5, 8, 12) for sign in (-1, 1))  # frames from here
LENS = 10.0  # errors are some hundredths of the person's half size
ROUNDS = {True: 8, False: 16}  # of `_agreement`, in training and else
USUAL = 0.03  # half sizes of the person: the error that a fresh network expects


@dataclass(frozen=True)
class Config:
    """The architecture. L, heads and ratio as in `keypoints.relation`; small, for a CPU."""

    f: int = 81  # frames of the longest window
    L: int = 4  # blocks in each of the two parts
    C: int = 128  # channels of a token
    heads: int = 4
    ratio: int = 2  # of the MLP in eq. 11
    c: int = 16  # channels that a token tells each of its joints
    hidden: int = 64  # channels of the joints' MLP

    def __post_init__(self):
        check_heads(self.C, self.heads)
        if self.C % 2:
            raise UserError(f"C is {self.C}: E_time wants an even number, for sines and cosines")


class Mended(NamedTuple):
    """xy: (B, T, V, J, 2) keypoints; alone: the same before other views were asked, and errors,
    (B, T, V, J), how far off they are expected to be."""

    xy: Tensor
    alone: Tensor
    errors: Tensor


class Model(nn.Module):
    """(B, T, V, J, 3) x, y, score as `_inputs.prepare` makes them → Mended, the same axes and unit.

    T <= f; any V, in any order. The unit is half the person's size.
    """

    def __init__(self, config: Config | None = None):
        super().__init__()
        self.config = config = config or Config()
        C, A = config.C, len(AROUND)
        self.embed = nn.Linear(J * (3 + 2 * A), C)
        self.E_time = nn.Parameter(_waves(config.f, C))
        self.time = nn.Sequential(*(_block(config, "frames") for _ in range(config.L)))
        self.alone = _Joints(config, evidence=2 * A + A + 1, taps=A, more=1)
        self.embed_agreed = nn.Linear(J * 3, C)
        self.views = nn.Sequential(*(_block(config, "joints") for _ in range(config.L)))
        self.together = _Joints(config, evidence=2 * (2 * A + 2) + A + 1, taps=2 * A + 1)

    def forward(self, x: Tensor) -> Mended:
        Z, alone, log_errors = self._over_time(x)
        errors = USUAL * log_errors.squeeze(-1).exp()
        xy = self._over_views(
            Z, x[..., :2], alone, log_errors, _agreed(alone, errors, self.training)
        )
        return Mended(xy, alone, errors)

    def _over_time(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (B, T, V, C), keypoints (B, T, V, J, 2), log errors in USUAL's (B, T, V, J, 1)."""
        xy, scores = x[..., :2], x[..., 2:]
        taps = around(xy, AROUND) - xy.unsqueeze(4)
        near = _magnified(taps)
        Z = self.embed(torch.cat([x, near], dim=-1).flatten(3))
        Z = self.time(Z + self._positions(x.shape[1]))  # eq. 13, 10, 11
        change, more = self.alone(Z, torch.cat([near, _then_and_now(scores)], dim=-1), taps)
        return Z, xy + change, more.clamp(-4, 4)

    def _over_views(
        self, Z: Tensor, given: Tensor, xy: Tensor, log_errors: Tensor, agreed: Tensor
    ) -> Tensor:
        """Keypoints, from those `given`, what became of them, and where the views agree."""
        here = xy.unsqueeze(4)
        there = _magnified(agreed.unsqueeze(4) - here)
        Z = Z + self.embed_agreed(torch.cat([there, log_errors], dim=-1).flatten(3))
        Z = self.views(Z)  # eq. 10, 11
        taps = torch.cat([around(xy, AROUND), around(agreed, (0, *AROUND))], dim=4) - here
        came = _magnified(given.unsqueeze(4) - here)
        evidence = torch.cat([_magnified(taps), came, _then_and_now(log_errors)], dim=-1)
        return xy + self.together(Z, evidence, taps)[0]

    def _positions(self, T: int) -> Tensor:
        """E_time for a window of T frames, (T, 1, C): in training any part of it."""
        if self.config.f < T:
            raise ValueError(f"this network takes at most {self.config.f} frames, got {T}")
        spare = self.config.f - T
        first = int(torch.randint(spare + 1, ())) if self.training else spare // 2
        return self.E_time[first : first + T, None]


class _Joints(nn.Module):
    """Eq. 12, for each joint by itself: how far it goes along each tap, and how far freely.

    Z: (B, T, V, C); evidence: (B, T, V, J, E) of the joint; taps: (B, T, V, J, K, 2), from the
    joint to where else it may be. Returns the change (B, T, V, J, 2), at first 0, and `more`
    numbers a joint.
    """

    def __init__(self, config: Config, evidence: int, taps: int, more: int = 0):
        super().__init__()
        self.norm = nn.LayerNorm(config.C)
        self.head = nn.Linear(config.C, J * config.c)
        inside = config.c + evidence
        out = nn.Linear(config.hidden, taps + 2 + more)
        nn.init.zeros_(out.weight)
        nn.init.zeros_(out.bias)
        self.mlp = nn.Sequential(nn.Linear(inside, config.hidden), nn.GELU(), out)
        self.parts = [taps, 2, more]

    def forward(self, Z: Tensor, evidence: Tensor, taps: Tensor) -> tuple[Tensor, Tensor]:
        Y = self.head(self.norm(Z)).view(*evidence.shape[:4], -1)
        share, free, more = self.mlp(torch.cat([Y, evidence], dim=-1)).split(self.parts, dim=-1)
        return (share.unsqueeze(-2) @ taps).squeeze(-2) + free / LENS, more


def around(values: Tensor, offsets: tuple[int, ...]) -> Tensor:
    """Those of frames so far away, (B, T, V, J, K, n) of (B, T, V, J, n); beyond the window the

    first or last one's.
    """
    T, reach = values.shape[1], max(AROUND)
    before, after = (end.expand(-1, reach, -1, -1, -1) for end in (values[:, :1], values[:, -1:]))
    longer = torch.cat([before, values, after], dim=1)
    return torch.stack([longer[:, reach + k : reach + k + T] for k in offsets], dim=4)


def _magnified(taps: Tensor) -> Tensor:
    """(B, T, V, J, K, 2) → (B, T, V, J, 2K), errors of the usual size about 1."""
    return (LENS * taps).clamp(-3, 3).flatten(4)


def _then_and_now(values: Tensor) -> Tensor:
    """(B, T, V, J, 1) → (B, T, V, J, 13): of this frame and those around it."""
    return around(values, (0, *AROUND)).flatten(4)


def _agreed(xy: Tensor, errors: Tensor, training: bool) -> Tensor:
    """Where all views agree that the keypoints are; taken as given, not learnt through."""
    if xy.shape[2] == 1:
        return xy
    seen, expected = (v.detach().cpu().double().numpy() for v in (xy, errors))
    moved = np.clip(agree(seen, expected, ROUNDS[training]) - seen, -1, 1)
    return xy + torch.from_numpy(moved).to(xy)


def _block(config: Config, axis: Axis) -> Transformer:
    """Fig. 3(b), over the frames of a view, or (lifters call that axis joints) over the views."""
    return Transformer(config.C, config.heads, config.ratio, axis)


def _waves(f: int, C: int) -> Tensor:
    """(f, C): sines and cosines of a position, with which E_time begins (Vaswani et al. 2017)."""
    angle = torch.arange(f)[:, None] * 1e4 ** (-torch.arange(0, C, 2) / C)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


def mirror(x: Tensor) -> Tensor:
    """The person in a mirror, in all views: left and right change names and sides.

    (B, T, V, J, 3) inputs, or (B, T, V, J, 2) keypoints.
    """
    signs = torch.ones(x.shape[-1], device=x.device)
    signs[0] = -1  # of x
    return x[..., list(H36M17.mirror), :] * signs
