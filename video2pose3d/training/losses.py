"""What the lifters are trained to make small.

Joints are (B, T, J, 3) in the unit of the targets; weight (B, T) is 0 in frames that don't count;
W (J,) are the joints' own weights. Means over joints and over the frames that count, throughout.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from video2pose3d.skeletons import Skeleton


def position(estimate: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Mean distance from joint to joint, MPJPE (SSR-STF eq. 12, as a mean; Motion2vec eq. 9)."""
    return _mean((estimate - truth).norm(dim=-1), weight)


def scaled_position(estimate: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """MPJPE after the best scale of each frame, N-MPJPE (Rhodin et al. 2018).

    Motion2vec's eq. 10 prints the scale in front of the distance; the metric it names, and
    MotionBERT and MotionAGFormer, scale the estimate.
    """
    dot = (estimate * truth).sum(dim=(-2, -1), keepdim=True)
    scale = dot / estimate.square().sum(dim=(-2, -1), keepdim=True).clamp_min(1e-6)
    return position(scale * estimate, truth, weight)


def velocity(estimate: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """MPJPE of the differences between neighbouring frames.

    SSR-STF eq. 12, as a mean; Motion2vec eq. 11 and 12; MixSTE's MPJVE (sec. 3.3).
    """
    return position(estimate.diff(dim=1), truth.diff(dim=1), _both(weight))


def weighted_position(estimate: Tensor, truth: Tensor, weight: Tensor, W: Tensor) -> Tensor:
    """WMPJPE, MixSTE eq. 10.

    The equation prints the distance squared; its name and its code have the distance.
    """
    return _mean(W * (estimate - truth).norm(dim=-1), weight)


def temporal_consistency(estimate: Tensor, weight: Tensor, W: Tensor) -> Tensor:
    """TCLoss, MixSTE sec. 3.3: how much the estimate itself moves (Hossain and Little 2018).

    Mean over joints and coordinates of the squared differences between neighbouring frames, which
    is what MixSTE's factor 0.5 goes with.
    """
    return _mean(W * estimate.diff(dim=1).square().mean(dim=-1), _both(weight))


def joint_weights(skeleton: Skeleton) -> Tensor:
    """W (J,), MixSTE sec. 4.2: torso 1, head 1.5, middle of the limbs 2.5, their ends 4.

    By the names of the joints, as the paper says; its code gives feet 2.5 and elbows 4.
    """
    groups = {
        1.5: ("head", "head_top", "nose"), 2.5: ("knee", "elbow"),
        4.0: ("ankle", "wrist", "foot", "hand"),
    }  # fmt: skip
    of = {part: value for value, parts in groups.items() for part in parts}
    parts = [j.removeprefix("left_").removeprefix("right_") for j in skeleton.joints]
    return torch.tensor([of.get(part, 1.0) for part in parts])


# What a config's [loss] may name, each with its factor:
# SSR-STF eq. 13        position 1, velocity 20; scaled 0.5 (the 20 and the 0.5 are its lineage's)
# MixSTE eq. 9          weighted 1, temporal_consistency 0.5, velocity 2
# Motion2vec eq. 13     position 1, scaled 0.5, velocity 20
TERMS = ("position", "scaled", "velocity", "weighted", "temporal_consistency")


def terms(
    estimate: Tensor, truth: Tensor, weight: Tensor, W: Tensor, factors: Mapping[str, float]
) -> dict[str, Tensor]:
    """The loss term by term, each times its factor; their sum is the loss."""
    by_name = {
        "position": lambda: position(estimate, truth, weight),
        "scaled": lambda: scaled_position(estimate, truth, weight),
        "velocity": lambda: velocity(estimate, truth, weight),
        "weighted": lambda: weighted_position(estimate, truth, weight, W),
        "temporal_consistency": lambda: temporal_consistency(estimate, weight, W),
    }
    return {name: factor * by_name[name]() for name, factor in factors.items()}


def _mean(error: Tensor, weight: Tensor) -> Tensor:
    """Mean of (B, T, J) over the joints of the frames that count; 0 where none does."""
    return (error.mean(dim=-1) * weight).sum() / weight.sum().clamp_min(1)


def _both(weight: Tensor) -> Tensor:
    """(B, T - 1): neighbouring frames that both count."""
    return weight[:, 1:] * weight[:, :-1]
