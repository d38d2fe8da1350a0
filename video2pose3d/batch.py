"""Many videos: which there are, where their results go, and one after the other without mishap.

A result is finished when its report.json is there: it is written last. A video whose content and
options are those of the report is not done again.
"""

from __future__ import annotations

import glob
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from video2pose3d import pipeline, results
from video2pose3d.errors import UserError
from video2pose3d.networks import Networks
from video2pose3d.options import Options
from video2pose3d.report import as_json, content_hash
from video2pose3d.results import Progress, Saving
from video2pose3d.video import Video

log = logging.getLogger("video2pose3d")

# What becomes of a folder with finished results in it: it is an error ("refuse"), it is kept where
# content and options are the same and done again otherwise ("resume"), or done again ("replace").
WhenThere = Literal["refuse", "resume", "replace"]

# What a folder is searched for; a file that is named itself may end in anything.
VIDEO_ENDINGS = frozenset(
    f".{ending}"
    for ending in (
        *("mp4", "m4v", "mov", "avi", "mkv", "webm", "mpg", "mpeg", "ts", "mts", "m2ts"),
        *("wmv", "flv", "3gp", "ogv", "mxf", "gif"),
    )
)


@dataclass(frozen=True)
class Job:
    """One input and the folder of its results."""

    source: str
    folder: Path


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


def place_inputs(inputs: Iterable[str]) -> list[tuple[str, Path]]:
    """Each input of `run` as it stands, with the name of its results and the file's ending."""
    places = []
    for source in inputs:
        path = Path(source)
        ending = path.suffix if path.is_file() else ""
        places.append((source, Path(results.name_of(path) + ending)))
    return places


def discover(sources: Iterable[str]) -> list[tuple[str, Path]]:
    """The videos that folders, globs and @lists stand for, each with its place under the source.

    A folder gives its videos at any depth, by their paths relative to it; a glob's by their paths
    below the part without wildcards; a file, and each line of an @list.txt, by its name. Sorted,
    each file once. UserError for a source that holds nothing.
    """
    found: dict[str, tuple[str, Path]] = {}
    for source in sources:
        here = _expand(source)
        if not here:
            raise UserError("holds no videos", path=source, cure="give a folder, glob or @list.txt")
        for path, place in here:
            found.setdefault(os.path.realpath(path), (str(path), place))
    return list(found.values())


def _expand(source: str) -> list[tuple[Path, Path]]:
    if source.startswith("@"):
        list_file = Path(source[1:])
        try:
            lines = list_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"not a list of videos ({error})", path=list_file) from error
        names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        return [(p, Path(p.name)) for p in (list_file.parent / name for name in names)]
    path = Path(source)
    if path.is_dir():
        return [(p, p.relative_to(path)) for p in _videos_below(path)]
    if path.exists() or path.is_symlink() or not glob.has_magic(source):
        return [(path, Path(path.name))]
    parts = path.parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    base = Path(*parts[:fixed])
    matches = sorted(Path(match) for match in glob.glob(source, recursive=True))
    return [(p, p.relative_to(base)) for p in matches if p.is_file()]


def _videos_below(folder: Path) -> list[Path]:
    """Videos at any depth, in a fixed order; hidden folders and our own results are left alone."""
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if "poses.npz" in files:  # its videos are overlays and animations
            continue
        found += [Path(root, name) for name in sorted(files)]
    return [p for p in found if p.suffix.lower() in VIDEO_ENDINGS and not p.name.startswith(".")]


def name_results(places: Sequence[tuple[str, Path]], output: Path) -> list[Job]:
    """Give each video a folder of its own: its place without the ending, or with it in a clash."""
    stems = [place if Path(path).is_dir() else place.with_suffix("") for path, place in places]
    clash = {stem for stem in stems if stems.count(stem) > 1}
    folders = [
        place if stem in clash else stem for (_, place), stem in zip(places, stems, strict=True)
    ]
    twice = next((folder for folder in folders if folders.count(folder) > 1), None)
    if twice is not None:
        raise UserError(f"two inputs would both write to {output / twice}", cure="rename one")
    return [Job(path, output / name) for (path, _), name in zip(places, folders, strict=True)]


def work(
    jobs: Sequence[Job],
    options: Options,
    saving: Saving,
    *,
    when_there: WhenThere,
    bars: Callable[[str], AbstractContextManager[Progress]],
    after_each: Callable[[Outcome], None],
) -> list[Outcome]:
    """Do the jobs one by one; what fails is told, and the others go on.

    Raises UserError when the networks cannot be had, without which nothing can be done.
    KeyboardInterrupt ends the work; what was finished is kept.
    """
    networks: Networks | None = None
    outcomes: list[Outcome] = []
    for job in jobs:
        begun = time.perf_counter()
        try:
            clip = pipeline.open_clip(job.source, options)
            ended = _finished_before(job, options, saving, when_there)
            if ended is None:
                results.check_folder(job.folder)
        except UserError as error:
            ended = _failed(job, error, begun)
        else:
            if ended is None:
                networks = networks or Networks.load(options)
                ended = _do(job, clip, networks, options, saving, bars, begun)
            clip.close()
        outcomes.append(ended)
        after_each(ended)
    return outcomes


def _do(
    job: Job,
    clip: Video,
    networks: Networks,
    options: Options,
    saving: Saving,
    bars: Callable[[str], AbstractContextManager[Progress]],
    begun: float,
) -> Outcome:
    try:
        with bars(job.folder.name) as progress:
            result = pipeline.process(clip, networks, options, progress=progress)
            former = _files_of(job.folder)
            files = result.write(job.folder, saving, progress=progress)
            for stale in former - {file.name for file in files}:
                (job.folder / stale).unlink(missing_ok=True)
    except UserError as error:
        return _failed(job, error, begun)
    except Exception as error:  # a bug of ours must not take the other videos with it
        log.error("%s: this is a bug, please report it", job.source, exc_info=error)
        return _failed(job, error, begun)
    return Outcome(
        job,
        "done",
        time.perf_counter() - begun,
        files=tuple(files),
        people=len(result.people),
        frames=len(result.timestamps),
    )


def _failed(job: Job, error: Exception, begun: float) -> Outcome:
    line = f"{job.source}: {error!r}"
    if isinstance(error, UserError):
        line = str(error)
        log.debug("%s", job.source, exc_info=error)
    return Outcome(job, "failed", time.perf_counter() - begun, error=line)


def _report_in(folder: Path) -> dict[str, Any] | None:
    """The report of a finished result, or None where there is none that can be read."""
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return report if isinstance(report, dict) else None


def _files_of(folder: Path) -> set[str]:
    """Names of the files that an earlier run wrote there; plain names only."""
    listed = (_report_in(folder) or {}).get("files", [])
    return {name for name in listed if isinstance(name, str) and name == Path(name).name}


def _finished_before(
    job: Job, options: Options, saving: Saving, when_there: WhenThere
) -> Outcome | None:
    """The outcome of a job that needs no work; None for one that does."""
    if when_there == "replace":
        return None
    report = _report_in(job.folder)
    if when_there == "refuse":
        if report is not None:
            raise UserError("holds results already", path=job.folder, cure="add --overwrite")
        return None
    if report is None:
        return None
    asked = {"options": as_json(options), "saving": as_json(saving)}
    same = (
        all(report.get(key) == value for key, value in asked.items())
        and all((job.folder / name).is_file() for name in _files_of(job.folder))
        and report.get("input", {}).get("sha256") == content_hash(Path(job.source))
    )
    return Outcome(job, "skipped", 0.0) if same else None
