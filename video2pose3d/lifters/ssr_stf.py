"""SSR-STF: a local stream of large-kernel convolutions beside a global stream of attention.

G. Xu, G. Zhang, L. Ye, S. Gan, X. Zhang, X. Yang: "Optimizing Local-Global Dependencies for
Accurate 3D Human Pose Estimation". Symbols, equation and section numbers are the paper's. What it
leaves open is settled by its Table IV, whose eight parameter counts this file reproduces.

Axes: B batch, T frames, J joints, C channels. A feature map stays (B, T, J, C) from door to door:
point-wise convolutions are `Linear`, depth-wise ones run on the channels-last view of the same
memory, and the temporal SSRFormer turns its kernel instead of its input.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from video2pose3d.errors import UserError
from video2pose3d.lifters._convolution import DepthWise
from video2pose3d.lifters._linear import ExactLinear, Linear
from video2pose3d.lifters._transformer import (
    Axis,
    Mlp,
    Transformer,
    attend,
    check_heads,
    gelu,
    layer_scale,
)

Streams = Literal["parallel", "sequential", "local", "global"]
Attention = Literal["criss-cross", "conventional"]


@dataclass(frozen=True)
class Config:
    """The architecture; the defaults are the paper's base model (Table IV, bold)."""

    N: int = 12  # blocks, Table IV
    C: int = 256  # channels, Table IV
    Ch: int = 512  # width of the motion representation E, sec. III-A and Table IV
    heads: int = 8  # of each of the two attentions, as in STCFormer; sec. III-C
    ratio: int = 4  # of every MLP; not given, forced by Table IV's counts
    kernel: tuple[int, int, int | None, int | None] | None = (35, 3, 11, 2)
    # {k1, d1, k2, d2} of SSRA, sec. III-B2 and Table VI; None: one 3 x 3, not decomposed
    streams: Streams = "parallel"  # sec. III-D; the others are Table V's
    attention: Attention = "criss-cross"  # of the global stream, sec. III-C; the other is Table V's
    layer_scale: float | None = None  # at first, of every branch; not in the equations, so none
    J: int = 17  # joints
    parts: tuple[int, ...] = (0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 0, 3, 3, 3, 4, 4, 4)
    # trunk, right leg, left leg, left arm, right arm of Human3.6M's joints, as in STCFormer

    def __post_init__(self):
        for name, known in (("streams", get_args(Streams)), ("attention", get_args(Attention))):
            given = getattr(self, name)
            if given not in known:
                raise UserError(
                    f"{name} {given!r} is not SSR-STF's: choose from {', '.join(known)}"
                )
        check_heads(self.C, self.heads, parts=2 if self.attention == "criss-cross" else 1)
        k1, d1, k2, d2 = self.kernel or (None,) * 4
        for k, d in ((k1, d1), (k2, d2)):
            if k is not None and d is not None and (d < 1 or k // d % 2 == 0):
                raise UserError(f"kernel {self.kernel}: {k} // {d} taps are no odd number")


_ON_3DHP = (11, 2, None, None)  # the kernel of sec. IV-D and of Table V

VARIANTS = {
    "base": Config(),  # 36.7 M parameters
    "small": Config(N=16, C=128),  # 12.4 M
    "table_iv_n6": Config(N=6),
    "table_iv_n8": Config(N=8),
    "table_iv_n10": Config(N=10),
    "table_iv_n14": Config(N=14),
    "table_iv_ch256": Config(Ch=256),
    "table_iv_ch1024": Config(Ch=1024),
    "table_v_a": Config(kernel=_ON_3DHP, streams="global"),
    "table_v_b": Config(kernel=_ON_3DHP, streams="local"),
    "table_v_c": Config(kernel=_ON_3DHP, attention="conventional"),
    "table_v_d": Config(kernel=_ON_3DHP, streams="sequential"),
    "table_v_e": Config(kernel=_ON_3DHP),  # Table VI's 11 x 1, best on MPI-INF-3DHP
    "table_vi_35x35": Config(kernel=(35, 3, 35, 3)),
    "table_vi_23x7": Config(kernel=(23, 3, 7, 2)),
    "table_vi_11x11": Config(kernel=(11, 2, 11, 2)),
    "table_vi_3x3": Config(kernel=None),
}


class SSRA(nn.Module):
    """Skeleton selective refine attention (sec. III-B3): a large irregular kernel weighs its input.

    The k1 x k2 kernel is decomposed (sec. III-B2) into local (2d - 1 taps) and dilated
    (floor(k / d) taps) depth-wise strips. The long side k1 lies along `axis`: "joints" in the
    spatial SSRFormer, "frames" in the temporal one.
    """

    def __init__(self, config: Config, axis: Axis):
        super().__init__()
        C = config.C
        if config.kernel is None:
            self.strips = nn.Sequential(DepthWise(C, (3, 3)))
        else:
            k1, d1, k2, d2 = config.kernel
            strips = [(2 * d1 - 1, 1, True), (k1 // d1, d1, True)]  # DW1, DWD1: taps, d, long?
            if k2 is not None and d2 is not None:
                strips.insert(1, (2 * d2 - 1, 1, False))  # DW2
                strips.append((k2 // d2, d2, False))  # DWD2
            self.strips = nn.Sequential(
                *(
                    DepthWise(C, (taps, 1) if long == (axis == "frames") else (1, taps), dilation)
                    for taps, dilation, long in strips
                )
            )
        self.pw = Linear(C, C)

    def forward(self, x: Tensor) -> Tensor:
        a = self.pw(self.strips(x))  # eq. 4 and 5, (B, T, J, C)
        return a * x  # eq. 6


class SSR(nn.Module):
    """Skeleton selective refine module (sec. III-B1)."""

    def __init__(self, config: Config, axis: Axis):
        super().__init__()
        C = config.C
        self.pw1 = Linear(C, C)
        self.ssra = SSRA(config, axis)
        self.pw2 = Linear(C, C)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pw2(self.ssra(gelu(self.pw1(x))))  # eq. 3, (B, T, J, C)


class SSRFormer(nn.Module):
    """SSR and an MLP, each before a skip connection (sec. III-B).

    The sigma of eq. 2 and 8 is read as the GELU in the MLP.
    """

    def __init__(self, config: Config, axis: Axis):
        super().__init__()
        C = config.C
        self.norm1, self.norm2 = nn.LayerNorm(C), nn.LayerNorm(C)
        self.ssr = SSR(config, axis)
        self.mlp = Mlp(C, config.ratio)
        self.scale1, self.scale2 = (layer_scale(C, config.layer_scale) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.scale1(self.ssr(self.norm1(x))) + x  # eq. 1, (B, T, J, C)
        return self.scale2(self.mlp(self.norm2(y))) + y  # eq. 2


class STC(nn.Module):
    """Spatio-temporal criss-cross attention (sec. III-C; Tang et al., STCFormer, CVPR 2023).

    Half of the channels attend over the joints of a frame, half over the frames of a joint. A
    depth-wise 3 x 3 of the values gives either half a sense of its neighbourhood; an embedding of
    the five body parts helps the spatial half.
    """

    def __init__(self, config: Config):
        super().__init__()
        C, self.heads = config.C, config.heads
        self.qkv = Linear(C, 3 * C)
        self.near_spatial = DepthWise(C // 2, (3, 3))
        self.near_temporal = DepthWise(C // 2, (3, 3))
        self.part = nn.Embedding(5, C // 2)
        self.register_buffer("part_of_joint", torch.tensor(config.parts), persistent=False)
        self.proj = Linear(C, C)

    def forward(self, x: Tensor) -> Tensor:
        B, T, J, C = x.shape
        h, d = self.heads, C // 2 // self.heads
        qkv = self.qkv(x).view(B, T, J, 3, 2, h, d)  # 2: the spatial and the temporal half
        v_s, v_t = qkv[:, :, :, 2].reshape(B, T, J, C).chunk(2, dim=-1)

        q, k, v = qkv[..., 0, :, :].permute(3, 0, 1, 4, 2, 5).reshape(3, B * T, h, J, d)
        y_s = attend(q, k, v)  # eq. 9 over joints, (B*T, h, J, d)
        y_s = y_s.view(B, T, h, J, d).permute(0, 1, 3, 2, 4).reshape(B, T, J, C // 2)
        y_s = y_s + self.near_spatial(v_s) + 1e-4 * self.part(self.part_of_joint)

        q, k, v = qkv[..., 1, :, :].permute(3, 0, 2, 4, 1, 5).reshape(3, B * J, h, T, d)
        y_t = attend(q, k, v)  # eq. 9 over frames, (B*J, h, T, d)
        y_t = y_t.view(B, J, h, T, d).permute(0, 3, 1, 2, 4).reshape(B, T, J, C // 2)
        y_t = y_t + self.near_temporal(v_t)

        return self.proj(torch.cat([y_s, y_t], dim=-1))  # (B, T, J, C)


class STFormer(nn.Module):
    """STC and an MLP, each before a skip connection (sec. III-C)."""

    def __init__(self, config: Config):
        super().__init__()
        C = config.C
        self.norm1, self.norm2 = nn.LayerNorm(C), nn.LayerNorm(C)
        self.stc = STC(config)
        self.mlp = Mlp(C, config.ratio)
        self.scale1, self.scale2 = (layer_scale(C, config.layer_scale) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.scale1(self.stc(self.norm1(x))) + x  # eq. 7, (B, T, J, C)
        return self.scale2(self.mlp(self.norm2(y))) + y  # eq. 8


def local_stream(config: Config) -> nn.Sequential:
    """The SSRFormers of a block, the spatial one first (sec. III-B); alone: Table V (b)."""
    return nn.Sequential(SSRFormer(config, "joints"), SSRFormer(config, "frames"))


def global_stream(config: Config) -> nn.Sequential:
    """The STFormers of a block (sec. III-C); alone: Table V (a).

    With conventional attention, Table V (c), all channels attend over joints, then over frames.
    """
    if config.attention == "criss-cross":
        return nn.Sequential(STFormer(config), STFormer(config))
    C, heads, ratio, scale = config.C, config.heads, config.ratio, config.layer_scale
    return nn.Sequential(
        Transformer(C, heads, ratio, "joints", scale=scale),
        Transformer(C, heads, ratio, "frames", scale=scale),
    )


class Block(nn.Module):
    """The two streams side by side and their adaptive fusion (Fig. 2a, sec. III-D)."""

    def __init__(self, config: Config):
        super().__init__()
        self.local_stream, self.global_stream = local_stream(config), global_stream(config)
        self.fuse = nn.Linear(2 * config.C, 2)

    def forward(self, f: Tensor) -> Tensor:
        f_l, f_g = self.local_stream(f), self.global_stream(f)
        # W [f_l, f_g] + b, without a map of both; on a CPU a tenth of the time in bfloat16.
        W_l, W_g = self.fuse.weight.chunk(2, dim=1)
        a = F.linear(f_l, W_l, self.fuse.bias) + F.linear(f_g, W_g)
        a = a.softmax(dim=-1)  # eq. 11, (B, T, J, 2)
        return a[..., :1] * f_l + a[..., 1:] * f_g  # eq. 10, (B, T, J, C)


class Alternating(nn.Module):
    """The members of the two streams in turn, without fusion: Table V (d)."""

    def __init__(self, config: Config):
        super().__init__()
        self.local_stream, self.global_stream = local_stream(config), global_stream(config)

    def forward(self, f: Tensor) -> Tensor:
        for ssrformer, stformer in zip(self.local_stream, self.global_stream, strict=True):
            f = stformer(ssrformer(f))
        return f


BLOCKS = {  # Config.streams -> what a block is made of
    "parallel": Block,
    "sequential": Alternating,
    "local": local_stream,
    "global": global_stream,
}


class Model(nn.Module):
    """(B, T, J, 3) x, y, score -> (B, T, J, 3) x, y, z relative to the pelvis; any T.

    There is no temporal position embedding (Table IV's counts leave no room for one): attention
    over frames is order-free and the convolutions tell before from after.
    """

    def __init__(self, config: Config = VARIANTS["base"]):
        super().__init__()
        self.config = config
        C, Ch = config.C, config.Ch
        self.embed = ExactLinear(3, C)
        self.P_s = nn.Parameter(torch.zeros(1, 1, config.J, C))
        self.blocks = nn.Sequential(*(BLOCKS[config.streams](config) for _ in range(config.N)))
        self.norm = nn.LayerNorm(C)
        self.to_E = ExactLinear(C, Ch)
        self.head = ExactLinear(Ch, 3)
        self.apply(_initialise)
        nn.init.trunc_normal_(self.P_s, std=0.02)

    def embed_input(self, x: Tensor) -> Tensor:
        """(B, T, J, 3) -> (B, T, J, C), still without positions."""
        return self.embed(x)

    def encode(self, f: Tensor) -> Iterator[Tensor]:
        """The outputs of the blocks, F(1) ... F(N), (B, T, J, C) each, from embedded input."""
        f = f + self.P_s  # F(0)
        for block in self.blocks:
            f = block(f)
            yield f

    def features(self, x: Tensor) -> list[Tensor]:
        """The outputs of the blocks, one after another: (B, T, J, 3) -> (B, T, J, C) each."""
        return list(self.encode(self.embed_input(x)))

    def represent(self, x: Tensor) -> Tensor:
        """The motion representation E (sec. III-A): (B, T, J, 3) -> (B, T, J, Ch) in (-1, 1)."""
        f = self.blocks(self.embed_input(x) + self.P_s)  # F(N), (B, T, J, C)
        return torch.tanh(self.to_E(self.norm(f)))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.represent(x))


def _initialise(module: nn.Module) -> None:
    """Small weights, as in the paper's lineage (MotionBERT); a fusion that starts with halves."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, Block):  # applied after its children
        nn.init.zeros_(module.fuse.weight)
        nn.init.constant_(module.fuse.bias, 0.5)
