"""video2pose3d view: an interactive page from saved poses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from video2pose3d.cli import _options


@click.command("view")
@click.argument("poses", type=click.Path(path_type=Path), metavar="POSES.npz")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="VIEWER.html",
    help="Where the page goes.  [default: viewer.html beside POSES.npz]",
)
@click.option("--overwrite", is_flag=True, help="Replace a page that is there already.")
@_options.config
@_options.common
def command(poses: Path, output: Path | None, overwrite: bool, **values: Any) -> None:  # fmt: skip
    """An interactive page of a saved poses.npz, for any browser.

    The page is one file and needs no network: open it by a double click, or send it to somebody.
    """
    from video2pose3d import results
    from video2pose3d.report import list_files

    result = results.load(poses)
    file = results.view(result, output or poses.parent / "viewer.html", overwrite=overwrite)
    list_files([file], poses)
    if values["as_json"]:
        click.echo(json.dumps({"files": [str(file)]}, indent=2))
    elif not values["quiet"]:
        click.echo(str(file))
