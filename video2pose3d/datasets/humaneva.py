"""HumanEva-I as VideoPose3D publishes it: 15 joints in metres in the world, 2D of three cameras.

L. Sigal et al., "HumanEva: Synchronized Video and Motion Capture Dataset", 2010. Subjects S1, S2
and S3 have a training and a validation half; the tables in papers train on the one and test on the
other. Actions are cut into chunks where the motion capture was lost ("Walking 1 chunk0").
"""

from __future__ import annotations

from pathlib import Path

from video2pose3d.datasets import Sequence, Split, check_split, find
from video2pose3d.datasets._videopose3d import Files, cameras
from video2pose3d.skeletons import HUMANEVA15

FILE = "data_3d_humaneva15.npz"
WHERE = (
    f"make {FILE} and data_2d_humaneva15_gt.npz from HumanEva-I (humaneva.is.tue.mpg.de, for "
    "research, after registration) as DATASETS.md of github.com/facebookresearch/VideoPose3D says"
)
HALF = {"train": "Train/", "test": "Validate/"}
FPS = 60.0


def read(path: Path, split: Split, *, keypoints: str = "gt") -> list[Sequence]:
    """One Sequence a subject, chunk of an action, and camera; targets are metres in CAMERA_ROOT.

    path: the folder with FILE and data_2d_humaneva15_<keypoints>.npz, whose keypoints must be the
    15 joints: detectors with COCO's 17 do not fit, since inputs and targets share a skeleton.
    """
    check_split(split)
    file_3d = find(path, FILE, WHERE)
    file_2d = find(file_3d.parent / f"data_2d_humaneva15_{keypoints}.npz", "", WHERE)
    J = len(HUMANEVA15)
    files = Files(file_3d, file_2d, WHERE, HUMANEVA15, J, list(range(J)), FPS)
    places = cameras("humaneva_cameras.toml")
    return files.sequences({HALF[split] + name: (name, views) for name, views in places.items()})
