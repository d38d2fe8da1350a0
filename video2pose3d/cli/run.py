"""video2pose3d run: one or a few videos, the whole way through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from video2pose3d.cli import COMMANDS, _options, _work


@click.command("run")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("out"),
    show_default=True,
    help="Folder for the results.",
)
@_options.watching
@_options.lifting
@_options.exports
@_options.rendering
@click.option("--overwrite", is_flag=True, help="Replace results that are there already.")
@_options.config
@_options.common
def command(inputs: tuple[str, ...], output: Path, **values: Any) -> int:  # fmt: skip
    """One or a few videos: 3D poses, BVH, overlay and animation of each.

    INPUT is any video file, a folder of images, one image, or 0 for a webcam (until Ctrl-C).
    Results lie in OUTPUT/<name>/, <name> being the file's name without its ending.
    """
    from video2pose3d.batch.inputs import name_results, place_inputs

    for name in inputs:
        if name in COMMANDS and not Path(name).exists():
            raise click.UsageError(f"{name} is a command, which comes first: video2pose3d {name}")
    options = _options.choose(values)
    jobs, clashing = name_results(place_inputs(inputs), output)
    if clashing:
        raise next(iter(clashing.values()))
    when_there = "replace" if values["overwrite"] else "refuse"
    worker = _work.maker(options, values, when_there)()
    return _work.tell((worker.do(job) for job in jobs), values)
