"""Qualisys' .qca.txt: millimetres, 1/64 px, the camera looking along its -z, its picture the part
of the sensor that fov_video says.

Its distortion is taken as OpenCV's coefficients, as written; Pose2Sim divides them by 64. On the
one real file at hand that makes 0.1 px, too little to tell who is right.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from video2pose3d.errors import UserError
from video2pose3d.multiview.calibrations import _text
from video2pose3d.multiview.calibrations._view import OPENCV_PIXEL, View, make


def read(path: Path) -> list[View]:
    text = _text.read(path)
    try:
        if "<!" in text:  # definitions, which can blow up
            raise ElementTree.ParseError("a document type is not expected")
        cameras = ElementTree.fromstring(text.encode()).iter("camera")
        views = [_camera(path, camera) for camera in cameras]
    except (ElementTree.ParseError, AttributeError, KeyError, ValueError) as error:
        raise UserError(f"not a calibration of Qualisys ({error})", path=path) from error
    if not views:
        raise UserError("no camera in it", path=path)
    return views


def _camera(path: Path, camera: ElementTree.Element) -> View:
    place, lens, picture = (
        {key: float(v) for key, v in camera.find(part).attrib.items()}  # pyright: ignore
        for part in ("transform", "intrinsic", "fov_video")
    )
    turned = [[place[f"r{row}{column}"] for column in (1, 2, 3)] for row in (1, 2, 3)]
    R = np.diag([1.0, -1.0, -1.0]) @ turned
    fx, fy = lens["focalLengthU"] / 64, lens["focalLengthV"] / 64
    cx, cy = lens["centerPointU"] / 64, lens["centerPointV"] / 64
    words = ("radial", 1), ("radial", 2), ("tangental", 1), ("tangental", 2), ("radial", 3)
    return make(
        path, camera.attrib["serial"],
        K=[[fx, 0, cx - picture["left"]], [0, fy, cy - picture["top"]], [0, 0, 1]],
        R=R,
        t=-R @ [place["x"], place["y"], place["z"]] / 1000,
        dist=[lens[f"{kind}Distortion{number}"] for kind, number in words],
        size=[picture[end] - picture[start] + 1
              for start, end in (("left", "right"), ("top", "bottom"))],
        pixel=OPENCV_PIXEL,
    )  # fmt: skip
