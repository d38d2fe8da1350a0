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
_AXIS = np.radians(8)  # how near to the up that was found an axis of the calibration counts as up
_CAMERA_HEIGHT = 1.5  # metres, of a camera that saw nobody
_HIGH = 1000.0  # metres
_LOW = 10  # percent of frames in which feet that never stand still are taken to be on the floor


@dataclass(frozen=True)
class Floor:
    """world_from_camera: (4, 4), of the first camera; joints: (T, J, 3) in WORLD and contacts
    (T, 2), right then left, of each person."""

    world_from_camera: np.ndarray
    joints: list[np.ndarray]
    contacts: list[np.ndarray]


def find_floor(
    bodies: Sequence[np.ndarray], times: Sequence[np.ndarray], R: np.ndarray, *, lock: bool
) -> Floor:
    """The floor under bodies (T, J, 3) metres in the first camera's CAMERA at times (T,) seconds.

    R: (3, 3), the calibration's axes in that camera; lock: whether standing feet stand still.
    WORLD's origin is on the floor under the place where the first person was first seen.
    """
    if not bodies:
        level = ground.world_from_camera(ground.LEVEL_CAMERA, _CAMERA_HEIGHT, np.zeros(3))
        return Floor(level, [], [])
    ankles = [joints[:, _ANKLES] for joints in bodies]
    standing = [np.zeros(feet_.shape[:2], dtype=bool) for feet_ in ankles]
    for _ in range(2):
        evidence = [ground.Body(*one) for one in zip(bodies, ankles, standing, times, strict=True)]
        up = _along_an_axis(ground.estimate(evidence).up, R)
        # Seen from high above, so that speed counts over the floor, whichever camera is first.
        standing = [
            contacts.detect(a - _HIGH * up, up, t) for a, t in zip(ankles, times, strict=True)
        ]
    heights = [a @ up for a in ankles]
    on_floor = np.concatenate([h[s] for h, s in zip(heights, standing, strict=True)])
    if not len(on_floor):
        lowest = np.concatenate([h.min(axis=1) for h in heights])
        on_floor = np.percentile(lowest, [_LOW])
    above = ground.ANKLE_HEIGHT - float(np.median(on_floor))
    matrix = ground.world_from_camera(up, above, bodies[0][0, H36M17.root])
    joints = [transform(matrix, body) for body in bodies]
    if lock:
        joints = [feet.lock(*one) for one in zip(joints, standing, times, strict=True)]
    return Floor(matrix, joints, standing)


def _along_an_axis(up: np.ndarray, R: np.ndarray) -> np.ndarray:
    axes = np.concatenate([R.T, -R.T])  # (6, 3) the calibration's axes in the camera
    nearest = axes[int((axes @ up).argmax())]
    return nearest if nearest @ up > np.cos(_AXIS) else up
