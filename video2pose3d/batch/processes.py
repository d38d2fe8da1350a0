"""Workers that are processes of this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import NamedTuple

from typing_extensions import Self

from video2pose3d.batch.crew import Died
from video2pose3d.batch.inputs import Job
from video2pose3d.batch.work import Outcome, Worker
from video2pose3d.errors import UserError

_PATIENCE = 20.0  # seconds for a process to tidy up and end


class Process(NamedTuple):
    """One worker, and the pipe to it."""

    process: SpawnProcess
    connection: Connection


class Processes:
    """A crew.Engine. make: called in each process, gives its Worker; it is pickled.

    The processes share the processor's cores, unless OMP_NUM_THREADS says otherwise.
    """

    def __init__(self, make: Callable[[], Worker], workers: int):
        self.make = make
        self.processes: list[Process] = []
        if workers > 1:
            os.environ.setdefault("OMP_NUM_THREADS", str(max(1, _cores() // workers)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        for one in self.processes:
            one.connection.close()  # whoever waits for a job ends
            if error is not None:
                one.process.terminate()
        for one in self.processes:
            one.process.join(_PATIENCE)
            one.process.kill()

    def hire(self) -> Process:
        context = multiprocessing.get_context("spawn")  # a fork of torch's threads may hang
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self.make), daemon=True)
        process.start()
        theirs.close()
        self.processes.append(Process(process, ours))
        return self.processes[-1]

    def give(self, worker: Process, job: Job) -> None:
        with contextlib.suppress(OSError):  # it is dead, as `take` will say
            worker.connection.send(job)

    def ended(self, busy: Sequence[Process]) -> list[Process]:
        ready = wait([one.connection for one in busy])
        return [one for one in busy if one.connection in ready]

    def take(self, worker: Process) -> Outcome:
        try:
            answer = worker.connection.recv()
        except (EOFError, OSError):
            worker.process.join(_PATIENCE)
            raise Died(_cause(worker.process.exitcode)) from None
        if isinstance(answer, UserError):
            raise answer
        return answer


def _serve(connection: Connection, make: Callable[[], Worker]) -> None:
    """A process from its first job to its last."""
    # Ctrl-C reaches all processes of a terminal at once: the first hears it and ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by an exception, which tidies up
    worker = make()
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        try:
            answer = worker.do(job)
        except UserError as error:  # the networks cannot be had
            answer = error
        try:
            connection.send(answer)
        except OSError:  # who asked is dead
            return


def _cause(exit_code: int | None) -> str:
    """How a process ended, in words."""
    if exit_code is None or exit_code >= 0:
        return f"its process ended with status {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    memory = ", perhaps for want of memory" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{memory}"


def _cores() -> int:
    """Of the processor, that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
