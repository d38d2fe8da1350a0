"""The 2D detector of the benchmark "mocap17 test 1": where it points, and how it errs.

Frozen: training's imagined detectors may become better, a benchmark must stay what it was.
"""

from __future__ import annotations

import numpy as np

from video2pose3d.geometry import body_axes, unit
from video2pose3d.skeletons import H36M17

# Where a detector points, in metres along the body's left, front and up, from a pair's middle;
# width: of the pair, as a share of the joints'.
PAIRS = {
    "hip": {"width": 1.1, "up": -0.005, "front": 0.025},
    "shoulder": {"width": 0.91, "up": 0.0175, "front": 0.0},
}
# From the base of the skull to the nose, and from the nose to the middle of the eyes, in metres
# along where the face looks and along the crown.
NOSE = {"look": 0.105, "crown": 0.0275}
EYES = {"look": -0.0165, "crown": 0.035}

# How uncertain each joint is, relative to the knee.
SPREAD = np.ones(len(H36M17))
for _joint, _spread in {
    "hip": 1.3, "ankle": 1.2, "shoulder": 0.9, "elbow": 1.1, "wrist": 1.4
}.items():  # fmt: skip
    SPREAD[H36M17.indices(f"left_{_joint}", f"right_{_joint}")] = _spread
SPREAD[H36M17.indices("neck", "head")] = 0.6


def points(joints: np.ndarray) -> np.ndarray:
    """Where a COCO detector points, in Human3.6M's order: (T, 17, 3) metres to the same.

    Joint 0 is the middle of its hips, 8 of its shoulders, 7 of both, 9 the nose, 10 the middle of
    the eyes.
    """
    place = {name: joints[:, j] for j, name in enumerate(H36M17.joints)}
    _, front, up = np.moveaxis(body_axes(joints), -2, 0)  # (T, 3) each

    made = {}
    for pair, by in PAIRS.items():
        a, b = place[f"left_{pair}"], place[f"right_{pair}"]
        middle = (a + b) / 2 + by["up"] * up + by["front"] * front
        made[f"left_{pair}"] = middle + by["width"] * (a - b) / 2
        made[f"right_{pair}"] = middle - by["width"] * (a - b) / 2
    crown = unit(place["head"] - place["neck"])
    look = unit(front - (front * crown).sum(axis=-1, keepdims=True) * crown)
    made["neck"] = place["neck"] + NOSE["look"] * look + NOSE["crown"] * crown
    made["head"] = made["neck"] + EYES["crown"] * crown + EYES["look"] * look
    made["pelvis"] = (made["left_hip"] + made["right_hip"]) / 2
    made["thorax"] = (made["left_shoulder"] + made["right_shoulder"]) / 2
    made["spine"] = (made["pelvis"] + made["thorax"]) / 2
    return np.stack([made.get(name, place[name]) for name in H36M17.joints], axis=1)


def noisy(
    xy: np.ndarray, pixels: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Errors as a good detector makes them, in metres at the person: (T, 17, 2) px, (T, 17).

    pixels: (T, 1) px a metre. 12 mm that lasts (correlation 0.9 from frame to frame) and 6 mm anew
    in each frame, more for wrists, ankles and hips; 1 % of keypoints are off by five times as much;
    2 % are lost, each for ten frames. Scores fall with the error made.
    """
    T, n = xy.shape[:2]
    lasting = rng.standard_normal((T, n, 2))
    for t in range(1, T):
        lasting[t] = 0.9 * lasting[t - 1] + np.sqrt(1 - 0.9**2) * lasting[t]
    error = 0.012 * lasting + 0.006 * rng.standard_normal((T, n, 2))
    error *= SPREAD[:, None] * np.where(rng.random((T, n, 1)) < 0.01, 5, 1)
    scores = 0.95 / (1 + np.square(error / 0.06).sum(axis=-1))
    for t, j in np.argwhere(rng.random((T, n)) < 0.002):
        scores[t : t + 10, j] = 0
    return xy + error * pixels[..., None], scores
