"""video2pose3d multiview: several cameras of one scene."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from video2pose3d.cli import _options, counted
from video2pose3d.cli._memory import keep_flat
from video2pose3d.cli._progress import Bars
from video2pose3d.options import CHOICES, Options


@click.command("multiview")
@click.argument("clips", nargs=-1, required=True, metavar="CAM1 CAM2 ...")
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The cameras: npz, TOML (Pose2Sim, anipose; metres), OpenCV YAML or a folder, Qualisys."
    "  [default: found from the people]",
)
@click.option(
    "--offset",
    "offsets",
    type=float,
    multiple=True,
    metavar="SECONDS",
    help="When a clip began, after the first; once a clip, in their order."
    "  [default: found from how people move]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("out"),
    show_default=True,
    help="Folder for the results.",
)
@_options.watching
@_options.device
@_options.relating
@click.option(
    "--lifter",
    default=Options.lifter,
    show_default=True,
    metavar="NAME|PATH",
    help="2D to 3D network, for joints that fewer than two cameras see.",
)
@click.option(
    "--fov",
    type=float,
    metavar="DEGREES",
    help="Without --calibration: the lenses' field of view along the pictures' longer side.",
)
@click.option(
    "--camera",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Without --calibration: the lens of all cameras, or of each in the clips' order "
    "(npz with K, dist, size).",
)
@click.option(
    "--height",
    type=float,
    metavar="METRES",
    help="Body height of the (largest) person: sets the scale, or checks the calibration's.",
)
@click.option(
    "--foot-lock",
    type=click.Choice(CHOICES["foot_lock"]),
    default=Options.foot_lock,
    show_default=True,
    help="Hold feet still while they touch the ground.",
)
@_options.exports
@_options.rendering
@click.option("--overwrite", is_flag=True, help="Replace results that are there already.")
@_options.config
@_options.common
def command(
    clips: tuple[str, ...],
    calibration: Path | None,
    offsets: tuple[float, ...],
    output: Path,
    **values: Any,
) -> None:
    """Several cameras of one scene: 3D poses by triangulation.

    The clips show the same seconds, one a camera; with a calibration in its order or named as its
    cameras, without one the cameras are found from the people. Results lie in OUTPUT/<name>/,
    <name> being the first clip's, in metres; with an overlay for each camera, and rig.png, the
    cameras and people from above.
    """
    from video2pose3d import multiview
    from video2pose3d.files import alone_in
    from video2pose3d.results import Saving, check_folder, check_free, name_of

    options = _options.choose(values)
    folder = output / name_of(Path(clips[0]))
    saving = Saving(values["exports"], values["overlay"], values["animation"], values["viewer"])
    if not values["overwrite"]:
        check_free(folder, saving)
    check_folder(folder, *map(Path, clips))
    keep_flat()
    with alone_in(folder), Bars(folder.name, quiet=values["quiet"]) as progress:
        result = multiview.run(
            clips,
            calibration,
            offsets=offsets or None,
            progress=progress,
            **{name: getattr(options, name) for name in Options.__dataclass_fields__},
        )
        files = result.write(folder, saving, progress=progress)
    if values["as_json"]:
        summary = {
            "output": str(folder),
            "people": len(result.people),
            "frames": len(result.timestamps),
            "files": [file.name for file in files],
            "reprojection_px": {c["name"]: c["reprojection_px"] for c in result.report["cameras"]},
        }
        click.echo(json.dumps(summary, indent=2))
    elif not values["quiet"]:
        people = counted(len(result.people), "person", "people")
        names = ", ".join(file.name for file in files)
        click.echo(
            f"{folder}: {people} in {counted(len(result.timestamps), 'frame', 'frames')}: {names}"
        )
