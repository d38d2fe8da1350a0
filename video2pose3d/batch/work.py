"""One video after the other, in this process, without mishap.

A result is finished when its report.json is there: it is written last. A video whose content,
options, weights and camera file are those of the report is not done again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from video2pose3d import pipeline
from video2pose3d.batch.inputs import Job
from video2pose3d.errors import UserError
from video2pose3d.files import alone_in
from video2pose3d.networks import Choice, Networks
from video2pose3d.options import Options
from video2pose3d.report import as_json, content_hash, files_of, read_report
from video2pose3d.results import Progress, Saving, check_folder, check_free
from video2pose3d.video import Video

log = logging.getLogger("video2pose3d")

# Options that change no result, and those that may name files, whose contents are compared.
_INDECISIVE = frozenset(
    (
        *("device", "offline", "trust_weights"),
        *("camera", "detector", "keypoints_weights", "relate_weights", "lifter"),
    )
)

_NO_MEMORY = (MemoryError, torch.OutOfMemoryError)

# What becomes of a folder with finished results in it: it is an error, and so are other files in
# the way ("refuse"), it is kept where content, options, weights and camera file are the same and
# done again otherwise ("resume"), or done again ("replace").
WhenThere = Literal["refuse", "resume", "replace"]


@dataclass(frozen=True)
class Outcome:
    """How a job ended. error: one line, for a failed one; seconds: wall time."""

    job: Job
    status: Literal["done", "skipped", "failed"]
    seconds: float
    files: tuple[Path, ...] = ()
    people: int | None = None
    frames: int | None = None
    error: str | None = None


@dataclass
class Worker:
    """Does jobs; its networks are loaded with the first video that needs them.

    bars: from a title to the progress bars of one video. choice: which networks, where that is
    known already.
    """

    options: Options
    saving: Saving
    when_there: WhenThere
    bars: Callable[[str], AbstractContextManager[Progress]]
    choice: Choice | None = None
    _networks: Networks | None = field(default=None, init=False)

    def do(self, job: Job) -> Outcome:
        """What became of it: what fails is told, not raised.

        UserError when the networks cannot be had, without which no job can be done.
        """
        begun = time.perf_counter()
        if self.when_there == "resume":
            self.choice = self.choice or Choice.of(self.options)
        try:
            clip = pipeline.open_clip(job.source, self.options)
            ended = self._finished_before(job)
            if ended is None:
                check_folder(job.folder, Path(job.source))
        except Exception as error:
            return _failed(job, error, begun)
        if ended is None:
            try:
                self._networks = self._networks or Networks.load(self.options, self.choice)
            except _NO_MEMORY as error:  # other workers have it, perhaps: another job may do
                return _failed(job, error, begun)
            ended = self._process(job, clip, self._networks, begun)
        clip.close()
        return ended

    def _finished_before(self, job: Job) -> Outcome | None:
        """The outcome of a job that needs no work; None for one that does."""
        if self.when_there == "replace":
            return None
        if self.when_there == "refuse":
            check_free(job.folder, self.saving)
            return None
        report = read_report(job.folder)
        if report is None or self.choice is None:
            return None
        camera = self.options.camera
        asked = {
            "options": as_json(self.options),
            "saving": as_json(self.saving),
            "camera_sha256": camera and content_hash(camera),
        }
        try:
            same = (
                _decisive(asked) == _decisive(report)
                and [one.get("sha256") for one in report.get("weights", [])] == self.choice.digests
                and all((job.folder / name).is_file() for name in files_of(report))
                and report.get("input", {}).get("sha256") == content_hash(Path(job.source))
            )
        except (AttributeError, TypeError):  # it is no report of ours
            same = False
        return Outcome(job, "skipped", 0.0) if same else None

    def _process(self, job: Job, clip: Video, networks: Networks, begun: float) -> Outcome:
        try:
            # Two runs at once would mix their files.
            with alone_in(job.folder), self.bars(job.folder.name) as progress:
                result = pipeline.process(clip, networks, self.options, progress=progress)
                files = result.write(job.folder, self.saving, progress=progress)
        except Exception as error:  # a bug of ours must not take the other videos with it
            return _failed(job, error, begun)
        return Outcome(
            job,
            "done",
            time.perf_counter() - begun,
            files=tuple(files),
            people=len(result.people),
            frames=len(result.timestamps),
        )


def _decisive(report: dict[str, Any]) -> dict[str, Any]:
    """Of the choices that a report tells, those that another result would come of."""
    options, saving = report.get("options", {}), report.get("saving", {})
    return {
        "options": {name: value for name, value in options.items() if name not in _INDECISIVE},
        "saving": {**saving, "exports": {"npz", *saving.get("exports", [])}},
        "camera_sha256": report.get("camera_sha256"),
    }


def _failed(job: Job, error: Exception, begun: float) -> Outcome:
    """What went wrong as one line; what nobody but us can mend with its traceback, too."""
    mendable = error if isinstance(error, UserError) else None
    if isinstance(error, _NO_MEMORY):
        cure = "try fewer --workers, a part of the clip (--start, --end) or --device cpu"
        mendable = UserError("not enough memory", path=job.source, cure=cure)
    elif isinstance(error, OSError):
        mendable = UserError(error.strerror or str(error), path=job.source)
    if mendable is None:
        log.error("%s: this is a bug, please report it", job.source, exc_info=error)
    else:
        log.debug("%s", job.source, exc_info=error)
    line = f"{job.source}: {error!r}" if mendable is None else str(mendable)
    return Outcome(job, "failed", time.perf_counter() - begun, error=line)
