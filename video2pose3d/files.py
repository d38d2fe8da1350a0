"""Files that appear whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from video2pose3d.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, which becomes `path` if the block ends well.

    If it doesn't, nothing is left of it and what was at `path` stays. UserError where the folder
    or the disk refuses.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield beside
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        why = error.strerror or error
        raise UserError(f"can't be written: {why}", path=path, cure="try another folder") from error
