"""Progress bars on stderr, one a stage; nothing where nobody looks."""

from __future__ import annotations

from types import TracebackType

from typing_extensions import Self

from video2pose3d.cli._memory import give_back

_FRAMES_BETWEEN = 8  # as many as are held at once


class Bars:
    """A context whose value is a results.Progress: bars(stage, done, total).

    Every few frames, and where a stage begins, it also has the memory that is free given back.
    """

    def __init__(self, title: str, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True)
        self._title = title  # a file's name: neither a format nor markup
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._tasks = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._progress.stop()

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if stage not in self._tasks or done % _FRAMES_BETWEEN == 0:
            give_back()
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(f"{self._title} {stage}", total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)
