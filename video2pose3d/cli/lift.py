"""video2pose3d lift: 2D keypoints to 3D poses, without a video."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from video2pose3d.cli import _options, counted


@click.command("lift")
@click.argument("keypoints2d", type=click.Path(path_type=Path), metavar="KEYPOINTS2D.npz")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("poses.npz"),
    show_default=True,
    help="Where the poses go.",
)
@_options.lifting
@click.option("--overwrite", is_flag=True, help="Replace a file that is there already.")
@_options.config
@_options.common
def command(keypoints2d: Path, output: Path, overwrite: bool, **values: Any) -> None:  # fmt: skip
    """2D keypoints to 3D poses, without a video.

    KEYPOINTS2D.npz holds keypoints_2d (P, T, 17, 2) or (T, 17, 2) px, scores_2d, image_size, fps
    and skeleton: coco17 or h36m17. Of a poses.npz the 2D keypoints are lifted again, by another
    --lifter for instance; its lens holds unless one is given.
    """
    from video2pose3d.errors import UserError
    from video2pose3d.exporters import npz
    from video2pose3d.keypoints2d import lift

    options = _options.choose(values)
    if output.exists():
        if keypoints2d.exists() and output.samefile(keypoints2d):
            what = "lies where its own results would go"
            raise UserError(what, path=keypoints2d, cure="give another --output")
        if not overwrite:
            raise UserError("is there already", path=output, cure="add --overwrite")
    result = lift(keypoints2d, options)
    npz.write_file(result, output)
    people = len(result.people)
    if values["as_json"]:
        summary = {"poses": str(output), "people": people, "report": result.report}
        click.echo(json.dumps(summary, indent=2))
    elif not values["quiet"]:
        what = counted(people, "person", "people")
        click.echo(f"{output}: {what} in {counted(len(result.timestamps), 'frame', 'frames')}")
