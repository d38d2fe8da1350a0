"""Cameras and frames of reference: from pixels to rays, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from video2pose3d import archives
from video2pose3d.errors import UserError
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Camera

# Field of view along the longer side that is assumed when nobody gives one: between a phone's
# main lens in video mode (about 65 degrees) and a camcorder's or cropped clip's (about 45).
ASSUMED_FOV = 55.0


def camera_from_fov(size: tuple[int, int], fov: float, source: str) -> Camera:
    """A camera without distortion whose axis goes through the middle of the picture.

    size: W, H px; fov: degrees, along the longer side of the picture, more than 0 and below 180.
    """
    if not 0 < fov < 180:
        raise ValueError(f"fov: expected degrees between 0 and 180, got {fov}")
    w, h = size
    f = max(w, h) / 2 / math.tan(math.radians(fov) / 2)
    K = np.array([[f, 0, w / 2], [0, f, h / 2], [0, 0, 1]], dtype=np.float64)
    return Camera(K=K, size=(w, h), dist=np.zeros(5), source=source)


def read_camera(path: Path, size: tuple[int, int]) -> Camera:
    """One camera's K and distortion from a calibration file, fitted to a picture of size W, H.

    UserError for a file of several; else as `read_cameras`.
    """
    return read_cameras(path, [size])[0]


def read_cameras(path: Path, sizes: Sequence[tuple[int, int]]) -> list[Camera]:
    """V cameras' K and distortion from a calibration file, fitted to pictures of V sizes W, H.

    The file is an npz with K (V, 3, 3) px, dist (V, 5) and size (V, 2); dist and size may be left
    out, and V may be 1 or missing where all cameras have one lens. A picture of the same shape at
    another resolution is scaled. UserError for a file that cannot be read, that holds another
    number of cameras, or that was made for another shape of picture.
    """
    arrays = archives.read(path, ("K", "dist", "size"))
    try:
        K = arrays["K"].astype(np.float64).reshape(-1, 3, 3)
        dist = arrays.get("dist", np.zeros((len(K), 5))).astype(np.float64).reshape(-1, 5)
        own = np.array(sizes if len(K) == len(sizes) else sizes[:1])
        made_for = arrays.get("size", own).astype(np.float64).reshape(-1, 2)
    except (KeyError, ValueError) as error:
        cure = "give an npz with K (3, 3), dist (5,) and size (W, H)"
        raise UserError(f"is not a camera file ({error})", path=path, cure=cure) from error
    if len(K) not in (1, len(sizes)) or {len(dist), len(made_for)} != {len(K)}:
        what = f"holds {len(K)} K, {len(dist)} dist, {len(made_for)} size"
        each = " or of each" if len(sizes) > 1 else ""
        raise UserError(what, path=path, cure=f"give those of one camera{each}")
    if not (np.isfinite(K).all() and (K[:, [0, 1], [0, 1]] > 0).all() and (made_for > 0).all()):
        raise UserError("the focal length or size is not a positive number", path=path)
    if not np.isfinite(dist).all():
        raise UserError("the distortion is not a number", path=path)
    cameras = []
    for v, size in enumerate(sizes):
        one = v if len(K) > 1 else 0
        factor = np.asarray(size, dtype=np.float64) / made_for[one]
        if abs(factor[0] / factor[1] - 1) > 0.02:
            w, h = (int(x) for x in made_for[one])
            raise UserError(f"made for {w}x{h} pictures, these are {size[0]}x{size[1]}", path=path)
        fitted = np.diag([*factor, 1.0]) @ K[one]
        source = f"given by --camera {Path(path).name}"
        cameras.append(Camera(K=fitted, size=size, dist=dist[one], source=source))
    return cameras


def pixels_to_rays(xy: np.ndarray, camera: Camera) -> np.ndarray:
    """(..., 2) px to (..., 2) float64 x/z, y/z in CAMERA, lens distortion removed."""
    points = np.ascontiguousarray(xy, dtype=np.float64).reshape(-1, 1, 2)
    if not len(points):
        return np.zeros(xy.shape, dtype=np.float64)
    if camera.dist.any():
        return cv2.undistortPoints(points, camera.K, camera.dist).reshape(xy.shape)
    rays = np.linalg.solve(camera.K[:2, :2], (points[:, 0] - camera.K[:2, 2]).T).T
    return rays.reshape(xy.shape)


def project(points: np.ndarray, camera: Camera) -> np.ndarray:
    """(..., 3) metres in CAMERA to (..., 2) float64 px; z must be above 0."""
    flat = np.ascontiguousarray(points, dtype=np.float64).reshape(-1, 1, 3)
    if not len(flat):
        return np.zeros((*points.shape[:-1], 2), dtype=np.float64)
    xy, _ = cv2.projectPoints(flat, np.zeros(3), np.zeros(3), camera.K, camera.dist)
    return xy.reshape(*points.shape[:-1], 2)


def rotation_to_ray(ray: np.ndarray) -> np.ndarray:
    """The rotation R (3, 3) that turns a ray onto the optical axis: R @ [x, y, 1] ~ [0, 0, 1].

    ray: (2,) x/z, y/z. The new camera keeps the old one's horizon: its x axis stays in the old
    x-z plane (pan, then tilt; no roll), so that upright people stay upright.
    """
    x, y = (float(v) for v in ray)
    pan, tilt = math.atan2(x, 1.0), math.atan2(y, math.hypot(x, 1.0))
    cp, sp, ct, st = math.cos(pan), math.sin(pan), math.cos(tilt), math.sin(tilt)
    turn = np.array([[cp, 0, -sp], [0, 1, 0], [sp, 0, cp]])
    nod = np.array([[1, 0, 0], [0, ct, -st], [0, st, ct]])
    return nod @ turn


def transform(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply a (4, 4) rigid transform to (..., 3) points."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def unit(v: np.ndarray) -> np.ndarray:
    """Vectors (..., 3) at length 1; zero stays zero."""
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-8)


def rotation_about(axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) about unit axes (..., 3) by angles (...)."""
    x, y, z = np.moveaxis(axis, -1, 0)
    zero = np.zeros_like(x)
    K = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    s, c = np.sin(angle)[..., None, None], np.cos(angle)[..., None, None]
    return np.eye(3) + s * K + (1 - c) * (K @ K)


def rotate(R: np.ndarray, points: np.ndarray) -> np.ndarray:
    """R (..., 3, 3) times points (..., J, 3)."""
    return points @ np.swapaxes(R, -1, -2)


def body_axes(joints: np.ndarray) -> np.ndarray:
    """Which way people's left, front and up are: (..., 17, 3) joints → (..., 3, 3) unit rows.

    In the joints' own frame, which has to be right-handed. Left by the shoulders and, half as much,
    the hips; up square to it and to the front.
    """
    place = {name: joints[..., j, :] for j, name in enumerate(H36M17.joints)}
    left = unit(
        place["left_shoulder"] - place["right_shoulder"]
        + 0.5 * (place["left_hip"] - place["right_hip"])
    )  # fmt: skip
    front = unit(np.cross(left, unit(place["thorax"] - place["pelvis"])))
    return np.stack([left, front, np.cross(front, left)], axis=-2)
