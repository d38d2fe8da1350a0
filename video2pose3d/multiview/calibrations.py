"""Calibrations of a rig: where cameras stand and what their lenses do, from files others wrote.

What is read, always to x_camera = R x + t in metres:

- .npz, our own: names, K, R, t, dist, size (CONTRACT: pixel centres at +0.5);
- .toml as Pose2Sim and anipose write it: a table a camera with size, matrix, distortions, rotation
  (Rodrigues' vector) and translation. Pose2Sim's is in metres; anipose's is in the unit of its
  board, usually millimetres: it has to be brought to metres first;
- .yml, .yaml of OpenCV's FileStorage. All cameras in one file: `names`, and for each K_<name>,
  dist_<name>, R_<name> (vector or matrix) or Rot_<name>, T_<name>, and H_<name>, W_<name> for the
  size (EasyMocap's words). Or a folder with one such file a camera, named as the camera:
  camera_matrix (or K), distortion_coefficients (or dist), R (or rvec), T (or tvec), image_width,
  image_height.

- .qca.txt of Qualisys: millimetres, 1/64 px, the camera looking along its -z, its picture the part
  of the sensor that fov_video says. Its distortion is taken as OpenCV's coefficients, as written.

All but the npz count the first pixel's centre as 0, as OpenCV does, where this program says 0.5: so
their principal points are moved by half a pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np

from video2pose3d import archives
from video2pose3d.errors import UserError
from video2pose3d.structures import Camera

_OPENCV_PIXEL = 0.5
_MOST_BYTES = 2**22  # of a calibration in text
_WIDEST = 200.0  # metres between cameras of one scene; more is another unit
_SHAPES = 0.02  # relative: pictures whose sides differ by less in proportion are of one shape


@dataclass(frozen=True)
class View:
    """One camera of a rig: x_camera = R @ x + t; R (3, 3), t (3,) float64 metres."""

    name: str
    camera: Camera
    R: np.ndarray
    t: np.ndarray

    @property
    def centre(self) -> np.ndarray:
        """(3,) metres: where the camera stands in the calibration's world."""
        return -self.R.T @ self.t

    @property
    def from_calibration(self) -> np.ndarray:
        """(4, 4): the calibration's world to CAMERA."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.R, self.t
        return matrix


def read(path: Path, names: Sequence[str], sizes: Sequence[tuple[int, int]]) -> list[View]:
    """The clips' cameras, in the order of the clips.

    names: the clips' stems; sizes: their pictures, W, H. Cameras are found by name where the file
    has one for every clip, else they are taken in their order, and then there must be as many.
    UserError for a file that is no calibration, or one of other cameras.
    """
    views = _read(path)
    by_name = {view.name: view for view in views}
    if len(by_name) < len(views):
        raise UserError("has two cameras of one name", path=path)
    if len(set(names)) == len(names) and set(names) <= by_name.keys():
        views = [by_name[name] for name in names]
    if len(views) != len(names):
        raise UserError(
            f"holds {len(views)} cameras ({', '.join(by_name)}), {len(names)} clips were given",
            path=path,
            cure="give one clip a camera in the file's order, or name the clips as the cameras",
        )
    spread = np.ptp([view.centre for view in views], axis=0).max()
    if spread > _WIDEST:
        cure = "bring the translations to metres (anipose's are often millimetres)"
        raise UserError(f"its cameras stand {spread:.3g} m apart", path=path, cure=cure)
    return [_fitted(view, size, path) for view, size in zip(views, sizes, strict=True)]


def _fitted(view: View, size: tuple[int, int], path: Path) -> View:
    """The view for pictures of this size: those of the same shape are scaled."""
    camera = view.camera
    factor = np.asarray(size, dtype=np.float64) / camera.size
    if abs(factor[0] / factor[1] - 1) > _SHAPES:
        ours, theirs = ("x".join(map(str, s)) for s in (size, camera.size))
        raise UserError(f"camera {view.name} is for {theirs} pictures, the clip's are {ours}",
                        path=path, cure="give the clips in the order of the cameras")  # fmt: skip
    # Shapes that differ by a little were cropped, not stretched.
    if factor[0] != factor[1] and (np.abs(factor - 1) < _SHAPES).all():
        factor = np.ones(2)
    return replace(view, camera=replace(camera, K=np.diag([*factor, 1.0]) @ camera.K, size=size))


def _read(path: Path) -> list[View]:
    if path.is_dir():
        files = sorted(f for f in path.iterdir() if f.suffix.lower() in (".yml", ".yaml"))
        if not files:
            raise UserError("no .yml or .yaml in this folder", path=path)
        return [view for file in files for view in _guarded(_yaml_alone, file)]
    readers: dict[str, Callable[[Path], list[View]]] = {
        ".npz": _npz, ".toml": _toml, ".yml": _yaml, ".yaml": _yaml, ".txt": _qualisys,
    }  # fmt: skip
    if path.suffix.lower() not in readers:
        cure = "give .npz, .toml (Pose2Sim, anipose), .yml (OpenCV) or .qca.txt (Qualisys)"
        raise UserError("not a calibration that can be read", path=path, cure=cure)
    return _guarded(readers[path.suffix.lower()], path)


def _guarded(reader: Callable[[Path], list[View]], path: Path) -> list[View]:
    """What a reader reads. OpenCV raises its own errors, in places as SystemError."""
    try:
        return reader(path)
    except (cv2.error, SystemError) as error:
        raise UserError("not a YAML file of OpenCV's FileStorage", path=path) from error


def _npz(path: Path) -> list[View]:
    keys = ("names", "K", "R", "t", "dist", "size")
    arrays = archives.read(path, keys)
    missing = [key for key in keys if key not in arrays]
    if missing:
        raise UserError(f"has no {missing[0]}", path=path, cure=f"it needs {', '.join(keys)}")
    if len({len(np.atleast_1d(arrays[key])) for key in keys}) > 1:
        raise UserError("its arrays are not of one number of cameras", path=path)
    rows = zip(*(arrays[key] for key in keys), strict=True)
    return [
        _view(path, str(name), K=K, R=R, t=t, dist=dist, size=size)
        for name, K, R, t, dist, size in rows
    ]


def _toml(path: Path) -> list[View]:
    try:
        import tomllib
    except ImportError:  # Python 3.10
        import tomli as tomllib  # pyright: ignore
    try:
        tables = tomllib.loads(_text(path))
    except ValueError as error:
        raise UserError(f"not a TOML file ({error})", path=path) from error
    views = []
    for key, table in tables.items():
        if not isinstance(table, dict) or "matrix" not in table:
            continue  # metadata
        words = ("matrix", "rotation", "translation", "size")
        missing = [word for word in words if word not in table]
        if missing:
            raise UserError(f"camera {key} has no {missing[0]}", path=path)
        if table.get("fisheye"):
            raise UserError(f"camera {key} is a fisheye, which is not supported", path=path)
        views.append(
            _view(
                path, str(table.get("name", key)), K=table["matrix"], R=table["rotation"],
                t=table["translation"], dist=table.get("distortions", [0]), size=table["size"],
                pixel=_OPENCV_PIXEL,
            )
        )  # fmt: skip
    if not views:
        raise UserError("no camera in it", path=path, cure="expected tables with matrix, rotation")
    return views


def _yaml(path: Path) -> list[View]:
    """All cameras in one file."""
    storage = _storage(path)
    names = storage.getNode("names")
    if names.empty():
        return _yaml_alone(path)
    found = [names.at(i).string() for i in range(names.size())]
    return [
        _view(
            path, name,
            K=_node(storage, path, f"K_{name}"),
            R=_node(storage, path, f"Rot_{name}", f"R_{name}"),
            t=_node(storage, path, f"T_{name}"),
            dist=_node(storage, path, f"dist_{name}"),
            size=[_node(storage, path, f"W_{name}"), _node(storage, path, f"H_{name}")],
            pixel=_OPENCV_PIXEL,
        )
        for name in found
    ]  # fmt: skip


def _yaml_alone(path: Path) -> list[View]:
    """One camera in a file of its own."""
    storage = _storage(path)
    view = _view(
        path, path.stem,
        K=_node(storage, path, "camera_matrix", "K"),
        R=_node(storage, path, "R", "rvec"),
        t=_node(storage, path, "T", "tvec"),
        dist=_node(storage, path, "distortion_coefficients", "dist"),
        size=[_node(storage, path, "image_width"), _node(storage, path, "image_height")],
        pixel=_OPENCV_PIXEL,
    )  # fmt: skip
    return [view]


def _qualisys(path: Path) -> list[View]:
    text = _text(path)
    try:
        if "<!" in text:  # definitions, which can blow up
            raise ElementTree.ParseError("a document type is not expected")
        cameras = ElementTree.fromstring(text.encode()).iter("camera")
        views = [_qualisys_camera(path, camera) for camera in cameras]
    except (ElementTree.ParseError, AttributeError, KeyError, ValueError) as error:
        raise UserError(f"not a calibration of Qualisys ({error})", path=path) from error
    if not views:
        raise UserError("no camera in it", path=path)
    return views


def _qualisys_camera(path: Path, camera: ElementTree.Element) -> View:
    place, lens, picture = (
        {key: float(v) for key, v in camera.find(part).attrib.items()}  # pyright: ignore
        for part in ("transform", "intrinsic", "fov_video")
    )
    turned = [[place[f"r{row}{column}"] for column in (1, 2, 3)] for row in (1, 2, 3)]
    R = np.diag([1.0, -1.0, -1.0]) @ turned
    fx, fy = lens["focalLengthU"] / 64, lens["focalLengthV"] / 64
    cx, cy = lens["centerPointU"] / 64, lens["centerPointV"] / 64
    words = ("radial", 1), ("radial", 2), ("tangental", 1), ("tangental", 2), ("radial", 3)
    return _view(
        path, camera.attrib["serial"],
        K=[[fx, 0, cx - picture["left"]], [0, fy, cy - picture["top"]], [0, 0, 1]],
        R=R,
        t=-R @ [place["x"], place["y"], place["z"]] / 1000,
        dist=[lens[f"{kind}Distortion{number}"] for kind, number in words],
        size=[picture[end] - picture[start] + 1
              for start, end in (("left", "right"), ("top", "bottom"))],
        pixel=_OPENCV_PIXEL,
    )  # fmt: skip


def _storage(path: Path) -> cv2.FileStorage:
    text = _text(path)
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


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UserError("too large for a calibration", path=path)
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"can't be read: {error.strerror or error}", path=path) from error
    except ValueError as error:
        raise UserError("is not text", path=path) from error


def _view(
    path: Path, name: str, *, K: Any, R: Any, t: Any, dist: Any, size: Any, pixel: float = 0.0
) -> View:
    """One camera from what a file says of it; UserError if it makes no sense.

    R: matrix or Rodrigues' vector; dist: up to five of OpenCV's; pixel: added to K's centre.
    """
    try:
        K = np.array(K, dtype=np.float64).reshape(3, 3)
        R = np.array(R, dtype=np.float64)
        R = cv2.Rodrigues(R.reshape(3))[0] if R.size == 3 else R.reshape(3, 3)
        t = np.array(t, dtype=np.float64).reshape(3)
        given = np.array(dist, dtype=np.float64).ravel()
        width, height = (int(v) for v in np.array(size, dtype=np.float64).reshape(2))
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"camera {name} is not a calibration ({error})", path=path) from error
    if given[5:].any():
        raise UserError(f"camera {name} has more than OpenCV's k1 k2 p1 p2 k3", path=path)
    given = given[:5]
    if not all(np.isfinite(a).all() for a in (K, R, t, given)) or min(K[0, 0], K[1, 1]) <= 0:
        raise UserError(f"camera {name} has numbers that are no calibration", path=path)
    if np.abs(R @ R.T - np.eye(3)).max() > 1e-3 or np.linalg.det(R) < 0:
        raise UserError(f"the rotation of camera {name} is none", path=path)
    if min(width, height) <= 0:
        raise UserError(f"camera {name} has no size", path=path)
    K[:2, 2] += pixel
    camera = Camera(
        K=K,
        size=(width, height),
        dist=np.pad(given, (0, 5 - len(given))),
        source=f"given by --calibration {path.name}",
    )
    return View(name, camera, R, t)
