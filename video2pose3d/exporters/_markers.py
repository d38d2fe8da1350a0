"""Joints as the markers of motion capture."""

from __future__ import annotations

from video2pose3d.skeletons import H36M17

_RENAMED = {
    "right_ankle": "RAnkle", "left_ankle": "LAnkle", "thorax": "Neck", "neck": "MidHead",
}  # fmt: skip

NAMES = tuple(
    _RENAMED.get(joint, label) for joint, label in zip(H36M17.joints, H36M17.labels, strict=True)
)
"""(17,) in the order of H36M17, as Pose2Sim's OpenSim model of HALPE_26 names them.

Its Neck is between the shoulders: Human3.6M's thorax. Human3.6M's own neck, a point inside the head
at the height of the nose, is MidHead, which no model has: called Nose, which is 8 cm further ahead
on the model, it would tilt the head. Nor has any model a Spine.
"""
