"""Training windows: motion capture seen by random cameras through an imagined 2D detector.

Motion (Human3.6M's joints, metres, Z up) is sampled, mirrored, reshaped, turned and projected; the
2D side is what a COCO-17 detector gives after conversion to Human3.6M-17, not the projected
joints: its hips, shoulders and head points lie elsewhere, and its errors are correlated in time,
larger on far and fast limbs, and known to its scores only roughly.

Axes: B windows, T frames, J joints. All lengths in metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from video2pose3d.datasets.mocap import Mocap
from video2pose3d.lifters._windows import normalise
from video2pose3d.skeletons import H36M17

J = H36M17.index
MIRROR = list(H36M17.mirror)
LEGS = H36M17.indices(
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"
)
ARMS = H36M17.indices(
    "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist"
)
KNEES = H36M17.indices("left_knee", "right_knee")
UPPER = [j for j in range(len(H36M17)) if j not in (J("pelvis"), *LEGS)]
LIMBS = [
    H36M17.indices(*(f"{side}_{joint}" for joint in limb))
    for side in ("left", "right")
    for limb in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist"))
]
UP = np.array([0.0, 0.0, 1.0])

# How uncertain detectors are of each joint, relative to the knee.
SPREAD = np.ones(len(H36M17))
for _joint, _spread in {
    "hip": 1.3, "ankle": 1.2, "shoulder": 0.9, "elbow": 1.1, "wrist": 1.4
}.items():  # fmt: skip
    SPREAD[H36M17.indices(f"left_{_joint}", f"right_{_joint}")] = _spread
SPREAD[H36M17.indices("neck", "head")] = 0.6

# Share of each source of the motion capture; CMU moves more, UI-PRMD is longer. Retargeted
# characters ("rebuilt") are left out: their hip-relative error is 2 to 4 cm.
SOURCE_SHARE = {
    "CMU-AMC": 0.30, "CMU-AMC-template": 0.05, "CMU-BVH": 0.17, "CMU-FBX": 0.17,
    "CMU-expmap": 0.16, "UI-PRMD": 0.25,
}  # fmt: skip


@dataclass(frozen=True)
class Batch:
    """inputs: (B, T, J, 3) x, y, score as `normalise` gives them; targets: (B, T, J, 3) metres

    relative to the pelvis in the same axes; weights: (B, T), 0 where the clip had ended.
    """

    inputs: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Recipe:
    """How the windows are varied; every range is drawn anew for each window."""

    fps: tuple[float, float] = (24, 60)
    speed: tuple[float, float] = (0.75, 1.35)
    splice: float = 0.25  # share of windows with the upper body of another clip
    bend: float = 0.35  # share of windows with legs, trunk or arms bent further: squats, sitting
    tilt: float = 0.08  # share of windows turned over: lying, hanging, rolling
    distance: tuple[float, float] = (1.8, 12.0)
    from_above: float = 0.12  # share of cameras that look down steeply
    focal_error: tuple[float, float] = (0.75, 1.33)  # true over assumed focal length
    noise: tuple[float, float] = (0.003, 0.035)  # level of the detector's errors, metres
    clean: float = 0.06  # share of windows without noise
    faults: float = 1.0  # how often joints, limbs and frames are lost, swapped or cut off


class Sampler:
    """An endless source of training batches: batch number n of a seed is always the same."""

    def __init__(self, mocap: Mocap, recipe: Recipe, seed: int):
        self.mocap, self.recipe, self.seed = mocap, recipe, seed
        share = np.array([SOURCE_SHARE.get(str(s), 0.0) for s in mocap.source])
        weight = np.where(share > 0, np.sqrt(mocap.length), 0.0)
        for source in np.unique(mocap.source[share > 0]):
            here = mocap.source == source
            weight[here] *= SOURCE_SHARE[str(source)] / weight[here].sum()
        if not weight.any():  # another collection: every clip by its length
            weight = mocap.length.astype(float)
        self.clip_weight = weight / weight.sum()

    def batch(self, n: int, B: int, T: int) -> Batch:
        rng = np.random.default_rng([self.seed, n])
        joints, weights = self._motion(rng, B, T)
        joints = _reshape(joints, rng)
        joints = _bend(joints, rng, self.recipe.bend)
        joints = _turn_over(joints, rng, self.recipe.tilt)
        points = detector_points(joints, rng)
        camera = _Cameras.draw(joints, rng, self.recipe)
        joints, points = camera.see(joints), camera.see(points)  # CAMERA
        rays, scores = detect(joints, points, rng, self.recipe)
        rays = rays * camera.focal_error[:, None, None, None]
        scores = np.where(weights[..., None] > 0, scores, 0.0)
        inputs, R = normalise(rays, scores)
        targets = (joints - joints[:, :, :1]) @ R[:, None].transpose(0, 1, 3, 2)
        return Batch(inputs, targets.astype(np.float32), weights.astype(np.float32))

    def _motion(self, rng: np.random.Generator, B: int, T: int) -> tuple[np.ndarray, np.ndarray]:
        """(B, T, J, 3) joints, Z up, mirrored and spliced at random, and (B, T) weights."""
        fps, speed = rng.uniform(*self.recipe.fps, B), rng.uniform(*self.recipe.speed, B)
        step = self.mocap.fps / fps * speed
        joints, weights = self._windows(rng, step, T)
        other, other_weights = self._windows(rng, step, T)
        splice = (rng.random(B) < self.recipe.splice) & (other_weights >= weights).all(axis=1)
        spliced = splice_upper_body(joints, other)
        joints = np.where(splice[:, None, None, None], spliced, joints)
        mirrored = joints[:, :, MIRROR] * np.array([-1.0, 1.0, 1.0])
        return np.where(rng.random(B)[:, None, None, None] < 0.5, mirrored, joints), weights

    def _windows(
        self, rng: np.random.Generator, step: np.ndarray, T: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Random windows at `step` (B,) source frames a frame; short clips leave weight 0."""
        mocap, B = self.mocap, len(step)
        clip = rng.choice(len(mocap.length), size=B, p=self.clip_weight)
        last = mocap.length[clip] - 1.0
        span = step * (T - 1)
        # Some windows hang over the clip's ends, as padded windows do; short clips have to.
        over = np.where(rng.random(B) < 0.1, rng.uniform(0, 0.8, B) * span, 0.0)
        over = np.minimum(over, 0.8 * span)
        first = rng.uniform(-over, np.maximum(last - span + over, -over))
        time = first[:, None] + step[:, None] * np.arange(T)  # (B, T)
        inside = (time >= 0) & (time <= last[:, None])
        time = np.clip(time, 0, last[:, None])
        low = np.minimum(time.astype(int), np.maximum(last[:, None].astype(int) - 1, 0))
        high = np.minimum(low + 1, last[:, None].astype(int))
        low_part = mocap.positions[mocap.start[clip][:, None] + low]
        high_part = mocap.positions[mocap.start[clip][:, None] + high]
        part = (time - low)[..., None, None]
        return low_part + part * (high_part - low_part), inside.astype(float)


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], rho: np.ndarray) -> np.ndarray:
    """Unit AR(1) noise along axis 1 with correlation rho (B, 1, ...): (B, T, ...)."""
    noise = rng.standard_normal(shape)
    keep, new = rho[:, 0], np.sqrt(1 - rho[:, 0] ** 2)
    for t in range(1, shape[1]):
        noise[:, t] = keep * noise[:, t - 1] + new * noise[:, t]
    return noise


def _log_uniform(
    rng: np.random.Generator, span: tuple[float, float], shape: tuple[int, ...]
) -> np.ndarray:
    return np.exp(rng.uniform(np.log(span[0]), np.log(span[1]), shape))


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-8)


def _about(axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) about unit axes (..., 3) by angles (...)."""
    x, y, z = np.moveaxis(axis, -1, 0)
    zero = np.zeros_like(x)
    K = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    s, c = np.sin(angle)[..., None, None], np.cos(angle)[..., None, None]
    return np.eye(3) + s * K + (1 - c) * (K @ K)


def _rotate(R: np.ndarray, points: np.ndarray) -> np.ndarray:
    """R (..., 3, 3) times points (..., J, 3)."""
    return points @ np.swapaxes(R, -1, -2)


def splice_upper_body(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """The legs of one motion under the trunk and arms of another, turned to the same heading."""
    heading = []
    for joints in (lower, upper):
        across = joints[:, :, J("left_hip")] - joints[:, :, J("right_hip")]
        heading.append(np.arctan2(across[..., 1], across[..., 0]))
    R = _about(np.broadcast_to(UP, (*heading[0].shape, 3)), heading[0] - heading[1])
    spliced = lower.copy()
    spliced[:, :, UPPER] = _rotate(R, upper[:, :, UPPER] - upper[:, :, :1]) + lower[:, :, :1]
    return spliced


def _reshape(joints: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other people: bones scaled along the tree, left as right; the floor stays where it was."""
    B, n = len(joints), len(H36M17)
    factor = rng.uniform(0.88, 1.12, (B, n))
    factor[:, H36M17.indices("left_hip", "right_hip")] = rng.uniform(0.8, 1.3, (B, 1))
    both = np.minimum(np.arange(n), MIRROR)
    factor = factor[:, both] * rng.uniform(0.94, 1.06, (B, 1))
    shaped = joints.copy()
    for parent, child in H36M17.bones:  # parents come before their children
        bone = joints[:, :, child] - joints[:, :, parent]
        shaped[:, :, child] = shaped[:, :, parent] + factor[:, None, child, None] * bone
    lift = joints[..., 2].min(axis=2) - shaped[..., 2].min(axis=2)
    shaped[..., 2] += lift[..., None]
    return shaped


def _bend(joints: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """Poses that the motion capture lacks: deep and wide squats, sitting, stooping, raised arms.

    Thighs and shins, the trunk and the arms are turned further, for the whole window or to and
    fro. Hips and knees stay within their range; the lowest joint stays at its height.
    """
    B, T = joints.shape[:2]
    bent = joints.copy()
    left = _unit(joints[:, :, J("left_hip")] - joints[:, :, J("right_hip")])
    front = _unit(np.cross(left, joints[:, :, J("thorax")] - joints[:, :, J("pelvis")]))
    up = np.cross(front, left)
    period, phase = rng.uniform(0.5, 3, (B, 1)), rng.uniform(0, 2 * np.pi, (B, 1))
    sway = 0.5 - 0.5 * np.cos(2 * np.pi * np.linspace(0, 1, T) / period + phase)
    amount = np.where(rng.random((B, 1)) < 0.4, 1.0, sway)  # (B, T) 0..1

    def degrees(low: float, high: float, part: float) -> np.ndarray:
        """A turn (B, T) in radians for `part` of the windows."""
        chosen = rng.random((B, 1)) < part * share
        return np.where(chosen, np.radians(rng.uniform(low, high, (B, 1))), 0.0) * amount

    def angle_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.arccos(np.clip((_unit(a) * _unit(b)).sum(axis=-1), -1, 1))

    both = rng.random((B, 1)) < 0.65  # legs alike
    turns = [(degrees(0, 110, 0.6), degrees(-10, 65, 0.6), degrees(0, 140, 0.6)) for _ in range(2)]
    chosen = rng.random((B, 1)) < 0.7  # hips and knees bend together, as in squats and on chairs
    for side, sign, own in (("left", 1.0, turns[0]), ("right", -1.0, turns[1])):
        hip, knee, ankle = H36M17.indices(f"{side}_hip", f"{side}_knee", f"{side}_ankle")
        flexion, spread, fold = (
            np.where(both, first, mine) for first, mine in zip(turns[0], own, strict=True)
        )
        fold = np.where(chosen & (flexion > 0), flexion * 1.15, fold)
        thigh, shin = (
            joints[:, :, knee] - joints[:, :, hip],
            joints[:, :, ankle] - joints[:, :, knee],
        )
        flexion = np.clip(flexion, 0, np.maximum(np.radians(130) - angle_between(thigh, -up), 0))
        fold = np.clip(fold, 0, np.maximum(np.radians(150) - angle_between(thigh, shin), 0))
        R = _about(front, sign * spread) @ _about(left, -flexion)  # (B, T, 3, 3)
        shin = (R @ _about(left, fold) @ shin[..., None])[..., 0]
        bent[:, :, knee] = bent[:, :, hip] + (R @ thigh[..., None])[..., 0]
        bent[:, :, ankle] = bent[:, :, knee] + shin

    R = (
        _about(left, degrees(-15, 70, 0.4))
        @ _about(front, degrees(-25, 25, 0.4))
        @ _about(up, degrees(-40, 40, 0.4))
    )
    bent[:, :, UPPER] = _rotate(R, bent[:, :, UPPER] - bent[:, :, :1]) + bent[:, :, :1]
    for side in ("left", "right"):
        shoulder, *arm = H36M17.indices(*(f"{side}_{j}" for j in ("shoulder", "elbow", "wrist")))
        axis = np.broadcast_to(_unit(rng.standard_normal((B, 1, 3))), (B, T, 3))
        R = _about(axis, degrees(0, 90, 0.5))
        centre = bent[:, :, shoulder, None]
        bent[:, :, arm] = _rotate(R, bent[:, :, arm] - centre) + centre
    bent[..., 2] += (joints[..., 2].min(axis=2) - bent[..., 2].min(axis=2))[..., None]
    return bent


def _turn_over(joints: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
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
    R = _about(np.broadcast_to(axis[:, None], (B, T, 3)), angle)
    pelvis = joints[:, :, :1]
    return _rotate(R, joints - pelvis) + pelvis


def detector_points(joints: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
    """Where a COCO detector points, in Human3.6M's order, before its errors: (B, T, J, 3) metres.

    Joint 0 is the middle of its hips, 8 of its shoulders, 7 of both, 9 the nose, 10 the middle of
    the eyes. Without `rng`: typical places; with it, each window has a detector of its own.
    """
    B, T = joints.shape[:2]
    left = _unit(
        joints[:, :, J("left_shoulder")] - joints[:, :, J("right_shoulder")]
        + 0.5 * (joints[:, :, J("left_hip")] - joints[:, :, J("right_hip")])
    )  # fmt: skip
    trunk = _unit(joints[:, :, J("thorax")] - joints[:, :, J("pelvis")])
    front = _unit(np.cross(left, trunk))
    body = np.stack([left, front, np.cross(front, left)], axis=-2)  # rows: left, front, up

    def draw(low: float, high: float) -> np.ndarray:
        if rng is None:
            return np.full((B, 1, 1), (low + high) / 2)
        return rng.uniform(low, high, (B, 1, 1))

    points = joints.copy()
    for pair, width, up, ahead in (
        # Hips are pointed at on the body's surface, shoulders above the joint and further in.
        (("left_hip", "right_hip"), draw(0.85, 1.35), draw(-0.045, 0.035), draw(-0.01, 0.06)),
        (
            ("left_shoulder", "right_shoulder"),
            draw(0.78, 1.04),
            draw(-0.01, 0.045),
            draw(-0.025, 0.025),
        ),
    ):
        a, b = H36M17.indices(*pair)
        middle, half = (joints[:, :, a] + joints[:, :, b]) / 2, joints[:, :, a] - joints[:, :, b]
        middle = middle + up * body[:, :, 2] + ahead * body[:, :, 1]
        points[:, :, a] = middle + width * half / 2
        points[:, :, b] = middle - width * half / 2
    if rng is not None:  # a constant place of its own for every keypoint, in the body's axes
        offset = rng.standard_normal((B, 1, len(H36M17), 3)) * 0.014
        points = points + offset @ body

    neck, head = joints[:, :, J("neck")], joints[:, :, J("head")]
    crown = _unit(head - neck)
    look = _unit(front - (front * crown).sum(axis=-1, keepdims=True) * crown)
    if rng is not None:  # the head turns and nods on its own
        rho = np.full((B, 1, 1), 0.97)
        sigma = np.radians([22.0, 7.0]) * rng.uniform(0, 1.2, (B, 1, 2))
        turn, nod = np.moveaxis(_smooth_noise(rng, (B, T, 2), rho) * sigma, -1, 0)
        look = (_about(crown, turn) @ look[..., None])[..., 0]
        look = (_about(np.cross(crown, look), nod) @ look[..., None])[..., 0]
    nose = neck + draw(0.085, 0.125) * look + draw(-0.005, 0.06) * crown
    points[:, :, J("neck")] = nose
    points[:, :, J("head")] = nose + draw(0.028, 0.042) * crown - draw(0.008, 0.025) * look

    return _between(points)


def _between(points: np.ndarray) -> np.ndarray:
    """Pelvis, thorax and spine made of the hips and shoulders, as the conversion from COCO does."""
    points = points.copy()
    hips = points[:, :, H36M17.indices("left_hip", "right_hip")].mean(axis=2)
    shoulders = points[:, :, H36M17.indices("left_shoulder", "right_shoulder")].mean(axis=2)
    points[:, :, J("pelvis")], points[:, :, J("thorax")] = hips, shoulders
    points[:, :, J("spine")] = (hips + shoulders) / 2
    return points


@dataclass(frozen=True)
class _Cameras:
    """One moving camera a window. R: (B, T, 3, 3), t: (B, T, 3): x_camera = R x_world + t."""

    R: np.ndarray
    t: np.ndarray
    focal_error: np.ndarray

    @classmethod
    def draw(cls, joints: np.ndarray, rng: np.random.Generator, recipe: Recipe) -> _Cameras:
        B, T = joints.shape[:2]
        pelvis = joints[:, :, 0]
        centre = np.median(pelvis, axis=1)
        distance = _log_uniform(rng, recipe.distance, (B,))
        height = rng.uniform(0.2, 3.5, B) * np.where(rng.random(B) < 0.5, 0.6, 1.0)
        elevation = np.arctan2(height - centre[:, 2], distance)
        above = rng.random(B) < recipe.from_above
        elevation = np.where(above, rng.uniform(0.2, 0.9, B), elevation)
        elevation = np.clip(elevation, -0.5, 0.9)
        azimuth = rng.uniform(0, 2 * np.pi, B)
        towards = np.stack(
            [
                np.cos(elevation) * np.cos(azimuth),
                np.cos(elevation) * np.sin(azimuth),
                np.sin(elevation),
            ],
            axis=-1,
        )
        forward = -1.0 * towards
        right = _unit(np.cross(forward, UP))
        R = np.stack([right, np.cross(forward, right), forward], axis=-2)  # (B, 3, 3)
        seen = (
            _rotate(R[:, None], joints - centre[:, None, None])
            + [0, 0, 1] * distance[:, None, None, None]
        )
        nearest: np.ndarray = seen[..., 2].min(axis=(1, 2))
        away = np.maximum(0.7 - nearest, 0)  # nobody walks into the lens
        distance = distance + away
        position = centre + distance[:, None] * towards

        # Where in the picture the person is, the camera's roll, and the hand that holds it.
        x, y, z = np.eye(3)
        aim = (
            _about(np.broadcast_to(z, (B, 3)), np.radians(5) * rng.standard_normal(B))
            @ _about(np.broadcast_to(x, (B, 3)), np.radians(5) * rng.standard_normal(B))
            @ _about(np.broadcast_to(y, (B, 3)), np.radians(9) * rng.standard_normal(B))
        )
        shake = np.where(rng.random((B, 1, 1)) < 0.3, rng.uniform(0, 0.02, (B, 1, 1)), 0.0)
        shake = shake * _smooth_noise(rng, (B, T, 3), np.full((B, 1, 1), 0.97))
        # Some cameras pan with the person.
        bearing = _rotate(R, pelvis - position[:, None])
        pan = np.arctan2(bearing[..., 0], bearing[..., 2])
        pan = pan * np.where(rng.random((B, 1)) < 0.2, rng.uniform(0.5, 1, (B, 1)), 0.0)
        hand = _about(np.broadcast_to(y, (B, T, 3)), shake[..., 0] - pan) @ _about(
            np.broadcast_to(x, (B, T, 3)), shake[..., 1]
        )
        R = aim[:, None] @ hand @ R[:, None]  # (B, T, 3, 3)
        t = -(R @ position[:, None, :, None])[..., 0]
        error = _log_uniform(rng, recipe.focal_error, (B,))
        error = np.where(rng.random(B) < 0.25, 1.0, error)
        return cls(R, t, error)

    def see(self, points: np.ndarray) -> np.ndarray:
        """(B, T, J, 3) world to CAMERA, metres."""
        return _rotate(self.R, points) + self.t[:, :, None]


def detect(
    joints: np.ndarray, points: np.ndarray, rng: np.random.Generator, recipe: Recipe
) -> tuple[np.ndarray, np.ndarray]:
    """What the detector says: rays (B, T, J, 2) and scores (B, T, J), 0 = not seen.

    joints, points: (B, T, J, 3) metres in CAMERA; errors are drawn in metres at the person's
    depth, since detectors work on crops of the person.
    """
    B, T, n = joints.shape[:3]
    depth = np.maximum(points[..., 2:], 0.3)
    rays = points[..., :2] / depth
    unit = 1 / np.maximum(joints[:, :, :1, 2:], 0.3)  # rays a metre, (B, T, 1, 1)

    def share(p: float, *shape: int) -> np.ndarray:
        return rng.random((B, *shape)) < p

    level = _log_uniform(rng, recipe.noise, (B, 1, 1))
    level = np.where(share(recipe.clean, 1, 1), 0.0, level)
    hidden = _hidden(joints) * rng.uniform(0, 3, (B, 1, 1))
    sigma = level * SPREAD * (1 + hidden)  # (B, T, J)
    rho = rng.uniform(0.6, 0.97, (B, 1, 1, 1))
    slow = _smooth_noise(rng, (B, T, n, 2), rho) * rng.uniform(0.5, 1.2, (B, 1, 1, 1))
    fast = rng.standard_normal((B, T, n, 2)) * rng.uniform(0.1, 0.7, (B, 1, 1, 1))
    spike = np.where(share(0.012, T, n), rng.uniform(2, 9, (B, T, n)), 1.0)
    error = (slow + fast) * (sigma * spike)[..., None]

    # Scores know of the spread and, vaguely, of the error made.
    size = np.sqrt(sigma**2 + 0.5 * (error**2).sum(axis=-1))
    quality = 1 / (1 + (size / rng.uniform(0.04, 0.15, (B, 1, 1))) ** 2)
    top = rng.uniform(0.8, 1.02, (B, 1, 1))
    scores = top * quality ** rng.uniform(0.2, 2, (B, 1, 1))
    scores = scores + 0.04 * rng.random((B, 1, 1)) * rng.standard_normal((B, T, n))
    scores = np.clip(scores, 0.02, 1.0)
    rays = rays + error * unit

    _swap_sides(rays, rng, 0.12 * recipe.faults)
    _drop_joints(rays, scores, unit, rng, 0.4 * recipe.faults)
    _cut_off(rays, scores, unit, rng, 0.1 * recipe.faults)
    for made, pair in (("pelvis", "hip"), ("thorax", "shoulder")):
        a, b = H36M17.indices(f"left_{pair}", f"right_{pair}")
        scores[..., J(made)] = np.minimum(scores[..., a], scores[..., b])
    scores[..., J("spine")] = np.minimum(scores[..., J("pelvis")], scores[..., J("thorax")])
    rays = _between(rays)
    # Detectors without scores say 1 of everything, garbage too, but know what they did not find.
    scores = np.where(share(0.08, 1, 1) & (scores > 0), 1.0, scores)

    gone = np.zeros((B, T), dtype=bool)  # frames in which nobody was found
    for b in np.flatnonzero(share(0.15 * recipe.faults)):
        for _ in range(rng.integers(1, 4)):
            at, length = rng.integers(T), rng.integers(1, max(2, min(20, T // 3)))
            gone[b, at : at + length] = True
    return rays, np.where(gone[..., None], 0.0, scores)


def _hidden(joints: np.ndarray) -> np.ndarray:
    """How far each joint is on the side turned away from the camera: (B, T, J) 0..1."""
    hidden = np.zeros(joints.shape[:3])
    for side, other in (("left", "right"), ("right", "left")):
        for limb in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")):
            near, far = J(f"{other}_{limb[0]}"), J(f"{side}_{limb[0]}")
            behind = (joints[:, :, far, 2] - joints[:, :, near, 2]) / 0.3
            hidden[:, :, H36M17.indices(*(f"{side}_{joint}" for joint in limb))] = np.clip(
                behind, 0, 1
            )[..., None]
    return hidden


def _swap_sides(rays: np.ndarray, rng: np.random.Generator, share: float) -> None:
    """Left taken for right for a few frames: legs, knees, arms or everything. In place."""
    B, T = rays.shape[:2]
    for b in np.flatnonzero(rng.random(B) < share):
        which = [LEGS, LEGS, ARMS, LEGS + ARMS, KNEES][rng.integers(5)]
        for _ in range(rng.integers(1, 4)):
            at = rng.integers(T)
            span = slice(at, at + rng.integers(1, 9))
            rays[b, span, which] = rays[b, span, [MIRROR[j] for j in which]]


def _drop_joints(
    rays: np.ndarray,
    scores: np.ndarray,
    unit: np.ndarray,
    rng: np.random.Generator,
    share: float,
) -> None:
    """Joints or limbs lost for a while: missing, held or guessed with a low score. In place."""
    B, T, n = scores.shape
    for b in np.flatnonzero(rng.random(B) < share):
        for _ in range(rng.integers(1, 4)):
            lost = [int(rng.integers(n))]
            if rng.random() < 0.35:
                limb = LIMBS[rng.integers(len(LIMBS))]
                lost = limb[rng.integers(0, 3) :]
            at, length = rng.integers(T), rng.integers(1, max(2, T // 2))
            span = slice(at, at + length)
            count = len(range(T)[span])
            mode = rng.integers(3)
            if mode == 0:
                scores[b, span, lost] = 0.0
                continue
            scores[b, span, lost] = rng.uniform(0.02, 0.35)
            if mode == 1:
                rays[b, span, lost] = rays[b, at, lost][:, None]
            else:
                wrong = 0.15 * rng.standard_normal((len(lost), count, 2))
                wrong = 0.3 * wrong + wrong[:, :1]
                rays[b, span, lost] += wrong * unit[b, span, 0][None]


def _cut_off(
    rays: np.ndarray,
    scores: np.ndarray,
    unit: np.ndarray,
    rng: np.random.Generator,
    share: float,
) -> None:
    """The picture's border: what lies beyond is missing, clamped or guessed. In place."""
    B = len(rays)
    for b in np.flatnonzero(rng.random(B) < share):
        low, high = rays[b].min(axis=(0, 1)), rays[b].max(axis=(0, 1))
        axis = int(rng.random() < 0.8)  # mostly the lower border: legs out of the picture
        part = rng.uniform(0.35, 0.95)
        if axis == 0 and rng.random() < 0.5:
            border = high[0] - part * (high[0] - low[0])
            out = rays[b, ..., 0] < border
        else:
            border = low[axis] + part * (high[axis] - low[axis])
            out = rays[b, ..., axis] > border
        mode = rng.integers(3)
        scores[b][out] = 0.0 if mode == 0 else rng.uniform(0.02, 0.3)
        if mode == 1:
            rays[b, ..., axis][out] = border
        elif mode == 2:
            wrong = 0.08 * rng.standard_normal(rays[b].shape) * unit[b]
            rays[b][out] += wrong[out]
