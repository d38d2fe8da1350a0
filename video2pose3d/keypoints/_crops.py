"""The part of a picture around a person."""

from __future__ import annotations

import numpy as np


def window_around(
    box: np.ndarray, shape: tuple[int, ...], padding: float
) -> tuple[int, int, int, int] | None:
    """A box made larger, within the picture: x1 y1 x2 y2, whole px; None when nothing is in it.

    box: (4,) px xyxy; shape: (H, W, ...) of the picture; padding: the window's size over the box's.
    """
    if not np.isfinite(box).all() or (box[2:] <= box[:2]).any():
        return None
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * padding
    limit = np.array([shape[1], shape[0]])
    x1, y1 = np.clip(np.floor(centre - half), 0, limit).astype(int).tolist()
    x2, y2 = np.clip(np.ceil(centre + half), 0, limit).astype(int).tolist()
    return (x1, y1, x2, y2) if x2 - x1 >= 2 and y2 - y1 >= 2 else None
