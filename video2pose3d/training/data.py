"""Training windows: motion capture seen by random cameras through an imagined 2D detector.

Motion (Human3.6M's joints, metres, Z up) is sampled, mirrored, reshaped, turned and projected.
Axes: B windows, T frames, J joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from video2pose3d import relate
from video2pose3d.datasets.mocap import Mocap
from video2pose3d.lifters._windows import normalise
from video2pose3d.skeletons import H36M17
from video2pose3d.training.bodies import bend, reshape, splice_upper_body, turn_over
from video2pose3d.training.cameras import Cameras
from video2pose3d.training.detector import detect, detector_points
from video2pose3d.training.recipe import Recipe
from video2pose3d.weights import find

MIRROR = list(H36M17.mirror)

# Share of each source of the shipped lifter's data; CMU moves more, UI-PRMD is longer.
SOURCE_SHARE = {
    "CMU-AMC": 0.30, "CMU-AMC-template": 0.05, "CMU-BVH": 0.17, "CMU-FBX": 0.17,
    "CMU-expmap": 0.16, "UI-PRMD": 0.25,
}  # fmt: skip
# Retargeted characters: their hip-relative error is 2 to 4 cm.
LEFT_OUT = {"CMU-DAZ-rebuilt", "CMU-iClone-rebuilt"}


@dataclass(frozen=True)
class Batch:
    """inputs: (B, T, J, 3) x, y, score as `normalise` gives them; targets: (B, T, J, 3) metres

    relative to the pelvis in the same axes; weights: (B, T), 0 where the clip had ended.
    """

    inputs: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


class Sampler:
    """An endless source of training batches: batch number n of a seed is always the same."""

    def __init__(self, mocap: Mocap, recipe: Recipe, seed: int):
        self.mocap, self.recipe, self.seed = mocap, recipe, seed
        self.clip_weight = clip_weights(mocap)
        self.relation = None
        if recipe.mended:
            self.relation = relate.load(find("pose_relation", kind="relation"))

    def batch(self, n: int, B: int, T: int) -> Batch:
        rng = np.random.default_rng([self.seed, n])
        joints, points, weights = self.people(rng, B, T)
        camera = Cameras.draw(joints, rng, self.recipe)
        joints, points = camera.see(joints), camera.see(points)  # CAMERA
        rays, scores = detect(joints, points, rng, self.recipe)
        rays = rays * camera.focal_error[:, None, None, None]
        scores = np.where(weights[..., None] > 0, scores, 0.0)
        rays, scores = self._some_mended(rays, scores, rng)
        inputs, R = normalise(rays, scores)
        targets = (joints - joints[:, :, :1]) @ R[:, None].transpose(0, 1, 3, 2)
        return Batch(inputs, targets.astype(np.float32), weights.astype(np.float32))

    def _some_mended(
        self, rays: np.ndarray, scores: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """rays (B, T, J, 2) and scores (B, T, J), in some windows as --relate hands them on."""
        if self.relation is None:
            return rays, scores
        some = rng.random(len(rays)) < self.recipe.mended
        if some.any():
            found = relate.mend_windows(self.relation, rays[some, :, None], scores[some, :, None])
            rays[some], scores[some] = found[:, :, 0], relate.filled(scores[some])
        return rays, scores

    def people(
        self, rng: np.random.Generator, B: int, T: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Somebody's joints and where a detector points, (B, T, J, 3) Z up; and (B, T) weights."""
        joints, weights = self._motion(rng, B, T)
        joints = reshape(joints, rng, self.recipe)
        joints = bend(joints, rng, self.recipe.bend)
        joints = turn_over(joints, rng, self.recipe.tilt)
        return joints, detector_points(joints, rng), weights

    def _motion(self, rng: np.random.Generator, B: int, T: int) -> tuple[np.ndarray, np.ndarray]:
        """(B, T, J, 3) joints, Z up, mirrored and spliced at random, and (B, T) weights."""
        fps, speed = rng.uniform(*self.recipe.fps, B), rng.uniform(*self.recipe.speed, B)
        step = self.mocap.fps / fps * speed
        joints, weights = self._windows(rng, step, T)
        other, other_weights = self._windows(rng, step, T)
        splice = (rng.random(B) < self.recipe.splice) & (other_weights >= weights).all(axis=1)
        spliced = splice_upper_body(joints, other)
        joints = np.where(splice[:, None, None, None], spliced, joints)
        mirrored = joints[:, :, MIRROR] * np.array([-1.0, 1.0, 1.0])
        return np.where(rng.random(B)[:, None, None, None] < 0.5, mirrored, joints), weights

    def _windows(
        self, rng: np.random.Generator, step: np.ndarray, T: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Random windows at `step` (B,) source frames a frame; short clips leave weight 0."""
        mocap, B = self.mocap, len(step)
        clip = rng.choice(len(mocap.length), size=B, p=self.clip_weight)
        last = mocap.length[clip] - 1.0
        span = step * (T - 1)
        # Some windows hang over the clip's ends, as padded windows do; short clips have to.
        over = np.where(rng.random(B) < 0.1, rng.uniform(0, 0.8, B) * span, 0.0)
        over = np.minimum(over, 0.8 * span)
        first = rng.uniform(-over, np.maximum(last - span + over, -over))
        time = first[:, None] + step[:, None] * np.arange(T)  # (B, T)
        inside = (time >= 0) & (time <= last[:, None])
        time = np.clip(time, 0, last[:, None])
        low = np.minimum(time.astype(int), np.maximum(last[:, None].astype(int) - 1, 0))
        high = np.minimum(low + 1, last[:, None].astype(int))
        low_part = mocap.positions[mocap.start[clip][:, None] + low]
        high_part = mocap.positions[mocap.start[clip][:, None] + high]
        part = (time - low)[..., None, None]
        return low_part + part * (high_part - low_part), inside.astype(float)


def clip_weights(mocap: Mocap) -> np.ndarray:
    """How often each clip is drawn: (N,), their sum is 1.

    Sources have their SOURCE_SHARE. Any other has by the square root of its length what these have
    by theirs. So the clips of one source go by the square root of their lengths.
    """
    root = np.sqrt(mocap.length)
    here = {str(s): mocap.source == s for s in np.unique(mocap.source[mocap.length > 0])}
    of_length = {s: np.sqrt(mocap.length[rows].sum()) for s, rows in here.items()}
    known = here.keys() & SOURCE_SHARE.keys()
    per_root = 1.0
    if known:
        per_root = sum(SOURCE_SHARE[s] for s in known) / sum(of_length[s] for s in known)
    weight = np.zeros(len(root))
    for source, rows in here.items():
        if source not in LEFT_OUT:
            share = SOURCE_SHARE.get(source, per_root * of_length[source])
            weight[rows] = root[rows] * (share / root[rows].sum())
    if not weight.any():
        weight = root  # nothing but what is left out elsewhere
    return weight / weight.sum()
