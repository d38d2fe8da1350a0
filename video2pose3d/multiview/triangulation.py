"""Triangulation: points in space from where cameras see them, the less sure counting less.

Everything is at once over frames and joints. A keypoint far from where the others say the point is
(a swapped leg, somebody else's arm) is an outlier: the start is the best of all pairs of cameras,
and the rest is least squares with Geman and McClure's weights (1987), so it does not pull.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from video2pose3d.geometry import pixels_to_rays
from video2pose3d.multiview.calibrations import View

NEAREST = 0.1  # metres: nothing is seen from nearer
_OUTLIER = 0.01  # of the focal length, about 10 px: the start's idea of a wrong keypoint
_LEAST_ERROR = 0.001  # of the focal length: detectors are never surer
_ITERATIONS = 10


@dataclass(frozen=True)
class Sights:
    """One person as all cameras see them at the same times.

    rays: (V, T, J, 2) x/z, y/z, distortion removed; scores: (V, T, J) 0..1, 0 where not seen;
    R: (V, 3, 3), t: (V, 3) x_camera = R x + t, metres.
    """

    rays: np.ndarray
    scores: np.ndarray
    R: np.ndarray
    t: np.ndarray

    @classmethod
    def through(cls, views: Sequence[View], xy: np.ndarray, scores: np.ndarray) -> Sights:
        """xy: (V, T, J, 2) px in each view's picture; scores: (V, T, J)."""
        rays = [pixels_to_rays(seen, view.camera) for seen, view in zip(xy, views, strict=True)]
        return cls(
            np.nan_to_num(np.stack(rays)),
            np.where(np.isfinite(xy).all(axis=-1), scores, 0).astype(np.float64),
            np.stack([view.R for view in views]),
            np.stack([view.t for view in views]),
        )

    @property
    def twice(self) -> np.ndarray:
        """(T, J) the second best score: how surely a joint is seen by at least two cameras."""
        return np.sort(self.scores, axis=0)[-2]

    def directions(self) -> tuple[np.ndarray, np.ndarray]:
        """Where cameras stand (V, 3) metres, and unit lines of sight (V, T, J, 3)."""
        centres = -np.einsum("vji,vj->vi", self.R, self.t)
        ahead = np.concatenate([self.rays, np.ones_like(self.rays[..., :1])], axis=-1)
        ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
        return centres, np.einsum("vji,vtkj->vtki", self.R, ahead)

    def in_cameras(self, points: np.ndarray) -> np.ndarray:
        """(V, T, J, 3) metres, each camera's CAMERA, of points (T, J, 3)."""
        return np.einsum("vij,tkj->vtki", self.R, points) + self.t[:, None, None]

    def residuals(self, points: np.ndarray) -> np.ndarray:
        """(V, T, J, 2) by which points (T, J, 3) are seen beside the rays, in focal lengths."""
        there = self.in_cameras(points)
        return there[..., :2] / np.maximum(there[..., 2:], NEAREST) - self.rays


def triangulate(sights: Sights) -> np.ndarray:
    """(T, J, 3) float64 metres; NaN where fewer than two cameras see the joint."""
    points, known = _start(sights)
    for _ in range(_ITERATIONS):
        error = typical_error(sights.residuals(points), sights.scores * known)
        matrix, target = evidence(sights, points, error)
        # A little inertia: where lines of sight are all but parallel, depth stays as it was.
        inertia = 1e-9 * np.trace(matrix, axis1=-2, axis2=-1)[..., None, None] * np.eye(3)
        matrix, target = matrix + inertia, target + (inertia @ points[..., None])[..., 0]
        moved = np.linalg.solve(np.where(known[..., None, None], matrix, np.eye(3)),
                                target[..., None])[..., 0]  # fmt: skip
        points = np.where(known[..., None], moved, points)
    return np.where(known[..., None], points, np.nan)


def evidence(
    sights: Sights, points: np.ndarray, error: float, trust: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Normal equations (T, J, 3, 3), (T, J, 3) of one Gauss-Newton step about points (T, J, 3).

    error: typical, in focal lengths; trust: (T, J), factor on the weights.
    """
    there = sights.in_cameras(points)
    z = np.maximum(there[..., 2], NEAREST)
    seen = there[..., :2] / z[..., None]
    residual = seen - sights.rays
    weight = sights.scores**2 * (there[..., 2] > NEAREST) / error**2
    weight = weight / (1 + (residual**2).sum(axis=-1) / (3 * error) ** 2) ** 2
    if trust is not None:
        weight = weight * trust
    # d(x/z)/dp = (R[0] - x/z R[2]) / z, and likewise y.
    rows = sights.R[:, None, None, :2] - seen[..., None] * sights.R[:, None, None, 2:]
    rows /= z[..., None, None]  # (V, T, J, 2, 3)
    matrix = np.einsum("vtj,vtjai,vtjak->tjik", weight, rows, rows, optimize=True)
    pull = np.einsum("vtj,vtjai,vtja->tji", weight, rows, residual, optimize=True)
    return matrix, (matrix @ points[..., None])[..., 0] - pull


def typical_error(residuals: np.ndarray, scores: np.ndarray) -> float:
    """Median length of (V, T, J, 2) residuals where scores (V, T, J) are above 0."""
    length = np.linalg.norm(residuals, axis=-1)[scores > 0]
    return max(float(np.median(length)), _LEAST_ERROR) if len(length) else _LEAST_ERROR


def closest(
    centre_a: np.ndarray, ray_a: np.ndarray, centre_b: np.ndarray, ray_b: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where two lines of sight come closest: distances along each (...), metres, and between them.

    centres: (3,); rays: (..., 3) unit vectors. Parallel lines come closest at the centres.
    """
    base = centre_b - centre_a
    cosine = (ray_a * ray_b).sum(axis=-1)
    along_a, along_b = ray_a @ base, ray_b @ base
    sine = np.maximum(1 - cosine**2, 1e-9)
    a = (along_a - cosine * along_b) / sine
    b = (cosine * along_a - along_b) / sine
    gap = a[..., None] * ray_a - b[..., None] * ray_b - base
    return a, b, np.linalg.norm(gap, axis=-1)


def _start(sights: Sights) -> tuple[np.ndarray, np.ndarray]:
    """Points (T, J, 3) of the pair of cameras that all agree with best; (T, J) where any did."""
    centres, lines = sights.directions()
    best = np.full(sights.scores.shape[1:], np.inf)
    points = np.zeros((*best.shape, 3))
    for a, b in combinations(range(len(centres)), 2):
        along_a, along_b, _ = closest(centres[a], lines[a], centres[b], lines[b])
        middle = (
            centres[a] + along_a[..., None] * lines[a] + centres[b] + along_b[..., None] * lines[b]
        ) / 2
        squared = (sights.residuals(middle) ** 2).sum(axis=-1)
        cost = (sights.scores**2 * squared / (squared + _OUTLIER**2)).sum(axis=0)
        sane = (sights.scores[a] > 0) & (sights.scores[b] > 0)
        sane &= (along_a > NEAREST) & (along_b > NEAREST) & (cost < best)
        best, points = np.where(sane, cost, best), np.where(sane[..., None], middle, points)
    return points, np.isfinite(best)
