"""Up and the floor of a calibrated rig, and people's feet on it.

The same evidence as with one camera (motion.ground). But whoever calibrated a rig usually laid its
axes along the room: where one of them is all but the up that was found, it is up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from video2pose3d.geometry import transform
from video2pose3d.motion import contacts, feet, ground
from video2pose3d.skeletons import H36M17

_ANKLES = H36M17.indices("right_ankle", "left_ankle")
# How near to the up that was found an axis of the calibration counts as up; more where it is found
# less surely.
_AXIS = np.radians(8)
_CAMERA_HEIGHT = 1.5  # metres, of a camera that saw nobody
_HIGH = 1e6  # metres
_LOW = 10  # percent of frames in which feet that never stand still are taken to be on the floor


@dataclass(frozen=True)
class Floor:
    """world_from_camera: (4, 4), of the first camera; joints: (T, J, 3) in WORLD and contacts
    (T, 2), right then left, of each person."""

    world_from_camera: np.ndarray
    joints: list[np.ndarray]
    contacts: list[np.ndarray]


def find_floor(
    bodies: Sequence[np.ndarray],
    times: Sequence[np.ndarray],
    cameras: np.ndarray,
    axes: np.ndarray | None,
    *,
    lock: bool,
) -> Floor:
    """The floor under bodies (T, J, 3) metres in the first camera's CAMERA at times (T,) seconds.

    cameras: (V, 3, 3) rotations from that CAMERA to each camera; axes: (3, 3) rows, the
    calibration's axes in that camera, or None where none can be up;
    lock: whether standing feet stand still.
    WORLD's origin is on the floor under the place where the first person was first seen.
    """
    if not bodies:
        level = ground.world_from_camera(ground.LEVEL_CAMERA, _CAMERA_HEIGHT, np.zeros(3))
        return Floor(level, [], [])
    ankles = [joints[:, _ANKLES] for joints in bodies]
    standing = [np.zeros(feet_.shape[:2], dtype=bool) for feet_ in ankles]
    for _ in range(2):
        evidence = [ground.Body(*one) for one in zip(bodies, ankles, standing, times, strict=True)]
        found = ground.estimate(evidence, cameras)
        reach = max(_AXIS, 2 * np.radians(found.uncertainty))
        up = found.up if axes is None else _along_an_axis(found.up, axes, reach)
        # Seen from high above, so that speed counts over the floor, whichever camera is first.
        standing = [
            contacts.detect(a - _HIGH * up, up, t) for a, t in zip(ankles, times, strict=True)
        ]
    above = ground.ANKLE_HEIGHT - _level([a @ up for a in ankles], standing)
    matrix = ground.world_from_camera(up, above, bodies[0][0, H36M17.root])
    joints = [transform(matrix, body) for body in bodies]
    if lock:
        joints = [feet.lock(*one) for one in zip(joints, standing, times, strict=True)]
    return Floor(matrix, joints, standing)


def _level(heights: Sequence[np.ndarray], standing: Sequence[np.ndarray]) -> float:
    """metres along `up` where ankles stand: those of the first person, best seen, who does stand.

    heights: (T, 2) metres along `up`; standing: (T, 2).
    """
    for height, stands in zip(heights, standing, strict=True):
        if stands.any():
            return float(np.median(height[stands]))
    return float(np.percentile(heights[0].min(axis=1), _LOW))


def _along_an_axis(up: np.ndarray, axes: np.ndarray, reach: float) -> np.ndarray:
    """The axis nearest to `up`, either way along it, if it is within `reach` radians."""
    ways = np.concatenate([axes, -axes])  # (6, 3)
    nearest = ways[int((ways @ up).argmax())]
    return nearest if nearest @ up > np.cos(reach) else up
