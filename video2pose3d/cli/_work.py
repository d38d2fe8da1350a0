"""What `run` and `batch` share: who does the jobs, how each ended, the sum."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from video2pose3d.cli import NOTHING_DONE, SOME_FAILED, _options, counted, say_interrupted
from video2pose3d.cli._memory import keep_flat
from video2pose3d.cli._progress import Bars
from video2pose3d.options import Options

if TYPE_CHECKING:
    from video2pose3d.batch.work import Outcome, WhenThere, Worker
    from video2pose3d.networks import Choice
    from video2pose3d.results import Saving


def tell(outcomes: Iterable[Outcome], values: dict[str, Any]) -> int:
    """Say how each job ended, as it ends, and sum up, also if interrupted; the exit status."""
    told: list[Outcome] = []
    try:
        for outcome in outcomes:
            told.append(outcome)
            _say(outcome, values)
    except KeyboardInterrupt:
        _sum_up(told, values)
        return say_interrupted()
    return _sum_up(told, values)


def maker(
    options: Options,
    values: dict[str, Any],
    when_there: WhenThere,
    choice: Choice | None = None,
) -> Callable[[], Worker]:
    """What makes, in this process or in another, a Worker as the flags in `values` ask."""
    from video2pose3d.results import Saving

    saving = Saving(values["exports"], values["overlay"], values["animation"], values["viewer"])
    quiet = values["quiet"] or values.get("workers", 1) > 1  # one line for several bars is too few
    level = logging.getLogger("video2pose3d").level
    return partial(_make_worker, options, saving, when_there, choice, quiet, level)


def _make_worker(
    options: Options,
    saving: Saving,
    when_there: WhenThere,
    choice: Choice | None,
    quiet: bool,
    level: int,
) -> Worker:
    from video2pose3d.batch.work import Worker

    keep_flat()
    _options.log_to_stderr(level)
    return Worker(options, saving, when_there, partial(Bars, quiet=quiet), choice)


def _sum_up(outcomes: list[Outcome], values: dict[str, Any]) -> int:
    """Say what became of all; the exit status."""
    count = Counter(outcome.status for outcome in outcomes)
    if values["as_json"]:
        click.echo(json.dumps({"results": [_as_json(o) for o in outcomes], **count}, indent=2))
    elif len(outcomes) > 1:
        click.echo(f"{count['done']} done, {count['skipped']} skipped, {count['failed']} failed")
        for outcome in outcomes:
            if outcome.status == "failed":
                click.echo(f"failed: {outcome.error}", err=True)
    if not count["failed"]:
        return 0
    return NOTHING_DONE if count["failed"] == len(outcomes) else SOME_FAILED


def _say(outcome: Outcome, values: dict[str, Any]) -> None:
    if outcome.status == "failed":
        click.echo(f"error: {outcome.error}", err=True)
    elif values["as_json"] or values["quiet"]:
        return
    elif outcome.status == "skipped":
        click.echo(f"{outcome.job.folder}: finished before, skipped", err=True)
    else:
        people = counted(outcome.people, "person", "people")
        names = ", ".join(file.name for file in outcome.files)
        click.echo(
            f"{outcome.job.folder}: {people} in {counted(outcome.frames, 'frame', 'frames')}, "
            f"{outcome.seconds:.1f} s: {names}"
        )


def _as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "input": outcome.job.source,
        "output": str(outcome.job.folder),
        "status": outcome.status,
        "seconds": round(outcome.seconds, 3),
        "people": outcome.people,
        "frames": outcome.frames,
        "files": [str(file) for file in outcome.files],
        "error": outcome.error,
    }
