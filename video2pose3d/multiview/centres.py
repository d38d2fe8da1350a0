"""From the points that detectors see to the centres of joints.

A detector's hips and shoulders are points of the body's surface, its nose and eyes of the face;
Human3.6M's joints lie inside, its "Neck" in the head at the height of the mouth, its "Head" a
hand's breadth below the crown. A lifter learns the difference; triangulation would keep it.
"""

from __future__ import annotations

import numpy as np

from video2pose3d.geometry import body_axes
from video2pose3d.skeletons import H36M17

# Metres outwards (a side's own way), forwards and upwards in the trunk's axes: means over motion
# capture seen by the COCO detector that lifters are evaluated with. One size for everybody.
_TO_CENTRE = {
    "pelvis": (0.0, -0.025, 0.007),
    "hip": (-0.009, -0.025, 0.007),
    "shoulder": (0.016, 0.0, -0.017),
    "spine": (0.0, -0.026, -0.019),
    "neck": (0.0, -0.10, -0.01),
    "head": (0.0, -0.08, 0.05),
}
_SIGN = {"left": 1.0, "right": -1.0, "centre": 0.0}


def joint_centres(points: np.ndarray) -> np.ndarray:
    """(T, J, 3) metres of the joints whose detector's points (T, J, 3) are, in any right-handed
    frame; limbs stay, whose points detectors mean as they are."""
    left, front, up = np.moveaxis(body_axes(points), -2, 0)  # (T, 3) each
    out = points.copy()
    for j, name in enumerate(H36M17.joints):
        outwards, ahead, above = _TO_CENTRE.get(name.split("_")[-1], (0.0, 0.0, 0.0))
        out[:, j] += outwards * _SIGN[H36M17.side(j)] * left + ahead * front + above * up
    return out
