"""One person by MediaPipe: the stand-in where no YOLO weights can be had.

It finds the most prominent person and no other, and not one who is small in the picture: its finder
sees the whole picture at 224 px. Then it follows them from picture to picture. On our three renders
of one person: 8.0 px median error, 10.6 px mean and 20 ms on one core; each picture for itself, 8.2
px, 11.1 px and 33 ms; with a second pass on a crop, 8.2 px, 12.0 px and 65 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from video2pose3d.skeletons import COCO17
from video2pose3d.structures import Detections
from video2pose3d.vendors import mediapipe

DEFAULT_WEIGHTS = ""  # in the package

# What a YOLO box shows beyond the outermost landmarks, in the larger side of theirs: left, top,
# right, bottom. The top is the skull above the eyes. Medians over five clips.
_MARGINS = np.array([0.035, 0.11, 0.035, 0.03], dtype=np.float32)
_TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_MIN_CONFIDENCE = 0.5
_KEYPOINTS = [mediapipe.LANDMARKS[joint] for joint in COCO17.joints]
_NOBODY = Detections(
    np.zeros((0, 4), np.float32),
    np.zeros(0, np.float32),
    np.zeros((0, len(COCO17), 3), np.float32),
)


class Detector:
    """Finds one person, or none, and their keypoints: BlazePose's visibility is the score."""

    finds_one = True

    def __init__(self) -> None:
        self._pose = mediapipe.Pose(min_confidence=_MIN_CONFIDENCE, follow=True)

    def reset(self) -> None:
        """Look for the person anew."""
        self._pose.forget()

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """RGB uint8 pictures, each (H, W, 3), to the person in each, whom it follows."""
        return [self._detect(image) for image in images]

    def _detect(self, image: np.ndarray) -> Detections:
        landmarks = self._pose(image)
        if landmarks is None:
            return _NOBODY
        low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
        margins = _MARGINS * (high - low).max()
        height, width = image.shape[:2]
        box = np.concatenate([low - margins[:2], high + margins[2:]])
        box = box.clip(0, np.array([width, height] * 2, dtype=np.float32))
        torso = [mediapipe.LANDMARKS[joint] for joint in _TORSO]
        score = landmarks[torso, 2].mean().clip(0, 1)
        if (box[2:] <= box[:2]).any():
            return _NOBODY
        keypoints = landmarks[_KEYPOINTS]
        keypoints[:, 2] = keypoints[:, 2].clip(0, 1)
        return Detections(
            box[None].astype(np.float32), np.array([score], dtype=np.float32), keypoints[None]
        )


def build(weights: Path | None, device: str) -> Detector:
    """A detector; `weights` and `device` are for others: it brings its own and runs on the CPU."""
    return Detector()
