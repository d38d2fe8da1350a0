"""video2pose3d evaluate: a lifter on a test set, or a result beside a known truth."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from video2pose3d.cli import _options


@click.command("evaluate")
@click.argument("dataset", metavar="mocap|TRUTH.npz")
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the data set.")
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
@_options.device
@_options.common
def command(
    dataset: str, data: Path | None, lifter: str, poses: Path | None, device: str, as_json: bool,
    quiet: bool,
) -> None:  # fmt: skip
    """Measure a lifter on a test set, or a result against a known truth.

    mocap: motion capture filmed by virtual cameras, with noisy and with clean 2D keypoints, beside
    the mean pose; it needs --data with its train.npz and test.npz. TRUTH.npz: a clip's exact
    joints, such as examples/walk_truth.npz, and --poses is what a run made of that clip.
    """
    from video2pose3d import evaluation, lifters
    from video2pose3d.networks import choose_device, find_lifter
    from video2pose3d.options import Options

    if dataset == "mocap":
        if data is None:
            raise click.UsageError("mocap needs --data, the folder with its train.npz and test.npz")
        weights = find_lifter(Options(lifter=lifter))
        scores = evaluation.evaluate_mocap(lifters.load(weights, choose_device(device)), data)
    else:
        if poses is None:
            raise click.UsageError("a truth needs --poses, what a run made of the same clip")
        scores = evaluation.evaluate_result(poses, Path(dataset))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(score) for score in scores], indent=2))
    else:
        for score in scores:
            click.echo(str(score))
