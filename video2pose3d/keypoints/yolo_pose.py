"""YOLO pose networks (YOLOv8 to YOLO26) on crops around each person.

Crops, not the whole picture: a person fills the network's input whatever their size in the video.
On our rendered clips (yolo11n-pose, one core): whole picture at 640 px 11.4 px median error and
72 ms, crop at 320 px 10.6 px and 17 ms a person, crop and mirrored crop 10.1 px, a fifth less
jitter and 36 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from video2pose3d.errors import UserError
from video2pose3d.keypoints._crops import window_around
from video2pose3d.skeletons import COCO17
from video2pose3d.vendors.ultralytics import YOLO

DEFAULT_WEIGHTS = "yolo11n-pose"

_CROP_SIZE = 320  # px, the longer side of a crop as the network sees it
_PADDING = 1.25  # the crop's size over the box's, as top-down networks have it
_MIN_SCORE = 0.05  # of the person in the crop: whether somebody is there is the detector's business
_MIN_IOU = 0.3  # with the box: else it is somebody else in the crop


class Backend:
    """COCO keypoints of one person per box."""

    skeleton = COCO17

    def __init__(self, weights: Path, device: str) -> None:
        self._network = YOLO(weights, device, task="pose", size=_CROP_SIZE)
        joints, numbers = self._network.keypoints_shape
        if joints != len(COCO17) or numbers != 3:
            raise UserError(
                f"this YOLO network gives {joints} keypoints of {numbers} numbers",
                path=weights,
                cure="give one trained on COCO's 17, such as yolo11n-pose.pt",
            )

    def predict(
        self, images: Sequence[np.ndarray], boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """images: N RGB uint8 (H, W, 3); boxes: (N, 4) px → xy (N, 17, 2) px, scores (N, 17)."""
        xy = np.zeros((len(boxes), len(COCO17), 2), dtype=np.float32)
        scores = np.zeros((len(boxes), len(COCO17)), dtype=np.float32)
        whole, corners, crops = [], [], []
        for i, (image, box) in enumerate(zip(images, boxes, strict=True)):
            window = window_around(box, image.shape, _PADDING)
            if window is not None:
                x1, y1, x2, y2 = window
                whole.append(i)
                corners.append(np.array([x1, y1], dtype=np.float32))
                crops.append(image[y1:y2, x1:x2])
        mirrored = [np.ascontiguousarray(crop[:, ::-1]) for crop in crops]
        found = self._network(crops + mirrored, _MIN_SCORE)
        for n, i in enumerate(whole):
            box = boxes[i] - np.tile(corners[n], 2)
            width = crops[n].shape[1]
            views = [
                _keypoints(found[n], box),
                _mirror(_keypoints(found[len(whole) + n], _mirror_box(box, width)), width),
            ]
            seen = [view for view in views if view is not None]
            if seen:
                weights = [view[:, 2:] + 1e-6 for view in seen]  # the surer view counts for more
                weighted = [v[:, :2] * w for v, w in zip(seen, weights, strict=True)]
                xy[i] = sum(weighted) / sum(weights) + corners[n]
                scores[i] = sum(view[:, 2] for view in seen) / len(views)
        return xy, scores


def available() -> bool:
    return True


def build(weights: Path, device: str) -> Backend:
    """A backend from a YOLO pose file; UserError when the file is none."""
    return Backend(weights, device)


def _keypoints(rows: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    """(17, 3) x, y, score of the person in a crop whose box is most like the one asked for."""
    corner, other = np.maximum(rows[:, :2], box[:2]), np.minimum(rows[:, 2:4], box[2:])
    shared = np.clip(other - corner, 0, None).prod(axis=1)
    areas = (rows[:, 2:4] - rows[:, :2]).prod(axis=1)
    iou = shared / (areas + (box[2:] - box[:2]).prod() - shared)
    if not len(iou) or iou.max() < _MIN_IOU:
        return None
    return rows[iou.argmax(), 5:].reshape(len(COCO17), 3)


def _mirror(keypoints: np.ndarray | None, width: int) -> np.ndarray | None:
    """Keypoints found in a mirrored crop, where they are in the crop itself."""
    if keypoints is None:
        return None
    turned = keypoints[list(COCO17.mirror)]
    turned[:, 0] = width - turned[:, 0]
    return turned


def _mirror_box(box: np.ndarray, width: int) -> np.ndarray:
    return np.array([width - box[2], box[1], width - box[0], box[3]], dtype=box.dtype)
