"""video2pose3d render: overlay and animation from saved poses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from video2pose3d.cli import _options
from video2pose3d.cli._progress import Bars


@click.command("render")
@click.argument("poses", type=click.Path(path_type=Path), metavar="POSES.npz")
@click.option("--video", "clip", metavar="CLIP", help="The clip, for the overlay.")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the videos.  [default: beside POSES.npz]",
)
@click.option(
    "--start",
    type=float,
    metavar="SECONDS",
    help="Where the poses begin in the clip.  [default: the run's --start]",
)
@click.option("--fps", type=float, help="Frame rate of a folder of images.")
@click.option("--overwrite", is_flag=True, help="Replace videos that are there already.")
@_options.config
@_options.common
def command(
    poses: Path,
    clip: str | None,
    output: Path | None,
    start: float | None,
    fps: float | None,
    overwrite: bool,
    **values: Any,
) -> None:  # fmt: skip
    """Overlay and animation from a saved poses.npz."""
    from video2pose3d import pipeline, results
    from video2pose3d.options import Options
    from video2pose3d.report import list_files

    scene = results.load(poses)
    span = scene.span if start is None else (start, None)
    options = Options(start=span[0], end=span[1], fps=fps)
    source = None if clip is None else pipeline.open_clip(clip, options)
    with Bars(poses.parent.name, quiet=values["quiet"]) as progress:
        files = results.render(
            scene, output or poses.parent, clip=source, overwrite=overwrite, progress=progress
        )
    list_files(files, poses)
    if values["as_json"]:
        click.echo(json.dumps({"files": [str(file) for file in files]}, indent=2))
    elif not values["quiet"]:
        for file in files:
            click.echo(str(file))
