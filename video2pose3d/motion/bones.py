"""Bone lengths: one per bone and person, the same on both sides, in every frame."""

from __future__ import annotations

import numpy as np

from video2pose3d.skeletons import Skeleton

_RELAXATIONS = 8


def lengths(joints: np.ndarray, scores: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(J,) metres from each joint's parent, 0 for the root: medians over time and both sides.

    joints: (T, J, 3) metres in any frame of reference; scores: (T, J) 0..1, which frames to trust:
    those where both ends are seen at least half as well as they usually are.
    """
    out = np.zeros(len(skeleton))
    for parent, child in skeleton.bones:
        length = np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)
        seen = np.minimum(scores[:, child], scores[:, parent])
        out[child] = np.median(length[seen >= np.median(seen) / 2])
    return (out + out[list(skeleton.mirror)]) / 2


def set_lengths(joints: np.ndarray, bone_lengths: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(T, J, 3) joints close to those given whose bones have the lengths given.

    Each bone first pushes or pulls both its ends by half of what it lacks, a few times over, so
    that the correction is shared out and does not pile up at hands and feet; a last walk down the
    tree makes every length exact, and the pelvis one straight bone from hip to hip. The root stays.
    """
    out = joints.astype(np.float64)
    root = out[:, [skeleton.root]].copy()
    for _ in range(_RELAXATIONS):
        for parent, child in skeleton.bones:
            bone = out[:, child] - out[:, parent]
            lack = (bone_lengths[child] - _norm(bone)) * _direction(bone)
            out[:, child] += lack / 2
            out[:, parent] -= lack / 2
    relaxed = out.copy()
    right, left = skeleton.indices("right_hip", "left_hip")
    across = (relaxed[:, left] - relaxed[:, right]) / 2
    pelvis = relaxed[:, skeleton.parents[left]]
    relaxed[:, right], relaxed[:, left] = pelvis - across, pelvis + across
    for parent, child in skeleton.bones:
        direction = _direction(relaxed[:, child] - relaxed[:, parent])
        out[:, child] = out[:, parent] + bone_lengths[child] * direction
    return (out + (root - out[:, [skeleton.root]])).astype(joints.dtype)


def variation(joints: np.ndarray, skeleton: Skeleton) -> float:
    """Percent by which bones change: standard deviation over mean length, averaged over bones."""
    parents, children = (list(side) for side in zip(*skeleton.bones, strict=True))
    length = np.linalg.norm(joints[:, children] - joints[:, parents], axis=-1)
    mean = np.maximum(length.mean(axis=0), 1e-9)
    return float(100 * (length.std(axis=0) / mean).mean()) if len(length) else 0.0


def _norm(bone: np.ndarray) -> np.ndarray:
    return np.linalg.norm(bone, axis=-1, keepdims=True)


def _direction(bone: np.ndarray) -> np.ndarray:
    """(T, 3) unit vectors; a bone of no length points down the image rather than nowhere."""
    norm = _norm(bone)
    return np.where(norm > 1e-9, bone / np.maximum(norm, 1e-9), [0.0, 1.0, 0.0])
