"""What `run` and `batch` share: do the jobs, say how each ended, sum up."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from video2pose3d.cli import NOTHING_DONE, SOME_FAILED
from video2pose3d.cli._memory import keep_flat
from video2pose3d.cli._progress import Bars
from video2pose3d.options import Options

if TYPE_CHECKING:
    from video2pose3d.batch import Job, Outcome, WhenThere


def work(jobs: list[Job], options: Options, values: dict[str, Any], when_there: WhenThere) -> int:
    """Do the jobs as the flags in `values` ask; the exit status.

    An interruption is told as all else, and then raised.
    """
    from video2pose3d import batch
    from video2pose3d.results import Saving

    keep_flat()
    outcomes: list[Outcome] = []

    def after_each(outcome: Outcome) -> None:
        outcomes.append(outcome)
        _say(outcome, values)

    try:
        batch.work(
            jobs,
            options,
            Saving(values["exports"], values["overlay"], values["animation"], values["viewer"]),
            when_there=when_there,
            bars=lambda title: Bars(title, quiet=values["quiet"]),
            after_each=after_each,
        )
    except KeyboardInterrupt:
        _sum_up(outcomes, values)
        raise
    return _sum_up(outcomes, values)


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
        people = "no person" if not outcome.people else f"{outcome.people} people"
        people = "1 person" if outcome.people == 1 else people
        names = ", ".join(file.name for file in outcome.files)
        click.echo(
            f"{outcome.job.folder}: {people} in {outcome.frames} frames, "
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
