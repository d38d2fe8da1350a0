"""video2pose3d bench: this machine's speed and memory."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from video2pose3d.cli import _options

if TYPE_CHECKING:
    from video2pose3d.bench import program

MEASUREMENTS = ("stages", "memory", "startup", "drawing")  # of a clip
LIFTERS = "lifters"


@click.command("bench")
@click.argument("clip", required=False, metavar="[CLIP|lifters]", type=click.Path(path_type=Path))
@click.option(
    "--only",
    multiple=True,
    type=click.Choice([*MEASUREMENTS, LIFTERS]),
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
@_options.device
@_options.common
def command(
    clip: Path | None, only: tuple[str, ...], flags: str, output: Path | None, device: str,
    as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """This machine's speed and memory, stage by stage.

    CLIP is a video with people in it; the shipped examples/walk.mp4 where none is given. `bench
    lifters` instead measures every 2D to 3D network alone, on --device, beside a matrix product.
    """
    from video2pose3d.bench import lifters, program
    from video2pose3d.networks import choose_device

    device = choose_device(device)
    if clip == Path(LIFTERS) and not Path(LIFTERS).exists():
        clip, only = None, (LIFTERS, *only)
    clip = clip or program.example_clip()
    if not clip.exists():
        raise click.UsageError(f"{clip} does not exist: give a clip, or the word {LIFTERS}")
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)

    results: dict[str, Any] = {}
    of_clip = [name for name in only or MEASUREMENTS if name != LIFTERS]
    if of_clip:
        measured = program.measure(clip, ["--device", device, *shlex.split(flags)], of_clip)
        results |= measured.as_json()
        if output is not None and measured.report is not None:
            program.plot(measured.report, output / "stages.png")
        if not as_json:
            _say(clip, measured)
    if LIFTERS in only:
        measured = lifters.measure(device)
        results[LIFTERS] = measured.as_json()
        if not as_json:
            click.echo(lifters.as_table(measured))
    if output is not None:
        (output / "bench.json").write_text(json.dumps(results, indent=2) + "\n")
    if as_json:
        click.echo(json.dumps(results, indent=2))


def _say(clip: Path, measured: program.Bench) -> None:
    """The stages and figures of a clip, a line each."""
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
