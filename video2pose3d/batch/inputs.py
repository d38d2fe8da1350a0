"""Which videos there are, and where the results of each go."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from video2pose3d import results
from video2pose3d.errors import UserError

T = TypeVar("T")

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


def place_inputs(inputs: Iterable[str]) -> list[tuple[str, Path]]:
    """Each input of `run` as it stands, with the name of its results and the file's ending."""
    places = []
    for source in inputs:
        path = Path(source)
        ending = path.suffix if path.is_file() else ""
        places.append((source, Path(results.name_of(path) + ending)))
    return places


def discover(sources: Iterable[str]) -> tuple[list[tuple[str, Path]], dict[str, UserError]]:
    """The videos that folders, globs and @lists stand for, each with its place under the source;
    and the sources that hold none, with the reason.

    A folder gives its videos at any depth, by their paths relative to it; a glob's by their paths
    below the part without wildcards; a file, and each line of an @list.txt, by its name. Sorted,
    each file once. UserError where no source holds a video.
    """
    found: dict[str, tuple[str, Path]] = {}
    empty: dict[str, UserError] = {}
    for source in sources:
        try:
            here = _expand(source)
        except UserError as error:
            empty[source] = error
            continue
        for path, place in here:
            found.setdefault(os.path.realpath(path), (str(path), place))
    if empty and not found:
        raise next(iter(empty.values()))
    return list(found.values()), empty


def _expand(source: str) -> list[tuple[Path, Path]]:
    """The videos of one source and their places; UserError where there are none."""
    videos = _listed(source[1:]) if source.startswith("@") else _matched(source)
    if not videos:
        raise UserError("holds no videos", path=source, cure="give a folder, glob or @list.txt")
    return videos


def _listed(source: str) -> list[tuple[Path, Path]]:
    """Those that a list names, a line each, relative to itself."""
    list_file = Path(source)
    try:
        lines = list_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"not a list of videos ({error})", path=list_file) from error
    names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return [(p, Path(p.name)) for p in (list_file.parent / name for name in names)]


def _matched(source: str) -> list[tuple[Path, Path]]:
    """Those of a folder or a glob; a file is itself, also where there is none."""
    if not source:  # a script's unset variable, not the current folder
        raise UserError("an empty name is no video", cure="give a folder, glob or @list.txt")
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
    stems = [
        place if Path(path).is_dir() else results.without_ending(place) for path, place in places
    ]
    clash = {stem for stem in stems if stems.count(stem) > 1}
    folders = [
        place if stem in clash else stem for (_, place), stem in zip(places, stems, strict=True)
    ]
    twice = next((folder for folder in folders if folders.count(folder) > 1), None)
    if twice is not None:
        raise UserError(f"two inputs would both write to {output / twice}", cure="rename one")
    return [Job(path, output / name) for (path, _), name in zip(places, folders, strict=True)]


def shard(all_of_them: Sequence[T], number: int, of: int) -> list[T]:
    """The `number`-th part (1 ... `of`); all parts together are all of them, each once."""
    return list(all_of_them[number - 1 :: of])
