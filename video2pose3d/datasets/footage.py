"""Pictures of people with their keypoints: what readers of images give."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from video2pose3d.errors import UserError


@dataclass(frozen=True)
class Footage:
    """One person in T successive frames of V synchronous cameras; a single picture is T = V = 1.

    folders: (V) of them; names: (V) of (T) files in them. xy: (T, V, 17, 2) float32 px, the corner
    of the picture at 0; seen: (T, V, 17) bool, what is labelled; boxes: (T, V, 4) float32 px
    x1 y1 x2 y2; areas: (T, V) float32 px², of the person's outline.
    """

    folders: tuple[Path, ...]
    names: tuple[tuple[str, ...], ...]
    xy: np.ndarray
    seen: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray

    def file(self, t: int, v: int) -> Path:
        return self.folders[v] / self.names[v][t]

    def image(self, t: int, v: int) -> np.ndarray:
        """RGB uint8 (H, W, 3); UserError for a file that is no picture."""
        path = self.file(t, v)
        # As the pixels lie: annotations know nothing of a camera's note on how it was held.
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if pixels is None:
            what = "is no picture" if path.is_file() else "no such picture"
            raise UserError(what, path=path, cure="get the data set's pictures anew")
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
