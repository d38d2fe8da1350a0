"""Pretrained weights by name: where they lie, how they are known, where they come from.

`find` is what a stage calls: it gives a file whose SHA-256 was checked, or says how to get one.
The manifest is weights.toml. A file is looked for, by its name, in these folders:

1. the folder given by the caller, then those in $VIDEO2POSE3D_WEIGHTS (separated as in $PATH),
2. the folder that ships with the program, then ./weights,
3. the user's store, where downloads go: `store()`.

Where the manifest has no full SHA-256, the one at first use is kept in the store's
weights-lock.json and checked ever after.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock

from video2pose3d import downloads
from video2pose3d.errors import UserError
from video2pose3d.files import replacing

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

log = logging.getLogger("video2pose3d")

Kind = Literal["detector", "keypoints", "relation", "lifter", "backbone"]
Known = Literal["manifest", "first use", "no"]


@dataclass(frozen=True)
class Weight:
    """One entry of weights.toml, which explains the fields; None is what is not known."""

    name: str
    kind: Kind
    backend: str
    file: str
    licence: str
    urls: tuple[str, ...] = ()
    packaged: str | None = None
    sha256: str | None = None
    sha256_prefix: str | None = None
    sha256_source: str | None = None
    size: int | None = None
    params: int | None = None
    ap: float | None = None
    ar: float | None = None
    scores_source: str | None = None
    licence_note: str | None = None
    config: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What `verify` found. known: how its SHA-256 is known; "no" when it is another file."""

    name: str
    path: Path
    sha256: str
    known: Known

    @property
    def ok(self) -> bool:
        return self.known != "no"


@functools.cache
def entries() -> dict[str, Weight]:
    """The manifest: name → entry, in its order."""
    table = tomllib.loads(Path(__file__).with_name("weights.toml").read_text("utf-8"))
    return {
        name: Weight(name=name, **{**values, "urls": tuple(values.get("urls", ()))})
        for name, values in table.items()
    }


def named(name: str) -> Weight:
    """The entry of that name, `-` and `_` alike; UserError when there is none."""
    entry = _entry(name)
    if entry is None:
        raise UserError(f"{name!r} is not in the manifest", cure=_choices(None))
    return entry


def find(
    name_or_path: str | Path,
    *,
    kind: Kind | None = None,
    folder: Path | None = None,
    offline: bool = False,
    trust: bool = False,
    download: bool = True,
    progress: downloads.Progress | None = None,
) -> Path:
    """A checked file for a name of the manifest, or for a path; downloads what is missing.

    kind: which stage asks. folder: looked into first. trust: take a pickled file that the manifest
    does not know, which only a path can be. Raises UserError with the cure: the command that
    downloads it, or where to put it.
    """
    entry = _entry(name_or_path)
    if entry is None:
        return _given_file(Path(name_or_path).expanduser(), kind, trust)
    _check_kind(entry, kind)
    path = on_disk(entry.name, folder=folder)
    if path is not None:
        return path
    if entry.packaged or not download or is_offline(offline):
        raise _missing(entry, folder, is_offline(offline))
    return _download(entry, progress)


def on_disk(name: str, *, folder: Path | None = None) -> Path | None:
    """Where a weight lies on this machine, checked; None when it does not. Never downloads."""
    entry = named(name)
    for path in _candidates(entry, folder):
        if _judge(entry, path, remember=True).ok:
            return path
        log.warning("%s: not the file that the manifest calls %s: passed over", path, entry.name)
    return None


def download(
    name: str, *, offline: bool = False, progress: downloads.Progress | None = None
) -> Path:
    """Get a weight into the store, unless it lies on this machine already; the checked file."""
    downloads.forget_silence()
    return find(named(name).name, offline=offline, progress=progress)


def path(name: str, *, folder: Path | None = None) -> Path:
    """Where a weight lies, checked; UserError with the command that gets it when it does not."""
    return find(named(name).name, folder=folder, download=False)


def verify(name: str, *, folder: Path | None = None) -> list[Verdict]:
    """Every file on this machine that bears this weight's name, each judged anew."""
    entry = named(name)
    _sha256.cache_clear()
    return [_judge(entry, path, remember=False) for path in _candidates(entry, folder)]


def available(name: str, *, offline: bool = False) -> bool:
    """Whether `find` would succeed, as far as can be told in 5 seconds; asked once a process."""
    entry = named(name)
    if on_disk(entry.name) is not None:
        return True
    return bool(entry.urls) and not is_offline(offline) and _answers(entry.urls)


def identify(path: Path) -> Weight | None:
    """The entry that a file belongs to by its SHA-256; None for a file of the user's own."""
    digest = sha256(path)
    locked = _lock()
    for entry in entries().values():
        if digest == (entry.sha256 or locked.get(entry.file)):
            return entry
        if path.name == entry.file and _judge(entry, path, remember=True).ok:
            return entry
    return None


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file; computed again only when its size or time has changed."""
    try:
        state = path.stat()
        return _sha256(path, state.st_size, state.st_mtime_ns)
    except OSError as problem:
        raise UserError(f"can't be read: {problem.strerror}", path=path) from problem


def store() -> Path:
    """The user's folder for downloads: $VIDEO2POSE3D_HOME/weights, or the platform's cache."""
    if home := os.environ.get("VIDEO2POSE3D_HOME"):
        return Path(home).expanduser() / "weights"
    if platform.system() == "Windows":
        cache = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif platform.system() == "Darwin":
        cache = Path.home() / "Library" / "Caches"
    else:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "video2pose3d" / "weights"


def packaged_folder() -> Path | None:
    """The weights that ship with the program: inside the wheel, or beside a checkout's package."""
    package = Path(__file__).parent
    places = (package / "share" / "weights", package.parent / "weights")
    return next((place for place in places if place.is_dir()), None)


def is_offline(offline: bool = False) -> bool:
    """Whether no connection may be opened: asked for, or VIDEO2POSE3D_OFFLINE is set (not 0)."""
    return offline or os.environ.get("VIDEO2POSE3D_OFFLINE", "0") not in ("", "0")


# ---- from a name to an entry


def _entry(name_or_path: str | Path) -> Weight | None:
    """The entry meant by a name, `-` and `_` alike; None when a path is meant."""
    name = str(name_or_path)
    if Path(name).is_file() or Path(name).name != name:
        return None
    for entry in entries().values():
        if _plain(name) == _plain(entry.name) or name == entry.file:
            return entry
    return None


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _check_kind(entry: Weight, kind: Kind | None) -> None:
    if kind is not None and entry.kind != kind:
        what = f"{entry.name} are {entry.kind} weights, not {kind} weights"
        raise UserError(what, cure=_choices(kind))


def _choices(kind: Kind | None) -> str:
    names = (e.name for e in entries().values() if kind is None or e.kind == kind)
    return f"choose from {', '.join(names)}, or give a file"


# ---- files on this machine


def _folders(first: Path | None) -> Iterator[Path]:
    if first is not None:
        yield first
    for folder in os.environ.get("VIDEO2POSE3D_WEIGHTS", "").split(os.pathsep):
        if folder:
            yield Path(folder).expanduser()
    packaged = packaged_folder()
    if packaged is not None:
        yield packaged
    yield Path("weights")
    yield store()


def _candidates(entry: Weight, first: Path | None) -> Iterator[Path]:
    """Files that bear the entry's name, in the order of the folders, each once."""
    seen = set()
    for folder in _folders(first):
        path = (folder / entry.file).absolute()
        if path not in seen and path.is_file():
            seen.add(path)
            yield path


def _judge(entry: Weight, path: Path, *, remember: bool) -> Verdict:
    """Is this the entry's file? remember: the first one that nothing else is known of, for ever."""
    digest = sha256(path)
    known: Known = "no"
    if entry.sha256 is not None:
        known = "manifest" if digest == entry.sha256 else "no"
    elif digest.startswith(entry.sha256_prefix or ""):
        first_used = _remembered(entry, digest) if remember else _lock().get(entry.file, digest)
        known = "first use" if digest == first_used else "no"
    return Verdict(entry.name, path, digest, known)


def _given_file(path: Path, kind: Kind | None, trust: bool) -> Path:
    """A file of the user's own: known by its digest, harmless by its format, or trusted."""
    if not path.is_file():
        what = f"{str(path)!r} is neither a file nor a name in the manifest"
        raise UserError(what, cure=_choices(kind))
    entry = identify(path)
    if entry is not None:
        _check_kind(entry, kind)
        return path
    form = _format(path)
    if form is None:
        raise UserError(
            "is no file of weights (neither safetensors nor a PyTorch checkpoint)",
            path=path,
            cure="was it downloaded whole? a Git LFS pointer needs `git lfs pull`",
        )
    if form == "pickle" and not trust:
        raise UserError(
            "can run code when it is loaded, and the manifest does not know it",
            path=path,
            cure="if you trust where it comes from, add --trust-weights",
        )
    return path


def _format(path: Path) -> Literal["safetensors", "pickle"] | None:
    """What a file is by its first bytes: torch's checkpoints, zipped or older, are pickles."""
    with open(path, "rb") as stream:
        head = stream.read(9)
    # safetensors: the header's length, 8 bytes little-endian, then the header, which is JSON. Asked
    # first, for a length may begin like a pickle; "{" is no opcode, so no pickle has it there.
    fits = 0 < int.from_bytes(head[:8], "little") <= path.stat().st_size - 8
    if head[8:] == b"{" and fits:
        return "safetensors"
    return "pickle" if head.startswith((b"PK\x03\x04", b"\x80")) else None


def _missing(entry: Weight, folder: Path | None, offline: bool) -> UserError:
    what = f"the {entry.kind} weights {entry.name} are not on this machine"
    get = f"video2pose3d weights download {entry.name}"
    if any(_candidates(entry, folder)):
        what = f"the file that is called {entry.file} here is not the manifest's {entry.name}"
    if entry.packaged:
        return UserError(what, cure=f"they ship with the program as {entry.packaged}: reinstall it")
    if offline:
        return UserError(
            what, cure=f"{get} where there is a network, or put {entry.file} in {store()}"
        )
    return UserError(what, cure=f"{get}, or put {entry.file} in {store()}")


# ---- downloads, and what is remembered of them


def _download(entry: Weight, progress: downloads.Progress | None) -> Path:
    target = store() / entry.file
    expected = entry.sha256 or _lock().get(entry.file) or entry.sha256_prefix or ""
    try:
        if target.is_file() and not _judge(entry, target, remember=False).ok:
            target.unlink()
        log.info("downloading %s (%s)", entry.name, _megabytes(entry.size))
        downloads.fetch(entry.urls, target, digest=expected, size=entry.size, progress=progress)
    except OSError as problem:
        raise UserError(f"can't be replaced: {problem.strerror}", path=target) from problem
    except UserError as problem:
        if problem.cure is not None:
            raise
        cure = f"try later, or put a copy of {entry.file} in {store()}"
        raise UserError(problem.what, path=entry.name, cure=cure) from problem
    verdict = _judge(entry, target, remember=True)
    if not verdict.ok:  # another process, with another manifest, got it before us
        raise UserError(f"is not {entry.name}: its SHA-256 differs", path=target, cure="delete it")
    if verdict.known == "first use":
        log.info("%s: SHA-256 %s, kept from now on", entry.name, verdict.sha256)
    return target


def _megabytes(size: int | None) -> str:
    return "size not known" if size is None else f"{size / 1e6:.0f} MB"


@functools.cache
def _answers(urls: tuple[str, ...]) -> bool:
    return downloads.answers(urls)


@functools.cache
def _sha256(path: Path, size: int, time: int) -> str:
    return downloads.file_sha256(path)


def _lock() -> dict[str, str]:
    """File name → SHA-256 at first use, of the files whose SHA-256 nobody published."""
    path = store() / "weights-lock.json"
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, TypeError) as problem:
        raise UserError(f"can't be read: {problem}", path=path, cure="delete it") from problem


def _remembered(entry: Weight, digest: str) -> str:
    """The SHA-256 at this file's first use, which is now when it has none yet."""
    locked = _lock()
    if entry.file in locked:
        return locked[entry.file]
    path = store() / "weights-lock.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".json.lock")), replacing(path) as beside:
            locked = {entry.file: digest, **_lock()}  # another process may have been first
            beside.write_text(json.dumps(locked, indent=2, sort_keys=True) + "\n", "utf-8")
    except (OSError, UserError) as problem:
        log.warning("%s: the SHA-256 of %s can't be kept: %s", path, entry.file, problem)
        return digest
    return locked[entry.file]
