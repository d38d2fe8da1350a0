"""A camera of a rig, and the one way to make it of what a file says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from video2pose3d.errors import UserError
from video2pose3d.structures import Camera

# All but our own npz count the first pixel's centre as 0, as OpenCV does, where this program says
# 0.5: so their principal points are moved by half a pixel.
OPENCV_PIXEL = 0.5


@dataclass(frozen=True)
class View:
    """One camera of a rig: x_camera = R @ x + t; R (3, 3), t (3,) float64 metres."""

    name: str
    camera: Camera
    R: np.ndarray
    t: np.ndarray

    @property
    def centre(self) -> np.ndarray:
        """(3,) metres: where the camera stands in the calibration's world."""
        return -self.R.T @ self.t

    @property
    def from_calibration(self) -> np.ndarray:
        """(4, 4): the calibration's world to CAMERA."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.R, self.t
        return matrix


def make(
    path: Path, name: str, *, K: Any, R: Any, t: Any, dist: Any, size: Any, pixel: float = 0.0
) -> View:
    """One camera from what a file says of it; UserError if it makes no sense.

    R: matrix or Rodrigues' vector; dist: up to five of OpenCV's; pixel: added to K's centre.
    """
    try:
        K = np.array(K, dtype=np.float64).reshape(3, 3)
        R = np.array(R, dtype=np.float64)
        R = cv2.Rodrigues(R.reshape(3))[0] if R.size == 3 else R.reshape(3, 3)
        t = np.array(t, dtype=np.float64).reshape(3)
        given = np.array(dist, dtype=np.float64).ravel()
        width, height = (int(v) for v in np.array(size, dtype=np.float64).reshape(2))
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"camera {name} is not a calibration ({error})", path=path) from error
    if given[5:].any():
        raise UserError(f"camera {name} has more than OpenCV's k1 k2 p1 p2 k3", path=path)
    given = given[:5]
    if not all(np.isfinite(a).all() for a in (K, R, t, given)) or min(K[0, 0], K[1, 1]) <= 0:
        raise UserError(f"camera {name} has numbers that are no calibration", path=path)
    if np.abs(R @ R.T - np.eye(3)).max() > 1e-3 or np.linalg.det(R) < 0:
        raise UserError(f"the rotation of camera {name} is none", path=path)
    if min(width, height) <= 0:
        raise UserError(f"camera {name} has no size", path=path)
    K[:2, 2] += pixel
    camera = Camera(
        K=K,
        size=(width, height),
        dist=np.pad(given, (0, 5 - len(given))),
        source=f"given by --calibration {path.name}",
    )
    return View(name, camera, R, t)
