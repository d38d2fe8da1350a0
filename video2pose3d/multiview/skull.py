"""From the face to the skull: Human3.6M's head joints from what detectors see of a head.

A detector's nose and eyes are points of the face; Human3.6M's "Neck" and "Head" lie inside the
head at the height of the mouth and a hand's breadth below the crown. A lifter learns the
difference; triangulation would keep the face.
"""

from __future__ import annotations

import numpy as np

from video2pose3d.geometry import unit
from video2pose3d.skeletons import H36M17

# From nose and eyes, in metres: forwards and upwards in the trunk's frame. Rounded from a head of
# average size; heads that turn away from the trunk are off by the turn's share of it.
_NECK = (-0.075, 0.01)
_HEAD = (-0.04, 0.09)


def from_face(joints: np.ndarray) -> np.ndarray:
    """(T, J, 3) metres with neck and head moved from nose and eyes, in any right-handed frame."""
    pelvis, thorax, left, right = (
        joints[:, H36M17.index(name)]
        for name in ("pelvis", "thorax", "left_shoulder", "right_shoulder")
    )
    up = unit(thorax - pelvis)
    forward = unit(np.cross(left - right, up))
    out = joints.copy()
    for joint, (ahead, above) in (("neck", _NECK), ("head", _HEAD)):
        out[:, H36M17.index(joint)] += ahead * forward + above * up
    return out
