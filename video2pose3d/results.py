"""What comes out of a clip: saved as the command saves it, loaded, exported and rendered again."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from typing_extensions import Self

from video2pose3d import discovery
from video2pose3d.errors import UserError
from video2pose3d.exporters import npz
from video2pose3d.files import alone_in, check_replaceable, make_folder, remove_parts
from video2pose3d.render import animation, overlay, viewer
from video2pose3d.report import Clock, as_json, files_of, read_report, write_report
from video2pose3d.structures import Scene
from video2pose3d.video import Video

log = logging.getLogger("video2pose3d")

Progress = Callable[[str, int, "int | None"], None]  # stage, frames done, frames in all if known
EXPORTS = ("npz", "bvh")


def quiet(stage: str, done: int, total: int | None) -> None:
    """The progress of somebody who does not want to know."""


@dataclass(frozen=True)
class Saving:
    """Which files of a result are written; poses.npz and report.json always are."""

    exports: tuple[str, ...] = EXPORTS
    overlay: bool = True
    animation: bool = True
    viewer: bool = False


@dataclass(frozen=True)
class Result(Scene):
    """A Scene that knows its clip and its report, and can be saved as the command saves it.

    name: of the clip, and of its folder; clip: the video, for the overlay (None: made from
    keypoints, or loaded); report: what report.json says; clock: seconds of each stage so far.
    """

    name: str
    clip: Video | None
    report: dict[str, Any]
    clock: Clock

    @classmethod
    def of(
        cls, scene: Scene, name: str, clip: Video | None, report: dict[str, Any], clock: Clock
    ) -> Self:
        """A scene with what else is known of it."""
        fields = {field.name: getattr(scene, field.name) for field in dataclasses.fields(Scene)}
        return cls(**fields, name=name, clip=clip, report=report, clock=clock)

    @property
    def span(self) -> tuple[float, float | None]:
        """--start and --end of the run, seconds of the clip, as far as the report knows them."""
        options = self.report.get("options")
        given = options if isinstance(options, dict) else {}
        start, end = (
            float(value) if isinstance(value, int | float) and 0 <= value < math.inf else None
            for value in (given.get("start"), given.get("end"))
        )
        start = start or 0.0
        return start, None if end is None or end <= start else end

    def save(
        self,
        output: str | os.PathLike[str],
        *,
        exports: Sequence[str] = EXPORTS,
        overlay: bool = True,
        animation: bool = True,
        viewer: bool = False,
        overwrite: bool = False,
    ) -> list[Path]:
        """Write what the command writes: a folder of the clip's name in `output`, and its files.

        An earlier result of the same clip there is replaced. Without `overwrite`, UserError for
        another clip's, and for files in the way that no result lists.
        """
        saving, folder = Saving(tuple(exports), overlay, animation, viewer), Path(output, self.name)
        with alone_in(folder):
            if not overwrite:
                check_free(folder, saving, but_for=self.report)
            return self.write(folder, saving)

    def write(self, folder: Path, saving: Saving, *, progress: Progress = quiet) -> list[Path]:
        """Write the files into `folder` itself; each appears whole or not at all.

        Returns the files, report.json last: where it lies, everything else lies too. Until all are
        written they wait in `folder`/unfinished, and an earlier result stays as it was. Then what
        that wrote and this one has not is removed, but for pictures of the same clip where this
        result has no clip to draw them on.
        """
        formats = tuple(dict.fromkeys(("npz", *saving.exports)))
        for name in formats:  # an unknown one is told before anything is touched
            discovery.load("exporters", name)
        waiting = _waiting(folder)
        make_folder(waiting)
        remove_parts(folder)
        for left in waiting.iterdir():
            if left.is_file() and left.name != "report.json":
                left.unlink()
        try:
            with self.clock.stage("export"):
                files = export(self, waiting, formats, overwrite=True)
            if self.people:
                files += self.draw(waiting, saving, progress)
            kept = self._drawn_before(folder, saving)
            names = [file.name for file in files]
            report = {
                **self.report,
                "saving": as_json(saving),
                "files": [*names, *sorted(kept - set(names))],
                "stages": {
                    **self.report.get("stages", {}),
                    **self.clock.summary(len(self.timestamps)),
                },
            }
            return _move_in(report, names, folder)
        finally:
            with suppress(OSError):  # there is something in it
                waiting.rmdir()

    def _drawn_before(self, folder: Path, saving: Saving) -> set[str]:
        """Names of pictures there that only a result with clips can draw, and this one has none."""
        there = read_report(folder)
        if self.clip is not None or there is None or not _same_clip(there, self.report):
            return set()
        return {
            name
            for name in files_of(there)
            if any(fnmatch(name, pattern) for pattern in _of_clips(saving))
            and (folder / name).is_file()
        }

    def draw(self, folder: Path, saving: Saving, progress: Progress) -> list[Path]:
        """Write the pictures that `saving` asks for; returns the files."""
        files = []
        if saving.overlay and self.clip is not None:
            files += self.draw_overlay(self, self.clip, folder / "overlay.mp4", progress)
        if saving.animation:
            total = len(self.timestamps)
            files.append(folder / "animation.mp4")
            with self.clock.stage("animation"):
                animation.write(
                    self, files[-1], progress=lambda done: progress("animation", done, total)
                )
        if saving.viewer:
            with self.clock.stage("viewer"):
                page = folder / "viewer.html"
                files.append(viewer.write(self, page, self.name, start=self.span[0]))
        return files

    def draw_overlay(self, scene: Scene, clip: Video, path: Path, progress: Progress) -> list[Path]:
        """A scene on the clip that it was made from; no file of a clip that can't be replayed."""
        if not clip.replayable:
            log.warning("%s: no overlay, a webcam cannot be played again", clip.path)
            return []
        total = len(scene.timestamps)
        with self.clock.stage("overlay"):
            overlay.write(scene, clip, path, lambda done: progress(path.stem, done, total))
        return [path]


def _waiting(folder: Path) -> Path:
    """Where a result's files wait until all are written.

    A report.json there lists those of one that was killed as they were moved, wherever they are.
    """
    return folder / "unfinished"


def _listed(folder: Path) -> set[str]:
    """Names of the files of the result in a folder, and of one that was killed as it moved in."""
    return files_of(read_report(folder)) | files_of(read_report(_waiting(folder)))


def _move_in(report: dict[str, Any], names: Sequence[str], folder: Path) -> list[Path]:
    """Let files that wait, and their report last, take the place of an earlier result's."""
    waiting, files = _waiting(folder), [folder / name for name in (*names, "report.json")]
    for file in files:
        check_replaceable(file)
    try:
        for stale in _listed(folder) - set(report["files"]):
            if (folder / stale).is_file():
                (folder / stale).unlink()
        write_report(report, waiting)
        (folder / "report.json").unlink(missing_ok=True)
        for file in files:
            (waiting / file.name).replace(file)
    except OSError as error:
        raise UserError(f"can't be written to: {error.strerror or error}", path=folder) from error
    return files


def name_of(source: Path) -> str:
    """What a clip's results are called: its stem, a folder's whole name, webcam-0."""
    if source.name.isdecimal() and not source.exists():
        return f"webcam-{source}"
    path = Path(os.path.abspath(source))
    return path.name if os.path.isdir(path) else without_ending(path).name


def without_ending(path: Path) -> Path:
    """A file's path without its ending; as it is where dots, which mean a folder, would be left."""
    return path.with_suffix("") if path.stem.strip(".") else path


def load(path: str | os.PathLike[str]) -> Result:
    """A saved poses.npz, to look at, export or render, with the report beside it, if that is its
    own. UserError for a file that is none."""
    path = Path(path)
    beside = read_report(path.parent)
    report = beside if beside is not None and path.name in files_of(beside) else {}
    return Result.of(npz.read(path), path.absolute().parent.name, None, report, Clock())


def export(
    scene: Scene, folder: Path, formats: Sequence[str], *, overwrite: bool = False
) -> list[Path]:
    """Write a scene in some formats into a folder; returns the files."""
    exporters = [discovery.load("exporters", name) for name in formats]
    if not overwrite:
        for name in formats:
            _refuse(file for pattern in _names_of(name) for file in folder.glob(pattern))
    return [file for exporter in exporters for file in exporter.write(scene, folder)]


def render(
    scene: Scene,
    folder: Path,
    *,
    clip: Video | None,
    overwrite: bool = False,
    progress: Progress = quiet,
) -> list[Path]:
    """The animation of a scene, and the overlay on its clip; returns the files."""
    make_folder(folder)
    files = [folder / "animation.mp4"]
    if clip is not None:
        if clip.size != scene.image_size:
            ours, theirs = ("x".join(map(str, s)) for s in (scene.image_size, clip.size))
            raise UserError(f"is {theirs}, the poses were made from {ours}", path=clip.path)
        files.append(folder / "overlay.mp4")
        if os.path.realpath(clip.path) == os.path.realpath(files[-1]):
            cure = "give another --output"
            raise UserError("lies where its own overlay would go", path=clip.path, cure=cure)
    if not overwrite:
        _refuse(files)
    total = len(scene.timestamps)
    animation.write(scene, files[0], progress=lambda done: progress("animation", done, total))
    if clip is not None:
        overlay.write(scene, clip, files[1], lambda done: progress("overlay", done, total))
    return files


def check_folder(folder: Path, *inputs: Path) -> None:
    """UserError where files could not be written into `folder`, or might replace one of the inputs,
    or lie among its images; makes nothing.

    To be told before a clip is watched, not after.
    """
    for path in inputs:
        place = os.path.realpath(path)
        if os.path.realpath(folder) in (place, os.path.dirname(place)):
            what = "lies where its own results would go"
            raise UserError(what, path=path, cure="give another --output")
    nearest = next(p for p in (folder, *folder.absolute().parents) if os.path.exists(p))
    if not os.path.isdir(nearest):
        raise UserError(f"cannot be made: {nearest} is a file", path=folder)
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError("can't be written to", path=folder, cure="try another folder")


def check_free(folder: Path, saving: Saving, *, but_for: Mapping[str, Any] | None = None) -> None:
    """UserError where files of a result, or files that none lists, would be replaced.

    but_for: a report; an earlier result of the same clip may be.
    """
    there = read_report(folder)
    if there is not None and (but_for is None or not _same_clip(there, but_for)):
        raise UserError("holds results already", path=folder, cure="add --overwrite")
    ours = _listed(folder) | ({"report.json"} if there else set())
    _refuse(
        file
        for pattern in _targets(saving)
        for file in folder.glob(pattern)
        if file.name not in ours
    )


def _same_clip(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two reports are of one clip by its SHA-256; one that tells none is of another."""
    clips = [report.get("input") for report in (one, other)]
    first, second = (clip.get("sha256") if isinstance(clip, dict) else None for clip in clips)
    return isinstance(first, str) and first == second


def _targets(saving: Saving) -> Iterator[str]:
    """Patterns of the names that files of a result may have."""
    yield "report.json"
    for name in ("npz", *saving.exports):
        yield from _names_of(name)
    yield from _of_clips(saving)
    if saving.animation:
        yield "animation.mp4"
    if saving.viewer:
        yield "viewer.html"


def _of_clips(saving: Saving) -> tuple[str, ...]:
    """Those of pictures that need the clips, which a loaded result has not."""
    return ("rig.png", "overlay.mp4", "overlay-*.mp4") if saving.overlay else ("rig.png",)


def _names_of(export: str) -> tuple[str, str]:
    """Patterns of the names that an exporter's files may have."""
    suffix = discovery.load("exporters", export).suffix
    return f"poses{suffix}", f"person-*{suffix}"


def view(result: Result, path: Path, *, overwrite: bool = False) -> Path:
    """The interactive page of a result; returns the file."""
    if not overwrite:
        _refuse([path])
    return viewer.write(result, path, result.name, start=result.span[0])


def _refuse(files: Iterable[Path]) -> None:
    """UserError for the first file that is there already."""
    for file in files:
        if file.exists():
            raise UserError("is there already", path=file, cure="add --overwrite")
