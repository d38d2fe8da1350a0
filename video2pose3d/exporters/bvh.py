"""BVH: skeletal animation for Blender, Maya, MotionBuilder, Unity and their like.

Y up, centimetres, rest pose a T-pose that faces +z; rotations are Rz Rx Ry, in degrees that run on
past 180; frames come at a constant rate. One person a file, and every file spans the whole clip, so
that people and video stay in step: where a person is absent, however long, the rig holds the pose
nearest in time.

The format: Biovision's HIERARCHY and MOTION, as in M. Meredith and S. Maddock, "Motion Capture File
Formats Explained" (University of Sheffield, 2001).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from video2pose3d import kinematics
from video2pose3d.exporters import _people
from video2pose3d.skeletons import Skeleton
from video2pose3d.structures import Motion, Person, Scene

suffix = ".bvh"

_CM = 100  # in a metre
_POSITIONS = "Xposition Yposition Zposition"
_ROTATIONS = "Zrotation Xrotation Yrotation"


def write(scene: Scene, folder: Path) -> list[Path]:
    """Write person-<id>.bvh for every person of the scene."""
    return _people.write(scene, folder, suffix, content)


def content(person: Person, scene: Scene) -> bytes:
    at, rate = _people.even_times(scene)
    motion = _people.motion(person, scene)
    return text(kinematics.resample(motion, scene.timestamps, at, rate)).encode("ascii")


def text(motion: Motion) -> str:
    """The file. The motion is in WORLD and metres; its skeleton's labels name the joints."""
    hierarchy, order = _hierarchy(motion.skeleton, motion.offsets * _CM)
    angles = kinematics.euler_zxy(motion.rotations[:, order])  # (T, joints with channels, 3)
    rows = np.concatenate([motion.root * _CM, angles.reshape(len(angles), -1)], axis=1)
    rows = rows.round(4) + 0.0  # no -0.0000
    line = " ".join(["%.4f"] * rows.shape[1])
    head = ["MOTION", f"Frames: {len(rows)}", f"Frame Time: {1 / motion.fps:.7f}"]
    return "\n".join([*hierarchy, *head, *(line % tuple(row) for row in rows.tolist()), ""])


def _hierarchy(skeleton: Skeleton, offsets: np.ndarray) -> tuple[list[str], list[int]]:
    """The lines of the HIERARCHY, and the joints that have channels in the order of its columns.

    offsets: (J, 3) cm. A joint without children is its bone's End Site.
    """
    lines, order = ["HIERARCHY"], []

    def visit(joint: int, indent: str) -> None:
        children = [child for parent, child in skeleton.bones if parent == joint]
        root = skeleton.parents[joint] < 0
        name = f"{'ROOT' if root else 'JOINT'} {skeleton.labels[joint]}"
        x, y, z = offsets[joint] + 0.0  # no -0.0
        lines.append(f"{indent}{name if children else 'End Site'}")
        lines.append(f"{indent}{{")
        lines.append(f"{indent}\tOFFSET {x:.6f} {y:.6f} {z:.6f}")
        if children:
            order.append(joint)
            channels = f"6 {_POSITIONS} {_ROTATIONS}" if root else f"3 {_ROTATIONS}"
            lines.append(f"{indent}\tCHANNELS {channels}")
        for child in children:
            visit(child, f"{indent}\t")
        lines.append(f"{indent}}}")

    visit(skeleton.parents.index(-1), "")
    return lines, order
