"""GLB: a moving figure for web pages (three.js, model-viewer), Blender and game engines.

Metres, Y up, rest pose a T-pose on the floor that faces +z. A skin binds the figure to the rig that
BVH has, under the same names; an animation turns its joints and moves its root. Keyframes have the
frames' own times, whatever the video's rate. One person a file, and every file spans the whole
clip, so that people and video stay in step: where a person is absent, however long, the rig holds
the pose nearest in time.

The format: Khronos' glTF 2.0 (ISO/IEC 12113).
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from video2pose3d.colours import SIDES
from video2pose3d.exporters import _figure, _people
from video2pose3d.skeletons import Skeleton
from video2pose3d.structures import Motion, Person, Scene
from video2pose3d.version import __version__

suffix = ".glb"

_ARRAY_BUFFER, _ELEMENT_ARRAY_BUFFER = 34962, 34963
_COMPONENTS = {"|u1": 5121, "<u2": 5123, "<f4": 5126}
_TYPES = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}


def write(scene: Scene, folder: Path) -> list[Path]:
    """Write person-<id>.glb for every person of the scene."""
    return _people.write(scene, folder, suffix, content)


def content(person: Person, scene: Scene) -> bytes:
    motion, name = _people.motion(person, scene), f"person-{int(person.id)}"
    skeleton = motion.skeleton
    rest = _rest(motion)
    figure = _figure.build(skeleton, rest)
    buffer = _Buffer()
    nodes = _nodes(skeleton, rest)
    document = {
        "asset": {"version": "2.0", "generator": f"video2pose3d {__version__}"},
        "extras": {"units": "metres", "fps": float(scene.fps), "scale_source": scene.scale_source},
        "scene": 0,
        "scenes": [{"name": name, "nodes": [skeleton.root, len(nodes)]}],
        "nodes": [*nodes, {"name": "Figure", "mesh": 0, "skin": 0}],
        "materials": [_material(side) for side in figure.triangles],
        "meshes": [{"name": "Figure", "primitives": _primitives(figure, buffer)}],
        "skins": [_skin(skeleton, rest, buffer)],
        "animations": [{"name": name, **_animation(motion, scene.timestamps, buffer)}],
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": len(buffer.data)}],
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text  # "JSON"
    chunks += struct.pack("<II", len(buffer.data), 0x004E4942) + buffer.data  # "BIN"
    return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks  # "glTF"


class _Buffer:
    """The file's one buffer as it fills, and how its parts are told of."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add(self, array: np.ndarray, *, target: int | None = None, bounds: bool = False) -> int:
        """Append an array of elements; gives its accessor's number. Matrices go in by columns."""
        if array.ndim == 3:
            array = array.transpose(0, 2, 1)
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.data)}
        view["byteLength"] = array.nbytes
        if target is not None:
            view["target"] = target
        accessor: dict[str, Any] = {
            "bufferView": len(self.views),
            "componentType": _COMPONENTS[array.dtype.newbyteorder("<").str],
            "count": len(array),
            "type": _TYPES[array.shape[1:]],
        }
        if bounds:
            flat = array.reshape(len(array), -1)
            accessor["min"], accessor["max"] = flat.min(axis=0).tolist(), flat.max(axis=0).tolist()
        self.data += array.tobytes()
        self.data += bytes(-len(self.data) % 4)
        self.views.append(view)
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def _rest(motion: Motion) -> np.ndarray:
    """(J, 3) float64 metres, the joints in the rest pose, the lowest on the floor, in WORLD."""
    rest = np.zeros(motion.offsets.shape)
    for parent, child in motion.skeleton.bones:
        rest[child] = rest[parent] + motion.offsets[child]
    rest[:, 1] -= rest[:, 1].min()
    return rest


def _nodes(skeleton: Skeleton, rest: np.ndarray) -> list[dict[str, Any]]:
    nodes = []
    for joint, parent in enumerate(skeleton.parents):
        offset = rest[joint] - (rest[parent] if parent >= 0 else 0)
        node: dict[str, Any] = {"name": skeleton.labels[joint], "translation": offset.tolist()}
        children = [child for above, child in skeleton.bones if above == joint]
        if children:
            node["children"] = children
        nodes.append(node)
    return nodes


def _material(side: str) -> dict[str, Any]:
    srgb = np.array(SIDES[side]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    surface = {
        "baseColorFactor": [*linear.round(5).tolist(), 1.0],
        "metallicFactor": 0.0,
        "roughnessFactor": 0.7,
    }
    return {"name": side, "pbrMetallicRoughness": surface}


def _primitives(figure: _figure.Figure, buffer: _Buffer) -> list[dict[str, Any]]:
    """One for each side, all of the same vertices; each vertex follows one joint."""
    follows = np.zeros((len(figure.joints), 4), np.uint8)
    follows[:, 0] = figure.joints
    weights = np.zeros((len(figure.joints), 4), np.float32)
    weights[:, 0] = 1
    attributes = {
        "POSITION": buffer.add(figure.vertices, target=_ARRAY_BUFFER, bounds=True),
        "NORMAL": buffer.add(figure.normals, target=_ARRAY_BUFFER),
        "JOINTS_0": buffer.add(follows, target=_ARRAY_BUFFER),
        "WEIGHTS_0": buffer.add(weights, target=_ARRAY_BUFFER),
    }
    return [
        {
            "attributes": attributes,
            "indices": buffer.add(triangles.ravel(), target=_ELEMENT_ARRAY_BUFFER),
            "material": material,
        }
        for material, triangles in enumerate(figure.triangles.values())
    ]


def _skin(skeleton: Skeleton, rest: np.ndarray, buffer: _Buffer) -> dict[str, Any]:
    inverse = np.tile(np.eye(4, dtype=np.float32), (len(rest), 1, 1))
    inverse[:, :3, 3] = -rest
    return {
        "name": "Rig",
        "skeleton": skeleton.root,
        "joints": list(range(len(skeleton))),
        "inverseBindMatrices": buffer.add(inverse),
    }


def _animation(motion: Motion, timestamps: np.ndarray, buffer: _Buffer) -> dict[str, Any]:
    """Samplers and channels; between keyframes by the great circle, or the straight line."""
    # Late in a long clip float32 may not tell frames apart, and times have to increase.
    times, keys = np.unique(timestamps.astype(np.float32), return_index=True)
    clock = buffer.add(times, bounds=True)
    tracks = [(motion.skeleton.root, "translation", motion.root[keys])]
    for joint in sorted({parent for parent, _ in motion.skeleton.bones}):
        turns = motion.rotations[keys, joint][:, [1, 2, 3, 0]]  # x y z w
        turns = turns / np.linalg.norm(turns, axis=-1, keepdims=True)
        tracks.append((joint, "rotation", turns))
    return {
        "samplers": [
            {"input": clock, "output": buffer.add(values), "interpolation": "LINEAR"}
            for _, _, values in tracks
        ],
        "channels": [
            {"sampler": sampler, "target": {"node": node, "path": path}}
            for sampler, (node, path, _) in enumerate(tracks)
        ],
    }
