"""People found by a YOLO network: any size of YOLOv8, YOLO11 or YOLO26 in ultralytics' format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from video2pose3d.structures import Detections
from video2pose3d.vendors.ultralytics import YOLO

DEFAULT_WEIGHTS = "yolo11n"


class Detector:
    """Finds people with a YOLO network.

    min_score: boxes below it are dropped; low, because the tracker keeps half-hidden people by
    their unsure boxes (ByteTrack's second association).
    """

    finds_one = False

    def __init__(self, weights: Path, device: str, *, min_score: float = 0.1) -> None:
        self._network = YOLO(weights, device, task="detect")
        self._min_score = min_score

    def reset(self) -> None:
        """Nothing to do: it sees each picture for itself."""

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """RGB uint8 pictures, each (H, W, 3), to the people in each, surest first."""
        return [
            Detections(boxes=rows[:, :4].copy(), scores=rows[:, 4].copy())
            for rows in self._network(images, self._min_score)
        ]


def build(weights: Path, device: str, *, min_score: float = 0.1) -> Detector:
    """A detector from a weights file; UserError when the file holds none."""
    return Detector(weights, device, min_score=min_score)
