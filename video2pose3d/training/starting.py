"""Which weights a network may begin with: those of a network of its own config."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any

from video2pose3d.errors import UserError


def check_same(config: Any, given: Any, path: Path, may_differ: Collection[str] = ()) -> None:
    """UserError where `given`, the config of the weights in a file, is not a network's `config`.

    may_differ: fields that do not matter.
    """
    if not isinstance(given, type(config)):
        raise unfit("they are another network's", path)
    for field in dataclasses.fields(config):
        wanted, has = getattr(config, field.name), getattr(given, field.name)
        if wanted != has and field.name not in may_differ:
            raise unfit(f"{field.name} is {wanted}, theirs is {has}", path)


def unfit(what: str, path: Path) -> UserError:
    """The error about weights that are none for this network."""
    cure = "give [model] the config of these weights"
    return UserError(f"does not fit [model] ({what})", path=path, cure=cure)
