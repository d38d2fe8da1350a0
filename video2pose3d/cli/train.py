"""video2pose3d train: train a lifter."""

from __future__ import annotations

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
@click.option("--steps", type=int, help="Train that many steps instead of the config's.")
@_options.device
@_options.common
def command(
    config: Path, data: Path, output: Path, steps: int | None, device: str, as_json: bool,
    quiet: bool,
) -> None:  # fmt: skip
    """Train a lifter from a TOML config, a file or the name of a shipped one."""
    from video2pose3d import training

    training.train(config, data=data, output=output, steps=steps, device=device)
