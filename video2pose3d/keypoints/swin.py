"""Swin Transformer (Liu et al., ICCV 2021) with a heatmap head, from MMPose."""

from __future__ import annotations

from pathlib import Path

import torch

from video2pose3d.errors import UserError
from video2pose3d.keypoints import _mmpose
from video2pose3d.keypoints._topdown import TopDown
from video2pose3d.skeletons import COCO17

DEFAULT_WEIGHTS = "swin-b-256x192"

available = _mmpose.available


def build(weights: Path, device: str) -> TopDown:
    """Swin-T, B or L from a checkpoint that MMPose published; UserError when it is none."""
    state, configuration = _mmpose.read_checkpoint(weights)
    patch = state.get("backbone.patch_embed.projection.weight")
    # ((2 * window - 1)^2, heads) for every block of every stage
    tables = {key: t for key, t in state.items() if key.endswith("relative_position_bias_table")}
    if patch is None or not tables:
        raise UserError("is no Swin", path=weights, cure="see `video2pose3d weights list`")
    stages = [_stage(tables, number) for number in range(4)]
    network = _mmpose.swin(
        width=len(patch),
        depths=tuple(len(blocks) for blocks in stages),
        heads=tuple(blocks[0].shape[1] if blocks else 1 for blocks in stages),
        window=(round(len(next(iter(tables.values()))) ** 0.5) + 1) // 2,
        joints=len(COCO17),
        input_size=_mmpose.input_size(weights, configuration),
    )
    return TopDown(_mmpose.fill(network, state, weights, f"Swin of width {len(patch)}"), device)


def _stage(tables: dict[str, torch.Tensor], number: int) -> list[torch.Tensor]:
    """The blocks' tables of one stage."""
    return [t for key, t in tables.items() if key.startswith(f"backbone.stages.{number}.")]
