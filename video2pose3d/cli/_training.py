"""What `train` and `pretrain` share: their options, and what they do at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import click

from video2pose3d.cli import _options

options = _options.stack(
    click.argument("config", metavar="CONFIG.toml"),
    click.option(
        "--data",
        type=click.Path(path_type=Path),
        required=True,
        help="Motion capture: folder with train and val, each an .npz or a folder of BVH and AMASS "
        "files; without val some of train are held out. Heads: folder with train.npz and val.npz. "
        "A benchmark: its file.",
    ),
    click.option(
        "-o",
        "--output",
        type=click.Path(file_okay=False, path_type=Path),
        required=True,
        help="Folder for checkpoints and logs; a run found there is resumed.",
    ),
    click.option(
        "--steps", type=click.IntRange(min=1), help="Train that many steps instead of the config's."
    ),
    click.option(
        "--publish",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Then write the weights as a .safetensors file.",
    ),
    _options.device,
)


def finish(
    write: Callable[[Path, Path], None], checkpoint: Path, publish: Path | None, as_json: bool
) -> None:
    """Publish, where that is wanted, and say what was written; one of several processes does.

    write: makes the published file of the checkpoint.
    """
    if os.environ.get("RANK", "0") != "0":
        return
    if publish is not None:
        write(checkpoint, publish)
    if as_json:
        click.echo(json.dumps({"checkpoint": str(checkpoint), "weights": str(publish or "")}))
