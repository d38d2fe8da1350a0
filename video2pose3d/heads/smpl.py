"""Human mesh recovery on the motion representation: SMPL's pose and shape from E.

SSR-STF sec. IV-G: "the motion representation E is input into two separate MLP layers to regress the
SMPL pose parameters θ (T, 72) and shape parameters β (T, 10)", in MotionBERT's framework (Zhu et
al., ICCV 2023), whose lineage settles the rest: one hidden layer with batch normalisation and ReLU,
rotations as six numbers, E averaged over time for the shape, the terms and weights of the loss.

Rotations and joints are in the axes of the virtual camera that looks at the person, as all that a
lifter gives; `recover` turns them back into CAMERA. Axes: B batch, T frames, J joints, K = 24.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial.transform import Rotation
from torch import Tensor, nn

from video2pose3d.heads._mlp import Mlp
from video2pose3d.lifters._windows import normalise, over_windows
from video2pose3d.smpl import SHAPES, K
from video2pose3d.structures import Camera, Keypoints2D

if TYPE_CHECKING:
    from video2pose3d.heads import Head


@dataclass(frozen=True)
class Config:
    """The head; the defaults are for SSR-STF."""

    Ch: int = 512  # width of E, SSR-STF Table IV
    J: int = 17  # joints of E
    hidden: int = 1024  # not given; MotionBERT's
    dropout: float = 0.1  # not given; MotionBERT's


@dataclass(frozen=True)
class LossWeights:
    """Of `loss`, whose lengths are metres. Not given; MotionBERT's, a thousandth of them all."""

    joints: float = 0.5
    velocity: float = 10.0
    pose: float = 1.0
    shape: float = 0.001
    norm: float = 0.02


class Estimate(NamedTuple):
    """R: (B, T, 24, 3, 3) rotations in the parents' axes; shape: (B, 10), one for the window."""

    R: Tensor
    shape: Tensor


class Model(nn.Module):
    """E (B, T, J, Ch) → SMPL's pose, a frame each, and shape, one a window. At first, at rest."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        inputs = config.J * config.Ch
        self.pose = Mlp(inputs, config.hidden, 6 * K, config.dropout)
        self.shape = Mlp(inputs, config.hidden, SHAPES, config.dropout)
        rest = torch.eye(3).repeat(K, 1, 1)
        rest[0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))  # upright where y points down
        _begin_at(self.pose, rest[..., :2].mT.flatten())
        _begin_at(self.shape, torch.zeros(SHAPES))

    def forward(self, E: Tensor) -> Estimate:
        E = E.flatten(2)  # (B, T, J * Ch)
        six = self.pose(E.flatten(0, 1)).view(*E.shape[:2], K, 2, 3)
        return Estimate(_orthonormal(six), self.shape(E.mean(dim=1)))


def _begin_at(mlp: Mlp, mean: Tensor) -> None:
    last = mlp[-1]
    assert isinstance(last, nn.Linear)
    nn.init.xavier_uniform_(last.weight, gain=0.01)
    last.bias.data.copy_(mean)


def _orthonormal(six: Tensor) -> Tensor:
    """Rotations from their first two columns, made orthonormal (Zhou et al., CVPR 2019).

    (..., 2, 3) → (..., 3, 3); continuous, unlike three angles.
    """
    a, b = six.unbind(-2)
    x = F.normalize(a, dim=-1)
    y = F.normalize(b - (x * b).sum(dim=-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)


def loss(
    estimate: Estimate, joints: Tensor, truth: Estimate, truth_joints: Tensor, weights: LossWeights
) -> Tensor:
    """joints: (B, T, K', 3) metres of the estimated body, truth_joints of the true one.

    Distance of joints relative to the first, of their velocities, |R − R'|, |β − β'|, and the
    length of the estimated (θ, β), which keeps bodies plausible.
    """
    found, true = joints - joints[:, :, :1], truth_joints - truth_joints[:, :, :1]
    parameters = torch.cat(
        [_angles(estimate.R), estimate.shape[:, None].expand(-1, joints.shape[1], -1)], dim=-1
    )  # (B, T, 24 + 10)
    total = weights.joints * (found - true).norm(dim=-1).mean()
    if joints.shape[1] > 1:
        total = total + weights.velocity * (found - true).diff(dim=1).norm(dim=-1).mean()
    return (
        total
        + weights.pose * (estimate.R - truth.R).abs().mean()
        + weights.shape * (estimate.shape - truth.shape).abs().mean()
        + weights.norm * parameters.norm(dim=-1).mean()
    )


def _angles(R: Tensor) -> Tensor:
    """How far each rotation turns, radians: (..., 3, 3) → (...), the length of its axis-angle."""
    cosine = (R.diagonal(dim1=-2, dim2=-1).sum(dim=-1) - 1) / 2
    odd = (R - R.mT)[..., (2, 0, 1), (1, 2, 0)] / 2  # sine times the axis
    return torch.atan2(odd.norm(dim=-1), cosine)


def recover(head: Head, keypoints: Keypoints2D, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """SMPL's pose (T, 72) axis-angle, the root's in CAMERA, and shape (10,) of one person, float32.

    keypoints: in H36M17 px, any number of frames; windows overlap and are blended as in `lift`.
    Where the body stands is not said: `lift` and motion/ tell the pelvis' place.
    """
    (found,) = over_windows(
        head.lifter.frames, [keypoints], camera, partial(_recover_windows, head)
    )
    R, shape = found[:, : 9 * K].reshape(-1, K, 3, 3), found[:, 9 * K :]
    if not len(R):
        return np.zeros((0, 3 * K), np.float32), np.zeros(SHAPES, np.float32)
    U, _, Vt = np.linalg.svd(R)  # the nearest rotation to the mean of several
    R = np.stack([U[..., 0], U[..., 1], U[..., 2] * np.linalg.det(U @ Vt)[..., None]], -1) @ Vt
    pose = Rotation.from_matrix(R.reshape(-1, 3, 3)).as_rotvec().reshape(-1, 3 * K)
    return pose.astype(np.float32), shape.mean(axis=0).astype(np.float32)


def _recover_windows(head: Head, rays: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """rays (B, T, J, 2), scores (B, T, J) → (B, T, 24 * 9 + 10): rotations in CAMERA, and shape."""
    inputs, view = normalise(rays, scores)
    backbone: Any = head.lifter.model
    with torch.inference_mode():
        estimate = head.model(backbone.represent(torch.from_numpy(inputs).to(head.lifter.device)))
    R, shape = (t.cpu().numpy().astype(np.float64) for t in estimate)
    R[:, :, 0] = view.transpose(0, 2, 1)[:, None] @ R[:, :, 0]  # x_lifter = view @ x_camera
    B, T = R.shape[:2]
    return np.concatenate([R.reshape(B, T, -1), np.repeat(shape[:, None], T, axis=1)], axis=-1)
