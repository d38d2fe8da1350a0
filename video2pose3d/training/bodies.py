"""Other motions and other people, made from motion capture.

Axes: B windows, T frames, J joints; joints in metres, Z up.
"""

from __future__ import annotations

import numpy as np

from video2pose3d.geometry import rotate, rotation_about, unit
from video2pose3d.skeletons import H36M17
from video2pose3d.training.recipe import Recipe

J = H36M17.index
MIRROR = list(H36M17.mirror)
LEGS = H36M17.indices(
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"
)
UPPER = [j for j in range(len(H36M17)) if j not in (J("pelvis"), *LEGS)]
UP = np.array([0.0, 0.0, 1.0])


def splice_upper_body(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """The legs of one motion under the trunk and arms of another, turned to the same heading."""
    heading = []
    for joints in (lower, upper):
        across = joints[:, :, J("left_hip")] - joints[:, :, J("right_hip")]
        heading.append(np.arctan2(across[..., 1], across[..., 0]))
    R = rotation_about(np.broadcast_to(UP, (*heading[0].shape, 3)), heading[0] - heading[1])
    spliced = lower.copy()
    spliced[:, :, UPPER] = rotate(R, upper[:, :, UPPER] - upper[:, :, :1]) + lower[:, :, :1]
    return spliced


def reshape(joints: np.ndarray, rng: np.random.Generator, recipe: Recipe) -> np.ndarray:
    """Other people: bones scaled along the tree, left as right; the floor stays where it was."""
    B, n = len(joints), len(H36M17)
    factor = rng.uniform(*recipe.bones, (B, n))
    factor[:, H36M17.indices("left_hip", "right_hip")] = rng.uniform(*recipe.hips, (B, 1))
    both = np.minimum(np.arange(n), MIRROR)
    factor = factor[:, both] * rng.uniform(*recipe.size, (B, 1))
    shaped = joints.copy()
    for parent, child in H36M17.bones:  # parents come before their children
        bone = joints[:, :, child] - joints[:, :, parent]
        shaped[:, :, child] = shaped[:, :, parent] + factor[:, None, child, None] * bone
    lift = joints[..., 2].min(axis=2) - shaped[..., 2].min(axis=2)
    shaped[..., 2] += lift[..., None]
    return shaped


def bend(joints: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """Poses that the motion capture lacks: deep and wide squats, sitting, stooping, raised arms.

    In a share of the windows thighs and shins, the trunk and the arms are turned further, for the
    whole window or to and fro. Hips and knees stay within their range; the lowest joint stays at
    its height.
    """
    B, T = joints.shape[:2]
    bent = joints.copy()
    left = unit(joints[:, :, J("left_hip")] - joints[:, :, J("right_hip")])
    front = unit(np.cross(left, joints[:, :, J("thorax")] - joints[:, :, J("pelvis")]))
    up = np.cross(front, left)
    some = rng.random((B, 1)) < share
    period, phase = rng.uniform(0.5, 3, (B, 1)), rng.uniform(0, 2 * np.pi, (B, 1))
    sway = 0.5 - 0.5 * np.cos(2 * np.pi * np.linspace(0, 1, T) / period + phase)
    amount = np.where(rng.random((B, 1)) < 0.4, 1.0, sway)  # (B, T) 0..1

    def degrees(low: float, high: float, part: float) -> np.ndarray:
        """A turn (B, T) in radians for `part` of these windows."""
        chosen = some & (rng.random((B, 1)) < part)
        return np.where(chosen, np.radians(rng.uniform(low, high, (B, 1))), 0.0) * amount

    def angle_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.arccos(np.clip((unit(a) * unit(b)).sum(axis=-1), -1, 1))

    both = rng.random((B, 1)) < 0.65  # legs alike
    turns = [
        (degrees(0, 110, 0.6), degrees(-10, 100, 0.6), degrees(-20, 50, 0.3), degrees(0, 150, 0.6))
        for _ in range(2)
    ]
    chosen = rng.random((B, 1)) < 0.7  # hips and knees bend together, as in squats and on chairs
    further = rng.uniform(1.0, 1.6, (B, 1))
    for side, sign, own in (("left", 1.0, turns[0]), ("right", -1.0, turns[1])):
        hip, knee, ankle = H36M17.indices(f"{side}_hip", f"{side}_knee", f"{side}_ankle")
        flexion, spread, twist, fold = (
            np.where(both, first, mine) for first, mine in zip(turns[0], own, strict=True)
        )
        fold = np.where(chosen & (flexion > 0), flexion * further, fold)
        thigh, shin = (
            joints[:, :, knee] - joints[:, :, hip],
            joints[:, :, ankle] - joints[:, :, knee],
        )
        flexion = np.clip(flexion, 0, np.maximum(np.radians(130) - angle_between(thigh, -up), 0))
        fold = np.clip(fold, 0, np.maximum(np.radians(160) - angle_between(thigh, shin), 0))
        # Twist and spread are those of a hanging leg, which is then raised to the front: so a thigh
        # that was raised spreads sideways, and its shin still hangs.
        raised = np.arctan2((thigh * front).sum(axis=-1), -(thigh * up).sum(axis=-1))
        R = (
            rotation_about(left, -(raised + flexion))
            @ rotation_about(front, sign * spread)
            @ rotation_about(up, sign * twist)
            @ rotation_about(left, raised)
        )  # (B, T, 3, 3)
        shin = (R @ rotation_about(left, fold) @ shin[..., None])[..., 0]
        bent[:, :, knee] = bent[:, :, hip] + (R @ thigh[..., None])[..., 0]
        bent[:, :, ankle] = bent[:, :, knee] + shin

    R = (
        rotation_about(left, degrees(-15, 70, 0.4))
        @ rotation_about(front, degrees(-25, 25, 0.4))
        @ rotation_about(up, degrees(-40, 40, 0.4))
    )
    bent[:, :, UPPER] = rotate(R, bent[:, :, UPPER] - bent[:, :, :1]) + bent[:, :, :1]
    for side in ("left", "right"):
        shoulder, *arm = H36M17.indices(*(f"{side}_{j}" for j in ("shoulder", "elbow", "wrist")))
        axis = np.broadcast_to(unit(rng.standard_normal((B, 1, 3))), (B, T, 3))
        R = rotation_about(axis, degrees(0, 90, 0.5))
        centre = bent[:, :, shoulder, None]
        bent[:, :, arm] = rotate(R, bent[:, :, arm] - centre) + centre
    bent[..., 2] += (joints[..., 2].min(axis=2) - bent[..., 2].min(axis=2))[..., None]
    return bent


def turn_over(joints: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """Some windows turned about a horizontal axis through the pelvis: lying, rolling, hanging."""
    B, T = joints.shape[:2]
    chosen = rng.random(B) < share
    towards = rng.uniform(0, 2 * np.pi, B)
    axis = np.stack([np.cos(towards), np.sin(towards), np.zeros(B)], axis=-1)
    lying = rng.choice([-1, 1], B) * rng.uniform(0.9, 1.8, B)
    start = np.where(rng.random(B) < 0.7, lying, rng.uniform(-np.pi, np.pi, B))
    rolling = np.where(rng.random(B) < 0.3, rng.uniform(-2.5, 2.5, B), 0.0)
    angle = start[:, None] + rolling[:, None] * np.linspace(0, 1, T)
    angle = np.where(chosen[:, None], angle, 0.0)
    R = rotation_about(np.broadcast_to(axis[:, None], (B, T, 3)), angle)
    pelvis = joints[:, :, :1]
    return rotate(R, joints - pelvis) + pelvis
