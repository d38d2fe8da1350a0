"""From the points that detectors see to the centres of joints.

A detector's hips and shoulders are points of the body's surface, its nose and eyes of the face;
Human3.6M's joints lie inside, its "Neck" in the head at the height of the mouth, its "Head" a
hand's breadth below the crown, its trunk's two nearer to the back. A lifter learns the difference;
triangulation would keep it.
"""

from __future__ import annotations

import numpy as np

from video2pose3d.geometry import body_axes
from video2pose3d.skeletons import H36M17

# Hips and shoulders: metres outwards (a side's own way), forwards and upwards in the trunk's axes;
# means over motion capture seen by the COCO detector that lifters are evaluated with. One size for
# everybody. The pelvis is the middle of the hips.
_TO_CENTRE = {
    "pelvis": (0.0, -0.025, 0.007),
    "hip": (-0.009, -0.025, 0.007),
    "shoulder": (0.016, 0.0, -0.017),
}
# Trunk and head, by how the body holds itself: metres to the left, forwards and upwards for each
# metre of what `posture` gives. Ridge regression (features unsure by 2 cm) over the train split of
# mocap17 seen by the detectors that training imagines, of which no two point alike; a test fits it
# again. It has no lengths of its own, so it holds for people of any size.
BY_POSTURE = {
    #          left           forwards                     upwards
    "spine": ((-0.09, 0.02), (0.04, 0.08, 0.24, -0.26), (-0.04, 0.11, 0.33, -0.15)),
    "thorax": ((0.04, 0.15), (0.03, 0.22, 0.01, -0.11), (-0.17, 0.13, 0.34, 0.05)),
    "neck": ((-0.03, -0.44), (-0.05, -0.20, 0.03, -0.13), (-0.04, 0.12, -0.47, 0.15)),
    "head": ((-0.06, -0.30), (-0.09, -0.05, -0.21, 0.01), (0.02, 0.23, -0.28, 0.12)),
}
_SIGN = {"left": 1.0, "right": -1.0, "centre": 0.0}


def joint_centres(points: np.ndarray) -> np.ndarray:
    """(T, J, 3) metres of the joints whose detector's points (T, J, 3) are, in any right-handed
    frame; limbs stay, whose points detectors mean as they are."""
    axes = body_axes(points)  # (T, 3, 3) rows: left, front, up
    moves = np.zeros(points.shape)  # along the body's axes
    for j, name in enumerate(H36M17.joints):
        outwards, ahead, above = _TO_CENTRE.get(name.split("_")[-1], (0.0, 0.0, 0.0))
        moves[:, j] = outwards * _SIGN[H36M17.side(j)], ahead, above
    aside, along = posture(points, axes)
    for name, (left, forwards, upwards) in BY_POSTURE.items():
        move = aside @ left, along @ forwards, along @ upwards
        moves[:, H36M17.index(name)] = np.stack(move, axis=-1)
    return points + moves @ axes


def posture(points: np.ndarray, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How the trunk and head are held, in metres, seen from the middle of the shoulders.

    (T, 2): how far to the left the pelvis and the nose are; (T, 4): the trunk's length, how far in
    front and how far above the nose is, and the shoulders' width. axes: (T, 3, 3) of `body_axes`.
    """
    place = {name: points[:, j] for j, name in enumerate(H36M17.joints)}
    pelvis, nose = (
        np.einsum("tij,tj->ti", axes, place[name] - place["thorax"]) for name in ("pelvis", "neck")
    )
    width = np.linalg.norm(place["left_shoulder"] - place["right_shoulder"], axis=-1)
    aside = np.stack([pelvis[:, 0], nose[:, 0]], axis=-1)
    return aside, np.stack([-pelvis[:, 2], nose[:, 1], nose[:, 2], width], axis=-1)
