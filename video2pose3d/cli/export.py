"""video2pose3d export: other formats from saved poses."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import click

from video2pose3d.cli import _options

log = logging.getLogger("video2pose3d")


@click.command("export")
@click.argument("poses", type=click.Path(path_type=Path), metavar="POSES.npz")
@click.option(
    "--format",
    "formats",
    required=True,
    callback=_options.split_exports,
    metavar="bvh,...",
    help="Which formats to write.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the files.  [default: beside POSES.npz]",
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@_options.config
@_options.common
def command(
    poses: Path, formats: tuple[str, ...], output: Path | None, overwrite: bool, **values: Any
) -> None:  # fmt: skip
    """Other formats from a saved poses.npz."""
    from video2pose3d import results
    from video2pose3d.report import list_files

    scene = results.load(poses)
    folder = output or poses.parent
    files = results.export(scene, folder, formats, overwrite=overwrite)
    list_files(files, poses)
    without = [name for name in formats if not any(f.suffix == f".{name}" for f in files)]
    if without:
        names = ", ".join(without)
        log.warning("%s: nobody is in it, so nothing was written as %s", poses, names)
    if values["as_json"]:
        click.echo(json.dumps({"files": [str(file) for file in files]}, indent=2))
    elif not values["quiet"]:
        for file in files:
            click.echo(str(file))
