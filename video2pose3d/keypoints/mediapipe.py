"""MediaPipe's BlazePose on a crop around each person: no download, its package carries it.

Each crop for itself, so that several people work and no state is kept from picture to picture.
On our renders of one person: 8.2 px median error, 33 ms a person on one core. Where MediaPipe finds
the person, too, this is not used: its detector has seen the keypoints already.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from video2pose3d.keypoints._crops import window_around
from video2pose3d.skeletons import COCO17
from video2pose3d.vendors import mediapipe

DEFAULT_WEIGHTS = ""  # in the package

_PADDING = 1.1  # the crop's size over the box's: with more, it finds the neighbour instead
_MIN_CONFIDENCE = 0.3  # a person was found here already
_JOINTS = [mediapipe.LANDMARKS[joint] for joint in COCO17.joints]


class Backend:
    """COCO keypoints of one person per box; BlazePose's visibility is the score."""

    skeleton = COCO17

    def __init__(self) -> None:
        self._pose = mediapipe.Pose(min_confidence=_MIN_CONFIDENCE)

    def predict(
        self, images: Sequence[np.ndarray], boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """images: N RGB uint8 (H, W, 3); boxes: (N, 4) px → xy (N, 17, 2) px, scores (N, 17)."""
        xy = np.zeros((len(boxes), len(COCO17), 2), dtype=np.float32)
        scores = np.zeros((len(boxes), len(COCO17)), dtype=np.float32)
        for i, (image, box) in enumerate(zip(images, boxes, strict=True)):
            window = window_around(box, image.shape, _PADDING)
            if window is None:
                continue
            x1, y1, x2, y2 = window
            landmarks = self._pose(image[y1:y2, x1:x2])
            if landmarks is not None:
                xy[i] = landmarks[_JOINTS, :2] + (x1, y1)
                scores[i] = landmarks[_JOINTS, 2].clip(0, 1)
        return xy, scores


available = mediapipe.available


def build(weights: Path | None, device: str) -> Backend:
    """A backend; `weights` and `device` are for others: it brings its own and runs on the CPU."""
    return Backend()
