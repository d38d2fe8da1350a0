"""video2pose3d pretrain: teach a lifter's backbone from 2D poses alone."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from video2pose3d.cli import _options, _training


@click.command("pretrain")
@_training.options
@_options.common
def command(
    config: str, data: Path, output: Path, steps: int | None, publish: Path | None, device: str,
    as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Pre-train a lifter on the 2D side of the training data, from a TOML config with [pretrain].

    What --publish writes is what `train --start` begins with.
    """
    from video2pose3d.networks import choose_device
    from video2pose3d.training.config import TrainingConfig
    from video2pose3d.training.pretraining import pretrain
    from video2pose3d.training.publishing import publish as write

    read = TrainingConfig.read(config)
    checkpoint = pretrain(read, data, output, steps=steps, device=choose_device(device))
    _training.finish(partial(write, read), checkpoint, publish, as_json)
