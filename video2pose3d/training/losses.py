"""What the lifters are trained to make small. Joints (B, T, J, 3) metres; weights (B, T)."""

import torch
from torch import Tensor


def position(estimate: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Mean distance from joint to joint, MPJPE (SSR-STF eq. 12, as a mean)."""
    return _mean((estimate - truth).norm(dim=-1), weight)


def scaled_position(estimate: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """MPJPE after the best scale of each frame, N-MPJPE (Rhodin et al. 2018)."""
    dot = (estimate * truth).sum(dim=(-2, -1), keepdim=True)
    scale = dot / estimate.square().sum(dim=(-2, -1), keepdim=True).clamp_min(1e-6)
    return position(scale * estimate, truth, weight)


def velocity(estimate: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """MPJPE of the differences between neighbouring frames (SSR-STF eq. 12, as a mean)."""
    return position(estimate.diff(dim=1), truth.diff(dim=1), weight[:, 1:] * weight[:, :-1])


def _mean(error: Tensor, weight: Tensor) -> Tensor:
    """Mean of (B, T, J) over the joints of the frames that count."""
    return (error.mean(dim=-1) * weight).sum() / weight.sum().clamp_min(1)


def total(
    estimate: Tensor, truth: Tensor, weight: Tensor, *, scaled: float, smooth: float
) -> Tensor:
    """L_P + scaled * N-MPJPE + smooth * L_velocity (SSR-STF eq. 13 and its lineage)."""
    loss = position(estimate, truth, weight)
    loss = loss + scaled * scaled_position(estimate, truth, weight)
    if truth.shape[1] > 1:
        loss = loss + smooth * velocity(estimate, truth, weight)
    return torch.nan_to_num(loss) if not weight.any() else loss
