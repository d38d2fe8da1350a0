"""An imagined 2D detector: where it points, how it errs, and what it says of itself.

Its keypoints are COCO's after conversion to Human3.6M-17, so hips, shoulders and head points lie
elsewhere than the joints; its errors are correlated in time, larger on far and fast limbs, and
known to its scores only roughly. Axes: B windows, T frames, J joints; lengths in metres.
"""

from __future__ import annotations

import numpy as np

from video2pose3d.geometry import body_axes, rotation_about, unit
from video2pose3d.skeletons import H36M17
from video2pose3d.training.noise import autoregressive, log_uniform
from video2pose3d.training.recipe import Recipe

J = H36M17.index
MIRROR = list(H36M17.mirror)
LEGS = H36M17.indices(
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"
)
ARMS = H36M17.indices(
    "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist"
)
KNEES = H36M17.indices("left_knee", "right_knee")
LIMBS = [
    H36M17.indices(*(f"{side}_{joint}" for joint in limb))
    for side in ("left", "right")
    for limb in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist"))
]

# How uncertain detectors are of each joint, relative to the hips. MediaPipe and YOLO11n-pose on
# rendered clips whose truth is exact err by 32 mm an axis at the hips, 60 at the knees (in squats),
# 30 at ankles, 18 at shoulders, 32 at elbows, 38 at wrists, 14 in the face (root mean squares, less
# their constant part); from frame to frame, 30 a second, their errors correlate by 0.7 to 0.97.
SPREAD = np.ones(len(H36M17))
# How far each detector's own idea of a joint lies from the usual one, metres in the body's axes.
OFFSET = np.full(len(H36M17), 0.014)
for _joint, _spread, _offset in (
    ("knee", 1.5, 0.028), ("ankle", 1.0, 0.018), ("shoulder", 0.5, 0.012),
    ("elbow", 1.0, 0.028), ("wrist", 1.2, 0.022),
):  # fmt: skip
    _both = H36M17.indices(f"left_{_joint}", f"right_{_joint}")
    SPREAD[_both], OFFSET[_both] = _spread, _offset
SPREAD[H36M17.indices("neck", "head")] = 0.45


def detector_points(joints: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
    """Where a COCO detector points, in Human3.6M's order, before its errors: (B, T, J, 3) metres.

    Joint 0 is the middle of its hips, 8 of its shoulders, 7 of both, 9 the nose, 10 the middle of
    the eyes. Without `rng`: typical places; with it, each window has a detector of its own.
    """
    B, T = joints.shape[:2]
    body = body_axes(joints)  # (B, T, 3, 3) rows: left, front, up
    front = body[:, :, 1]

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
        offset = rng.standard_normal((B, 1, len(H36M17), 3)) * OFFSET[:, None]
        points = points + offset @ body

    neck, head = joints[:, :, J("neck")], joints[:, :, J("head")]
    crown = unit(head - neck)
    look = unit(front - (front * crown).sum(axis=-1, keepdims=True) * crown)
    if rng is not None:  # the head turns and nods on its own
        rho = np.full((B, 1, 1), 0.97)
        sigma = np.radians([22.0, 7.0]) * rng.uniform(0, 1.2, (B, 1, 2))
        turn, nod = np.moveaxis(autoregressive(rng, (B, T, 2), rho) * sigma, -1, 0)
        look = (rotation_about(crown, turn) @ look[..., None])[..., 0]
        look = (rotation_about(np.cross(crown, look), nod) @ look[..., None])[..., 0]
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

    level = log_uniform(rng, recipe.noise, (B, 1, 1))
    level = np.where(share(recipe.clean, 1, 1), 0.0, level)
    hidden = _far_side(joints) * rng.uniform(0, 2, (B, 1, 1))
    hidden = hidden + _covered(joints) * rng.uniform(0, 4, (B, 1, 1))
    sigma = level * SPREAD * (1 + hidden)  # (B, T, J)
    rho = rng.uniform(0.7, 0.98, (B, 1, 1, 1))
    slow = autoregressive(rng, (B, T, n, 2), rho) * rng.uniform(0.5, 1.2, (B, 1, 1, 1))
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


def _covered(joints: np.ndarray) -> np.ndarray:
    """How far each joint lies behind a limb or the trunk: (B, T, J) 0..1.

    joints: (B, T, J, 3) metres in CAMERA. 1 on the middle line of a bone that is nearer to the
    camera, 0 from 12 cm beside it on; a joint's own bones do not count.
    """
    return np.stack([_covered_in(window) for window in joints])  # each fits a processor's cache


def _covered_in(joints: np.ndarray) -> np.ndarray:
    """The same of one window, (T, J, 3) → (T, J); axis by axis, as NumPy is fast."""
    parents, children = np.array(H36M17.bones).T
    of = np.arange(len(H36M17))[:, None]
    own = (of == parents) | (of == children)  # (J, bones)
    depth = np.maximum(joints[..., 2], 0.3)
    x, y = (joints[..., k] / depth * depth[:, :1] for k in (0, 1))  # metres at the pelvis' depth
    z = joints[..., 2]
    (ax, ay, az), (bx, by, bz) = ([v[:, None, ends] for v in (x, y, z)]
                                  for ends in (parents, children))  # fmt: skip
    along_x, along_y = bx - ax, by - ay  # (T, 1, bones)
    to_x, to_y = x[..., None] - ax, y[..., None] - ay  # (T, J, bones)
    along = (to_x * along_x + to_y * along_y) / np.maximum(along_x**2 + along_y**2, 1e-6)
    along = along.clip(0, 1)
    beside = np.sqrt((to_x - along * along_x) ** 2 + (to_y - along * along_y) ** 2)
    in_front = z[..., None] - (az + along * (bz - az)) > 0.05
    return np.where(in_front & ~own, 1 - beside / 0.12, 0).clip(0).max(axis=-1)


def _far_side(joints: np.ndarray) -> np.ndarray:
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
