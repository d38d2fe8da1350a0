"""Human3.6M as VideoPose3D publishes it: joints in metres in the world, 2D of several detectors.

C. Ionescu et al., "Human3.6M", 2014; D. Pavllo et al., "3D human pose estimation in video with
temporal convolutions and semi-supervised training", 2019. data_3d_h36m.npz holds 32 joints a frame,
of which 17 move; data_2d_h36m_NAME.npz holds 2D keypoints of the four cameras: gt (projected
joints), cpn_ft_h36m_dbb (a Cascaded Pyramid Network) and others.
"""

from __future__ import annotations

from pathlib import Path

from video2pose3d.datasets import Sequence, Split, check_split, find
from video2pose3d.datasets._videopose3d import Files, cameras
from video2pose3d.skeletons import H36M17

FILE = "data_3d_h36m.npz"
WHERE = (
    f"make {FILE} and data_2d_h36m_gt.npz from Human3.6M as DATASETS.md of "
    "github.com/facebookresearch/VideoPose3D says, and get the detections it names; Human3.6M is "
    "for academic use after registration at vision.imar.ro/human3.6m"
)
SUBJECTS = {"train": ("S1", "S5", "S6", "S7", "S8"), "test": ("S9", "S11")}
FPS = 50.0
JOINTS = 32
# What repeats another joint or never moves. The other 17 are Human3.6M's joints in H36M17's order,
# whose shoulders hang from the thorax.
STATIC = (4, 5, 9, 10, 11, 16, 20, 21, 22, 23, 24, 28, 29, 30, 31)
MOVING = [j for j in range(JOINTS) if j not in STATIC]


def read(path: Path, split: Split, *, keypoints: str = "cpn_ft_h36m_dbb") -> list[Sequence]:
    """One Sequence a subject, action and camera; targets are metres in CAMERA_ROOT.

    path: the folder with FILE and data_2d_h36m_<keypoints>.npz.
    """
    check_split(split)
    file_3d = find(path, FILE, WHERE)
    file_2d = find(file_3d.parent / f"data_2d_h36m_{keypoints}.npz", "", WHERE)
    files = Files(file_3d, file_2d, WHERE, H36M17, JOINTS, MOVING, FPS)
    places = cameras("h36m_cameras.toml")
    return files.sequences({name: (name, places[name]) for name in SUBJECTS[split]})
