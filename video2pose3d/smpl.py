"""SMPL: a body of 6890 vertices and 24 joints from 72 pose and 10 shape parameters.

M. Loper, N. Mahmood, J. Romero, G. Pons-Moll, M. J. Black: "SMPL: A Skinned Multi-Person Linear
Model", SIGGRAPH Asia 2015. Symbols and equation numbers are the paper's:

    (5)  M(β, θ) = W(T_P(β, θ), J(β), θ, W)
    (6)  T_P(β, θ) = T̄ + B_S(β) + B_P(θ)
    (7)  t'_i = Σ_k w_ki G'_k(θ, J(β)) (t̄_i + b_S,i(β) + b_P,i(θ))
    (8)  B_S(β) = Σ_n β_n S_n
    (9)  B_P(θ) = Σ_n (R_n(θ) − R_n(θ*)) P_n, n over the 9 entries of each joint's rotation
    (10) J(β) = J (T̄ + B_S(β))
    (3)  G'_k = G_k(θ, J) G_k(θ*, J)⁻¹
    (4)  G_k = the product of [R(ω_j) | j_j] from the root to k, j_j being the bone from j's parent

The body's own numbers (T̄, S, P, J, W) belong to the Max Planck Society and do not come with this
program: everybody gets the file themselves, under its licence. Metres; at rest y is up and the
body faces +z. Axes: B batch, T frames, V vertices, K = 24 joints.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from video2pose3d import archives, smpl_pickle
from video2pose3d.errors import UserError

K, SHAPES = 24, 10
_CURE = (
    "get SMPL_NEUTRAL.npz or .pkl from https://smpl.is.tue.mpg.de (free registration; its licence "
    "allows non-commercial research only)"
)
_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f")


class SMPL(nn.Module):
    """One body model, of a gender or neutral. faces: (F, 3) int64; parents: 24, the root's -1."""

    T_bar: Tensor  # T̄, (V, 3)
    S: Tensor  # (V, 3, 10)
    P: Tensor  # (V, 3, 207)
    W: Tensor  # (V, K)
    J_rest: Tensor  # J T̄, (K, 3)
    J_shape: Tensor  # J S, (K, 3, 10): J is linear, so joints alone need no vertices

    def __init__(
        self,
        v_template: np.ndarray,
        shapedirs: np.ndarray,
        posedirs: np.ndarray,
        J_regressor: np.ndarray,
        weights: np.ndarray,
        kintree_table: np.ndarray,
        f: np.ndarray,
    ):
        """The arrays of the published file by their names there; ValueError where they don't fit.

        v_template (V, 3) metres; shapedirs (V, 3, 10 or more); posedirs (V, 3, 207);
        J_regressor (24, V); weights (V, 24); kintree_table (2, 24), its first row the parents;
        f (F, 3).
        """
        super().__init__()
        V = len(v_template)
        for name, array, shape in (
            ("v_template", v_template, (V, 3)),
            ("shapedirs", shapedirs[..., :SHAPES], (V, 3, SHAPES)),
            ("posedirs", posedirs, (V, 3, 9 * (K - 1))),
            ("J_regressor", J_regressor, (K, V)),
            ("weights", weights, (V, K)),
            ("kintree_table", kintree_table, (2, K)),
            ("f", f, (len(f), 3)),
        ):
            if array.shape != shape:
                raise ValueError(f"{name} is {array.shape}, SMPL's is {shape}")
        self.parents = (-1, *(int(p) for p in kintree_table[0, 1:]))
        if any(not 0 <= parent < k for k, parent in enumerate(self.parents) if k):
            raise ValueError("kintree_table has a joint before its parent")
        self.faces = f.astype(np.int64)
        S, J = shapedirs[..., :SHAPES].astype(np.float64), J_regressor.astype(np.float64)
        for name, array in (
            ("T_bar", v_template), ("S", S), ("P", posedirs), ("W", weights),
            ("J_rest", J @ v_template), ("J_shape", np.einsum("kv,vcn->kcn", J, S)),
        ):  # fmt: skip
            tensor = torch.from_numpy(np.ascontiguousarray(array, np.float32))
            self.register_buffer(name, tensor, persistent=False)  # not ours to hand on

    @classmethod
    def read(cls, path: Path) -> SMPL:
        """The user's own file, .npz or the official .pkl; UserError for one that is none.

        Nothing in it can run code; see `unpickling`.
        """
        path = Path(path)
        if not path.is_file():
            raise UserError("no such file", path=path, cure=_CURE)
        with open(path, "rb") as file:
            zipped = file.read(2) == b"PK"
        arrays = (archives if zipped else smpl_pickle).read(path, _KEYS)
        missing = [key for key in _KEYS if key not in arrays]
        try:
            if missing:
                raise ValueError(f"{missing[0]} is missing")
            return cls(**arrays)
        except ValueError as error:
            raise UserError(f"not an SMPL body model ({error})", path=path, cure=_CURE) from error

    def forward(self, pose: Tensor, shape: Tensor) -> tuple[Tensor, Tensor]:
        """Vertices (B, V, 3) and joints (B, 24, 3), metres; differentiable.

        pose: (B, 72) axis-angle, the root's first; shape: (B, 10).
        """
        return self.pose(rotations(pose.reshape(-1, K, 3)), shape)

    def pose(self, R: Tensor, shape: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, from rotation matrices R (B, 24, 3, 3) of joints in their parents' axes."""
        J = self.J_rest + torch.einsum("kcn,bn->bkc", self.J_shape, shape)  # eq. 10, (B, K, 3)
        B_S = torch.einsum("vcn,bn->bvc", self.S, shape)  # eq. 8, (B, V, 3)
        turned = (R[:, 1:] - torch.eye(3, device=R.device, dtype=R.dtype)).flatten(1)  # (B, 207)
        B_P = torch.einsum("vcn,bn->bvc", self.P, turned)  # eq. 9
        T_P = self.T_bar + B_S + B_P  # eq. 6, (B, V, 3)
        G_R, G_t = self._chain(R, J)  # (B, K, 3, 3), (B, K, 3)
        t = G_t - (G_R @ J[..., None])[..., 0]  # G'_k moves joint k from its place at rest
        blended_R = torch.einsum("vk,bkij->bvij", self.W, G_R)
        blended_t = torch.einsum("vk,bki->bvi", self.W, t)
        return (blended_R @ T_P[..., None])[..., 0] + blended_t, G_t  # eq. 7

    def joints(self, pose: np.ndarray, shape: np.ndarray, trans: np.ndarray) -> np.ndarray:
        """The joints of one body over time, without its vertices: (T, 24, 3) float32 metres.

        pose: (T, 72) axis-angle; shape: (10,), of the whole clip; trans: (T, 3) metres, added to
        every joint, as AMASS stores it.
        """
        theta, beta, move = (torch.tensor(a, dtype=torch.float64) for a in (pose, shape, trans))
        J = self.J_rest.double().cpu() + self.J_shape.double().cpu() @ beta  # eq. 10, (K, 3)
        _, t = self._chain(rotations(theta.reshape(-1, K, 3)), J.expand(len(theta), K, 3))
        return (t + move[:, None]).float().numpy()

    def _chain(self, R: Tensor, J: Tensor) -> tuple[Tensor, Tensor]:
        """G_k of eq. 3 and 4 for all joints: R (B, K, 3, 3), J (B, K, 3) → the same two shapes."""
        G_R, G_t = [R[:, 0]], [J[:, 0]]
        for k, parent in list(enumerate(self.parents))[1:]:
            G_R.append(G_R[parent] @ R[:, k])
            bone = J[:, k] - J[:, parent]  # (B, 3)
            G_t.append((G_R[parent] @ bone[..., None])[..., 0] + G_t[parent])
        return torch.stack(G_R, dim=1), torch.stack(G_t, dim=1)


def rotations(omega: Tensor) -> Tensor:
    """Rodrigues' formula (eq. 1): axis-angle (..., 3) → (..., 3, 3); smooth at no rotation, too."""
    x, y, z = omega.unbind(-1)
    o = torch.zeros_like(x)
    skew = torch.stack([o, -z, y, z, o, -x, -y, x, o], dim=-1).unflatten(-1, (3, 3))
    angle = omega.norm(dim=-1)[..., None, None]
    first = torch.sinc(angle / torch.pi)  # sin(a) / a
    second = torch.sinc(angle / (2 * torch.pi)).square() / 2  # (1 - cos(a)) / a²
    return (
        torch.eye(3, device=omega.device, dtype=omega.dtype) + first * skew + second * skew @ skew
    )
