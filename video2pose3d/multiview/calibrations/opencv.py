"""YAML of OpenCV's FileStorage.

All cameras in one file: `names`, and for each K_<name>, dist_<name>, R_<name> (vector or matrix) or
Rot_<name>, T_<name>, and H_<name>, W_<name> for the size (EasyMocap's words). Or one such file a
camera, named as the camera: camera_matrix (or K), distortion_coefficients (or dist), R (or rvec), T
(or tvec), image_width, image_height.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2

from video2pose3d.errors import UserError
from video2pose3d.multiview.calibrations import _text
from video2pose3d.multiview.calibrations._view import OPENCV_PIXEL, View, make


def read(path: Path) -> list[View]:
    """All cameras of one file, or of a folder with a file a camera."""
    files = [path]
    if path.is_dir():
        files = sorted(f for f in path.iterdir() if f.suffix.lower() in (".yml", ".yaml"))
        if not files:
            raise UserError("no .yml or .yaml in this folder", path=path)
    return [view for file in files for view in _guarded(file, alone=path.is_dir())]


def _guarded(path: Path, alone: bool) -> list[View]:
    """What a file holds. OpenCV raises its own errors, in places as SystemError."""
    try:
        return _alone(path) if alone else _all(path)
    except (cv2.error, SystemError) as error:
        raise UserError("not a YAML file of OpenCV's FileStorage", path=path) from error


def _all(path: Path) -> list[View]:
    """All cameras in one file."""
    storage = _storage(path)
    names = storage.getNode("names")
    if names.empty():
        return _alone(path)
    found = [names.at(i).string() for i in range(names.size())]
    return [
        make(
            path, name,
            K=_node(storage, path, f"K_{name}"),
            R=_node(storage, path, f"Rot_{name}", f"R_{name}"),
            t=_node(storage, path, f"T_{name}"),
            dist=_node(storage, path, f"dist_{name}"),
            size=[_node(storage, path, f"W_{name}"), _node(storage, path, f"H_{name}")],
            pixel=OPENCV_PIXEL,
        )
        for name in found
    ]  # fmt: skip


def _alone(path: Path) -> list[View]:
    """One camera in a file of its own."""
    storage = _storage(path)
    view = make(
        path, path.stem,
        K=_node(storage, path, "camera_matrix", "K"),
        R=_node(storage, path, "R", "rvec"),
        t=_node(storage, path, "T", "tvec"),
        dist=_node(storage, path, "distortion_coefficients", "dist"),
        size=[_node(storage, path, "image_width"), _node(storage, path, "image_height")],
        pixel=OPENCV_PIXEL,
    )  # fmt: skip
    return [view]


def _storage(path: Path) -> cv2.FileStorage:
    text = _text.read(path)
    if not text.startswith("%YAML"):
        text = "%YAML:1.0\n---\n" + text
    storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
    if not storage.isOpened() or not storage.root().isMap():
        raise UserError("not a YAML file of OpenCV's FileStorage", path=path)
    return storage


def _node(storage: cv2.FileStorage, path: Path, *keys: str) -> Any:
    """The matrix or number under the first of the keys that is there."""
    for key in keys:
        node = storage.getNode(key)
        if not node.empty():
            return node.real() if node.isReal() or node.isInt() else node.mat()
    raise UserError(f"has no {' or '.join(keys)}", path=path)
