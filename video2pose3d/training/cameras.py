"""Random cameras about a moving person.

Axes: B windows, T frames, J joints; joints in metres, Z up, until a camera sees them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from video2pose3d.geometry import rotate, rotation_about, unit
from video2pose3d.training.noise import autoregressive, log_uniform
from video2pose3d.training.recipe import Recipe

UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class Cameras:
    """One moving camera a window. R: (B, T, 3, 3), t: (B, T, 3): x_camera = R x_world + t."""

    R: np.ndarray
    t: np.ndarray
    focal_error: np.ndarray

    @classmethod
    def draw(cls, joints: np.ndarray, rng: np.random.Generator, recipe: Recipe) -> Cameras:
        B, T = joints.shape[:2]
        pelvis = joints[:, :, 0]
        centre = np.median(pelvis, axis=1)
        distance = log_uniform(rng, recipe.distance, (B,))
        height = rng.uniform(0.2, 3.5, B) * np.where(rng.random(B) < 0.5, 0.6, 1.0)
        elevation = np.arctan2(height - centre[:, 2], distance)
        above = rng.random(B) < recipe.from_above
        elevation = np.where(above, rng.uniform(0.2, 0.9, B), elevation)
        elevation = np.clip(elevation, -0.5, 0.9)
        azimuth = rng.uniform(0, 2 * np.pi, B)
        towards = np.stack(
            [
                np.cos(elevation) * np.cos(azimuth),
                np.cos(elevation) * np.sin(azimuth),
                np.sin(elevation),
            ],
            axis=-1,
        )
        forward = -1.0 * towards
        right = unit(np.cross(forward, UP))
        R = np.stack([right, np.cross(forward, right), forward], axis=-2)  # (B, 3, 3)
        seen = (
            rotate(R[:, None], joints - centre[:, None, None])
            + [0, 0, 1] * distance[:, None, None, None]
        )
        nearest: np.ndarray = seen[..., 2].min(axis=(1, 2))
        away = np.maximum(0.7 - nearest, 0)  # nobody walks into the lens
        distance = distance + away
        position = centre + distance[:, None] * towards

        # Where in the picture the person is, the camera's roll, and the hand that holds it.
        x, y, z = np.eye(3)
        crooked = np.where(rng.random(B) < 0.2, 20, 5)  # degrees; cameras on a slant are not rare
        aim = (
            rotation_about(np.broadcast_to(z, (B, 3)), np.radians(crooked) * rng.standard_normal(B))
            @ rotation_about(np.broadcast_to(x, (B, 3)), np.radians(5) * rng.standard_normal(B))
            @ rotation_about(np.broadcast_to(y, (B, 3)), np.radians(9) * rng.standard_normal(B))
        )
        shake = np.where(rng.random((B, 1, 1)) < 0.3, rng.uniform(0, 0.02, (B, 1, 1)), 0.0)
        shake = shake * autoregressive(rng, (B, T, 3), np.full((B, 1, 1), 0.97))
        # Some cameras pan with the person.
        bearing = rotate(R, pelvis - position[:, None])
        pan = np.arctan2(bearing[..., 0], bearing[..., 2])
        pan = pan * np.where(rng.random((B, 1)) < 0.2, rng.uniform(0.5, 1, (B, 1)), 0.0)
        hand = rotation_about(np.broadcast_to(y, (B, T, 3)), shake[..., 0] - pan) @ rotation_about(
            np.broadcast_to(x, (B, T, 3)), shake[..., 1]
        )
        R = aim[:, None] @ hand @ R[:, None]  # (B, T, 3, 3)
        t = -(R @ position[:, None, :, None])[..., 0]
        error = log_uniform(rng, recipe.focal_error, (B,))
        error = np.where(rng.random(B) < 0.25, 1.0, error)
        return cls(R, t, error)

    def see(self, points: np.ndarray) -> np.ndarray:
        """(B, T, J, 3) world to CAMERA, metres."""
        return rotate(self.R, points) + self.t[:, :, None]
