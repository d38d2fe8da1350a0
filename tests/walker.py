"""A person who walks, jumps or lies, generated with exact truth, and a camera that films them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from video2pose3d.geometry import camera_from_fov, project
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Camera, Keypoints2D, Poses3D

ANKLE = 0.085  # metres above the floor
_THIGH = _SHIN = 0.44
_STEP = 0.5  # metres from one footfall to the next
_PACE = 0.5  # seconds from one footfall to the next
_STANCE = 0.62  # share of a foot's cycle that it stands
_UPPER = {
    "pelvis": (0.0, 0.0), "spine": (0.0, 0.24), "thorax": (0.0, 0.49), "neck": (0.0, 0.62),
    "head": (0.0, 0.74), "left_shoulder": (0.17, 0.46), "right_shoulder": (-0.17, 0.46),
    "left_elbow": (0.21, 0.18), "right_elbow": (-0.21, 0.18),
    "left_wrist": (0.23, -0.07), "right_wrist": (-0.23, -0.07),
}  # fmt: skip


def walk(
    times: np.ndarray,
    *,
    size: float = 1.0,
    yaw: float = 0.0,
    at: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """(T, 17, 3) metres, WORLD: a walk at 1 m/s, towards +z turned by `yaw` (radians about y).

    It passes x, z = `at` at half time. Ankles stand at ANKLE * size and do not move while they do.
    """
    joints = np.zeros((len(times), len(H36M17), 3))
    speed = _STEP / _PACE
    z = speed * (times - (times[0] + times[-1]) / 2)
    for joint, (x, y) in _UPPER.items():
        joints[:, H36M17.index(joint)] = np.stack([0 * z + x, 0 * z + 0.9 + y, z], axis=1)
    for side, sign, phase in (("left", 1, 0.0), ("right", -1, 0.5)):
        hip = np.stack([0 * z + 0.1 * sign, 0 * z + 0.9, z], axis=1)
        ankle = _ankle(z, 0.1 * sign, phase)
        joints[:, H36M17.index(f"{side}_hip")] = hip
        joints[:, H36M17.index(f"{side}_knee")] = _knee(hip, ankle)
        joints[:, H36M17.index(f"{side}_ankle")] = ankle
    return turn(joints * size, yaw) + np.array([at[0], 0, at[1]])


def stands(joints: np.ndarray) -> np.ndarray:
    """(T, 2) bool: right, left ankle low and still, from truth."""
    ankles = joints[:, H36M17.indices("right_ankle", "left_ankle")]
    return ankles[..., 1] < ankles[..., 1].min() + 1e-6


def turn(joints: np.ndarray, yaw: float) -> np.ndarray:
    c, s = np.cos(yaw), np.sin(yaw)
    return joints @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T


def _ankle(z: np.ndarray, x: float, phase: float) -> np.ndarray:
    cycle, done = np.divmod(z / (2 * _STEP) + phase, 1.0)
    swing = np.clip((done - _STANCE) / (1 - _STANCE), 0, 1)
    forward = swing - np.sin(2 * np.pi * swing) / (2 * np.pi)
    place = (cycle - phase + _STANCE / 2 + forward) * 2 * _STEP
    return np.stack([0 * z + x, ANKLE + 0.12 * np.sin(np.pi * swing) ** 2, place], axis=1)


def _knee(hip: np.ndarray, ankle: np.ndarray) -> np.ndarray:
    reach = ankle - hip
    distance = np.linalg.norm(reach, axis=-1, keepdims=True)
    along = reach / distance
    forward = np.array([0.0, 0.0, 1.0]) - along * along[:, 2:]
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
    return hip + along * distance / 2 + forward * np.sqrt(_THIGH**2 - (distance / 2) ** 2)


@dataclass(frozen=True)
class Film:
    """What a camera saw of one person, and the truth: joints (T, 17, 3) metres, CAMERA."""

    keypoints: Keypoints2D
    poses: Poses3D
    times: np.ndarray
    camera: Camera
    joints: np.ndarray
    up: np.ndarray
    height: float

    @property
    def seen(self) -> tuple[Keypoints2D, Poses3D]:
        return self.keypoints, self.poses


def film(
    world: np.ndarray,
    times: np.ndarray,
    *,
    pitch: float = 8.0,
    roll: float = 0.0,
    distance: float = 5.0,
    aside: float = 0.0,
    height: float = 1.5,
    fov: float = 55.0,
    error: float = 0.0,
    pixels: float = 0.0,
    lifter_size: float = 1.0,
    seed: int = 0,
) -> Film:
    """A still camera at (aside, height, distance) that looks along -z and down by `pitch` degrees.

    error: metres that lifted joints are off, half of it for long; pixels: the same for keypoints;
    lifter_size: what a lifter, which knows no sizes, makes of a size of 1.
    """
    p, r = np.radians([pitch, roll])
    level = np.diag([1.0, -1.0, -1.0])
    nod = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    lean = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    rotation = lean @ nod @ level
    joints = (world - [aside, height, distance]) @ rotation.T
    camera = camera_from_fov((1280, 720), fov, "made up")
    rng = np.random.default_rng(seed)
    lifted = (joints - joints[:, :1]) * lifter_size + _errors(rng, joints.shape, error)
    lifted -= lifted[:, :1].copy()
    xy = project(joints, camera) + _errors(rng, (*joints.shape[:2], 2), pixels)
    frames = np.arange(len(times), dtype=np.int64)
    scores = np.full(joints.shape[:2], 0.9, np.float32)
    return Film(
        Keypoints2D(frames, xy.astype(np.float32), scores, H36M17, camera.size, 30.0),
        Poses3D(frames, lifted.astype(np.float32), scores, H36M17, "CAMERA_ROOT", 30.0),
        times,
        camera,
        joints,
        rotation[:, 1],
        height,
    )


def _errors(rng: np.random.Generator, shape: tuple[int, ...], size: float) -> np.ndarray:
    """Noise of standard deviation `size`, half of its variance new in every frame."""
    slow = rng.normal(size=shape)
    for t in range(1, len(slow)):
        slow[t] = 0.9 * slow[t - 1] + np.sqrt(1 - 0.81) * slow[t]
    return size * np.sqrt(0.5) * (slow + rng.normal(size=shape))
