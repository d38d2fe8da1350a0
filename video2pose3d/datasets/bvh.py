"""BVH files that people add as their own motion: from any common rig to Human3.6M's 17 joints.

Reads the HIERARCHY and MOTION of Biovision's format (M. Meredith and S. Maddock, "Motion Capture
File Formats Explained", 2001) with channels in any order. Joints are found by the names that CMU's
conversions, MotionBuilder, Mixamo, 3ds Max, Unreal, Biovision and our own export use, whatever
their case, prefix and separators. Our joints are the file's, except: the pelvis is the middle of
the hips; the thorax the base of the neck; the neck the base of the skull; the head the end of the
head's bone, or where a file tells none, beyond the neck as far as a head goes; the spine our own
export's Chest, elsewhere the middle of the way from pelvis to thorax. CMU's conversions lack a bone
of the thorax and one of the wrist: trunks come out some 11 cm short, forearms some 7 cm.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from video2pose3d.datasets.mocap import Clip
from video2pose3d.errors import UserError
from video2pose3d.skeletons import H36M17

log = logging.getLogger("video2pose3d")

# Metres a unit; CMU's own is an inch scaled by 0.45.
UNITS = {
    "metres": 1.0, "centimetres": 0.01, "millimetres": 0.001, "inches": 0.0254,
    "CMU's units": 0.0254 / 0.45,
}  # fmt: skip
CHAIN = 1.55  # metres from ankle to knee, hip, neck and crown of a typical adult
SHORTEST, LONGEST = 0.6, 2.3  # the same of any person

# Our joint ← the file's, by preference: a rig with both Arm and Shoulder calls the clavicle
# Shoulder. Limbs come with their side before or after, in full or as one letter.
_LIMBS = {
    "hip": ("upleg", "thigh", "upperleg", "femur", "hip"),
    "knee": ("lowerleg", "lowleg", "shin", "calf", "tibia", "knee", "leg"),
    "ankle": ("foot", "ankle"),
    "shoulder": ("arm", "uparm", "upperarm", "humerus", "shldr", "shoulder"),
    "elbow": ("forearm", "lowerarm", "lowarm", "radius", "elbow"),
    "wrist": ("hand", "wrist"),
}
_TRUNK = {
    "thorax": ("neck", "lowerneck", "neck1", "neck01"),
    "neck": ("head",),
}
_CROWN = ("headtopend", "headend", "headnub", "headtop", "headsite")
_CROWN_SHARE = 0.7  # of the way from thorax to neck, from neck to head: the median of CMU's actors
_OURS = ["spine", "chest", "neck"]  # the trunk of our own export
_PREFIX = re.compile(r"^(mixamorig\d*|bip0*1|character\d+|valvebiped)")


@dataclass(frozen=True)
class Bvh:
    """A file's joints and their places. names, parents: J joints and ends of bones ("NAME site");

    places: (T, J, 3) in the file's units and axes.
    """

    names: list[str]
    parents: list[int]
    places: np.ndarray
    fps: float


def read(path: Path, *, metres_per_unit: float | None = None) -> Clip:
    """The clip of one BVH file. Without `metres_per_unit` the unit is guessed from the stature, and
    the log says how; the vertical is the file's Y or Z, whichever the head is above the feet in.
    """
    path = Path(path)
    bvh = parse(path)
    joints = _h36m(bvh, path)  # (T, 17, 3)
    joints = joints * (metres_per_unit or _unit(joints, path))
    up = np.median(_get(joints, "head") - _mean(joints, "right_ankle", "left_ankle"), axis=0)
    if up[1] >= up[2]:
        joints = np.stack([joints[..., 0], -joints[..., 2], joints[..., 1]], axis=-1)
    return Clip(path.stem, joints, bvh.fps, "BVH", subject=path.parent.name)


def _unit(joints: np.ndarray, path: Path) -> float:
    """Metres a unit, by the length of the body along its bones."""
    way = ("right_ankle", "right_knee", "right_hip", "spine", "thorax", "neck", "head")
    points = np.stack([_get(joints, name) for name in way], axis=1)
    chain = float(np.median(np.linalg.norm(np.diff(points, axis=1), axis=-1).sum(axis=1)))
    name = min(UNITS, key=lambda unit: abs(np.log(max(chain, 1e-9) * UNITS[unit] / CHAIN)))
    metres = chain * UNITS[name]
    if not SHORTEST <= metres <= LONGEST:
        what = f"the body is {chain:.4g} units from ankle to crown, a person's in no unit known"
        raise UserError(what, path=path, cure="scale the file to centimetres")
    log.info("%s: in %s, for the body is then %.2f m from ankle to crown", path.name, name, metres)
    return UNITS[name]


# ------------------------------------------------------------------ joints


def _h36m(bvh: Bvh, path: Path) -> np.ndarray:
    """(T, 17, 3) in the file's units and axes; UserError for a rig that lacks joints."""
    known = {_simple(name): j for j, name in reversed(list(enumerate(bvh.names)))}
    found, lacks = {}, []
    wanted = dict(_TRUNK)
    for joint, words in _LIMBS.items():
        for side in ("left", "right"):
            first = side[0]
            wanted[f"{side}_{joint}"] = tuple(
                f"{before}{word}{after}"
                for word in words
                for before, after in ((side, ""), (first, ""), ("", side), ("", first))
            )
    for joint, names in wanted.items():
        place = next((known[name] for name in names if name in known), None)
        if place is None:
            lacks.append(joint)
        else:
            found[joint] = bvh.places[:, place]
    if lacks:
        have = ", ".join(name for name in bvh.names[:8] if not name.endswith(" site"))
        what = f"has no joint for {', '.join(lacks)} (it has {have} ...)"
        raise UserError(what, path=path, cure="rename its joints as MotionBuilder or Mixamo do")
    found["pelvis"] = (found["left_hip"] + found["right_hip"]) / 2
    found["head"] = _head(bvh, known, found)
    neck = next(known[name] for name in _TRUNK["thorax"] if name in known)
    trunk = _ancestors(bvh, neck)
    if [_simple(bvh.names[j]) for j in trunk] == _OURS:
        found["spine"] = bvh.places[:, known["chest"]]
    else:
        found["spine"] = _middle(found["pelvis"], bvh.places[:, trunk])
    return np.stack([found[joint] for joint in H36M17.joints], axis=1)


def _head(bvh: Bvh, known: dict[str, int], found: dict[str, np.ndarray]) -> np.ndarray:
    """The end of the head's bone, if it has a length."""
    way = found["neck"] - found["thorax"]
    for name in _CROWN:
        if name in known:
            head = bvh.places[:, known[name]]
            if np.linalg.norm(head[0] - found["neck"][0]) > 0.2 * np.linalg.norm(way[0]):
                return head
    return found["neck"] + _CROWN_SHARE * way


def _ancestors(bvh: Bvh, joint: int) -> list[int]:
    """From the root's child down to the joint."""
    line = []
    while bvh.parents[joint] >= 0:
        line.append(joint)
        joint = bvh.parents[joint]
    return line[::-1]


def _middle(start: np.ndarray, chain: np.ndarray) -> np.ndarray:
    """Half-way along the line from start (T, 3) through a chain of points (T, N, 3)."""
    points = np.concatenate([start[:, None], chain], axis=1)
    step = np.diff(points, axis=1)  # (T, N, 3)
    length = np.linalg.norm(step, axis=-1)
    before = np.cumsum(length, axis=1) - length
    half = length.sum(axis=1, keepdims=True) / 2
    share = np.clip((half - before) / np.maximum(length, 1e-9), 0, 1)
    return start + (share[..., None] * step).sum(axis=1)


def _simple(name: str) -> str:
    """A joint's name in small letters, without the prefix of its rig and without separators."""
    return _PREFIX.sub("", re.sub(r"[^a-z0-9]", "", name.split("|")[-1].lower()))


def _get(joints: np.ndarray, name: str) -> np.ndarray:
    return joints[:, H36M17.index(name)]


def _mean(joints: np.ndarray, *names: str) -> np.ndarray:
    return joints[:, H36M17.indices(*names)].mean(axis=1)


# ------------------------------------------------------------------ the file


def parse(path: Path) -> Bvh:
    """Forward kinematics of a BVH file; UserError for a file that is none."""
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"can't be read: {error.strerror or error}", path=path) from error
    try:
        head, *motion = re.split(r"^\s*MOTION\s*$", text, maxsplit=1, flags=re.MULTILINE)
        if not motion:
            raise ValueError("it has no MOTION")
        names, parents, offsets, channels = _hierarchy(head.split())
        frame_time, values = _motion(motion[0], sum(map(len, channels)))
    except (ValueError, IndexError) as error:
        cure = "give a file with a HIERARCHY and a MOTION"
        raise UserError(f"is not a BVH file ({error})", path=path, cure=cure) from error
    places = _forward(parents, offsets, channels, values)
    return Bvh(names, parents, places, 1 / frame_time)


def _hierarchy(words: list[str]) -> tuple[list[str], list[int], np.ndarray, list[list[str]]]:
    """Names, parents, offsets (J, 3) and channels of the joints, in the order of the file."""
    names, parents, offsets, channels = [], [], [], []
    open_, at, named = [], 0, ""
    while at < len(words):
        word = words[at].upper()
        if word in ("ROOT", "JOINT"):
            end = words.index("{", at)
            named, at = " ".join(words[at + 1 : end]), end
        elif word == "END":
            named, at = f"{names[open_[-1]]} site", words.index("{", at)
        elif word == "{":
            names.append(named)
            parents.append(open_[-1] if open_ else -1)
            offsets.append(np.zeros(3))
            channels.append([])
            open_.append(len(names) - 1)
            at += 1
        elif word == "OFFSET":
            offsets[open_[-1]] = np.array(words[at + 1 : at + 4], float)
            at += 4
        elif word == "CHANNELS":
            count = int(words[at + 1])
            channels[open_[-1]] = [name.lower() for name in words[at + 2 : at + 2 + count]]
            at += 2 + count
        elif word == "}":
            open_.pop()
            at += 1
        else:
            at += 1
    bad = [c for own in channels for c in own if not re.fullmatch("[xyz](position|rotation)", c)]
    if bad or not names or open_ or any(len(offset) != 3 for offset in offsets):
        raise ValueError(f"unknown channel {bad[0]!r}" if bad else "its HIERARCHY is not whole")
    return names, parents, np.array(offsets), channels


def _motion(text: str, width: int) -> tuple[float, np.ndarray]:
    """Seconds a frame, and the values (T, width)."""
    rate = re.search(r"frame\s*time\s*:\s*(\S+)", text, re.IGNORECASE)
    count = re.search(r"frames\s*:\s*(\d+)", text, re.IGNORECASE)
    if not rate or not count or not float(rate[1]) > 0:
        raise ValueError("its MOTION has no frames or frame time")
    values = np.array(text[max(rate.end(), count.end()) :].split(), float)
    if not width or not len(values) or len(values) != int(count[1]) * width:
        raise ValueError(f"{count[1]} frames of {width} channels need {width}·{count[1]} numbers")
    if not np.isfinite(values).all():
        raise ValueError("a number in it is not finite")
    return float(rate[1]), values.reshape(-1, width)


def _forward(
    parents: list[int], offsets: np.ndarray, channels: list[list[str]], values: np.ndarray
) -> np.ndarray:
    """(T, J, 3): rotations apply in the order in which the channels are written."""
    T, column = len(values), 0
    places: list[np.ndarray] = []
    turns: list[Rotation] = []
    for parent, offset, own in zip(parents, offsets, channels, strict=True):
        mine = values[:, column : column + len(own)]
        column += len(own)
        place = np.tile(offset, (T, 1))
        turn = Rotation.identity(T)
        for channel, value in zip(own, mine.T, strict=True):
            axis = "xyz".index(channel[0])
            if channel.endswith("position"):
                place[:, axis] = value  # in place of the offset, as Blender reads and writes it
            else:
                turn = turn * Rotation.from_euler(channel[0], value[:, None], degrees=True)
        if parent >= 0:
            place = places[parent] + turns[parent].apply(place)
            turn = turns[parent] * turn
        places.append(place)
        turns.append(turn)
    return np.stack(places, axis=1)
