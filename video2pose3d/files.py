"""Files that appear whole or not at all, and folders that one process has to itself."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from video2pose3d.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, which becomes `path` if the block ends well.

    If it doesn't, nothing is left of it and what was at `path` stays. UserError where the folder
    or the disk refuses, and for a folder or a device such as /dev/null.
    """
    try:
        check_replaceable(path)
        beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield beside
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        why = error.strerror or error
        raise UserError(f"can't be written: {why}", path=path, cure="try another folder") from error


def check_replaceable(path: Path) -> None:
    """UserError for a folder, and for a device such as /dev/null."""
    if path.exists() and not path.is_file():
        raise UserError("is no file that can be replaced", path=path, cure="give another name")


def make_folder(folder: Path) -> None:
    """Make it where it is missing. UserError where that is refused."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot be made ({error.strerror})", path=folder) from error


def remove_parts(folder: Path) -> None:
    """Remove what those who were killed as they wrote left half-written in a folder."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Make the folder where it is missing, and keep out all others who ask for it so.

    The system gives it free when the process ends, however it does. What was made and stayed empty
    is removed. Nobody is kept out where the system or the disk knows no locks. UserError where
    another has it.
    """
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    make_folder(folder)
    if fcntl is None:
        yield
        return
    place = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            cure = "wait for its end, stop it, or give another --output"
            raise UserError("another run is at work there", path=folder, cure=cure) from error
        except OSError:
            pass
        try:
            yield
        finally:
            with suppress(OSError):  # there is something in it
                for one in made:
                    one.rmdir()
    finally:
        os.close(place)
