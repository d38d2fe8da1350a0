"""What a user may choose about one video. Defaults live here, once; the command line shows them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from video2pose3d.errors import UserError

# What may be chosen where only some words make sense.
CHOICES = {"smooth": ("none", "one_euro", "gaussian"), "foot_lock": ("auto", "off")}


@dataclass(frozen=True)
class Options:
    """The choices of one run; every field is the flag of the same name.

    detector, keypoints_weights, relate_weights, lifter: a name that the manifest knows, or a file.
    person: "all", "largest" (summed box area) or an id. start, end: seconds of the clip.
    fov: degrees along the picture's longer side; camera: a calibration file; height: metres.
    """

    device: str = "auto"
    detector: str = "yolo11n"
    keypoints: str = "auto"
    keypoints_weights: str | None = None
    relate: bool = False
    relate_weights: str = "pose_relation"
    lifter: str = "ssr_stf"
    trust_weights: bool = False
    person: str | int = "all"
    fov: float | None = None
    camera: Path | None = None
    height: float | None = None
    smooth: str = "gaussian"
    foot_lock: str = "auto"
    start: float | None = None
    end: float | None = None
    fps: float | None = None
    offline: bool = False

    def __post_init__(self) -> None:
        for name in ("detector", "keypoints_weights", "relate_weights", "lifter"):
            if isinstance(getattr(self, name), os.PathLike):
                object.__setattr__(self, name, os.fspath(getattr(self, name)))
        if self.camera is not None:
            object.__setattr__(self, "camera", Path(self.camera))
        if self.person not in ("all", "largest") and not str(self.person).isdecimal():
            raise UserError(f"--person {self.person}: expected all, largest or an id (a number)")
        if self.fov is not None and not 1 <= self.fov <= 179:
            raise UserError(f"--fov {self.fov:g}: expected degrees from 1 to 179")
        if self.height is not None and not 0.4 <= self.height <= 2.8:
            raise UserError(f"--height {self.height:g}: expected metres, from 0.4 to 2.8")
        if self.fov is not None and self.camera is not None:
            raise UserError("--fov and --camera both say what the lens is: give one of them")
        for name, words in CHOICES.items():
            if getattr(self, name) not in words:
                flag, value = name.replace("_", "-"), getattr(self, name)
                raise UserError(f"--{flag} {value}: choose from {', '.join(words)}")
        for name in ("start", "end"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise UserError(f"--{name} {value:g}: expected seconds from 0")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise UserError(f"--end {self.end:g}: expected seconds after --start {self.start:g}")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise UserError(f"--fps {self.fps:g}: expected frames per second, up to 1000")
