"""The layout of VideoPose3D's npz files: 3D in the world and 2D of several cameras, by action.

data_3d_*.npz: `positions_3d`, {subject: {action: (T, J, 3) metres in the world}}; data_2d_*.npz:
`positions_2d`, {subject: {action: [camera: (T, J, 2) px]}}, both pickled objects.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from video2pose3d import archives
from video2pose3d.datasets import Sequence, checked, on_screen, with_scores
from video2pose3d.errors import UserError
from video2pose3d.skeletons import Skeleton

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore


@dataclass(frozen=True)
class Camera:
    """size: W, H px; x_world = rotation @ x_camera + position, metres."""

    name: str
    size: tuple[int, int]
    rotation: Rotation
    position: np.ndarray

    def see(self, world: np.ndarray) -> np.ndarray:
        """(T, J, 3) metres in the world to CAMERA."""
        points = (np.asarray(world, np.float64) - self.position).reshape(-1, 3)
        return self.rotation.inv().apply(points).reshape(world.shape)


def cameras(file: str) -> dict[str, list[Camera]]:
    """Each subject's cameras, of a table that stands beside this file."""
    with open(Path(__file__).with_name(file), "rb") as stream:
        table = tomllib.load(stream)
    names, sizes = table.pop("names"), table.pop("sizes")
    return {
        subject: [
            Camera(name, (W, H), Rotation.from_quat([x, y, z, w]), np.array(position) / 1000)
            for name, (W, H), (w, x, y, z), position in zip(
                names, sizes, place["rotation"], place["position"], strict=True
            )
        ]
        for subject, place in table.items()
    }


def tree(file: Path, key: str, where: str) -> dict[str, dict]:
    """{subject: {action: ...}} of an npz; UserError for a file without."""
    arrays = archives.read(file, (key,), objects=True)
    tree = arrays[key][()] if key in arrays and arrays[key].shape == () else None
    if not isinstance(tree, dict) or not all(isinstance(v, dict) for v in tree.values()):
        raise UserError(f"has no {key} by subject and action", path=file, cure=where)
    return tree


@dataclass(frozen=True)
class Files:
    """A 3D and a 2D file of one data set; joints: those of `count` in a frame that are kept."""

    file_3d: Path
    file_2d: Path
    where: str
    skeleton: Skeleton
    count: int
    joints: list[int]
    fps: float

    def sequences(self, subjects: dict[str, tuple[str, list[Camera]]]) -> list[Sequence]:
        """Those of the subjects: their name in the files → the name to give, and the cameras."""
        positions = tree(self.file_3d, "positions_3d", self.where)
        points = tree(self.file_2d, "positions_2d", self.where)
        sequences = [
            sequence
            for key, (subject, views) in subjects.items()
            for action, world in positions.get(key, {}).items()
            for sequence in self._views(
                subject, action, world, points.get(key, {}).get(action), views
            )
        ]
        if not sequences:
            what = f"holds nothing of {', '.join(subjects)}"
            raise UserError(what, path=self.file_3d, cure=self.where)
        return checked(sequences, self.file_2d, self.where)

    def _views(
        self, subject: str, action: str, world: Any, points: Any, views: list[Camera]
    ) -> Iterator[Sequence]:
        world = np.asarray(world)
        if world.ndim != 3 or world.shape[1:] != (self.count, 3):
            what = f"{subject} {action}: expected (T, {self.count}, 3), got {world.shape}"
            raise UserError(what, path=self.file_3d, cure=self.where)
        if points is None or len(points) != len(views):
            have = 0 if points is None else len(points)
            what = f"has {have} cameras for {subject} {action}, not {len(views)}"
            raise UserError(what, path=self.file_2d, cure=self.where)
        T, J = len(world), len(self.skeleton)
        for camera, xy in zip(views, map(np.asarray, points), strict=True):
            if xy.ndim != 3 or xy.shape[1] != J or xy.shape[2] not in (2, 3) or len(xy) < T:
                what = f"{subject} {action}, {camera.name}: expected 2D of ({T}, {J}, 2), "
                what += f"got {xy.shape}"
                cure = "give keypoints of the same joints and frames as the 3D file"
                raise UserError(what, path=self.file_2d, cure=cure)
            xy = xy[:T]  # some detections go on after the motion capture ended
            scores = xy[..., 2] if xy.shape[2] == 3 else None
            yield Sequence.in_metres(
                subject,
                action,
                camera.name,
                with_scores(on_screen(xy[..., :2], camera.size), scores),
                camera.see(world[:, self.joints]),
                np.ones(T, bool),
                self.skeleton,
                self.fps,
            )
