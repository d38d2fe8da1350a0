"""What stands still in the animation: the backdrop, the floor with its grid, the legend."""

from __future__ import annotations

import math

import cv2
import numpy as np

from video2pose3d.render import _style
from video2pose3d.render._style import Colour
from video2pose3d.render._view import View

PAPER: Colour = (226, 231, 238)
FLOOR: Colour = (250, 251, 252)
LINES: Colour = (168, 178, 194)
TEXT: Colour = (78, 86, 100)
_FONT = cv2.FONT_HERSHEY_DUPLEX


def paint(view: View, people: bool) -> np.ndarray:
    """The picture without anybody in it: (H, W, 3) RGB uint8. people: False says so in words."""
    width, height = view.size
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([u - width / 2, v - height / 2, np.full_like(u, view.focal)], axis=-1)
    rays = rays @ view.axes / view.focal
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = view.position[1] / -rays[..., 1]  # metres of depth to where a ray meets y = 0
        ground = view.position[[0, 2]] + rays[..., [0, 2]] * reach[..., None]  # (H, W, 2) x, z
    hits = (reach > 0) & (reach < 100 * view.distance)
    ground = np.where(hits[..., None], ground, 1e9)

    # The floor is bright below the middle of the picture and is lost in the paper far away.
    centre = ground[height * 5 // 8, width // 2]
    away = np.linalg.norm(ground - centre, axis=-1) / view.distance
    near = np.where(hits, np.exp(-((away / 0.9) ** 2)), 0)[..., None]
    image = np.asarray(PAPER) + (np.asarray(FLOOR) - PAPER) * near
    step = grid_step(view.distance)
    lines = _grid(ground / step)[..., None] * near
    image += (np.asarray(LINES) - image) * lines

    picture = image.round().astype(np.uint8)
    _legend(picture, f"grid {step:g} m")
    if not people:
        _write(picture, "nobody was found in this clip", (0.5, 0.5))
    return picture


def caption(picture: np.ndarray, text: str) -> None:
    """Write the time into the lower left corner."""
    _write(picture, text, (0.0, 1.0))


def grid_step(distance: float) -> float:
    """Metres between the lines of a grid from this distance: 1, 2 or 5 times a power of ten."""
    wanted = max(distance, 1e-6) / 10
    decade = 10.0 ** math.floor(math.log10(wanted))
    return next(decade * k for k in (1, 2, 5, 10) if decade * k >= 0.999 * wanted)


def _grid(ground: np.ndarray) -> np.ndarray:
    """(H, W) 0..1: how much of each pixel the lines at whole numbers cover.

    ground: (H, W, 2) where each pixel's ray meets the floor, in steps of the grid.
    """
    rows, columns = (np.abs(np.gradient(ground, axis=axis)) for axis in (0, 1))
    pixel = np.maximum(np.hypot(rows, columns), 1e-9)  # steps of the grid in one pixel
    lines = np.clip(1.2 - np.abs(ground - np.round(ground)) / pixel, 0, 1)
    lines *= np.clip(1.5 - 4 * pixel, 0, 1)  # lines closer than a few pixels are one grey
    return lines.max(axis=-1)


def _legend(picture: np.ndarray, grid: str) -> None:
    height, width = picture.shape[:2]
    scale, margin = _text_scale(picture), _margin(picture)
    right, y = width - margin, height - margin
    sides = [(side, _style.SIDES[side]) for side in ("right", "left")]
    for text, colour in ((grid, None), *sides):  # from right to left
        (w, h), _ = cv2.getTextSize(text, _FONT, scale, 1)
        cv2.putText(picture, text, (right - w, y), _FONT, scale, TEXT, _pen(picture), cv2.LINE_AA)
        right -= w
        if colour is not None:
            right -= h
            cv2.circle(picture, (right, y - h // 2), max(2, h // 2), colour, -1, cv2.LINE_AA)
            right -= h // 2
        right -= margin


def _write(picture: np.ndarray, text: str, place: tuple[float, float]) -> None:
    """Text at a place from the upper left (0, 0) to the lower right (1, 1) inside the margin."""
    scale, margin = _text_scale(picture), _margin(picture)
    (w, h), _ = cv2.getTextSize(text, _FONT, scale, 1)
    x = margin + place[0] * (picture.shape[1] - 2 * margin - w)
    y = margin + h + place[1] * (picture.shape[0] - 2 * margin - h)
    cv2.putText(picture, text, (round(x), round(y)), _FONT, scale, TEXT, _pen(picture), cv2.LINE_AA)


def _text_scale(picture: np.ndarray) -> float:
    return picture.shape[0] / 1100


def _margin(picture: np.ndarray) -> int:
    return max(4, picture.shape[0] // 30)


def _pen(picture: np.ndarray) -> int:
    return max(1, round(picture.shape[0] / 700))
