"""Motion capture without pictures: clips of 17 Human3.6M joints end to end in one npz."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from scipy.interpolate import make_interp_spline

from video2pose3d import archives
from video2pose3d.errors import UserError
from video2pose3d.skeletons import H36M17

FPS = 50.0  # of the clips that `Mocap.join` makes one collection of: Human3.6M's
ANKLE = 0.08  # metres above the floor of an ankle that stands on it

_TYPES = {
    "positions": np.float32, "clip_start": np.int64, "clip_length": np.int64, "fps": np.float64
}  # fmt: skip
_KEYS = (*_TYPES, "source")
_NAMES = ("clip_name", "subject", "action")
_CURE = "give an npz with positions, clip_start, clip_length, source and fps"


@dataclass(frozen=True)
class Clip:
    """One recording. joints: (T, 17, 3) metres, Z up, H36M17; source: which collection it is of."""

    name: str
    joints: np.ndarray
    fps: float
    source: str
    subject: str = ""
    action: str = ""


@dataclass(frozen=True)
class Mocap:
    """Clips end to end. positions: (F, 17, 3) float32 metres, Z up; start, length: (N,) frames.

    source, name, subject, action: (N,) text of each clip, "" where it is not told.
    """

    positions: np.ndarray
    start: np.ndarray
    length: np.ndarray
    source: np.ndarray
    fps: float
    name: np.ndarray = field(default_factory=lambda: np.zeros(0, str))
    subject: np.ndarray = field(default_factory=lambda: np.zeros(0, str))
    action: np.ndarray = field(default_factory=lambda: np.zeros(0, str))

    def __post_init__(self) -> None:
        for key in ("name", "subject", "action"):
            if len(getattr(self, key)) == 0:
                object.__setattr__(self, key, np.full(len(self.length), "", dtype="U1"))

    @classmethod
    def read(cls, path: Path) -> Mocap:
        """One npz; UserError for a file that is none. `collection.gather` reads other forms too."""
        path = Path(path)
        file = archives.read(path, (*_KEYS, *_NAMES))
        missing = [key for key in _KEYS if key not in file]
        if missing:
            raise UserError(f"not motion capture (no {missing[0]})", path=path, cure=_CURE)
        positions, start, length, fps = (
            archives.as_type(file[key], kind, key, path) for key, kind in _TYPES.items()
        )
        if positions.ndim != 3 or positions.shape[1:] != (len(H36M17), 3):
            raise UserError(f"not motion capture ({positions.shape})", path=path, cure=_CURE)
        of_clips = [start, length, file["source"], *(file[key] for key in _NAMES if key in file)]
        if not all(len(start) and values.shape == (len(start),) for values in of_clips):
            raise UserError("not motion capture (not the same of each clip)", path=path, cure=_CURE)
        inside = (start >= 0) & (length >= 0) & (start + length <= len(positions))
        if not (inside.all() and length.any() and fps.size == 1 and float(fps.item()) > 0):
            what = "not motion capture (clips beyond its end, without frames or a rate)"
            raise UserError(what, path=path, cure=_CURE)
        check_numbers(positions, path)
        names = [file.get(key, np.zeros(0, str)) for key in _NAMES]
        return cls(positions, start, length, file["source"], float(fps.item()), *names)

    def write(self, path: Path) -> None:
        """An npz that `read` reads, such as the train.npz of a training's data folder."""
        arrays = {
            "positions": self.positions,
            "clip_start": self.start,
            "clip_length": self.length,
            "source": self.source,
            "fps": np.float32(self.fps),
        }
        texts = {key: getattr(self, key.removeprefix("clip_")) for key in _NAMES}
        archives.write(path, arrays | texts)

    def take(self, clips: np.ndarray) -> Mocap:
        """Some of the clips, by their numbers; the positions stay as they are."""
        of_clips = ("start", "length", "source", "name", "subject", "action")
        return replace(self, **{key: getattr(self, key)[clips] for key in of_clips})

    @classmethod
    def join(cls, clips: Sequence[Clip]) -> Mocap:
        """Clips of any rate as one collection at FPS, each from (0, 0) and on the floor z = 0."""
        if not clips:
            raise ValueError("expected at least one clip")
        parts = [_grounded(_resampled(clip.joints, clip.fps)) for clip in clips]
        length = np.array([len(part) for part in parts])
        return cls(
            np.concatenate(parts).astype(np.float32),
            np.cumsum(length) - length,
            length,
            np.array([clip.source for clip in clips]),
            FPS,
            np.array([clip.name for clip in clips]),
            np.array([clip.subject for clip in clips]),
            np.array([clip.action for clip in clips]),
        )


def check_numbers(joints: np.ndarray, path: Path) -> None:
    """UserError for NaN in joints (T, 17, 3), of which a network's weights would be NaN, too."""
    bad = np.flatnonzero(~np.isfinite(joints).all(axis=(1, 2)))
    if len(bad):
        what = f"frame {bad[0]} has a joint that is no number"
        raise UserError(what, path=path, cure="fill in or cut out what was not captured")


def _resampled(joints: np.ndarray, fps: float) -> np.ndarray:
    """(T, 17, 3) at `fps` to FPS by a cubic spline, by lines where there are too few frames."""
    T = len(joints)
    if fps == FPS or T < 2:
        return joints
    times = np.arange(np.floor((T - 1) / fps * FPS + 1e-6) + 1) / FPS
    return make_interp_spline(np.arange(T) / fps, joints, k=3 if T > 3 else 1)(times)


def _grounded(joints: np.ndarray) -> np.ndarray:
    """Moved so that the pelvis starts over (0, 0) and the ankles come down to ANKLE."""
    ankles = joints[:, H36M17.indices("right_ankle", "left_ankle"), 2]
    floor = np.percentile(ankles.min(axis=1), 1) - ANKLE
    return joints - [*joints[0, 0, :2], floor]
