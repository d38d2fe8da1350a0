"""Checkpoints: plain tensors, numbers and text, written whole or not at all, read without code."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from video2pose3d.errors import UserError
from video2pose3d.files import replacing


def write(state: dict[str, Any], path: Path) -> None:
    """UserError where the disk refuses."""
    with replacing(path) as beside:
        torch.save(state, beside)


def read(path: Path, parts: Iterable[str]) -> dict[str, Any]:
    """A checkpoint's state, on the CPU; UserError for a file that is none, or lacks a part."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not set(parts) <= set(state):
            raise ValueError("it lacks a part")
        return state
    except FileNotFoundError:
        raise UserError("no such file", path=path) from None
    except (OSError, RuntimeError, ValueError, TypeError, EOFError, pickle.UnpicklingError) as bad:
        what = f"not a checkpoint of this program ({str(bad).splitlines()[0]})"
        raise UserError(what, path=path, cure="remove it or give another --output") from bad
