"""Training windows of rigs: one motion seen by several random cameras through one detector.

Axes: B windows, T frames, V views, J joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from video2pose3d.relate._inputs import prepare
from video2pose3d.training.cameras import Cameras
from video2pose3d.training.data import MIRROR, Sampler
from video2pose3d.training.detector import LEGS, detect

# How often a batch has 1, 2, ... 8 views. Rows are the same for all: more views, fewer windows.
VIEWS = (0.4, 0.12, 0.12, 0.16, 0.05, 0.05, 0.05, 0.05)
EXACT = 0.1  # share of rigs whose keypoints are exact, with full scores
TURNED = 0.1  # share of cameras that take the person's front for their back, for a long while


@dataclass(frozen=True)
class Rigs:
    """inputs: (B, T, V, J, 3) as `relate` prepares them; targets: (B, T, V, J, 2) in the same axes,

    where the detector would have pointed without errors; weights: (B, T), 0 where the clip had
    ended; metres: (B, T, V), how long a unit of them is at the person.
    """

    inputs: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    metres: np.ndarray


class RigSampler(Sampler):
    """An endless source of batches: batch number n of a seed is always the same."""

    def batch(self, n: int, B: int, T: int, V: int | None = None) -> Rigs:  # pyright: ignore
        """B: windows times views; V: how many views, or a random number of 1 to 8."""
        rng = np.random.default_rng([self.seed, n])
        drawn = 1 + int(rng.choice(len(VIEWS), p=VIEWS))
        V = V or drawn
        B = max(1, round(B / V))
        joints, points, weights = self.people(rng, B, T)
        joints, points = (np.repeat(v, V, axis=0) for v in (joints, points))  # (B * V, T, J, 3)
        camera = Cameras.draw(joints, rng, self.recipe)
        joints, points = camera.see(joints), camera.see(points)
        rays, scores = detect(joints, points, rng, self.recipe)
        _turn_round(rays, rng, TURNED * self.recipe.faults)
        depth = np.maximum(points[..., 2:], 0.3)
        true = points[..., :2] / depth
        exact = np.repeat(rng.random(B) < EXACT, V)[:, None, None]
        rays, scores = np.where(exact[..., None], true, rays), np.where(exact, 1.0, scores)
        focal = camera.focal_error[:, None, None, None]
        rays, true = rays * focal, true * focal

        def apart(values: np.ndarray) -> np.ndarray:
            return values.reshape(B, V, *values.shape[1:]).swapaxes(1, 2)  # (B, T, V, ...)

        scores = np.where(weights[:, :, None, None] > 0, apart(scores), 0.0)
        inputs = prepare(apart(rays), scores)
        metres = inputs.half[:, None] * joints[:, :, 0, 2] / camera.focal_error[:, None]
        return Rigs(
            inputs.x,
            inputs.look(apart(true)).astype(np.float32),
            weights.astype(np.float32),
            apart(metres).astype(np.float32),
        )


def _turn_round(rays: np.ndarray, rng: np.random.Generator, share: float) -> None:
    """Left taken for right, or the legs only, for up to half of a window. In place.

    (`detect` swaps for moments.) MediaPipe has done so for 0.7 seconds, with scores of 0.98.
    """
    rows, T = rays.shape[:2]
    for b in np.flatnonzero(rng.random(rows) < share):
        length = rng.integers(1, max(2, T // 2))
        at = rng.integers(1 - length, T)
        span = slice(max(at, 0), at + length)
        which = LEGS if rng.random() < 0.4 else list(range(len(MIRROR)))
        rays[b, span, which] = rays[b, span, [MIRROR[j] for j in which]]
