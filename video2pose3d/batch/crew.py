"""Jobs handed to workers, each in a process of its own: a video that kills one ends nothing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from video2pose3d.batch.inputs import Job
from video2pose3d.batch.work import Outcome

W = TypeVar("W", bound=Hashable)


class Died(Exception):
    """A worker ended in the midst of a job; the message says how."""


class Engine(AbstractContextManager, Protocol[W]):
    """Where workers live. Leaving its context ends them all, what they are at included."""

    def hire(self) -> W:
        """A new worker."""
        ...

    def give(self, worker: W, job: Job) -> None:
        """Let an idle worker begin."""
        ...

    def ended(self, busy: Sequence[W]) -> list[W]:
        """Wait until some of the busy workers have ended their jobs, or themselves."""
        ...

    def take(self, worker: W) -> Outcome:
        """What became of the job of a worker that has ended it; Died, or what it raised."""
        ...


def work(jobs: Sequence[Job], engine: Engine[W], workers: int) -> Iterator[Outcome]:
    """Do the jobs, as many at a time as there are workers; each outcome as it comes.

    Raises UserError when the networks cannot be had, without which nothing can be done. What stops
    it before its end, KeyboardInterrupt say, ends the workers; what was finished is kept.
    """
    left, idle = deque(jobs), []
    busy: dict[W, tuple[Job, float]] = {}
    with engine:
        while left or busy:
            while left and len(busy) < workers:
                worker = idle.pop() if idle else engine.hire()
                busy[worker] = left.popleft(), time.perf_counter()
                engine.give(worker, busy[worker][0])
            for worker in engine.ended(list(busy)):
                job, begun = busy.pop(worker)
                try:
                    outcome = engine.take(worker)
                    idle.append(worker)
                except Died as death:  # and the next job has a new worker
                    spent = time.perf_counter() - begun
                    outcome = Outcome(job, "failed", spent, error=f"{job.source}: {death}")
                yield outcome
