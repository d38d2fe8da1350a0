"""video2pose3d bench: this machine's speed and memory."""

from __future__ import annotations

import json
from pathlib import Path

import click

from video2pose3d.cli import _options

MEASUREMENTS = ("stages", "memory", "startup", "drawing")


@click.command("bench")
@click.argument("clip", required=False, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(MEASUREMENTS),
    help="Measure just this; may be repeated.",
)
@click.option(
    "--flags",
    default="",
    metavar="'FLAGS'",
    help="Flags of `run` to measure with, such as '--keypoints yolo_pose'.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for bench.json and a plot of the stages.",
)
@_options.common
def command(
    clip: Path | None, only: tuple[str, ...], flags: str, output: Path | None, as_json: bool,
    quiet: bool,
) -> None:  # fmt: skip
    """This machine's speed and memory, stage by stage.

    CLIP is a video with people in it; the shipped examples/walk.mp4 where none is given.
    """
    from video2pose3d import bench

    clip = clip or bench.example_clip()
    measured = bench.measure(clip, flags.split(), only or MEASUREMENTS)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        (output / "bench.json").write_text(json.dumps(measured.as_json(), indent=2) + "\n")
        if measured.report is not None:
            bench.plot(measured.report, output / "stages.png")
    if as_json:
        click.echo(json.dumps(measured.as_json(), indent=2))
        return
    if measured.report is not None:
        frames = measured.report["input"]["frames_decoded"]
        click.echo(f"{clip.name}: {frames} frames on {measured.report['device']}, "
                   f"{measured.report['networks']['keypoints']}")  # fmt: skip
        for name, stage in measured.report["stages"].items():
            click.echo(f"  {name:10} {1e3 * stage['seconds'] / frames:8.1f} ms a frame")
    for figure in measured.figures:
        verdict = "within" if figure.value <= figure.aim else "ABOVE"
        click.echo(
            f"{figure.name}: {figure.value:.2f}{figure.unit} "
            f"({figure.detail}), {verdict} {figure.aim:g}{figure.unit}"
        )
