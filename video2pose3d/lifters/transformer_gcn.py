"""Transformer-GCN: a stream of attention beside a stream of graph convolutions (Motion2vec).

M. Ye, L. Yang, H. Zhu, Z. Zheng, X. Wang, Y. Lou: "Dual-stream Transformer-GCN Model with
Contextualized Representations Learning for Monocular 3D Human Pose Estimation". Symbols, equation
and section numbers are the paper's. What it leaves open is as in MotionAGFormer (Mehraban et al.,
WACV 2024), on whose design it builds: layer scales, no bias in q, k, v, and a motion representation
before the head. The parameter counts say so: 11,723,811 (base) and 46,505,891 (large) at T = 243.

Axes: B batch, T frames, J joints, d channels. A feature map stays (B, T, J, d) from door to door.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from video2pose3d.errors import UserError
from video2pose3d.lifters._linear import ExactLinear, Linear
from video2pose3d.lifters._transformer import Axis, LayerScale, Mlp, Transformer, check_heads
from video2pose3d.skeletons import H36M17


@dataclass(frozen=True)
class Config:
    """The architecture; the defaults are the paper's base model (sec. IV-B)."""

    N: int = 16  # blocks, sec. IV-B
    d: int = 128  # channels, sec. IV-B
    dh: int = 512  # width of the motion representation; not given, as in MotionAGFormer
    T: int = 243  # frames of the longest window, sec. IV-B: the batch norms count frames
    heads: int = 8  # h, sec. IV-B
    ratio: int = 4  # r of every MLP, sec. IV-B
    scale: float = 1e-5  # of every branch at first; not given, as in MotionAGFormer
    parents: tuple[int, ...] = H36M17.parents  # the tree of the joints, -1 for its root

    def __post_init__(self):
        check_heads(self.d, self.heads)

    @property
    def J(self) -> int:
        """Joints, as the other lifters' configs name them."""
        return len(self.parents)


VARIANTS = {
    "base": Config(),  # 11.7 M parameters
    "large": Config(d=256),  # 46.5 M
    "t81": Config(T=81),  # MPI-INF-3DHP, as in MotionAGFormer
}


class NodeNorm(nn.Module):
    """BN of eq. 7: batch normalisation of each node, (B, nodes, ..., d) -> same.

    Its counts, one mean and one gain for each joint or frame and not for each channel, are forced
    by the number of parameters. Fewer nodes use the first ones' means and gains.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, nodes: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(nodes)), nn.Parameter(torch.zeros(nodes))
        self.register_buffer("running_mean", torch.zeros(nodes))
        self.register_buffer("running_var", torch.ones(nodes))

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[1]
        mean, var = self.running_mean[:n], self.running_var[:n]  # views: training moves them
        return F.batch_norm(x, mean, var, self.weight[:n], self.bias[:n], self.training)


class GCN(nn.Module):
    """Graph convolution over the joints of a frame or the frames of a joint (eq. 7)."""

    A_S: Tensor

    def __init__(self, config: Config, axis: Axis):
        super().__init__()
        self.axis = axis
        self.W1, self.W2 = Linear(config.d, config.d), Linear(config.d, config.d)
        self.norm = NodeNorm(config.J if axis == "joints" else config.T)
        if axis == "joints":
            self.register_buffer("A_S", spatial_adjacency(config.parents), persistent=False)
        for W in (self.W1, self.W2):
            nn.init.normal_(W.weight, std=(2 / config.d) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        if self.axis == "joints":
            y = self.norm((self.A_S @ self.W1(x) + self.W2(x)).transpose(1, 2)).transpose(1, 2)
        else:
            y = self.norm(mix_neighbours(self.W1(x)) + self.W2(x))
        return F.relu(x + y)  # eq. 7, (B, T, J, d)


def spatial_adjacency(parents: tuple[int, ...]) -> Tensor:
    """D^-1/2 (A_S + I) D^-1/2 of eq. 7: (J, J) from each joint's parent."""
    A = torch.eye(len(parents))
    for joint, parent in enumerate(parents):
        if parent >= 0:
            A[joint, parent] = A[parent, joint] = 1
    D = A.sum(dim=0)
    return A / (D[:, None] * D).sqrt()


def mix_neighbours(x: Tensor) -> Tensor:
    """D^-1/2 (A_T + I) D^-1/2 x of eq. 7 over frames: (B, T, J, d) -> same.

    A_T is 1 beside its diagonal: each frame is linked to the one before and the one after, so three
    shifted sums take the place of a T x T product.
    """
    T = x.shape[1]
    D = x.new_full((T, 1, 1), 3.0)
    D[0] = D[-1] = 2.0 if T > 1 else 1.0  # the ends have one neighbour
    x = x * D.rsqrt()
    y = x.clone()
    y[:, 1:] += x[:, :-1]
    y[:, :-1] += x[:, 1:]
    return y * D.rsqrt()


class GCNFormer(nn.Module):
    """GCN and an MLP, each normalised before and with a skip connection around (sec. III-A2)."""

    def __init__(self, config: Config, axis: Axis):
        super().__init__()
        d = config.d
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.gcn = GCN(config, axis)
        self.mlp = Mlp(d, config.ratio)
        self.scale1, self.scale2 = LayerScale(d, config.scale), LayerScale(d, config.scale)

    def forward(self, x: Tensor) -> Tensor:
        y = x + self.scale1(self.gcn(self.norm1(x)))  # (B, T, J, d)
        return y + self.scale2(self.mlp(self.norm2(y)))  # eq. 8


class Block(nn.Module):
    """The two streams side by side and their adaptive fusion (Fig. 2, sec. III-A)."""

    def __init__(self, config: Config):
        super().__init__()
        self.transformer_stream = nn.Sequential(
            *(
                Transformer(  # eq. 3 to 6
                    config.d, config.heads, config.ratio, axis, qkv_bias=False, scale=config.scale
                )
                for axis in ("joints", "frames")
            )
        )
        self.gcn_stream = nn.Sequential(GCNFormer(config, "joints"), GCNFormer(config, "frames"))
        self.fuse = nn.Linear(2 * config.d, 2)
        nn.init.zeros_(self.fuse.weight)  # fusion starts with halves
        nn.init.constant_(self.fuse.bias, 0.5)

    def forward(self, f: Tensor) -> Tensor:
        f_tr, f_g = self.transformer_stream(f), self.gcn_stream(f)
        a = self.fuse(torch.cat([f_tr, f_g], dim=-1)).softmax(dim=-1)  # eq. 2, (B, T, J, 2)
        return a[..., :1] * f_tr + a[..., 1:] * f_g  # eq. 1, (B, T, J, d)


class Model(nn.Module):
    """(B, T, J, 3) x, y, score -> (B, T, J, 3) x, y, z relative to the pelvis; T <= config.T.

    There is no temporal position embedding: the GCN stream knows the order of the frames. Yet its
    batch norms count them: a window shorter than config.T is normalised like the first frames of a
    whole one; a longer one is a UserError.
    """

    def __init__(self, config: Config = VARIANTS["base"]):
        super().__init__()
        self.config = config
        d, dh = config.d, config.dh
        self.embed = ExactLinear(3, d)  # called an MLP; the counts leave room for one layer
        self.P_s = nn.Parameter(torch.zeros(1, 1, config.J, d))
        self.blocks = nn.Sequential(*(Block(config) for _ in range(config.N)))
        self.norm = nn.LayerNorm(d)
        self.to_E = ExactLinear(d, dh)
        self.head = ExactLinear(dh, 3)

    def embed_input(self, x: Tensor) -> Tensor:
        """F(0): (B, T, J, 3) -> (B, T, J, d), still without positions."""
        T = x.shape[1]
        if T > self.config.T:
            what = f"this Transformer-GCN takes windows of at most {self.config.T} frames, not {T}"
            raise UserError(what, cure="give its config a larger T and train it anew")
        return self.embed(x)

    def encode(self, f: Tensor) -> Iterator[Tensor]:
        """The outputs of the blocks, F(1) ... F(N), (B, T, J, d) each, from F(0)."""
        f = f + self.P_s
        for block in self.blocks:
            f = block(f)
            yield f

    def features(self, x: Tensor) -> list[Tensor]:
        """The outputs of the blocks, one after another: (B, T, J, 3) -> (B, T, J, d) each."""
        return list(self.encode(self.embed_input(x)))

    def represent(self, x: Tensor) -> Tensor:
        """The motion representation: (B, T, J, 3) -> (B, T, J, dh) in (-1, 1)."""
        f = self.blocks(self.embed_input(x) + self.P_s)  # F(N), (B, T, J, d)
        return torch.tanh(self.to_E(self.norm(f)))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.represent(x))
