"""Joints to local rotations of a rig, and back: what animation files hold.

Points say where a limb goes, not how it is turned about its own length. That twist is taken from
what shows it: the hips' and the shoulders' lines, and the plane in which a knee or an elbow bends.
So a rig moves as a body does, whichever way it faces, and no angle depends on the first frame.

Rotations inside this file are scipy's, (T,) of them, global (to WORLD) unless called local.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from video2pose3d.skeletons import H36M17, Skeleton
from video2pose3d.structures import Motion

_UP = np.array([0.0, 1.0, 0.0])


class _Bone(NamedTuple):
    """A joint of the rig and the bone that leads to it in the T-pose (facing +z, y up, left +x)."""

    joint: str
    label: str
    parent: str  # "" for the root
    direction: tuple[float, float, float]
    length: str | float
    """The Human3.6M joint at this end of the bone, or the length as a share of the bone before."""


# Human3.6M's neck is a point inside the head at the height of the nose: it lies ahead of the thorax
# and the crown behind it, and the shoulders a little below. The rest pose keeps that, so that a
# person who stands straight has angles near zero. A zero direction is a second joint in one place.
_TRUNK = (
    _Bone("pelvis", "Hips", "", (0, 0, 0), 0.0),
    _Bone("lower_back", "Spine", "pelvis", (0, 0, 0), 0.0),
    _Bone("spine", "Chest", "lower_back", (0, 1, 0), "spine"),
    _Bone("thorax", "Neck", "spine", (0, 1, 0), "thorax"),
    _Bone("neck", "Head", "thorax", (0, 0.94, 0.34), "neck"),
    _Bone("head", "HeadEnd", "neck", (0, 0.985, -0.17), "head"),
)
# Hands and feet have no points of their own: their share of the forearm and the shin is from
# D. A. Winter, Biomechanics and Motor Control of Human Movement (2009), figure 4.1.
_LEFT = (
    _Bone("left_clavicle", "LeftShoulder", "spine", (0, 1, 0), "thorax"),
    _Bone("left_shoulder", "LeftArm", "left_clavicle", (0.975, -0.22, 0), "left_shoulder"),
    _Bone("left_elbow", "LeftForeArm", "left_shoulder", (1, 0, 0), "left_elbow"),
    _Bone("left_wrist", "LeftHand", "left_elbow", (1, 0, 0), "left_wrist"),
    _Bone("left_fingers", "LeftHandEnd", "left_wrist", (1, 0, 0), 0.74),
    _Bone("left_hip", "LeftUpLeg", "pelvis", (1, 0, 0), "left_hip"),
    _Bone("left_knee", "LeftLeg", "left_hip", (0, -1, 0), "left_knee"),
    _Bone("left_ankle", "LeftFoot", "left_knee", (0, -1, 0), "left_ankle"),
    _Bone("left_toe", "LeftFootEnd", "left_ankle", (0, -0.3, 0.954), 0.52),
)


def _mirrored(bones: tuple[_Bone, ...]) -> Iterator[_Bone]:
    def swap(text: str) -> str:
        return text.replace("left", "right").replace("Left", "Right")

    for joint, label, parent, (x, y, z), length in bones:
        length = swap(length) if isinstance(length, str) else length
        yield _Bone(swap(joint), swap(label), swap(parent), (-x, y, z), length)


_BONES = (*_TRUNK, *_LEFT, *_mirrored(_LEFT))
_NAMES = tuple(bone.joint for bone in _BONES)
RIG = Skeleton(
    name="rig",
    joints=_NAMES,
    labels=tuple(bone.label for bone in _BONES),
    parents=tuple(_NAMES.index(bone.parent) if bone.parent else -1 for bone in _BONES),
)
"""The rig of every Motion made here: Human3.6M's 17 joints under their own names, and those that a
rig has besides: a lower back that turns apart from the hips, clavicles, fingertips and toes. A
joint without children is the end of a bone and has no rotation. The labels are those of Mixamo and
the BVH world."""

# The joint that a joint's only bone leads to, where that was seen: not so for hands and feet.
_AIMS = {
    RIG.joints[parent]: child
    for parent, child in RIG.bones
    if RIG.parents.count(parent) == 1 and RIG.joints[child] in H36M17.joints
}

H36M_IN_RIG = RIG.indices(*H36M17.joints)
"""Where the rig has Human3.6M's joints: forward(motion)[:, H36M_IN_RIG] is (T, 17, 3)."""


class _Hinge(NamedTuple):
    """A limb whose middle joint bends about one axis, which shows how its upper part is turned.

    axis: the unit vector about which the T-pose bends forwards (the right-hand rule).
    """

    middle: str
    end: str
    axis: tuple[float, float, float]


_HINGES = {
    "left_hip": _Hinge("left_knee", "left_ankle", (1, 0, 0)),
    "right_hip": _Hinge("right_knee", "right_ankle", (1, 0, 0)),
    "left_shoulder": _Hinge("left_elbow", "left_wrist", (0, -1, 0)),
    "right_shoulder": _Hinge("right_elbow", "right_wrist", (0, 1, 0)),
}

# A limb's bend counts by the square of the sine of its half; the trunk's suggestion counts as much
# as a bend of 18 degrees. Less would follow the noise of straight limbs, more miss slight bends.
_TRUNK_WEIGHT = 0.025
_TWIST_SECONDS = 0.1  # standard deviation of the twist's smoothing; joints' positions ignore twist
_BENT = 0.17, 0.42  # the same sine where smoothing starts to give way and where it ends: 20°, 50°
_FLAT_SECONDS = 0.07  # the same for a foot's way down to flat


def solve(joints: np.ndarray, fps: float, foot_contact: np.ndarray | None = None) -> Motion:
    """The motion of a rig that follows the joints.

    joints: (T, 17, 3) metres in WORLD, H36M17 order, T at least 1. The rig's bones have the median
    lengths of those given; where those vary, it stays as near as it can.
    foot_contact: (T, 2) right, left foot on the ground, which holds that foot level.
    """
    if joints.ndim != 3 or joints.shape[1:] != (len(H36M17), 3) or not len(joints):
        raise ValueError(f"joints: expected shape (T, 17, 3) with frames, got {joints.shape}")
    seen = {name: joints[:, j].astype(np.float64) for j, name in enumerate(H36M17.joints)}
    # A pelvis is one bone, though its three joints may be seen as the corners of a triangle. The
    # hips decide, so that the legs are right and the feet stand still.
    seen["pelvis"] = (seen["left_hip"] + seen["right_hip"]) / 2
    offsets = _offsets(seen)

    # From the root outwards. Each bone aims from where the rig has its joint to where its end was
    # seen, so that errors don't add up along a limb.
    across, up = seen["left_hip"] - seen["right_hip"], seen["spine"] - seen["pelvis"]
    place = {"pelvis": seen["pelvis"]}
    turn = {"pelvis": _axes(x=across, y=up, exact="x")}
    for (joint, _, parent, _, _), offset in zip(_BONES[1:], offsets[1:], strict=True):
        place[joint] = place[parent] + turn[parent].apply(offset)
        if joint == "spine":
            across = seen["left_shoulder"] - seen["right_shoulder"]
            turn[joint] = _axes(x=across, y=seen["thorax"] - place[joint], exact="y")
        elif joint in _AIMS:
            child = _AIMS[joint]
            aim = seen[RIG.joints[child]] - place[joint]
            turn[joint] = _arc(turn[parent].apply(offsets[child]), aim) * turn[parent]
            if joint in _HINGES:
                hinge = _HINGES[joint]
                fore = seen[hinge.end] - seen[hinge.middle]
                turn[joint] = _twist(turn[joint], aim, fore, hinge, fps) * turn[joint]
        else:
            turn[joint] = turn[parent]
    if foot_contact is not None:
        for ankle, down in zip(("right_ankle", "left_ankle"), foot_contact.T, strict=True):
            turn[ankle] = _level(turn[ankle], down, fps)

    local = [
        turn[parent].inv() * turn[joint] if parent else turn[joint]
        for joint, _, parent, _, _ in _BONES
    ]
    quaternions = np.stack([r.as_quat()[:, [3, 0, 1, 2]] for r in local], axis=1)  # (T, J, 4) wxyz
    return Motion(
        skeleton=RIG,
        offsets=offsets.astype(np.float32),
        rotations=_same_sign(quaternions).astype(np.float32),
        root=seen["pelvis"].astype(np.float32),
        fps=fps,
    )


def forward(motion: Motion) -> np.ndarray:
    """Where a motion puts its skeleton's joints: (T, J, 3) float32 metres, WORLD."""
    places: list[np.ndarray] = []
    turns: list[Rotation] = []
    for j, parent in enumerate(motion.skeleton.parents):
        local = Rotation.from_quat(motion.rotations[:, j, [1, 2, 3, 0]])
        if parent < 0:
            places.append(motion.root.astype(np.float64))
            turns.append(local)
        else:
            places.append(places[parent] + turns[parent].apply(motion.offsets[j]))
            turns.append(turns[parent] * local)
    return np.stack(places, axis=1).astype(np.float32)


def resample(motion: Motion, times: np.ndarray, at: np.ndarray, fps: float) -> Motion:
    """The motion at other times: rotations by the great circle, the root by the straight line.

    times: (T,) increasing seconds of the motion's frames; at: (N,) seconds, held beyond the ends.
    """
    place = np.interp(at, times, np.arange(len(times)))  # fractional frame, (N,)
    before = place.astype(np.int64)
    after = np.minimum(before + 1, len(times) - 1)
    share = (place - before)[:, None, None]

    p = motion.rotations[before].astype(np.float64)  # (N, J, 4)
    q = motion.rotations[after].astype(np.float64)
    cos = np.sum(p * q, axis=-1, keepdims=True)
    q, cos = np.where(cos < 0, -q, q), np.minimum(np.abs(cos), 1)
    angle = np.arccos(cos)
    # sin(a x) / sin(a), which tends to x as the angle does to 0
    weigh = [np.sinc(x * angle / np.pi) * x / np.sinc(angle / np.pi) for x in (1 - share, share)]
    rotations = _same_sign(weigh[0] * p + weigh[1] * q)

    root = motion.root[before] * (1 - share[..., 0]) + motion.root[after] * share[..., 0]
    return Motion(
        skeleton=motion.skeleton,
        offsets=motion.offsets,
        rotations=rotations.astype(np.float32),
        root=root.astype(np.float32),
        fps=fps,
    )


def euler_zxy(rotations: np.ndarray) -> np.ndarray:
    """Angles z, x, y with R = Rz Rx Ry, as BVH writes them: (T, J, 4) wxyz to (T, J, 3) degrees.

    Each rotation has two triples of angles (and full turns of them): the one nearest to the frame
    before is taken, so angles run on past 180 degrees instead of jumping. At gimbal lock (x = ±90
    degrees, where only z ± y is defined) y waits where it was.
    """
    t, j, _ = rotations.shape
    R = Rotation.from_quat(rotations.reshape(-1, 4)[:, [1, 2, 3, 0]]).as_matrix()
    R = R.reshape(t, j, 3, 3)
    cos_x = np.hypot(R[..., 2, 0], R[..., 2, 2])
    x = np.arctan2(R[..., 2, 1], cos_x)
    y = np.arctan2(-R[..., 2, 0], R[..., 2, 2])
    z = np.arctan2(-R[..., 0, 1], R[..., 1, 1])

    locked = cos_x < 1e-4  # float32 rotations leave an angle's error of 1e-7 / cos_x
    last_free = np.maximum.accumulate(np.where(locked, -1, np.arange(t)[:, None]), axis=0)
    y_held = np.take_along_axis(y, np.maximum(last_free, 0), axis=0) * (last_free >= 0)
    y = np.where(locked, y_held, y)
    z = np.where(locked, np.arctan2(R[..., 1, 0], R[..., 0, 0]) - np.sign(x) * y, z)

    first = np.stack([z, x, y], axis=-1)  # (T, J, 3)
    second = np.stack([z + np.pi, np.pi - x, y + np.pi], axis=-1)
    stay, change = (_turn(first[1:] - other[:-1]) for other in (first, second))
    # Changing over is as far from the second triple to the first as back: each step's choice
    # depends on the two frames alone, and the choices along the clip are a running parity.
    parity = np.cumsum(change < stay, axis=0) % 2
    use_second = np.concatenate([np.zeros((1, j), dtype=parity.dtype), parity])[..., None]
    return np.degrees(np.unwrap(np.where(use_second, second, first), axis=0))


def _turn(radians: np.ndarray) -> np.ndarray:
    """How far angles turn in sum over the last axis, full turns left out."""
    return np.abs((radians + np.pi) % (2 * np.pi) - np.pi).sum(axis=-1)


def _offsets(seen: dict[str, np.ndarray]) -> np.ndarray:
    """(J, 3) metres, the rig's T-pose with the bone lengths of the joints seen, each (T, 3)."""
    offsets = np.zeros((len(RIG), 3))
    lengths: dict[str, float] = {}
    for j, (joint, _, parent, direction, length) in enumerate(_BONES):
        if isinstance(length, str):
            start = H36M17.joints[H36M17.parents[H36M17.index(length)]]
            span = np.linalg.norm(seen[length] - seen[start], axis=-1)
            lengths[joint] = float(np.median(span))
        else:
            lengths[joint] = length * lengths.get(parent, 0)
        offsets[j] = lengths[joint] * _unit(np.array(direction, dtype=np.float64))
    return offsets


def _unit(v: np.ndarray) -> np.ndarray:
    """(..., 3) at length 1; a zero stays zero."""
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)


def _axes(*, x: np.ndarray, y: np.ndarray, exact: str) -> Rotation:
    """The rotations of bodies whose left is x and whose up is y, each (T, 3).

    The axis named in `exact` is kept, the other is made square to it.
    """
    # A hair of WORLD's axes decides where joints coincide.
    x, y = _unit(x + np.array([1e-9, 0, 0])), _unit(y + np.array([0, 1e-9, 1e-10]))
    z = _unit(np.cross(x, y))
    x, y = (x, np.cross(z, x)) if exact == "x" else (np.cross(y, z), y)
    return Rotation.from_matrix(np.stack([x, y, z], axis=-1))


def _arc(start: np.ndarray, end: np.ndarray) -> Rotation:
    """The shortest rotations that turn one direction to another, each (T, 3)."""
    start, end = _unit(start), _unit(end)
    real = 1 + np.sum(start * end, axis=-1, keepdims=True)
    # Opposite directions leave the axis open: any that is square to them.
    spare = np.cross(start, np.where(np.abs(start[:, :1]) < 0.7, [1.0, 0, 0], [0, 1.0, 0]))
    axis = np.where(real < 1e-7, spare, np.cross(start, end))
    return Rotation.from_quat(np.concatenate([axis, real], axis=-1))


def _twist(
    swung: Rotation, upper: np.ndarray, fore: np.ndarray, hinge: _Hinge, fps: float
) -> Rotation:
    """The rotations about a limb's upper part that lay its hinge square to the plane it bends in.

    swung: the upper part with the twist that its parent suggests; upper, fore: (T, 3) metres, the
    two parts of the limb. As the limb straightens, the parent's suggestion takes over.
    """
    upper, fore = _unit(upper), _unit(fore)
    half = np.sqrt(np.clip(1 - np.sum(upper * fore, axis=-1, keepdims=True), 0, 2) / 2)
    bend = _unit(np.cross(upper, fore)) * half  # length: the sine of half the bend
    trust = np.clip((half[:, 0] - _BENT[0]) / (_BENT[1] - _BENT[0]), 0, 1)
    suggested = swung.apply(hinge.axis)
    along = np.sum(bend * suggested, axis=-1)
    aside = np.sum(bend * np.cross(upper, suggested), axis=-1)
    # A slight bend the wrong way is a straight limb; a strong one is an arm behind the head.
    along = np.where(along < 0, along * trust, along)
    shown = along + 1j * aside  # the hinge as seen, in the plane square to the upper part
    # Smoothed first as a vector, so that well bent frames speak for straight ones near them, then
    # as an angle, so that half a turn takes its time.
    sigma = _TWIST_SECONDS * fps
    guess = gaussian_filter1d(shown * np.abs(shown), sigma, mode="nearest") + _TRUNK_WEIGHT
    angle = gaussian_filter1d(np.unwrap(np.angle(guess)), sigma, mode="nearest")
    # A limb that is well bent has its hinge exactly: a knee then turns about x alone, and bends on
    # past a right angle, BVH's gimbal lock, without a jump in its angles.
    exact = shown / np.maximum(np.abs(shown), 1e-12)
    angle = np.angle((1 - trust) * np.exp(1j * angle) + trust * exact)
    return Rotation.from_rotvec(angle[:, None] * upper)


def _level(foot: Rotation, down: np.ndarray, fps: float) -> Rotation:
    """The foot, which goes with its shin, held level while it is down: (T,) bool."""
    flat = _arc(foot.apply(_UP), np.broadcast_to(_UP, (len(down), 3))).as_rotvec()
    share = gaussian_filter1d(down.astype(np.float64), _FLAT_SECONDS * fps, mode="nearest")
    return Rotation.from_rotvec(share[:, None] * flat) * foot


def _same_sign(quaternions: np.ndarray) -> np.ndarray:
    """(T, J, 4) with each quaternion on the side of the one before (q and -q are one rotation)."""
    against = np.sum(quaternions[1:] * quaternions[:-1], axis=-1) < 0
    odd = np.cumsum(against, axis=0) % 2 == 1
    out = quaternions.copy()
    out[1:][odd] *= -1
    return out
