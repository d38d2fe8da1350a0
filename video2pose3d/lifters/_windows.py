"""Windows of 2D keypoints in the form that every lifter takes, and back to joints in metres."""

from __future__ import annotations

import numpy as np

from video2pose3d.geometry import rotation_to_ray

# Keypoints at or below this score say little about where the person is; they still go in.
CONFIDENT = 0.2
SIZE_PERCENTILE = 80  # of the person's size over a window: one crouch or bad box does not count


def normalise(
    rays: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The view of a virtual camera that looks straight at the person and fits them in [-1, 1].

    rays: (B, T, J, 2) x/z, y/z in CAMERA without distortion; scores: (B, T, J), 0 = not seen.
    Returns the lifter's input (B, T, J, 3) float32 x, y, score, exactly 0 where not seen, and for
    each window the rotation R (B, 3, 3) from CAMERA to the lifter's axes: x_lifter = R @ x_camera.

    One rotation and one scale a window. The rotation (pan, then tilt, no roll) puts the median
    middle of the person on the optical axis, so that a person at the edge of a wide picture
    does not look turned.
    """
    seen = scores > 0
    sure = scores > CONFIDENT
    sure = np.where(sure.sum(axis=(1, 2), keepdims=True) >= 4, sure, seen)  # (B, T, J)

    middle, _ = _boxes(rays, sure)  # (B, T, 2)
    centre = np.nan_to_num(_nan_percentile(middle, 50))  # (B, 2)
    R = np.stack([rotation_to_ray(c) for c in centre])  # (B, 3, 3)
    x, y = rays[..., 0], rays[..., 1]
    turned = [
        R[:, k, 0, None, None] * x + R[:, k, 1, None, None] * y + R[:, k, 2, None, None]
        for k in range(3)
    ]
    z = np.maximum(turned[2], 0.05)  # a ray far off the axis (garbage) must not flip its sign
    rays = np.stack([turned[0] / z, turned[1] / z], axis=-1)

    _, extent = _boxes(rays, sure)
    half = _nan_percentile(extent.max(axis=-1, keepdims=True), SIZE_PERCENTILE)[:, 0] / 2  # (B,)
    half = np.where(half > 1e-6, half, 1.0)  # NaN and 0: nobody, or a single point
    inputs = np.concatenate([rays / half[:, None, None, None], scores[..., None]], axis=-1)
    inputs = np.where(seen[..., None], inputs, 0.0)
    # A garbage keypoint three body lengths away carries no more than one two lengths away.
    inputs = np.clip(inputs, -4.0, 4.0)
    return inputs.astype(np.float32), R


def _boxes(rays: np.ndarray, sure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle and extent of the box about the sure joints, (B, T, 2) each; NaN without any."""
    low = np.where(sure[..., None], rays, np.inf).min(axis=2)
    high = np.where(sure[..., None], rays, -np.inf).max(axis=2)
    empty = ~sure.any(axis=2)[..., None]
    with np.errstate(invalid="ignore"):
        middle, extent = (low + high) / 2, high - low
    return np.where(empty, np.nan, middle), np.where(empty, np.nan, extent)


def _nan_percentile(values: np.ndarray, q: float) -> np.ndarray:
    """Lower percentile over axis 1 without the NaNs: (B, T, K) -> (B, K); NaN where all are."""
    values = np.sort(values, axis=1)  # NaNs go last
    count = np.isfinite(values).sum(axis=1, keepdims=True)
    place = np.maximum(np.floor(q / 100 * (count - 1)), 0).astype(int)
    return np.take_along_axis(values, place, axis=1)[:, 0]
