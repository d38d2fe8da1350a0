"""The virtual camera of the animation: where it stands so that nobody ever leaves its picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from video2pose3d.structures import Scene

# A three-quarter view shows depth, yet keeps left and right where the video has them.
_TURN, _TILT, _FIELD = math.radians(28), math.radians(16), math.radians(30)
# Parts of the half picture that people may fill; the rest is for labels and captions.
_FILL = np.array([0.94, 0.88])
_ROOM = 0.2  # metres around every joint
_EMPTY = np.array([[x, y, z] for x in (-1.5, 1.5) for y in (0.0, 1.8) for z in (-1.5, 1.5)])


@dataclass(frozen=True)
class View:
    """A pinhole camera in WORLD.

    axes: (3, 3) rows: its right, down and forward in WORLD; position: (3,) metres in WORLD;
    focal: px; size: W, H px of its picture; distance: metres to the nearest person.
    """

    axes: np.ndarray
    position: np.ndarray
    focal: float
    size: tuple[int, int]
    distance: float

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(..., 3) metres in WORLD to (..., 2) px and (...) depth in metres."""
        x, y, z = np.moveaxis((points - self.position) @ self.axes.T, -1, 0)
        z = np.maximum(z, 1e-3 * self.distance)
        scale = self.focal / z
        width, height = self.size
        return np.stack([x * scale + width / 2, y * scale + height / 2], axis=-1), z


def fit(scene: Scene, size: tuple[int, int], room: float) -> View:
    """The nearest camera in the chosen direction that sees everybody in every frame.

    It looks from the real camera's side, turned by a quarter of a profile and from a little above.
    size: W, H px; room: the size of the people, 1 for usual ones.
    """
    axes = _axes(scene.world_from_camera)
    focal = size[1] / 2 / math.tan(_FIELD / 2)
    tx, ty = np.asarray(size) / 2 / focal * _FILL

    # A camera at c sees the point p (both along `axes`) when |px - cx| <= tx (pz - cz), likewise
    # for y. So each edge of the picture needs one number: how far any point reaches beyond it.
    edges = np.array([[1, 0, -tx], [-1, 0, -tx], [0, 1, -ty], [0, -1, -ty]]) @ axes
    reach = np.full(4, -np.inf)
    nearest = np.inf
    for points in _clouds(scene):
        reach = np.maximum(reach, (points @ edges.T).max(axis=0))
        nearest = min(nearest, float((points @ axes[2]).min()))
    reach += _ROOM * room * np.hypot(1, [tx, tx, ty, ty])
    right, left, below, above = reach
    z = min(-(right + left) / (2 * tx), -(below + above) / (2 * ty))
    centre = np.array([(right - left) / 2, (below - above) / 2, z])
    return View(axes, centre @ axes, focal, size, nearest - z)


def on_floor(points: np.ndarray) -> np.ndarray:
    """(..., 3) metres in WORLD, moved along y onto the floor."""
    return points * np.array([1.0, 0.0, 1.0])


def _clouds(scene: Scene) -> list[np.ndarray]:
    """(N, 3) points to be seen: all joints, and the floor below each person."""
    if not scene.people:
        return [_EMPTY]
    clouds = []
    for person in scene.people:
        joints = person.joints_world
        pelvis = joints[:, person.poses.skeleton.index("pelvis")]
        clouds += [joints.reshape(-1, 3), on_floor(pelvis)]
    return [cloud for cloud in clouds if len(cloud)] or [_EMPTY]


def _axes(world_from_camera: np.ndarray) -> np.ndarray:
    """(3, 3) right, down, forward in WORLD: the real camera's heading, turned and tilted."""
    forward, up = world_from_camera[:3, 2], -world_from_camera[:3, 1]
    # A camera that looks straight down has no heading: the top of its picture gives one.
    x, _, z = forward if math.hypot(forward[0], forward[2]) > 0.3 else up
    heading = math.atan2(-x, -z) + _TURN
    cosine, sine = math.cos(heading), math.sin(heading)
    level = np.array([-sine, 0.0, -cosine])
    right = np.array([cosine, 0.0, -sine])
    forward = math.cos(_TILT) * level - np.array([0.0, math.sin(_TILT), 0.0])
    return np.stack([right, np.cross(forward, right), forward])
