"""video2pose3d evaluate: a lifter on a test set, or a result beside a known truth."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import click

from video2pose3d.cli import _options

# The papers' tables, and the module that reads the files of each.
BENCHMARKS = {
    "h36m": "h36m_motionbert",
    "h36m_gt": "h36m_motionbert",
    "h36m_metres": "h36m",
    "3dhp": "mpi_inf_3dhp",
    "humaneva": "humaneva",
}


@click.command("evaluate")
@click.argument("dataset", metavar="DATASET|TRUTH.npz")
@click.option("--data", type=click.Path(path_type=Path), help="Folder or file of the data set.")
@click.option(
    "--weights",
    "lifter",
    default="ssr_stf",
    show_default=True,
    metavar="NAME|PATH",
    help="The lifter to measure.",
)
@click.option(
    "--poses",
    type=click.Path(path_type=Path),
    metavar="POSES.npz",
    help="The result to hold against TRUTH.npz.",
)
@click.option(
    "--keypoints-2d", is_flag=True, help="TRUTH.npz: also how the 2D keypoints err, joint by joint."
)
@click.option(
    "--detections",
    default="cpn_ft_h36m_dbb",
    show_default=True,
    metavar="NAME",
    help="h36m_metres: the 2D of data_2d_h36m_NAME.npz; gt for exact ones.",
)
@click.option("--all", "everything", is_flag=True, help="mocap: all sequences, not 60 of them.")
@click.option(
    "--dump",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="mocap: write its 2D keypoints, truth and camera there, and measure nothing.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="mocap: folder for a picture of the errors by source and angle.",
)
@_options.device
@_options.common
def command(
    dataset: str, data: Path | None, lifter: str, poses: Path | None, keypoints_2d: bool,
    detections: str, everything: bool, dump: Path | None, output: Path | None, device: str,
    as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Measure a lifter on a test set, or a result against a known truth.

    DATASET is one of mocap, h36m, h36m_gt, h36m_metres, 3dhp and humaneva.

    mocap: motion capture filmed by virtual cameras, with noisy and with clean 2D keypoints, beside
    the mean pose; --data is the folder of its train.npz and test.npz.

    h36m, h36m_gt, h36m_metres, 3dhp, humaneva: the tables of the papers, with weights trained on
    that data set; --data is the folder of its published files, which an error names. h36m is
    MotionBERT's protocol and h36m_metres VideoPose3D's; their figures are not comparable.

    TRUTH.npz: a clip's exact joints, such as examples/walk_truth.npz, and --poses is what a run
    made of that clip. Joints that another program triangulated (person0_xyz_m, COCO's 17) will do,
    too: then the limbs' P-MPJPE is measured.
    """
    if dataset == "mocap" or dataset in BENCHMARKS:
        if data is None:
            raise click.UsageError(f"{dataset} needs --data, where its files are")
        if dataset != "mocap":
            _show([_measure(dataset, data, lifter, device, detections)], as_json)
        elif dump is not None:
            _dump(data, dump, everything, as_json)
        else:
            _show(_measure_mocap(data, lifter, device, everything, output), as_json)
        return
    if poses is None:
        raise click.UsageError("a truth needs --poses, what a run made of the same clip")
    from video2pose3d import archives
    from video2pose3d.evaluation import result

    truth = Path(dataset)
    triangulated = bool(archives.read(truth, result.TRIANGULATED))
    evaluate = result.evaluate_limbs if triangulated else result.evaluate
    measured: list[Any] = [*evaluate(poses, truth)]
    if keypoints_2d:
        measured += result.evaluate_keypoints(poses, truth)
    _show(measured, as_json)


def _measure(dataset: str, data: Path, lifter: str, device: str, detections: str) -> Any:
    from video2pose3d import datasets, lifters
    from video2pose3d.evaluation import h36m, humaneva, mpi_inf_3dhp
    from video2pose3d.networks import choose_device, find_lifter
    from video2pose3d.options import Options

    reader = importlib.import_module(f"video2pose3d.datasets.{BENCHMARKS[dataset]}")
    datasets.find(data, reader.FILE, reader.WHERE)  # missing data are said before other troubles
    ready = lifters.load(
        find_lifter(Options(lifter=lifter)),
        choose_device(device),
        normalisation="screen 1",
        unit="screen" if dataset in ("h36m", "h36m_gt") else "metre",
    )
    if dataset == "h36m_metres":
        return h36m.evaluate_metres(ready, data, keypoints=detections)
    if dataset == "3dhp":
        return mpi_inf_3dhp.evaluate(ready, data)
    if dataset == "humaneva":
        return humaneva.evaluate(ready, data)
    return h36m.evaluate(ready, data, truth_2d=dataset == "h36m_gt")


def _measure_mocap(
    data: Path, lifter: str, device: str, everything: bool, output: Path | None
) -> list:
    from video2pose3d import lifters
    from video2pose3d.evaluation import mocap
    from video2pose3d.networks import choose_device, find_lifter
    from video2pose3d.options import Options

    ready = lifters.load(find_lifter(Options(lifter=lifter)), choose_device(device))
    report = mocap.evaluate(ready, data, limit=None if everything else mocap.SEQUENCES)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        mocap.plot(report, output / "mocap.png")
    return [*report.scores, *report.tables]


def _dump(data: Path, folder: Path, everything: bool, as_json: bool) -> None:
    from video2pose3d.datasets.mocap import Mocap
    from video2pose3d.evaluation import filming

    clips = Mocap.read(data / "test.npz")
    files = filming.dump(filming.film(clips, None if everything else filming.SEQUENCES), folder)
    if as_json:
        click.echo(json.dumps([str(file) for file in files], indent=2))
    else:
        click.echo(f"{len(files)} files in {folder}")


def _show(measured: list, as_json: bool) -> None:
    """Scores line by line, and tables with a line between them."""
    if as_json:
        plain = [
            one.as_json() if hasattr(one, "as_json") else dataclasses.asdict(one)
            for one in measured
        ]
        click.echo(json.dumps(plain, indent=2))
        return
    for n, one in enumerate(measured):
        if n and hasattr(one, "as_json"):
            click.echo()
        click.echo(str(one))
