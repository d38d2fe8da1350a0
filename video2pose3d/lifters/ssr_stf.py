"""SSR-STF: a local stream of large-kernel convolutions beside a global stream of attention.

G. Xu, G. Zhang, L. Ye, S. Gan, X. Zhang, X. Yang: "Optimizing Local-Global Dependencies for
Accurate 3D Human Pose Estimation". Symbols, equation and section numbers are the paper's. What it
leaves open is settled by its Table IV, whose eight parameter counts this file reproduces.

Axes: B batch, T frames, J joints, C channels. A feature map stays (B, T, J, C) from door to door:
point-wise convolutions are `Linear`, depth-wise ones run on the channels-last view of the same
memory, and the temporal SSRFormer turns its kernel instead of its input.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Config:
    """The architecture; the defaults are the paper's base model (Table IV, bold)."""

    N: int = 12  # blocks, Table IV
    C: int = 256  # channels, Table IV
    Ch: int = 512  # width of the motion representation E, sec. III-A and Table IV
    heads: int = 8  # of each of the two attentions, as in STCFormer; sec. III-C
    ratio: int = 4  # of every MLP; not given, forced by Table IV's counts
    kernel: tuple[int, int, int | None, int | None] = (35, 3, 11, 2)
    # {k1, d1, k2, d2} of SSRA, sec. III-B2 and Table VI; (11, 2, None, None) on MPI-INF-3DHP
    J: int = 17  # joints
    parts: tuple[int, ...] = (0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 0, 3, 3, 3, 4, 4, 4)
    # trunk, right leg, left leg, left arm, right arm of Human3.6M's joints, as in STCFormer


VARIANTS = {
    "base": Config(),  # 36.7 M parameters
    "small": Config(N=16, C=128),  # 12.4 M
}


class Mlp(nn.Sequential):
    """Linear, GELU, Linear on the channels: (..., C) -> (..., C).

    The sigma of eq. 2 and 8 is read as the GELU in here.
    """

    def __init__(self, C: int, ratio: int):
        super().__init__(nn.Linear(C, ratio * C), nn.GELU(), nn.Linear(ratio * C, C))


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One attention of eq. 9: (batch, heads, tokens, d) -> same."""
    if q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v)
    with torch.autocast("cpu", enabled=False):  # bfloat16's backward pass is ten times slower there
        return F.scaled_dot_product_attention(q.float(), k.float(), v.float())


class DepthWise(nn.Conv2d):
    """Depth-wise convolution over (T, J), zero-padded to keep both: (B, T, J, C) -> same."""

    def __init__(self, C: int, taps: tuple[int, int], dilation: int = 1):
        padding = (dilation * (taps[0] - 1) // 2, dilation * (taps[1] - 1) // 2)
        super().__init__(C, C, taps, padding=padding, dilation=dilation, groups=C)

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda:
            return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # (B, T, J, C)
        with torch.autocast("cpu", enabled=False):  # as in attend()
            return self._forward_cpu(x.float())

    def _forward_cpu(self, x: Tensor) -> Tensor:
        """The same sums: a strip over every d-th frame is dense once d frames lie side by side.

        The backward pass of strips that are dilated along the frames is five times slower.
        """
        B, T, J, C = x.shape
        d, taps = self.dilation[0], self.kernel_size[0]
        if d == 1 or taps == 1:
            return super().forward(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        x = F.pad(x, (0, 0, 0, 0, 0, -T % d)).view(B, -1, d * J, C).permute(0, 3, 1, 2)
        x = F.conv2d(x, self.weight, self.bias, padding=(taps // 2, 0), groups=C)
        return x.permute(0, 2, 3, 1).reshape(B, -1, J, C)[:, :T]


class SSRA(nn.Module):
    """Skeleton selective refine attention (sec. III-B3): a large irregular kernel weighs its input.

    The k1 x k2 kernel is decomposed (sec. III-B2) into local (2d - 1 taps) and dilated
    (floor(k / d) taps) depth-wise strips. The long side k1 lies along `axis`: "joints" in the
    spatial SSRFormer, "frames" in the temporal one.
    """

    def __init__(self, config: Config, axis: str):
        super().__init__()
        C = config.C
        k1, d1, k2, d2 = config.kernel
        strips = [(2 * d1 - 1, 1, True), (k1 // d1, d1, True)]  # DW1, DWD1: taps, dilation, long?
        if k2 is not None and d2 is not None:
            strips.insert(1, (2 * d2 - 1, 1, False))  # DW2
            strips.append((k2 // d2, d2, False))  # DWD2
        self.strips = nn.Sequential(
            *(
                DepthWise(C, (taps, 1) if long == (axis == "frames") else (1, taps), dilation)
                for taps, dilation, long in strips
            )
        )
        self.pw = nn.Linear(C, C)

    def forward(self, x: Tensor) -> Tensor:
        a = self.pw(self.strips(x))  # eq. 4 and 5, (B, T, J, C)
        return a * x  # eq. 6


class SSR(nn.Module):
    """Skeleton selective refine module (sec. III-B1)."""

    def __init__(self, config: Config, axis: str):
        super().__init__()
        C = config.C
        self.pw1 = nn.Linear(C, C)
        self.ssra = SSRA(config, axis)
        self.pw2 = nn.Linear(C, C)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pw2(self.ssra(F.gelu(self.pw1(x))))  # eq. 3, (B, T, J, C)


class SSRFormer(nn.Module):
    """SSR and an MLP, each before a skip connection (sec. III-B)."""

    def __init__(self, config: Config, axis: str):
        super().__init__()
        C = config.C
        self.norm1, self.norm2 = nn.LayerNorm(C), nn.LayerNorm(C)
        self.ssr = SSR(config, axis)
        self.mlp = Mlp(C, config.ratio)

    def forward(self, x: Tensor) -> Tensor:
        y = self.ssr(self.norm1(x)) + x  # eq. 1, (B, T, J, C)
        return self.mlp(self.norm2(y)) + y  # eq. 2


class STC(nn.Module):
    """Spatio-temporal criss-cross attention (sec. III-C; Tang et al., STCFormer, CVPR 2023).

    Half of the channels attend over the joints of a frame, half over the frames of a joint. A
    depth-wise 3 x 3 of the values gives either half a sense of its neighbourhood; an embedding of
    the five body parts helps the spatial half.
    """

    def __init__(self, config: Config):
        super().__init__()
        C, self.heads = config.C, config.heads
        self.qkv = nn.Linear(C, 3 * C)
        self.near_spatial = DepthWise(C // 2, (3, 3))
        self.near_temporal = DepthWise(C // 2, (3, 3))
        self.part = nn.Embedding(5, C // 2)
        self.register_buffer("part_of_joint", torch.tensor(config.parts), persistent=False)
        self.proj = nn.Linear(C, C)

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

    def forward(self, x: Tensor) -> Tensor:
        y = self.stc(self.norm1(x)) + x  # eq. 7, (B, T, J, C)
        return self.mlp(self.norm2(y)) + y  # eq. 8


class Block(nn.Module):
    """The two streams side by side and their adaptive fusion (Fig. 2a, sec. III-D)."""

    def __init__(self, config: Config):
        super().__init__()
        self.local_stream = nn.Sequential(
            SSRFormer(config, axis="joints"), SSRFormer(config, axis="frames")
        )
        self.global_stream = nn.Sequential(STFormer(config), STFormer(config))
        self.fuse = nn.Linear(2 * config.C, 2)

    def forward(self, f: Tensor) -> Tensor:
        f_l, f_g = self.local_stream(f), self.global_stream(f)
        a = self.fuse(torch.cat([f_l, f_g], dim=-1)).softmax(dim=-1)  # eq. 11, (B, T, J, 2)
        return a[..., :1] * f_l + a[..., 1:] * f_g  # eq. 10, (B, T, J, C)


class Model(nn.Module):
    """(B, T, J, 3) x, y, score -> (B, T, J, 3) x, y, z relative to the pelvis; any T.

    There is no temporal position embedding (Table IV's counts leave no room for one): attention
    over frames is order-free and the convolutions tell before from after.
    """

    def __init__(self, config: Config = VARIANTS["base"]):
        super().__init__()
        self.config = config
        C, Ch = config.C, config.Ch
        self.embed = nn.Linear(3, C)
        self.P_s = nn.Parameter(torch.zeros(1, 1, config.J, C))
        self.blocks = nn.Sequential(*(Block(config) for _ in range(config.N)))
        self.norm = nn.LayerNorm(C)
        self.to_E = nn.Linear(C, Ch)
        self.head = nn.Linear(Ch, 3)
        self.apply(_initialise)
        nn.init.trunc_normal_(self.P_s, std=0.02)

    def represent(self, x: Tensor) -> Tensor:
        """The motion representation E (sec. III-A): (B, T, J, 3) -> (B, T, J, Ch) in (-1, 1)."""
        f = self.embed(x) + self.P_s  # F(0), (B, T, J, C)
        f = self.blocks(f)  # F(N)
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
