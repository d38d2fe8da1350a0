"""video2pose3d batch: many videos, resumed where they were left."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from video2pose3d.cli import _options, _work

if TYPE_CHECKING:
    from video2pose3d.batch import crew
    from video2pose3d.batch.work import Worker


def _read_shard(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int]:
    """2/4 → (2, 4)."""
    if value is None:
        return 1, 1
    number, _, of = value.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise click.BadParameter(f"{value!r} is not I/N with I from 1 to N, such as 2/4")
    return int(number), int(of)


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
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Videos at a time, each in a process of its own.",
)
@click.option(
    "--shard",
    callback=_read_shard,
    metavar="I/N",
    help="Only the I-th of N parts of the videos: one part a machine.",
)
@click.option(
    "--ray",
    metavar="local|auto|ADDRESS",
    help="Let the workers be those of a Ray cluster: one started here, this machine's, "
    "or that of an address.",
)
@_options.config
@_options.common
def command(sources: tuple[str, ...], output: Path, **values: Any) -> int:  # fmt: skip
    """Many videos: folders (at any depth), globs and @list.txt files.

    A video that is finished, by its content and the options, is not done again: start the same
    command once more to go on after an interruption. A video that fails, even one that kills its
    process, ends nothing; it is named at the end, and the exit status is 3. So is a source that
    holds no video.

    Results lie in OUTPUT/<name>/, <name> being the file's path below the folder, below a glob's
    part without wildcards or beside the list, without its ending; the file's name where it lies
    elsewhere. Where that is the same for several, it is longer by as many folders of their paths as
    tell them apart.
    """
    from video2pose3d.batch import crew
    from video2pose3d.batch.inputs import Job, discover, name_results, shard
    from video2pose3d.batch.work import Outcome
    from video2pose3d.networks import Choice

    options = _options.choose(values)
    videos, empty = discover(sources)
    named, clashing = name_results(videos, output)
    jobs = shard(named, *values["shard"])
    failed = [
        Outcome(Job(source, output), "failed", 0.0, error=str(error))
        for source, error in shard([*empty.items(), *clashing.items()], *values["shard"])
    ]
    if not jobs:
        return _work.tell(failed, values)
    workers = min(values["workers"], len(jobs))
    when_there = "replace" if values["overwrite"] else "resume"
    choice = Choice.of(options)  # once for all workers
    engine = _engine(_work.maker(options, values, when_there, choice), workers, values["ray"])
    return _work.tell(itertools.chain(failed, crew.work(jobs, engine, workers)), values)


def _engine(make: Callable[[], Worker], workers: int, ray: str | None) -> crew.Engine:
    """Where the workers live: in processes of this machine, or on Ray at that address."""
    if ray is not None:
        from video2pose3d.batch.on_ray import OnRay

        return OnRay(make, workers, ray)
    from video2pose3d.batch.processes import Processes

    return Processes(make, workers)
