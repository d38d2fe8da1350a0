"""video2pose3d train: train a lifter, or a head on one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from video2pose3d.cli import _options, _training
from video2pose3d.errors import UserError


@click.command("train")
@_training.options
@click.option(
    "--start",
    metavar="NAME|PATH",
    help="Weights to begin with: of the network itself, or a lifter's pre-trained backbone.",
)
@_options.common
def command(
    config: str, data: Path, output: Path, steps: int | None, publish: Path | None, device: str,
    start: str | None, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Train a lifter from a TOML config, a file or the name of a shipped one.

    A config with a task trains something else: action_ntu60 or smpl_mesh a head on a lifter, which
    recognises actions or recovers SMPL bodies; relation_coco the 2D network that relates images;
    pose_relation_mocap the one that relates 2D poses, for --relate.

    On several GPUs: torchrun --nproc-per-node N -m -- video2pose3d train ...
    """
    from video2pose3d.networks import choose_device
    from video2pose3d.training import downstream, loop, pose_relation, publishing, relation
    from video2pose3d.training.config import TrainingConfig
    from video2pose3d.training.config_files import LIFT, task_of

    task, where = task_of(config), choose_device(device)
    if task == LIFT:
        lifter = TrainingConfig.read(config)
        checkpoint = loop.train(lifter, data, output, steps=steps, start=start, device=where)
        write = partial(publishing.publish, lifter)
    elif task == pose_relation.TASK:
        poses = pose_relation.PoseRelationConfig.read(config)
        checkpoint = pose_relation.train_pose_relation(
            poses, data, output, steps=steps, start=start, device=where
        )
        write = partial(pose_relation.publish_pose_relation, poses)
    else:
        _refuse(config, steps=steps, start=start)
        if task == "relation":
            network = relation.RelationConfig.read(config)
            checkpoint = relation.train_relation(network, data, output, device=where)
            write = partial(relation.publish_relation, network)
        else:
            head = downstream.HeadConfig.read(config)
            checkpoint = downstream.train_head(head, data, output, device=where)
            write = partial(downstream.publish_head, head)
    _training.finish(write, checkpoint, publish, as_json)


def _refuse(config: str, *, steps: int | None, start: str | None) -> None:
    """UserError for an option that only lifters have."""
    if steps is not None:
        cure = "give epochs in the config instead of --steps"
        raise UserError("is trained in epochs", path=config, cure=cure)
    if start is not None:
        cure = "give start in the config instead of --start"
        raise UserError("names the weights it starts from itself", path=config, cure=cure)
