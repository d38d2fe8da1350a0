"""Skeletons: joint names, bones, mirrors and the conversions between them.

The only file that knows an order of joints; everybody else asks `skeleton.index("left_knee")`.
Left is the person's own left.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from video2pose3d.errors import UserError


@dataclass(frozen=True)
class Skeleton:
    """An order of joints and the tree they form.

    joints: (J,) names in the field's lower-case form.
    labels: (J,) the names written to files (Human3.6M's own).
    parents: (J,) index of each joint's parent, -1 for a root.
    """

    name: str
    joints: tuple[str, ...]
    labels: tuple[str, ...]
    parents: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """The place of a joint in the order; KeyError for a name it does not have."""
        try:
            return self.joints.index(joint)
        except ValueError:
            raise KeyError(f"{joint!r} is not a joint of {self.name}: {self.joints}") from None

    def indices(self, *joints: str) -> list[int]:
        return [self.index(joint) for joint in joints]

    @cached_property
    def mirror(self) -> tuple[int, ...]:
        """(J,) for each joint the one on the other side of the body (itself on the midline)."""
        swap = {"left": "right", "right": "left"}

        def other(joint: str) -> str:
            side, _, rest = joint.partition("_")
            return f"{swap[side]}_{rest}" if side in swap else joint

        return tuple(self.index(other(joint)) for joint in self.joints)

    @cached_property
    def root(self) -> int:
        """The first joint without a parent: the pelvis, where the skeleton has one."""
        return self.parents.index(-1)

    @cached_property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(parent, child) for every joint that has a parent, in the order of the joints."""
        return tuple((p, j) for j, p in enumerate(self.parents) if p >= 0)

    def side(self, joint: int) -> str:
        """'left', 'right' or 'centre'."""
        first = self.joints[joint].partition("_")[0]
        return first if first in ("left", "right") else "centre"


# fmt: off
H36M17 = Skeleton(
    name="h36m17",
    joints=(
        "pelvis",
        "right_hip", "right_knee", "right_ankle",
        "left_hip", "left_knee", "left_ankle",
        "spine", "thorax", "neck", "head",
        "left_shoulder", "left_elbow", "left_wrist",
        "right_shoulder", "right_elbow", "right_wrist",
    ),
    labels=(
        "Hip", "RHip", "RKnee", "RFoot", "LHip", "LKnee", "LFoot", "Spine", "Thorax", "Neck",
        "Head", "LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist",
    ),
    parents=(-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15),
)
COCO17 = Skeleton(
    name="coco17",
    joints=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear",
        "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
        "left_wrist", "right_wrist", "left_hip", "right_hip",
        "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    labels=(
        "Nose", "LEye", "REye", "LEar", "REar", "LShoulder", "RShoulder", "LElbow", "RElbow",
        "LWrist", "RWrist", "LHip", "RHip", "LKnee", "RKnee", "LAnkle", "RAnkle",
    ),
    # COCO names no root: the nose stands for it, each hip hangs from its shoulder.
    parents=(-1, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14),
)
MPI_INF_3DHP17 = Skeleton(
    name="mpi_inf_3dhp17",  # the 17 joints of its test set, in their order
    joints=(
        "head_top", "neck",
        "right_shoulder", "right_elbow", "right_wrist",
        "left_shoulder", "left_elbow", "left_wrist",
        "right_hip", "right_knee", "right_ankle",
        "left_hip", "left_knee", "left_ankle",
        "pelvis", "spine", "head",
    ),
    labels=(
        "HeadTop", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist",
        "RHip", "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle", "Pelvis", "Spine", "Head",
    ),
    parents=(16, 15, 1, 2, 3, 1, 5, 6, 14, 8, 9, 14, 11, 12, -1, 14, 1),
)
HUMANEVA15 = Skeleton(
    name="humaneva15",
    joints=(
        "pelvis", "thorax",
        "left_shoulder", "left_elbow", "left_wrist",
        "right_shoulder", "right_elbow", "right_wrist",
        "left_hip", "left_knee", "left_ankle",
        "right_hip", "right_knee", "right_ankle",
        "head",
    ),
    labels=(
        "Pelvis", "Thorax", "LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist",
        "LHip", "LKnee", "LAnkle", "RHip", "RKnee", "RAnkle", "Head",
    ),
    parents=(-1, 0, 1, 2, 3, 1, 5, 6, 0, 8, 9, 0, 11, 12, 1),
)
# fmt: on

# Those that a file of keypoints may name.
SKELETONS = {skeleton.name: skeleton for skeleton in (H36M17, COCO17)}

# Each Human3.6M joint as the mean of COCO joints (MotionBERT and MMPose agree; MODELS.md).
_H36M_FROM_COCO = {
    "pelvis": ("left_hip", "right_hip"),
    "thorax": ("left_shoulder", "right_shoulder"),
    "spine": ("left_hip", "right_hip", "left_shoulder", "right_shoulder"),
    "neck": ("nose",),
    "head": ("left_eye", "right_eye"),
}


def named(name: str, path: object = None) -> Skeleton:
    """The skeleton of that name; UserError for a name that is none. path: where the name stands."""
    if name not in SKELETONS:
        known = ", ".join(SKELETONS)
        raise UserError(f"{name!r} is not a skeleton: choose from {known}", path=path)
    return SKELETONS[name]


def h36m_from_coco(xy: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """COCO keypoints as the Human3.6M joints that lifters take.

    xy: (..., 17, 2) px in COCO order, or points in space, (..., 17, 3); scores: (..., 17). Returns
    the same in H36M17 order; a joint made of several is their mean and as sure as the least sure.
    """
    sources = [_H36M_FROM_COCO.get(joint, (joint,)) for joint in H36M17.joints]
    out_xy = np.empty((*xy.shape[:-2], len(H36M17), xy.shape[-1]), dtype=np.float32)
    out_scores = np.empty((*scores.shape[:-1], len(H36M17)), dtype=np.float32)
    for j, names in enumerate(sources):
        index = COCO17.indices(*names)
        out_xy[..., j, :] = xy[..., index, :].mean(axis=-2)
        out_scores[..., j] = scores[..., index].min(axis=-1)
    return out_xy, out_scores
