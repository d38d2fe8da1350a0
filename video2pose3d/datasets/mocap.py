"""Motion capture without pictures: clips of 17 Human3.6M joints end to end in one npz."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from video2pose3d.errors import UserError


@dataclass(frozen=True)
class Mocap:
    """Clips end to end. positions: (F, 17, 3) float32 metres, Z up; start, length: (N,) frames."""

    positions: np.ndarray
    start: np.ndarray
    length: np.ndarray
    source: np.ndarray
    fps: float

    @classmethod
    def read(cls, path: Path) -> Mocap:
        try:
            with np.load(path, allow_pickle=False) as z:
                keys = ("positions", "clip_start", "clip_length", "source")
                return cls(*(z[key] for key in keys), fps=float(z["fps"]))
        except FileNotFoundError:
            raise UserError("no such file", path=path) from None
        except (OSError, ValueError, KeyError) as error:
            cure = "give an npz with positions, clip_start, clip_length, source and fps"
            raise UserError(f"not motion capture ({error})", path=path, cure=cure) from error
