"""MixSTE: attention over the joints of a frame and over the frames of a joint, in turn.

J. Zhang, Z. Tu, J. Yang, Y. Chen, J. Yuan: "MixSTE: Seq2seq Mixed Spatio-Temporal Encoder for 3D
Human Pose Estimation in Video", CVPR 2022. Symbols, equation and section numbers are the paper's.
What it leaves open is as in its authors' published network, whose parameter counts this file
reproduces: 33,783,811 at T = 243 and 33,700,867 at T = 81.

Axes: B batch, T frames, J joints (the paper's N), C channels (its d_m).
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from video2pose3d.errors import UserError
from video2pose3d.lifters._linear import ExactLinear
from video2pose3d.lifters._transformer import Transformer, check_heads


@dataclass(frozen=True)
class Config:
    """The architecture; the defaults are the paper's choice in Table 7."""

    d_l: int = 8  # loops of a spatial and a temporal block, sec. 3.1.3 and Table 7
    C: int = 512  # d_m, Table 7
    T: int = 243  # frames of the longest window, Table 7: as many temporal positions
    heads: int = 8  # not given
    ratio: int = 2  # of every MLP; not given, forced by the 33.7 M parameters of sec. 4.4
    drop_path: float = 0.1  # of the last loop, rising from 0; sec. 4.2's "dropout rate"
    J: int = 17  # joints

    def __post_init__(self):
        check_heads(self.C, self.heads)


VARIANTS = {
    "base": Config(),  # 33.8 M parameters
    "t81": Config(T=81),  # 33.7 M
    "t43": Config(T=43),  # HumanEva, Table 4
    "t27": Config(T=27),  # MPI-INF-3DHP, Table 3
}


class Model(nn.Module):
    """(B, T, J, 3) x, y, score -> (B, T, J, 3) x, y, z relative to the pelvis; T <= config.T.

    MixSTE lifts x, y alone: it does not look at the score. A window shorter than config.T gets the
    first of the temporal positions; a longer one is a UserError.
    """

    def __init__(self, config: Config = VARIANTS["base"]):
        super().__init__()
        self.config = config
        C, d_l = config.C, config.d_l
        self.embed = ExactLinear(2, C)  # L_e
        self.E_s = nn.Parameter(torch.zeros(1, 1, config.J, C))  # E_s-pos
        self.E_t = nn.Parameter(torch.zeros(1, config.T, 1, C))
        rates = [config.drop_path * loop / max(1, d_l - 1) for loop in range(d_l)]
        self.blocks = nn.ModuleList(  # spatial, temporal, spatial, ...
            Transformer(C, config.heads, config.ratio, axis, eps=1e-6, drop_path=rate)
            for rate in rates
            for axis in ("joints", "frames")
        )
        # One norm after every spatial block and one after every temporal block, for all loops.
        self.norm_s, self.norm_t = nn.LayerNorm(C, eps=1e-6), nn.LayerNorm(C, eps=1e-6)
        self.norm = nn.LayerNorm(C)
        self.head = ExactLinear(C, 3)

    def embed_input(self, x: Tensor) -> Tensor:
        """L_e of eq. 6: (B, T, J, 3) -> (B, T, J, C), still without positions."""
        return self.embed(x[..., :2])

    def encode(self, f: Tensor) -> Iterator[Tensor]:
        """The outputs of the loops, (B, T, J, C) each, from embedded input of the same shape."""
        T = f.shape[1]
        if T > self.config.T:
            what = f"this MixSTE takes windows of at most {self.config.T} frames, not {T}"
            raise UserError(what, cure="give its config a larger T and train it anew")
        f = f + self.E_s  # eq. 6
        for loop, (stb, ttb) in enumerate(zip(self.blocks[::2], self.blocks[1::2], strict=True)):
            f = self.norm_s(stb(f))  # eq. 7 over the joints of a frame
            if loop == 0:
                f = f + self.E_t[:, :T]  # sec. 3.1.3: positions in the first encoders only
            f = self.norm_t(ttb(f))  # eq. 1, 7 over the frames of a joint
            yield f

    def features(self, x: Tensor) -> list[Tensor]:
        """The outputs of the loops, one after another: (B, T, J, 3) -> (B, T, J, C) each."""
        return list(self.encode(self.embed_input(x)))

    def represent(self, x: Tensor) -> Tensor:
        """What the regression head is given: (B, T, J, 3) -> (B, T, J, C)."""
        last = deque(self.encode(self.embed_input(x)), maxlen=1).pop()  # the others are let go
        return self.norm(last)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.represent(x))
