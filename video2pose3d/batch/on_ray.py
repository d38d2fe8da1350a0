"""Workers that are actors of a Ray cluster, or of a Ray that is started here.

Every node has this program and the same files under the same paths.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, TextIO
from urllib.parse import urlsplit

from typing_extensions import Self

from video2pose3d.batch.crew import Died
from video2pose3d.batch.inputs import Job
from video2pose3d.batch.work import Outcome, Worker
from video2pose3d.errors import UserError

HERE = "local"
_PATIENCE = 5.0  # seconds for a cluster to answer


class OnRay:
    """A crew.Engine. make: called in each actor, gives its Worker; it is pickled.

    address: as ray.init knows them ("auto": the cluster that this machine belongs to), or HERE. The
    workers share the cluster's processors and graphics cards evenly.
    """

    def __init__(self, make: Callable[[], Worker], workers: int, address: str):
        try:
            import ray
        except ImportError as error:
            raise UserError(
                "Ray is not installed", cure="pip install 'video2pose3d[ray]'"
            ) from error
        self.ray, self.make = ray, make
        self.doing: dict[Any, Any] = {}  # actor → what it will answer
        try:
            _knock(address)
            own: dict[str, Any] = {"include_dashboard": False} if address == HERE else {}
            ray.init(address, logging_level=logging.ERROR, **own)
        except Exception as error:  # it raises just that when a node does not start
            what = f"no Ray cluster ({str(error).splitlines()[0]})"
            raise UserError(what, path=address, cure=f"start one, or give {HERE}") from error
        total = ray.cluster_resources()
        share = {name: total.get(name, 0.0) / workers for name in ("CPU", "GPU")}
        share = {name: int(part) if part > 1 else part for name, part in share.items()}
        self.actor = ray.remote(num_cpus=share["CPU"], num_gpus=share["GPU"])(_Actor)

    def __enter__(self) -> Self:
        self.stdout = contextlib.redirect_stdout(_OneThread(sys.stdout, sys.stderr))  # pyright: ignore
        self.stdout.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.ray.shutdown()  # ends its actors
        self.stdout.__exit__(kind, error, trace)

    def hire(self) -> Any:
        return self.actor.remote(self.make, os.getcwd())

    def give(self, worker: Any, job: Job) -> None:
        self.doing[worker] = worker.do.remote(job)

    def ended(self, busy: Sequence[Any]) -> list[Any]:
        ready, _ = self.ray.wait([self.doing[worker] for worker in busy])
        return [worker for worker in busy if self.doing[worker] in ready]

    def take(self, worker: Any) -> Outcome:
        try:
            answer = self.ray.get(self.doing.pop(worker))
        except self.ray.exceptions.RayActorError as error:
            raise Died(f"its worker died ({str(error).splitlines()[0]})") from None
        if isinstance(answer, UserError):
            raise answer
        return answer


def _knock(address: str) -> None:
    """OSError where nothing answers at HOST:PORT or ray://HOST:PORT; what else there is Ray knows.

    Ray itself would ask for minutes.
    """
    place = urlsplit(address if "://" in address else f"//{address}")
    if place.scheme in ("", "ray") and place.hostname and place.port:
        socket.create_connection((place.hostname, place.port), timeout=_PATIENCE).close()


class _OneThread:
    """A stream for what this thread prints; what others print, as Ray does, goes to `elsewhere`."""

    def __init__(self, stream: TextIO, elsewhere: TextIO):
        self.stream, self.elsewhere = stream, elsewhere
        self.thread = threading.get_ident()

    def __getattr__(self, name: str) -> Any:
        ours = threading.get_ident() == self.thread
        return getattr(self.stream if ours else self.elsewhere, name)


class _Actor:
    """A Worker in a process of Ray's."""

    def __init__(self, make: Callable[[], Worker], folder: str):
        os.chdir(folder)  # relative paths mean the same as where the command was given
        self.worker = make()

    def do(self, job: Job) -> Outcome | UserError:
        try:
            return self.worker.do(job)
        except UserError as error:  # the networks cannot be had
            return error
