"""video2pose3d train: train a lifter."""

from __future__ import annotations

from pathlib import Path

import click

from video2pose3d.cli import _options, _training


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

    On several GPUs: torchrun --nproc-per-node N -m video2pose3d train ...
    """
    from video2pose3d.networks import choose_device
    from video2pose3d.training import loop
    from video2pose3d.training.config import TrainingConfig

    read = TrainingConfig.read(config)
    checkpoint = loop.train(
        read, data, output, steps=steps, start=start, device=choose_device(device)
    )
    _training.finish(read, checkpoint, publish, as_json)
