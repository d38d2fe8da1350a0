"""video2pose3d batch: many videos, resumed where they were left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from video2pose3d.cli import _options, _work


@click.command("batch")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the results, one folder a video inside it.",
)
@_options.watching
@_options.lifting
@_options.exports
@_options.rendering
@click.option("--overwrite", is_flag=True, help="Do again what is finished, too.")
@_options.config
@_options.common
def command(sources: tuple[str, ...], output: Path, **values: Any) -> int:  # fmt: skip
    """Many videos: folders (at any depth), globs and @list.txt files.

    A video that is finished, by its content and the options, is not done again: start the same
    command once more to go on after an interruption. A video that fails ends nothing; it is named
    at the end, and the exit status is 3.
    """
    from video2pose3d.batch import discover, name_results

    options = _options.choose(values)
    jobs = name_results(discover(sources), output)
    return _work.work(jobs, options, values, "replace" if values["overwrite"] else "resume")
