"""C3D: tracks of markers for biomechanics (Mokka, Visual3D, Vicon, OpenSim, ezc3d).

Millimetres, Z up: who faced the camera, WORLD's +z, faces -y; frames come at a constant rate. One
person a file, and every file spans the whole clip; where a person is absent, the residual is -1.
The markers have the names they have in TRC (`_markers.NAMES`).

The format: "The C3D File Format User Guide" (Motion Lab Systems, 2008), with floating point data in
Intel's order. Written here because points alone need no more than this of it; ezc3d reads it back.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from video2pose3d.exporters import _people
from video2pose3d.exporters._markers import NAMES
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Person, Scene
from video2pose3d.version import __version__

suffix = ".c3d"

_MM = 1000  # in a metre
_BLOCK = 512  # bytes
_INTEL = 84
_MOST = 0xFFFF  # what 16 bits hold: of a longer clip, TRIAL has the number of frames
_Z_UP = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])  # from WORLD, about x by 90 degrees


def write(scene: Scene, folder: Path) -> list[Path]:
    """Write person-<id>.c3d for every person of the scene."""
    return _people.write(scene, folder, suffix, content)


def content(person: Person, scene: Scene) -> bytes:
    joints, rate = _people.joints(person, scene)
    absent = np.isnan(joints).any(axis=-1, keepdims=True)
    places = np.where(absent, 0, joints @ _Z_UP.T * _MM)
    points = np.concatenate([places, -1.0 * absent], axis=-1)  # (N, 17, 4) x, y, z, residual
    # As many blocks hold the parameters whatever the number of the block that follows them.
    data_block = 2 + len(_parameters(len(points), rate, 0)) // _BLOCK
    head = _header(len(points), rate, data_block)
    return (
        head + _parameters(len(points), rate, data_block) + _padded(points.astype("<f4").tobytes())
    )


def _header(frames: int, fps: float, data_block: int) -> bytes:
    fields = (
        2,  # the block where parameters start
        0x50,  # "this is a C3D"
        len(NAMES),
        0,  # analogue samples a frame
        1,  # the first frame
        min(frames, _MOST),  # the last
        0,  # the longest gap that was filled
        -1.0,  # scale; below 0: points are floats
        data_block,
        0,  # analogue samples a frame and channel
        fps,
    )
    return _padded(struct.pack("<BBHHHHHfHHf", *fields))


def _parameters(frames: int, fps: float, data_block: int) -> bytes:
    """The section of parameters, in whole blocks."""
    groups = {
        "POINT": {
            "USED": _integers(len(NAMES)),
            "SCALE": _real(-1.0),
            "RATE": _real(fps),
            "DATA_START": _integers(data_block),
            "FRAMES": _integers(min(frames, _MOST)),
            "LABELS": _texts(NAMES),
            "DESCRIPTIONS": _texts(H36M17.joints),
            "UNITS": _text("mm"),
            "X_SCREEN": _text("+X"),
            "Y_SCREEN": _text("+Z"),
        },
        "ANALOG": {"USED": _integers(0)},
        "TRIAL": {  # each number in two words, the low one first
            "ACTUAL_START_FIELD": _integers(1, 0),
            "ACTUAL_END_FIELD": _integers(frames & _MOST, frames >> 16),
        },
        "MANUFACTURER": {"SOFTWARE": _text(f"video2pose3d {__version__}")},
    }
    records = b""
    for number, (group, parameters) in enumerate(groups.items(), start=1):
        records += _record(group, -number, b"")
        for name, value in parameters.items():
            records += _record(name, number, value)
    blocks = len(_padded(bytes(4) + records + bytes(1))) // _BLOCK
    return _padded(bytes([1, 0x50, blocks, _INTEL]) + records + bytes(1))


def _record(name: str, number: int, value: bytes) -> bytes:
    """A group (its number negative) or a parameter of the group of that number."""
    rest = value + bytes(1)  # no description
    head = struct.pack("<bb", len(name), number) + name.encode("ascii")
    return head + struct.pack("<H", 2 + len(rest)) + rest  # the way to the next record


# Values of parameters: type, number of dimensions, their sizes, data.


def _integers(*values: int) -> bytes:
    sizes = [len(values)] if len(values) > 1 else []
    return struct.pack(f"<bB{len(sizes)}B{len(values)}H", 2, len(sizes), *sizes, *values)


def _real(value: float) -> bytes:
    return struct.pack("<bBf", 4, 0, value)


def _text(value: str) -> bytes:
    return struct.pack("<bBB", -1, 1, len(value)) + value.encode("ascii")


def _texts(values: tuple[str, ...]) -> bytes:
    width = max(map(len, values))
    text = "".join(value.ljust(width) for value in values)
    return struct.pack("<bBBB", -1, 2, width, len(values)) + text.encode("ascii")


def _padded(data: bytes) -> bytes:
    """With zeros up to the end of a block."""
    return data + bytes(-len(data) % _BLOCK)
