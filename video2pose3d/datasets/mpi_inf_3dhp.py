"""MPI-INF-3DHP as P-STMO publishes it: exact 2D and joints in mm in CAMERA.

D. Mehta et al., "Monocular 3D Human Pose Estimation In The Wild Using Improved CNN Supervision",
2017; W. Shan et al., "P-STMO", 2022, whose data_train_3dhp.npz and data_test_3dhp.npz are what
SSR-STF's, MixSTE's and Motion2vec's tables are measured on.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from video2pose3d import archives
from video2pose3d.datasets import (
    Sequence,
    Split,
    check_split,
    checked,
    find,
    on_screen,
    with_scores,
)
from video2pose3d.errors import UserError
from video2pose3d.skeletons import MPI_INF_3DHP17

FILE = "data_test_3dhp.npz"  # of the test split; the other is data_train_3dhp.npz
WHERE = (
    "get data_train_3dhp.npz and data_test_3dhp.npz from github.com/paTRICK-swk/P-STMO; "
    "MPI-INF-3DHP (vcai.mpi-inf.mpg.de/3dhp-dataset) is for research that is not commercial"
)
SIZE = (2048, 2048)
SIZES = {"TS5": (1920, 1080), "TS6": (1920, 1080)}  # W, H px; the others have SIZE


def read(path: Path, split: Split) -> list[Sequence]:
    """One Sequence a video and camera; targets are metres in CAMERA_ROOT.

    path: the folder of the two files, or the split's file. In the test half only the frames that
    the data set marks as valid are scored; its frame rates are not told (NaN).
    """
    check_split(split)
    file = find(path, f"data_{split}_3dhp.npz", WHERE)
    arrays = archives.read(file, ("data",), objects=True)
    tree = arrays["data"][()] if "data" in arrays and arrays["data"].shape == () else None
    try:
        sequences = [_sequence(*parts) for parts in (_train if split == "train" else _test)(tree)]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        what = f"is not P-STMO's {split} half of MPI-INF-3DHP ({type(error).__name__}: {error})"
        raise UserError(what, path=file, cure=WHERE) from error
    return checked(sequences, file, WHERE)


def _train(tree: Any) -> Iterator[tuple]:
    """{"S1 Seq1": [{camera: {data_2d, data_3d}}, fps]}"""
    for name, (views, fps) in tree.items():
        subject, _, action = name.partition(" ")
        for camera, view in views.items():
            yield subject, action, str(camera), view, np.ones(len(view["data_3d"]), bool), fps


def _test(tree: Any) -> Iterator[tuple]:
    """{"TS1": {data_2d, data_3d, valid}}"""
    for name, view in tree.items():
        yield name, name, "", view, np.asarray(view["valid"]).reshape(-1) > 0, np.nan


def _sequence(
    subject: str, action: str, camera: str, view: dict, valid: np.ndarray, fps: float
) -> Sequence:
    xy = on_screen(np.asarray(view["data_2d"])[..., :2], SIZES.get(subject, SIZE))
    joints = np.asarray(view["data_3d"], np.float64) / 1000  # mm
    return Sequence.in_metres(
        subject, action, camera, with_scores(xy), joints, valid, MPI_INF_3DHP17, float(fps)
    )
