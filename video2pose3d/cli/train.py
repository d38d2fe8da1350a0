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
    help="Weights to begin with: a lifter, or a pre-trained backbone.",
)
@_options.common
def command(
    config: str, data: Path, output: Path, steps: int | None, publish: Path | None, device: str,
    start: str | None, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Train a lifter from a TOML config, a file or the name of a shipped one.

    A config with a task, action_ntu60 or smpl_mesh, say, trains a head on a lifter: it recognises
    actions or recovers SMPL bodies.

    On several GPUs: torchrun --nproc-per-node N -m video2pose3d train ...
    """
    from video2pose3d.networks import choose_device
    from video2pose3d.training import downstream, loop, publishing
    from video2pose3d.training.config import TrainingConfig

    if downstream.is_downstream(config):
        if steps is not None:
            cure = "give epochs in the config instead of --steps"
            raise UserError("a head is trained in epochs", path=config, cure=cure)
        if start is not None:
            cure = "give start in the config instead of --start"
            raise UserError("a head's config names its lifter's weights", path=config, cure=cure)
        head = downstream.HeadConfig.read(config)
        checkpoint = downstream.train_head(head, data, output, device=choose_device(device))
        write = partial(downstream.publish_head, head)
    else:
        lifter = TrainingConfig.read(config)
        checkpoint = loop.train(
            lifter, data, output, steps=steps, start=start, device=choose_device(device)
        )
        write = partial(publishing.publish, lifter)
    _training.finish(write, checkpoint, publish, as_json)
