"""The name you type is the file that opens: backends, lifters and exporters by file name."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from video2pose3d.errors import UserError


def names(package: str) -> list[str]:
    """The public modules of a subpackage, sorted: names("exporters") → ["bvh", "npz", ...]."""
    found = importlib.import_module(f"video2pose3d.{package}")
    return sorted(m.name for m in pkgutil.iter_modules(found.__path__) if m.name[0] != "_")


def load(package: str, name: str) -> ModuleType:
    """Import one of them, and no other; UserError when the name is none of them."""
    known = names(package)
    if name not in known:
        kind = {
            "lifters": "a lifter", "exporters": "an exporter", "keypoints": "a keypoint backend",
            "datasets": "a data set",
        }  # fmt: skip
        raise UserError(f"{name!r} is not {kind[package]}: choose from {', '.join(known)}")
    return importlib.import_module(f"video2pose3d.{package}.{name}")
