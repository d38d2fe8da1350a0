"""Which videos there are, and where the results of each go."""

from __future__ import annotations

import glob
import os
from collections import Counter
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
        ending = path.suffix if os.path.isfile(path) else ""
        places.append((source, Path(results.name_of(path) + ending)))
    return places


def discover(sources: Iterable[str]) -> tuple[list[tuple[str, Path]], dict[str, UserError]]:
    """The videos that folders, globs and @lists stand for, each with its place under the source;
    and the sources that hold none, with the reason.

    A folder gives its videos at any depth, by their paths relative to it, links to folders
    included; a glob's by their paths below the part without wildcards, those of an @list.txt below
    the list's own folder; a file, and what lies elsewhere, by its name. Where these are the same
    for several, folders of their paths are put in front, as few as tell them apart. Each file once.
    UserError where no source holds a video.
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
    return _tell_apart(list(found.values())), empty


def _tell_apart(videos: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """The videos, those in the same place with one folder more of their paths, until none are."""
    while True:
        twice = _repeated(place for _, place in videos)
        longer = [
            (path, _one_more(path, place) if place in twice else place) for path, place in videos
        ]
        if longer == videos:
            return videos
        videos = longer


def _one_more(path: str, place: Path) -> Path:
    """The end of an absolute path that is longer than `place` by a folder, where there is one."""
    names = Path(os.path.abspath(path)).parts[1:]
    return Path(*names[-len(place.parts) - 1 :])


def _repeated(items: Iterable[T]) -> set[T]:
    """Those that come more than once."""
    return {item for item, count in Counter(items).items() if count > 1}


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
        text = list_file.read_text(encoding="utf-8-sig")  # some editors begin it with a mark
    except (OSError, ValueError) as error:
        raise UserError(f"not a list of videos ({error})", path=list_file) from error
    if "\0" in text:
        raise UserError("not a list of videos (not UTF-8 text)", path=list_file)
    lines = text.splitlines()
    names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    folder = list_file.parent
    return [(p, _below(folder, p)) for p in (folder / name for name in names)]


def _matched(source: str) -> list[tuple[Path, Path]]:
    """Those of a folder or a glob; a file is itself, also where there is none."""
    if not source:  # a script's unset variable, not the current folder
        raise UserError("an empty name is no video", cure="give a folder, glob or @list.txt")
    path = Path(source)
    if os.path.isdir(path):
        return [(p, p.relative_to(path)) for p in _videos_below(path)]
    if os.path.lexists(path) or not glob.has_magic(source):
        return [(path, Path(path.name))]
    parts = path.parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    base = Path(*parts[:fixed])
    matches = sorted(Path(match) for match in glob.glob(source, recursive=True))
    return [(p, _below(base, p)) for p in matches if p.is_file()]


def _below(folder: Path, path: Path) -> Path:
    """A path relative to a folder; its name where it lies elsewhere."""
    folder, path = Path(os.path.abspath(folder)), Path(os.path.abspath(path))
    return path.relative_to(folder) if folder in path.parents else Path(path.name)


def _videos_below(folder: Path) -> list[Path]:
    """Videos at any depth, in a fixed order; hidden folders and our own results are left alone.

    Links to folders are followed last, and into no folder twice, nor into one that holds this.
    """
    found, entered = [], {str(parent) for parent in Path(os.path.realpath(folder)).parents}
    tops = [folder]
    for top in tops:  # which grows by the links that are met
        for root, folders, files in os.walk(top):
            if os.path.realpath(root) in entered:
                folders.clear()
                continue
            entered.add(os.path.realpath(root))
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            tops += [Path(root, name) for name in folders if os.path.islink(Path(root, name))]
            if "poses.npz" in files:  # its videos are overlays and animations
                continue
            found += [Path(root, name) for name in sorted(files)]
    return [p for p in found if p.suffix.lower() in VIDEO_ENDINGS and not p.name.startswith(".")]


def name_results(
    places: Sequence[tuple[str, Path]], output: Path
) -> tuple[list[Job], dict[str, UserError]]:
    """Give each video a folder of its own: its place without the ending, or with it in a clash;
    and the videos for which that is none of their own, with the reason."""
    wholes = [place for _, place in places]
    names = [
        place if os.path.isdir(path) else results.without_ending(place) for path, place in places
    ]
    while True:
        twice = _repeated(names)
        longer = [
            whole if name in twice else name for name, whole in zip(names, wholes, strict=True)
        ]
        if longer == names:
            break
        names = longer
    named = [(path, name) for (path, _), name in zip(places, names, strict=True)]
    clashing = {
        path: UserError(
            f"two inputs would both write to {output / name}", path=path, cure="rename it"
        )
        for path, name in named
        if name in twice
    }
    return [Job(path, output / name) for path, name in named if name not in twice], clashing


def shard(all_of_them: Sequence[T], number: int, of: int) -> list[T]:
    """The `number`-th part (1 ... `of`); all parts together are all of them, each once."""
    return list(all_of_them[number - 1 :: of])
