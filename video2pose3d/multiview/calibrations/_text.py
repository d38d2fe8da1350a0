"""Calibrations that are text."""

from __future__ import annotations

from pathlib import Path

from video2pose3d.errors import UserError

_MOST_BYTES = 2**22


def read(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UserError("too large for a calibration", path=path)
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"can't be read: {error.strerror or error}", path=path) from error
    except ValueError as error:
        raise UserError("is not text", path=path) from error
