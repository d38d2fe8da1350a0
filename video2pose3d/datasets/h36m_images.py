"""Human3.6M's pictures: every frame of its four cameras, beside VideoPose3D's 2D keypoints."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from video2pose3d.datasets import Split, check_split, find, h36m
from video2pose3d.datasets._videopose3d import cameras, tree
from video2pose3d.datasets.footage import Footage
from video2pose3d.errors import UserError
from video2pose3d.skeletons import H36M17

SKELETON = H36M17
FILE = "data_2d_h36m_gt.npz"
WHERE = (
    f"{h36m.WHERE}; and write every frame of its videos to images/SUBJECT/ACTION/CAMERA/ "
    "(images/S1/Directions 1/54138969/000001.jpg)"
)
_FILLED = 0.53  # of a box by the person's outline: MMPose's, for data sets without outlines
_SUFFIXES = (".jpg", ".jpeg", ".png")


def read(path: Path, split: Split) -> list[Footage]:
    """One Footage a subject and action, of all its cameras, V = 4 in h36m_cameras.toml's order.

    path: the folder with FILE and `images`. A camera's pictures are its frames in their names'
    order, the first being the first of FILE; what goes on after the motion capture ended is left
    out. Boxes are the joints' own. Actions without pictures are passed over.
    """
    check_split(split)
    path = Path(path)
    file, places = find(path, FILE, WHERE), cameras("h36m_cameras.toml")
    points = tree(file, "positions_2d", WHERE)
    found = [
        _footage(path / "images" / subject / action, views, [c.name for c in places[subject]])
        for subject in h36m.SUBJECTS[split]
        for action, views in points.get(subject, {}).items()
        if (path / "images" / subject / action).is_dir()
    ]
    if not found:
        what = f"has no pictures of {', '.join(h36m.SUBJECTS[split])}"
        raise UserError(what, path=path / "images", cure=WHERE)
    return found


def _footage(folder: Path, views: list, names: list[str]) -> Footage:
    """views: (T, 17, 2) px of each camera; names: of the cameras."""
    if len(views) != len(names):
        raise UserError(f"{FILE} has {len(views)} cameras, not {len(names)}", path=folder)
    files = [
        sorted(sys.intern(f.name) for f in (folder / name).glob("*") if f.suffix in _SUFFIXES)
        for name in names
    ]
    T = min(len(part) for part in (*files, *views))
    if not T:
        lacking = next(
            (name for name, part in zip(names, files, strict=True) if not part), names[0]
        )
        raise UserError("has no pictures", path=folder / lacking, cure=WHERE)
    try:
        xy = np.stack([np.asarray(view)[:T, :, :2] for view in views], axis=1).astype(np.float32)
    except (IndexError, TypeError, ValueError) as error:
        raise UserError(f"{FILE}: not (T, 17, 2) for each camera", path=folder) from error
    if xy.shape[2:] != (len(SKELETON), 2) or not np.isfinite(xy).all():
        raise UserError(f"{FILE}: expected (T, 17, 2) finite, got {xy.shape[2:]}", path=folder)
    boxes = np.concatenate([xy.min(axis=2), xy.max(axis=2)], axis=-1)  # (T, V, 4)
    return Footage(
        tuple(folder / name for name in names),
        tuple(tuple(part[:T]) for part in files),
        xy,
        np.ones(xy.shape[:3], bool),
        boxes,
        _FILLED * (boxes[..., 2:] - boxes[..., :2]).prod(axis=-1),
    )
