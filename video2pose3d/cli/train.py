"""video2pose3d train: train a lifter."""

from __future__ import annotations

import json
from pathlib import Path

import click

from video2pose3d.cli import _options


@click.command("train")
@click.argument("config", type=click.Path(path_type=Path), metavar="CONFIG.toml")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder with the motion data (train.npz, val.npz).",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for checkpoints and logs; a run found there is resumed.",
)
@click.option(
    "--steps", type=click.IntRange(min=1), help="Train that many steps instead of the config's."
)
@click.option(
    "--publish",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Then write the weights that --lifter takes: a .safetensors file.",
)
@_options.device
@_options.common
def command(
    config: Path, data: Path, output: Path, steps: int | None, publish: Path | None, device: str,
    as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Train a lifter from a TOML config, a file or the name of a shipped one."""
    from video2pose3d import training
    from video2pose3d.networks import choose_device

    checkpoint = training.train(
        config, data=data, output=output, steps=steps, device=choose_device(device)
    )
    if publish is not None:
        training.publish(config, checkpoint, publish)
    if as_json:
        click.echo(json.dumps({"checkpoint": str(checkpoint), "weights": str(publish or "")}))
