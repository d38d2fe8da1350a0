"""AMASS: motion capture as poses of a body model, to Human3.6M's 17 joints.

N. Mahmood et al., "AMASS: Archive of Motion Capture as Surface Shapes", 2019. A clip's npz holds
poses (T, 156) of SMPL-H or (T, 72) of SMPL in axis-angle, trans (T, 3), betas, gender and
mocap_framerate, Z up. The joints come from a body model file, which is the user's own; the fingers
of SMPL-H are left out. Of SMPL's 24 joints ours are the same, except:

- pelvis: the middle of the hips; SMPL's own lies a hand's width higher.
- thorax: SMPL's neck, the base of it; spine: half-way from pelvis to thorax.
- neck: SMPL's head, the base of the skull; head: as far again beyond it (there is no crown).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from video2pose3d import archives
from video2pose3d.datasets.mocap import Clip, check_numbers
from video2pose3d.errors import UserError
from video2pose3d.skeletons import H36M17

WHERE = (
    "get SMPL at smpl.is.tue.mpg.de and AMASS at amass.is.tue.mpg.de; both are for research that "
    "is not commercial, after registration"
)

# (pose (T, 72) axis-angle, shape (10,), trans (T, 3)) → joints (T, 24, 3) metres
Body = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

SMPL24 = (
    "root", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle",
    "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar",
    "head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist",
    "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
_BODY = 66  # numbers of a pose before the hands
_KEYS = ("poses", "trans", "betas", "mocap_framerate", "mocap_frame_rate")


def read(path: Path, body: Body) -> Clip:
    """The clip of one file. body: `SMPL.read(...).joints`, or whatever gives SMPL's 24 joints."""
    path = Path(path)
    file = archives.read(path, _KEYS)
    rate = "mocap_frame_rate" if "mocap_frame_rate" in file else "mocap_framerate"
    needed = ("poses", "trans", "betas", rate)
    missing = [key for key in needed if key not in file]
    if missing:
        what = f"is not an AMASS clip (no {missing[0]})"
        raise UserError(what, path=path, cure="give the npz of a motion, not a shape or a stage")
    poses, trans, betas, fps = (
        archives.as_type(file[key], np.float64, key, path) for key in needed
    )
    if not (fps.size == 1 and 0 < fps.item() < np.inf):
        raise UserError(f"is not an AMASS clip ({rate} is {fps})", path=path)
    if poses.ndim != 2 or poses.shape[1] < 72 or trans.shape != (len(poses), 3) or not len(poses):
        what = f"is not an AMASS clip (poses {poses.shape}, trans {trans.shape})"
        raise UserError(what, path=path, cure="give poses (T, 156) or (T, 72) and trans (T, 3)")
    pose = poses[:, :72].copy()
    if poses.shape[1] > 72:
        pose[:, _BODY:] = 0  # SMPL-H's fingers stand where SMPL has hands
    shape = np.zeros(10)
    shape[: min(10, betas.size)] = betas.reshape(-1)[:10]
    joints = h36m_from_smpl(np.asarray(body(pose, shape, trans), np.float64))
    check_numbers(joints, path)
    return Clip(path.stem, joints, fps.item(), "AMASS", subject=path.parent.name)


def h36m_from_smpl(joints: np.ndarray) -> np.ndarray:
    """SMPL's joints (T, 24, 3) as Human3.6M's (T, 17, 3); see above."""
    own = {name: joints[:, j] for j, name in enumerate(SMPL24)}
    pelvis, thorax = (own["left_hip"] + own["right_hip"]) / 2, own["neck"]
    made = {
        "pelvis": pelvis,
        "spine": (pelvis + thorax) / 2,
        "thorax": thorax,
        "neck": own["head"],
        "head": 2 * own["head"] - own["neck"],
    }
    return np.stack([made.get(name, own.get(name)) for name in H36M17.joints], axis=1)
