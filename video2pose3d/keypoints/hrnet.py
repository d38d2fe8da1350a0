"""HRNet (Sun et al., Deep High-Resolution Representation Learning, CVPR 2019), from MMPose."""

from __future__ import annotations

from pathlib import Path

from video2pose3d.errors import UserError
from video2pose3d.keypoints import _mmpose
from video2pose3d.keypoints._topdown import TopDown
from video2pose3d.skeletons import COCO17

DEFAULT_WEIGHTS = "hrnet-w48-256x192"

available = _mmpose.available


def build(weights: Path, device: str) -> TopDown:
    """HRNet-w32 or w48 from a checkpoint that MMPose published; UserError when it is none."""
    state, configuration = _mmpose.read_checkpoint(weights)
    first = state.get("backbone.stage2.0.branches.0.0.conv1.weight")
    if first is None:
        raise UserError("is no HRNet", path=weights, cure="see `video2pose3d weights list`")
    size = _mmpose.input_size(weights, configuration)
    width = len(first)
    network = _mmpose.hrnet(width, len(COCO17), size)
    return TopDown(_mmpose.fill(network, state, weights, f"HRNet-w{width}"), device)
