"""The 2D network that relates images: AP, AR, PCK and MSE, as Tables I and III of its paper.

The data set is that of the network's joints: COCO's val2017 for COCO's, Human3.6M's S9 and S11 for
Human3.6M's. What is measured, and how, is in training.relation_scores: what a training logs.
"""

from __future__ import annotations

from pathlib import Path

from video2pose3d.evaluation.scores import Table
from video2pose3d.keypoints.relation import Model
from video2pose3d.training.clips import Data
from video2pose3d.training.relation import READERS
from video2pose3d.training.relation_scores import scores

CLIPS = Data.most
_UNITS = {"AP": "%", "AR": "%", "PCK": "%", "MSE": "px²"}
_IMAGES = 128  # in memory at once


def evaluate(model: Model, data: Path, *, limit: int | None = CLIPS) -> Table:
    """data: the folder that the data set's reader takes. limit: how many clips of f frames, spread
    evenly over the test set; None for all.
    """
    config = model.config
    name, reader = next((n, r) for n, r in READERS.items() if r.SKELETON.name == config.skeleton)
    footage = reader.read(data, "test")
    most = sum(len(one.xy) for one in footage) if limit is None else limit
    found = scores(model, footage, max(1, _IMAGES // (config.f * config.V)), most)
    of = "all clips" if limit is None else f"at most {limit} clips"
    return Table(
        f"{name}, true boxes, {of}; relation, f = {config.f}, V = {config.V}",
        tuple(f"{key} {_UNITS[key]}" for key in found),
        {"All": tuple(found.values())},
    )
