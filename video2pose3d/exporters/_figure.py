"""A figure to see a rig by: a mesh of round limbs, one a bone, each moved by one joint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from video2pose3d.skeletons import Skeleton

# Radii in metres where a bone starts and ends, by the joint it leads to, of a figure that stands
# _HEIGHT tall. Bones that aren't here are inside others.
_GIRTH = {
    "spine": (0.115, 0.12), "thorax": (0.125, 0.1), "neck": (0.05, 0.075), "head": (0.085, 0.075),
    "shoulder": (0.055, 0.055), "elbow": (0.05, 0.04), "wrist": (0.04, 0.028),
    "fingers": (0.034, 0.022), "hip": (0.085, 0.085), "knee": (0.08, 0.055),
    "ankle": (0.055, 0.038), "toe": (0.042, 0.032),
}  # fmt: skip
_HEIGHT = 1.7
_LEAST = 0.1  # metres tall: a body whose joints are all in one place still has a figure
_AROUND, _CAP = 16, 5  # vertices of a ring, rings of each round end


@dataclass(frozen=True)
class Figure:
    """Triangles over a skeleton at rest.

    vertices, normals: (V, 3) float32 metres, unit; joints: (V,) uint8, the joint that moves each
    vertex; triangles: for each side of the body (N, 3) uint16, counterclockwise from outside.
    """

    vertices: np.ndarray
    normals: np.ndarray
    joints: np.ndarray
    triangles: dict[str, np.ndarray]


def build(skeleton: Skeleton, rest: np.ndarray) -> Figure:
    """The figure of a skeleton whose joints rest at (J, 3) metres."""
    vertices, normals, joints, triangles = [], [], [], {}
    scale = max(np.ptp(rest[:, 1]), _LEAST) / _HEIGHT
    for parent, child in skeleton.bones:
        girth = _GIRTH.get(skeleton.joints[child].removeprefix("left_").removeprefix("right_"))
        if girth is None:
            continue
        points, outward = _limb(rest[parent], rest[child], scale * np.array(girth))
        first = len(points) * len(vertices)
        triangles.setdefault(skeleton.side(child), []).append(first + _mantle())
        vertices.append(points)
        normals.append(outward)
        joints.append(np.full(len(points), parent, np.uint8))
    return Figure(
        np.concatenate(vertices).astype(np.float32),
        np.concatenate(normals).astype(np.float32),
        np.concatenate(joints),
        {side: np.concatenate(parts).astype(np.uint16) for side, parts in triangles.items()},
    )


def _limb(start: np.ndarray, end: np.ndarray, radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points and normals (2 * _CAP * _AROUND, 3) of two half spheres and the cone between them."""
    length = np.linalg.norm(end - start)
    axis = (end - start) / length if length > 1e-6 else np.array([0.0, 1.0, 0.0])
    side = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    side /= np.linalg.norm(side)
    frame = np.stack([side, np.cross(axis, side), axis])

    around = np.arange(_AROUND) * 2 * np.pi / _AROUND
    up = np.linspace(0, np.pi / 2, _CAP)  # from the sphere's equator to its pole
    up = np.concatenate([-up[::-1], up])[:, None]
    outward = np.stack(
        np.broadcast_arrays(np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)),
        axis=-1,
    )  # (rings, _AROUND, 3) in the limb's own frame
    radius = np.repeat(radii, _CAP)[:, None, None]
    centre = np.repeat([start, end], _CAP, axis=0)[:, None]
    normals = outward @ frame
    return (centre + radius * normals).reshape(-1, 3), normals.reshape(-1, 3)


def _mantle() -> np.ndarray:
    """(N, 3) a limb's triangles."""
    rings = 2 * _CAP
    vertex = np.arange(rings * _AROUND).reshape(rings, _AROUND)
    here, beside = vertex, np.roll(vertex, -1, axis=1)
    lower = np.stack([here[:-1], beside[:-1], beside[1:]], axis=-1)
    upper = np.stack([here[:-1], beside[1:], here[1:]], axis=-1)
    # At either pole a ring is a point, and one of the two has no area.
    return np.concatenate([lower[1:], upper[:-1]]).reshape(-1, 3)
