"""Networks that see a white box as a person: the whole program runs without any weights of others.

A clip shows one white box a person on grey. The mock detector finds the boxes, the
mock keypoints stand a frontal figure into each; tracking, lifting, motion and files are the real.
"""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np

from video2pose3d import lifters, weights
from video2pose3d.networks import Choice, Networks, describe_weights
from video2pose3d.options import Options
from video2pose3d.skeletons import COCO17
from video2pose3d.structures import Detections
from video2pose3d.video import write_video

log = logging.getLogger("video2pose3d")

SIZE = (320, 240)

# Where the joints of somebody who faces the camera stand in their box, x and y from 0 to 1.
# fmt: off
FRONTAL = {
    "nose": (0.5, 0.08), "left_eye": (0.54, 0.06), "right_eye": (0.46, 0.06),
    "left_ear": (0.6, 0.07), "right_ear": (0.4, 0.07),
    "left_shoulder": (0.75, 0.2), "right_shoulder": (0.25, 0.2),
    "left_elbow": (0.9, 0.36), "right_elbow": (0.1, 0.36),
    "left_wrist": (0.95, 0.5), "right_wrist": (0.05, 0.5),
    "left_hip": (0.66, 0.52), "right_hip": (0.34, 0.52),
    "left_knee": (0.67, 0.74), "right_knee": (0.33, 0.74),
    "left_ankle": (0.68, 0.97), "right_ankle": (0.32, 0.97),
}
# fmt: on
_PLACES = np.array([FRONTAL[joint] for joint in COCO17.joints], dtype=np.float32)


def box_at(person: int, frame: int) -> tuple[int, int, int, int] | None:
    """x1 y1 x2 y2 px of a person who walks slowly to the right; person 1 is gone for 5 frames."""
    if person == 1 and 8 <= frame < 13:
        return None
    x = 30 + 150 * person + frame // 2
    return x, 40, x + 50, 220


def write_clip(
    path: Path, *, people: int = 1, frames: int = 20, fps: float = 25.0, grey: int = 60
) -> Path:
    with write_video(path, SIZE, fps=fps) as out:
        for frame in range(frames):
            image = np.full((SIZE[1], SIZE[0], 3), grey, np.uint8)
            for box in filter(None, (box_at(p, frame) for p in range(people))):
                x1, y1, x2, y2 = box
                image[y1:y2, x1:x2] = 250
            out.write(image, frame / fps)
    return path


class Detector:
    finds_one = False

    def reset(self) -> None:
        pass

    def detect(self, images: list[np.ndarray]) -> list[Detections]:
        return [self._boxes(image) for image in images]

    def _boxes(self, image: np.ndarray) -> Detections:
        white = (image[..., 0] > 160).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(white)
        x, y, w, h, area = stats[1:].T
        boxes = np.stack([x, y, x + w, y + h], axis=1).astype(np.float32)[area > 500]
        return Detections(boxes.reshape(-1, 4), np.full(len(boxes), 0.9, np.float32))


class Keypoints:
    skeleton = COCO17

    def predict(self, images: list, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low, size = boxes[:, None, :2], boxes[:, None, 2:] - boxes[:, None, :2]
        xy = (low + size * _PLACES).astype(np.float32)
        return xy, np.full(xy.shape[:2], 0.9, np.float32)


def choice() -> Choice:
    """The networks below, as if they had been found by what somebody asked for."""
    file = weights.find("ssr_stf", kind="lifter", offline=True)
    return Choice(
        names={"detector": "mock", "keypoints": "mock", "lifter": "ssr_stf"},
        weights={file: describe_weights(file)},
        detector=None,
        keypoints=None,
        relation=None,
        lifter=file,
    )


def choose(options: Options) -> Choice:
    """In the place of Choice.of."""
    log.info("networks: mock")
    return choice()


def networks(detector: Detector | None = None) -> Networks:
    """The mock detector (or another) and keypoints, with the shipped lifter."""
    chosen = choice()
    return Networks(
        device="cpu",
        detector=detector or Detector(),
        keypoints=Keypoints(),
        lifter=lifters.load(chosen.lifter, "cpu"),
        names=chosen.names,
        weights=list(chosen.weights.values()),
    )
