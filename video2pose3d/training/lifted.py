"""What a lifter makes of mended keypoints, for `pose_relation`: the loss of its poses.

The lifter stays as it is; what is learnt goes through it, to the network that mends.
Axes: B windows, T frames, V views, J joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from video2pose3d import lifters, relate, weights
from video2pose3d.lifters._windows import FAR
from video2pose3d.skeletons import H36M17
from video2pose3d.training import validation
from video2pose3d.training.config import check_terms
from video2pose3d.training.data import Batch
from video2pose3d.training.loop import Lifting
from video2pose3d.training.rigs import Rigs


@dataclass(frozen=True)
class Lifted:
    """[lifted]: which lifter, and the poses of how many windows of a batch count, and how much."""

    lifter: str  # a shipped name or a file
    windows: int  # each of one view
    loss: dict[str, float]  # factors of losses.TERMS

    def __post_init__(self):
        check_terms(self.loss)
        if self.windows < 1:
            raise ValueError(f"[lifted] windows is {self.windows}, not 1 or more")


class LiftedLoss:
    """No module: nothing of it is learnt, saved or averaged."""

    def __init__(self, config: Lifted, device: torch.device):
        file = weights.find(config.lifter, kind="lifter", offline=True)
        self.model = lifters.load(file, str(device)).model
        self.lifting = Lifting(self.model, config.loss, H36M17).to(device).eval()
        self.lifting.requires_grad_(False)
        self.windows = config.windows

    def __call__(
        self, xy: Tensor, scores: Tensor, poses: Tensor, weights: Tensor
    ) -> dict[str, Tensor]:
        """The loss, term by term.

        xy: (B, T, V, J, 2) mended; scores: (B, T, V, J) of the detector; poses: (B, T, V, J, 3) and
        weights: (B, T) as in `Rigs`.
        """
        weights = weights.repeat_interleave(xy.shape[2], dim=0)
        views = [_apart(v) for v in (lifter_input(xy, scores), poses)]
        some = torch.linspace(0, len(weights) - 1, min(self.windows, len(weights))).long()
        terms = self.lifting(*(v[some] for v in (*views, weights)))
        return {f"lifted_{name}": value for name, value in terms.items()}

    def validate(self, network: relate.Model, rigs: Rigs, device: torch.device) -> dict[str, float]:
        """MPJPE, P-MPJPE and velocity error of the poses, in mm, before and after."""
        x = torch.from_numpy(rigs.inputs).to(device)
        with torch.inference_mode():
            mended = network.eval()(x)
            after = relate.settled(x, mended.xy.float(), mended.errors.float())
            views = {"before": x[..., :2], "after": after}
        poses = _apart(torch.from_numpy(rigs.poses)).numpy()
        weights = np.repeat(rigs.weights, x.shape[2], axis=0)
        found = {}
        for when, xy in views.items():
            inputs = _apart(lifter_input(xy, x[..., 2])).cpu().numpy()
            errors = validation.validate(self.model, Batch(inputs, poses, weights), device)
            found |= {f"lifted_{when}_{figure}": value for figure, value in errors.items()}
        return found


def lifter_input(xy: Tensor, scores: Tensor) -> Tensor:
    """Mended keypoints (..., J, 2) whose detector gave scores (..., J), as a lifter takes them.

    Seen from the virtual camera of the keypoints before they were mended.
    """
    filled = torch.from_numpy(relate.filled(scores.cpu().numpy())).to(xy).unsqueeze(-1)
    return torch.cat([xy.clamp(-FAR, FAR) * (filled > 0), filled], dim=-1)


def _apart(values: Tensor) -> Tensor:
    """(B, T, V, ...) -> (B * V, T, ...): each view a window."""
    return values.transpose(1, 2).flatten(0, 1)
