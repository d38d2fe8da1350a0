"""Top-down keypoints: a crop around each person, a heatmap for each joint, the maximum of each.

As MMPose 1.1 does it (GetBBoxCenterScale, TopdownAffine, MSRAHeatmap, flip test), in batches; a
test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from video2pose3d.keypoints._mmpose import Network
from video2pose3d.skeletons import COCO17

_PADDING = 1.25  # a crop's size over its box's
_MEAN = (123.675, 116.28, 103.53)  # ImageNet's, RGB
_STD = (58.395, 57.12, 57.375)
_BATCH = {"cpu": 8, "cuda": 64}  # crops at once


class TopDown:
    """COCO keypoints of one person per box, by a heatmap network."""

    skeleton = COCO17

    def __init__(self, network: Network, device: str) -> None:
        self._device = torch.device(device)
        self._network = network.to(self._device)

    def predict(
        self, images: Sequence[np.ndarray], boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """images: N RGB uint8 (H, W, 3); boxes: (N, 4) px → xy (N, 17, 2) px, scores (N, 17)."""
        xy = np.zeros((len(boxes), len(COCO17), 2), dtype=np.float32)
        scores = np.zeros((len(boxes), len(COCO17)), dtype=np.float32)
        some = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        whole = np.flatnonzero(some)
        step = _BATCH[self._device.type]
        for rows in (whole[i : i + step] for i in range(0, len(whole), step)):
            centres, sizes = regions(boxes[rows], self._network.input_size)
            crops = crop([images[i] for i in rows], centres, sizes, self._network.input_size)
            heatmaps = self._heatmaps(crops)
            at, surely = decode(heatmaps)
            cells = np.array(heatmaps.shape[:1:-1], dtype=np.float64)  # W, H of a heatmap
            # + 0.5: MMPose counts pixels, so that its (0, 0) is the middle of the first one.
            xy[rows] = at / cells * sizes[:, None] + (centres - sizes / 2)[:, None] + 0.5
            scores[rows] = surely.clip(0, 1)
        return xy, scores

    @torch.inference_mode()
    def _heatmaps(self, crops: np.ndarray) -> np.ndarray:
        """Crops (B, H, W, 3) to heatmaps (B, J, H / 4, W / 4), the mean over both mirrorings."""
        x = normalise(crops, self._device)  # (B, 3, H, W)
        mirrored = self._network(x.flip(-1)).flip(-1)[:, list(COCO17.mirror)]
        # A mirrored heatmap's cells lie one further left, as the network counts them.
        mirrored[..., 1:] = mirrored[..., :-1].clone()
        return ((self._network(x) + mirrored) / 2).cpu().numpy()


def regions(boxes: np.ndarray, input_size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) to the regions that are cropped: centres (N, 2), sizes W, H (N, 2), px.

    A region is the box made larger, then as wide or high as the network's input is in proportion.
    """
    boxes = boxes.astype(np.float64)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    w, h = ((boxes[:, 2:] - boxes[:, :2]) * _PADDING).T
    ratio = input_size[0] / input_size[1]
    width = np.maximum(w, h * ratio)
    return centres, np.stack([width, width / ratio], axis=1)


def crop(
    images: Sequence[np.ndarray],
    centres: np.ndarray,
    sizes: np.ndarray,
    input_size: tuple[int, int],
) -> np.ndarray:
    """Regions of pictures as (N, H, W, 3) uint8; black outside of the picture."""
    width, height = input_size
    crops = np.empty((len(images), height, width, 3), dtype=np.uint8)
    for out, image, centre, size in zip(crops, images, centres, sizes, strict=True):
        scale = width / size[0]
        offset = np.array([width, height]) / 2 - scale * centre
        matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])
        cv2.warpAffine(image, matrix, input_size, dst=out, flags=cv2.INTER_LINEAR)
    return crops


def normalise(crops: np.ndarray, device: torch.device) -> torch.Tensor:
    """Crops (B, H, W, 3) uint8 as networks trained on ImageNet take them: (B, 3, H, W)."""
    x = torch.from_numpy(crops).to(device).permute(0, 3, 1, 2).float()
    return (x - x.new_tensor(_MEAN).view(3, 1, 1)) / x.new_tensor(_STD).view(3, 1, 1)


def decode(heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The maxima of heatmaps (B, J, H, W): x, y (B, J, 2) in cells, values (B, J).

    Each is moved a quarter of a cell towards its higher neighbour.
    """
    b, j, height, width = heatmaps.shape
    flat = heatmaps.reshape(b, j, -1)
    best = flat.argmax(axis=-1)
    values = np.take_along_axis(flat, best[..., None], axis=-1)[..., 0]
    y, x = np.divmod(best, width)

    def at(dx: int, dy: int) -> np.ndarray:
        cell = (y + dy).clip(0, height - 1) * width + (x + dx).clip(0, width - 1)
        return np.take_along_axis(flat, cell[..., None], axis=-1)[..., 0]

    # MMPose's own borders: it moves nothing in the outermost cells, nor in x's column 1, y's row 1.
    inner_x = (x > 1) & (x < width - 1) & (y > 0)
    inner_y = (y > 1) & (y < height - 1) & (x > 0)
    towards_x = np.where(inner_x, np.sign(at(1, 0) - at(-1, 0)), 0)
    towards_y = np.where(inner_y, np.sign(at(0, 1) - at(0, -1)), 0)
    cells = np.stack([x + towards_x / 4, y + towards_y / 4], axis=-1)
    return cells, values
