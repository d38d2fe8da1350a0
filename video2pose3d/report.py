"""report.json: where a result came from, how long each stage took and how good it is."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import math
import os
import platform
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from video2pose3d.files import replacing
from video2pose3d.motion.quality import Quality
from video2pose3d.structures import Person
from video2pose3d.version import __version__
from video2pose3d.video import Video
from video2pose3d.weights import sha256

T = TypeVar("T")

_PACKAGES = ("torch", "ultralytics", "mmpose", "mediapipe", "av", "opencv-python", "numpy")


class Clock:
    """Seconds spent in each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - begun
            self.seconds[name] = self.seconds.get(name, 0.0) + spent

    def each(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """The same items, with the time it takes to get them put down to a stage."""
        iterator = iter(items)
        while True:
            with self.stage(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def summary(self, frames: int) -> dict[str, dict[str, float | None]]:
        """stage → seconds, and frames per second of the clip."""
        return {
            name: {"seconds": round(s, 4), "fps": round(frames / s, 2) if s > 0 else None}
            for name, s in self.seconds.items()
        }


def versions() -> dict[str, str]:
    """What was installed when a result was made."""
    found = {"video2pose3d": __version__}
    found["python"] = platform.python_version()
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def describe_clip(clip: Video) -> dict[str, Any]:
    """What the report says of a video that has been read."""
    return {
        "path": str(clip.path),
        "sha256": content_hash(clip.path),
        "codec": clip.codec,
        "size": list(clip.size),
        "fps": clip.fps,
        "frames_decoded": len(clip.timestamps),
        "frames_lost": clip.lost,
    }


def describe_person(person: Person, quality: Quality) -> dict[str, Any]:
    """What the report says of one person."""
    seen = person.frames[person.valid]
    gaps = np.diff(seen) - 1
    scores = person.keypoints.scores[person.valid]
    return {
        "id": person.id,
        "frames_seen": len(seen),
        "longest_gap_frames": int(gaps.max()) if len(gaps) else 0,
        "mean_confidence_2d": float(scores.mean()) if len(scores) else 0.0,
        "reprojection_px": quality.reprojection_px,
        "jitter_m_s2": {"before": quality.jitter_before, "after": quality.jitter_after},
        "bone_length_variation_percent": {
            "before": quality.bone_variation_before,
            "after": quality.bone_variation_after,
        },
        "foot_slide_mm_s": quality.foot_slide,
        "stature_m": quality.stature,
    }


def as_json(choices: Any) -> dict[str, Any]:
    """A dataclass of plain choices, as JSON reads it back."""
    return json.loads(json.dumps(dataclasses.asdict(choices), default=str))


def content_hash(path: Path) -> str | None:
    """SHA-256 of a file, or of a folder's file names and contents; None for what is neither."""
    if path.is_file():
        return sha256(path)
    if not path.is_dir():
        return None  # a webcam
    total = hashlib.sha256()
    for file in sorted(p for p in path.iterdir() if p.is_file()):
        total.update(os.fsencode(file.name) + f"\0{sha256(file)}\n".encode())
    return total.hexdigest()


def write_report(report: dict[str, Any], folder: Path) -> Path:
    """report.json, whole or not at all."""
    path = folder / "report.json"
    with replacing(path) as beside:
        beside.write_text(json.dumps(finite(report), indent=2) + "\n", encoding="utf-8")
    return path


def read_report(folder: Path) -> dict[str, Any] | None:
    """The report of a finished result, or None where there is none that can be read."""
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return report if isinstance(report, dict) else None


def files_of(report: dict[str, Any] | None) -> set[str]:
    """Names of the files that a report lists; plain names only."""
    listed = (report or {}).get("files")
    names = listed if isinstance(listed, list) else []
    return {name for name in names if isinstance(name, str) and name == Path(name).name}


def list_files(files: Iterable[Path], poses: Path) -> None:
    """Add files that were made from a result's poses, and beside them, to its report.

    So they go when the result is replaced. Those that lie elsewhere are no part of it, and poses
    that no report lists are no result's.
    """
    folder = poses.parent
    report = read_report(folder)
    listed = files_of(report)
    beside = {
        file.name for file in files if os.path.realpath(file.parent) == os.path.realpath(folder)
    }
    if report is not None and poses.name in listed and beside - listed:
        write_report({**report, "files": [*report["files"], *sorted(beside - listed)]}, folder)


def finite(value: Any) -> Any:
    """The same with null for numbers that JSON does not know (nan)."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
