"""video2pose3d evaluate: a network on a test set, or a result beside a known truth."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from video2pose3d.cli import _options
from video2pose3d.options import Options

F = TypeVar("F", bound=Callable[..., Any])

TRUTH = "truth"


class Evaluations(click.Group):
    """The data sets, with `truth` for a first word that is a file."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, "-h", "--help"}:
            if not args[0].endswith(".npz"):
                sets = ", ".join(name for name in self.commands if name != TRUTH)
                raise click.UsageError(f"{args[0]!r} is no data set: choose from {sets}, or give "
                                       "a TRUTH.npz", ctx)  # fmt: skip
            args = [TRUTH, *args]
        return super().parse_args(ctx, args)


@click.command("evaluate", cls=Evaluations, subcommand_metavar="DATASET|TRUTH.npz ARGS...")
def command() -> None:
    """Measure a network on a test set, or a result against a known truth.

    `evaluate TRUTH.npz --poses POSES.npz` is short for `evaluate truth ...`. The figures of h36m
    and of h36m_metres are not comparable.
    """


def _data(holds: str) -> Callable[[F], F]:
    kind = click.Path(path_type=Path)
    return click.option("--data", type=kind, required=True, help=holds)


def _all(some: str) -> Callable[[F], F]:
    return click.option("--all", "everything", is_flag=True, help=f"Not only {some}.")


_weights = click.option(
    "--weights", "lifter", default=Options.lifter, show_default=True, metavar="NAME|PATH",
    help="The lifter.",
)  # fmt: skip
_body = click.option(
    "--body",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="SMPL's file in the folder of the data, which AMASS's clips need.",
)
_running = _options.stack(_options.device, _options.common)

# ------------------------------------------------------------------ motion capture


@command.command()
@_data("Folder with train and test, each an .npz or a folder of BVH and AMASS files.")
@_weights
@_all("60 of the sequences")
@_body
@click.option(
    "--dump",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Write the 2D keypoints, truth and camera there, and measure nothing.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for a picture of the errors by source and angle.",
)
@_running
def mocap(
    data: Path, lifter: str, everything: bool, body: Path | None, dump: Path | None,
    output: Path | None, device: str, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Motion capture filmed by a virtual camera.

    With noisy and with clean 2D keypoints, beside the mean pose.
    """
    from video2pose3d.evaluation import mocap

    limit, body = None if everything else mocap.SEQUENCES, body and data / body
    if dump is not None:
        _dump(data, body, limit, dump, as_json)
        return
    report = mocap.evaluate(_lifter(lifter, device), data, limit=limit, body=body)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        mocap.plot(report, output / "mocap.png")
    _show([*report.scores, *report.tables], as_json)


def _dump(data: Path, body: Path | None, limit: int | None, folder: Path, as_json: bool) -> None:
    from video2pose3d.datasets import collection
    from video2pose3d.evaluation import filming

    clips = collection.read(data, "test", body=body)
    files = filming.dump(filming.film(clips, limit), folder)
    if as_json:
        click.echo(json.dumps([str(file) for file in files], indent=2))
    else:
        click.echo(f"{len(files)} files in {folder}")


@command.command()
@_data("Folder with test, as for mocap.")
@_weights
@_all("60 of the sequences")
@_body
@click.option(
    "--cameras",
    type=click.IntRange(2, 16),
    multiple=True,
    metavar="NUMBER",
    help="How many; several times for several rigs.  [default: 2, 3, 4, 8]",
)
@_running
def rigs(
    data: Path, lifter: str, everything: bool, body: Path | None, cameras: tuple[int, ...],
    device: str, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """The same by several calibrated cameras at once.

    What multiview makes of it, as triangulated and as refined.
    """
    from video2pose3d.evaluation import rigs
    from video2pose3d.evaluation.filming import SEQUENCES

    ready, limit = _lifter(lifter, device), None if everything else SEQUENCES
    cameras, body = cameras or rigs.CAMERAS, body and data / body
    _show(rigs.evaluate(ready, data, cameras=cameras, limit=limit, body=body), as_json)


@command.command()
@_data("Folder with test, as for mocap.")
@_weights
@click.option(
    "--relate-weights",
    default=Options.relate_weights,
    show_default=True,
    metavar="NAME|PATH",
    help="The network to measure.",
)
@_all("24 of the sequences")
@_body
@_running
def relate(
    data: Path, lifter: str, relate_weights: str, everything: bool, body: Path | None, device: str,
    as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """How much --relate mends.

    Motion capture seen by rigs of 1 to 8 random cameras, with noisy and with clean 2D keypoints,
    and what the lifter makes of them.
    """
    from video2pose3d import relate, weights
    from video2pose3d.evaluation.relate import SEQUENCES, evaluate
    from video2pose3d.networks import choose_device

    network = relate.load(weights.find(relate_weights, kind="relation"), choose_device(device))
    limit = None if everything else SEQUENCES
    ready, body = _lifter(lifter, device), body and data / body
    _show([evaluate(network, ready, data, limit=limit, body=body)], as_json)


# ------------------------------------------------------------------ the papers' tables


_published = _options.stack(
    _data("Folder of its published files; an error names them."), _weights, _running
)


@command.command()
@_published
def h36m(**flags: Any) -> None:
    """Human3.6M by MotionBERT's protocol, labels in pixels."""
    from video2pose3d.datasets import h36m_motionbert
    from video2pose3d.evaluation.h36m import evaluate

    _measure(evaluate, h36m_motionbert, "screen", **flags)


@command.command("h36m_gt")
@_published
def h36m_gt(**flags: Any) -> None:
    """The same from the labels' own 2D."""
    from video2pose3d.datasets import h36m_motionbert
    from video2pose3d.evaluation.h36m import evaluate

    _measure(evaluate, h36m_motionbert, "screen", **flags, truth_2d=True)


@command.command("h36m_metres")
@_published
@click.option(
    "--detections",
    "keypoints",
    default="cpn_ft_h36m_dbb",
    show_default=True,
    metavar="NAME",
    help="The 2D of data_2d_h36m_NAME.npz; gt for exact ones.",
)
def h36m_metres(**flags: Any) -> None:
    """Human3.6M by VideoPose3D's protocol, in metres."""
    from video2pose3d.datasets import h36m
    from video2pose3d.evaluation.h36m import evaluate_metres

    _measure(evaluate_metres, h36m, "metre", **flags)


@command.command("3dhp")
@_published
def mpi_inf_3dhp(**flags: Any) -> None:
    """MPI-INF-3DHP."""
    from video2pose3d.datasets import mpi_inf_3dhp
    from video2pose3d.evaluation.mpi_inf_3dhp import evaluate

    _measure(evaluate, mpi_inf_3dhp, "metre", **flags)


@command.command()
@_published
def humaneva(**flags: Any) -> None:
    """HumanEva-I."""
    from video2pose3d.datasets import humaneva
    from video2pose3d.evaluation.humaneva import evaluate

    _measure(evaluate, humaneva, "metre", **flags)


def _measure(
    evaluate: Callable[..., Any], reader: Any, unit: str, *, data: Path, lifter: str, device: str,
    as_json: bool, quiet: bool, **protocol: Any,
) -> None:  # fmt: skip
    from video2pose3d import datasets

    datasets.find(data, reader.FILE, reader.WHERE)  # missing data are said before other troubles
    ready = _lifter(lifter, device, normalisation="screen 1", unit=unit)
    _show([evaluate(ready, data, **protocol)], as_json)


@command.command()
@_data("COCO's folder, or that of Human3.6M's frames.")
@click.option(
    "--weights",
    "file",
    required=True,
    type=click.Path(path_type=Path),
    help="What `train relation_... --publish FILE` wrote.",
)
@_all("2000 of the clips")
@_running
def relation(
    data: Path, file: Path, everything: bool, device: str, as_json: bool, quiet: bool
) -> None:
    """The 2D network that relates images.

    On the pictures that it was trained for: AP, AR, PCK, MSE.
    """
    from video2pose3d.errors import UserError
    from video2pose3d.evaluation import relation
    from video2pose3d.keypoints.relation import load
    from video2pose3d.networks import choose_device

    if not file.is_file():
        cure = "give --weights what `video2pose3d train relation_... --publish FILE` wrote"
        raise UserError("no such file", path=file, cure=cure)
    model = load(file).to(choose_device(device))
    limit = None if everything else relation.CLIPS
    _show([relation.evaluate(model, data, limit=limit)], as_json)


# ------------------------------------------------------------------ a result


@command.command(TRUTH)
@click.argument("truth", metavar="TRUTH.npz", type=click.Path(path_type=Path))
@click.option(
    "--poses",
    type=click.Path(path_type=Path),
    required=True,
    metavar="POSES.npz",
    help="What a run made of the same clip.",
)
@click.option("--details", is_flag=True, help="Also where it errs: by joint and by time.")
@click.option("--keypoints-2d", is_flag=True, help="Also how the 2D keypoints err, by joint.")
@_options.common
def result(
    truth: Path, poses: Path, details: bool, keypoints_2d: bool, as_json: bool, quiet: bool
) -> None:
    """A result beside a clip's exact joints, such as examples/walk_truth.npz.

    Joints that another program triangulated (person0_xyz_m, COCO's 17) will do, too: then the
    limbs' P-MPJPE is measured, beside those points and beside the centres of their joints.
    """
    from video2pose3d import archives
    from video2pose3d.evaluation import result

    triangulated = bool(archives.read(truth, result.TRIANGULATED))
    evaluate = result.evaluate_limbs if triangulated else result.evaluate
    measured: list[Any] = [*evaluate(poses, truth)]
    if details:
        measured += result.evaluate_details(poses, truth)
    if keypoints_2d:
        measured += result.evaluate_keypoints(poses, truth)
    _show(measured, as_json)


# ------------------------------------------------------------------ for all of them


def _lifter(name: str, device: str, **expected: str) -> Any:
    """The lifter of --weights, under that name; expected: as for lifters.load."""
    from video2pose3d import lifters
    from video2pose3d.networks import choose_device, find_lifter

    file = find_lifter(Options(lifter=name))
    ready = lifters.load(file, choose_device(device), **expected)
    return dataclasses.replace(ready, name=Path(name).stem)


def _show(measured: list, as_json: bool) -> None:
    """Scores line by line, and tables with a line between them."""
    if as_json:
        from video2pose3d.report import finite

        plain = [
            one.as_json() if hasattr(one, "as_json") else dataclasses.asdict(one)
            for one in measured
        ]
        click.echo(json.dumps(finite(plain), indent=2))
        return
    for n, one in enumerate(measured):
        if n and hasattr(one, "as_json"):
            click.echo()
        click.echo(str(one))
