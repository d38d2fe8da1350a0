"""How people move as one camera's lifter has it: who is who, and when, before cameras are known.

A lifted body moves alike in every view but for a rotation, which is the cameras'. So two tracks are
held against each other by how much of their joints' velocities agrees after the best rotation: 1
where all does, about 0.1 for two people, and 0.4 to 0.8 for one person seen by two cameras, at the
right time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import correlate

from video2pose3d import lifters
from video2pose3d.geometry import pixels_to_rays
from video2pose3d.motion.root import locate, locate_each
from video2pose3d.multiview.people import Sighted
from video2pose3d.pipeline import Sighting
from video2pose3d.skeletons import H36M17

RATE = 30.0  # a second, at which movements are compared
_SMOOTH = 0.05  # seconds, of velocities
_GAP = 0.2  # seconds between frames that are still one movement
_LEAST = 1.0  # seconds that two movements have to have in common
_SHARE = 0.5  # and of the shorter one


@dataclass(frozen=True)
class Mover:
    """A track as its own camera's lifter has it.

    view: which camera's; times: (T,) seconds on its clip's own clock; joints: (T, J, 3) metres in
    CAMERA; scores: (T, J).
    """

    view: int
    sighting: Sighting
    times: np.ndarray
    joints: np.ndarray
    scores: np.ndarray

    def at(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, J, 3) metres at times (N,) of its own clock, and (N,) whether it was there then."""
        flat = self.joints.reshape(len(self.times), -1)
        joints = np.stack([np.interp(times, self.times, column) for column in flat.T], axis=1)
        after = np.clip(np.searchsorted(self.times, times), 1, max(len(self.times) - 1, 1))
        after = np.minimum(after, len(self.times) - 1)
        gap = self.times[after] - self.times[np.maximum(after - 1, 0)]
        there = (times >= self.times[0] - 1e-6) & (times <= self.times[-1] + 1e-6) & (gap <= _GAP)
        return joints.reshape(len(times), -1, 3), there

    def velocities(self, grid: np.ndarray) -> np.ndarray:
        """(N, J + 1, 3) m/s of joints from the pelvis, and of the pelvis; 0 where it wasn't."""
        joints, there = self.at(grid)
        root = joints[:, [H36M17.root]]
        moved = np.concatenate([joints - root, root], axis=1)
        if len(grid) < 2:  # a picture
            return np.zeros_like(moved)
        speed = np.gradient(gaussian_filter1d(moved, _SMOOTH * RATE, axis=0), 1 / RATE, axis=0)
        return np.where(there[:, None, None], speed, 0)


def movers(cameras: Sequence[Sighted], lifter: lifters.Lifter) -> list[Mover]:
    """Everybody in every view, lifted and put at the distance that their size tells."""
    found = []
    for v, camera in enumerate(cameras):
        lens, times = camera.view.camera, camera.times - camera.offset
        poses = lifters.lift(lifter, [one.keypoints for one in camera.people], lens)
        for one, pose in zip(camera.people, poses, strict=True):
            rays = pixels_to_rays(one.keypoints.xy, lens)
            scores = one.keypoints.scores.astype(np.float64)
            body, own = pose.joints.astype(np.float64), times[one.keypoints.frames]
            root = locate(rays, scores, body, own, locate_each(rays, scores, body))
            found.append(Mover(v, one, own, body + root[:, None], scores))
    return found


def agreement(a: Mover, b: Mover) -> tuple[np.ndarray, np.ndarray]:
    """How much two movements agree, (L,) 0..1, if b's clock began (L,) seconds after a's.

    -1 where too little of both would be at the same time. By Fourier transforms, so that long clips
    are no trouble.
    """
    grids = [_grid(one) for one in (a, b)]
    x, y = (one.velocities(grid) for one, grid in zip((a, b), grids, strict=True))
    # sum over t of y(t) x(t + lag)^T, (3, 3, L).
    both = np.stack(
        [[correlate(x[..., k], y[..., i], "full", "fft")[:, x.shape[1] - 1] for k in range(3)]
         for i in range(3)]
    )  # fmt: skip
    seen = [(one**2).sum(axis=(1, 2)) for one in (x, y)]
    there = [(s > 0).astype(np.float64) for s in seen]
    energy = np.sqrt(np.maximum(correlate(seen[0], there[1], "full", "fft"), 0)
                     * np.maximum(correlate(there[0], seen[1], "full", "fft"), 0))  # fmt: skip
    common = correlate(there[0], there[1], "full", "fft")
    least = max(_LEAST * RATE, _SHARE * min(there[0].sum(), there[1].sum()))
    matrix = np.moveaxis(both, -1, 0)
    size = np.linalg.svd(matrix, compute_uv=False)
    agrees = size[:, 0] + size[:, 1] + np.sign(np.linalg.det(matrix)) * size[:, 2]
    agrees = np.where(common >= least, agrees / np.maximum(energy, 1e-9), -1.0)
    lags = (np.arange(len(common)) - (len(y) - 1)) / RATE
    return lags + grids[0][0] - grids[1][0], agrees


def _grid(one: Mover) -> np.ndarray:
    first, last = np.ceil(one.times[0] * RATE), np.floor(one.times[-1] * RATE)
    return np.arange(first, max(last, first) + 1) / RATE
