"""How good lifters and results are: a benchmark on motion capture, and clips with known truth.

The benchmark, "mocap17 test 1": each clip of a motion capture file is cut into sequences of at most
243 frames (at its own 50 fps; shorter than 27 left out), and each is filmed by one of four virtual
cameras in turn (1000 x 1000 px, f = 1145 px, 5 m from the middle of the person's path, 1.6 m high,
at 45, 135, 225 and 315 degrees); 60 sequences, spread evenly over the file, are taken. The 2D
keypoints are what a COCO detector gives after conversion to Human3.6M-17
(`training.data.detector_points` without a random generator), either exact with full scores
("clean") or with errors ("noisy"; see `_noisy`) from a generator with a fixed seed. All competitors
see the same. Errors are relative to the pelvis, in mm; velocity in mm a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from video2pose3d import archives, metrics
from video2pose3d.datasets.mocap import Mocap
from video2pose3d.errors import UserError
from video2pose3d.geometry import project
from video2pose3d.lifters import Lifter, lift
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Camera, Keypoints2D
from video2pose3d.training.detector import detector_points

LONGEST, SHORTEST = 243, 27  # frames of a sequence
SEQUENCES = 60  # of the benchmark
AZIMUTHS = np.radians([45.0, 135.0, 225.0, 315.0])
DISTANCE, HEIGHT = 5.0, 1.6  # metres
CAMERA = Camera(
    K=np.array([[1145.0, 0, 500], [0, 1145.0, 500], [0, 0, 1]]),
    size=(1000, 1000),
    dist=np.zeros(5),
    source="virtual",
)


# How uncertain the benchmark's detector is of each joint, relative to the knee.
SPREAD = np.ones(len(H36M17))
for _joint, _spread in (
    ("hip", 1.3),
    ("ankle", 1.2),
    ("shoulder", 0.9),
    ("elbow", 1.1),
    ("wrist", 1.4),
):
    SPREAD[H36M17.indices(f"left_{_joint}", f"right_{_joint}")] = _spread
SPREAD[H36M17.indices("neck", "head")] = 0.6


@dataclass(frozen=True)
class Score:
    """Errors in mm relative to the pelvis; mpjve in mm a frame. name: what was measured."""

    name: str
    frames: int
    mpjpe: float
    p_mpjpe: float
    mpjve: float

    def __str__(self) -> str:
        return (
            f"{self.name:<32} MPJPE {self.mpjpe:6.1f} mm   P-MPJPE {self.p_mpjpe:6.1f} mm   "
            f"velocity {self.mpjve:5.2f} mm/frame   ({self.frames} frames)"
        )


@dataclass(frozen=True)
class Sequence:
    """A filmed sequence. truth: (T, 17, 3) metres in CAMERA_ROOT; keypoints by kind of 2D."""

    truth: np.ndarray
    keypoints: dict[str, Keypoints2D]


def evaluate_mocap(lifter: Lifter, data: Path, *, limit: int | None = SEQUENCES) -> list[Score]:
    """A lifter and the mean pose on "mocap17 test 1", with noisy and with clean 2D.

    data: folder with test.npz, and train.npz for the mean pose. limit: how many sequences, spread
    evenly over the file; None for all (some 300 in mocap17, five times as long).
    """
    sequences = film(Mocap.read(Path(data) / "test.npz"), limit)
    truth = [sequence.truth for sequence in sequences]
    scores = []
    for kind in ("noisy", "clean"):
        poses = lift(lifter, [s.keypoints[kind] for s in sequences], CAMERA)
        name = f"{lifter.name}, {kind} 2D"
        scores.append(score(name, [one.joints for one in poses], truth))
    mean = mean_pose(Mocap.read(Path(data) / "train.npz"))
    facing = [_face(mean, joints) for joints in truth]
    scores.append(score("mean pose, facing as the truth", facing, truth))
    still = [np.broadcast_to(mean, joints.shape) for joints in truth]
    scores.append(score("mean pose, facing the camera", still, truth))
    return scores


def score(name: str, estimates: list[np.ndarray], truths: list[np.ndarray]) -> Score:
    """Over all frames of all sequences; each sequence (T, 17, 3) metres relative to the pelvis."""
    found, truth = np.concatenate(estimates), np.concatenate(truths)
    moved = [np.diff(one, axis=0) for one in estimates], [np.diff(one, axis=0) for one in truths]
    return Score(
        name,
        len(truth),
        1000 * metrics.mpjpe(found, truth),
        1000 * metrics.p_mpjpe(found, truth),
        1000 * metrics.mpjpe(*map(np.concatenate, moved)),
    )


def film(mocap: Mocap, limit: int | None = None) -> list[Sequence]:
    """The sequences of the benchmark, always the same for the same file."""
    pieces = []
    for start, length in zip(mocap.start, mocap.length, strict=True):
        for at in range(0, length, LONGEST):
            if min(LONGEST, length - at) >= SHORTEST:
                pieces.append(mocap.positions[start + at : start + min(at + LONGEST, length)])
    numbers = range(len(pieces))
    if limit is not None and limit < len(pieces):
        numbers = np.linspace(0, len(pieces) - 1, limit).astype(int)
    return [_film_one(pieces[n].astype(np.float64), int(n), mocap.fps) for n in numbers]


def _film_one(joints: np.ndarray, number: int, fps: float) -> Sequence:
    """joints: (T, 17, 3) metres, Z up."""
    azimuth = AZIMUTHS[number % len(AZIMUTHS)]
    middle = (joints[:, 0, :2].min(axis=0) + joints[:, 0, :2].max(axis=0)) / 2
    away = DISTANCE * np.array([np.cos(azimuth), np.sin(azimuth)])
    position = np.array([*(middle + away), HEIGHT])
    forward = np.array([*middle, 0.9]) - position
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])  # x_camera = R (x - position)

    points = detector_points(joints[None], None)[0]
    xy = project(_before_the_lens((points - position) @ R.T), CAMERA)
    seen = (joints - position) @ R.T
    frames = np.arange(len(joints))

    def keypoints(xy: np.ndarray, scores: np.ndarray) -> Keypoints2D:
        xy, scores = xy.astype(np.float32), scores.astype(np.float32)
        return Keypoints2D(frames, xy, scores, H36M17, CAMERA.size, fps)

    pixels = 1145 / np.maximum(seen[:, :1, 2], 0.5)  # px a metre at the pelvis, (T, 1)
    return Sequence(
        truth=seen - seen[:, :1],
        keypoints={
            "clean": keypoints(xy, np.ones(xy.shape[:2])),
            "noisy": keypoints(*_noisy(xy, pixels, np.random.default_rng([17, number]))),
        },
    )


def _before_the_lens(points: np.ndarray) -> np.ndarray:
    """Nothing nearer than 0.3 m: some actors walk past the camera."""
    points = points.copy()
    points[..., 2] = np.maximum(points[..., 2], 0.3)
    return points


def _noisy(
    xy: np.ndarray, pixels: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Errors as a good detector makes them, in metres at the person: (T, 17, 2) px, (T, 17).

    12 mm that lasts (correlation 0.9 from frame to frame) and 6 mm anew in each frame, more for
    wrists, ankles and hips; 1 % of keypoints are off by five times as much; 2 % are lost, each for
    ten frames. Scores fall with the error made.
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


def mean_pose(mocap: Mocap) -> np.ndarray:
    """(17, 3) metres relative to the pelvis, upright in CAMERA_ROOT's axes, facing the camera."""
    joints = mocap.positions[::25].astype(np.float64)
    joints = joints - joints[:, :1]
    joints = np.stack([joints[..., 0], -joints[..., 2], joints[..., 1]], axis=-1)  # y down
    return _turned(joints, -_heading(joints)).mean(axis=0)


def _heading(joints: np.ndarray) -> np.ndarray:
    """Angle (T,) about the vertical of the line from right to left hip and shoulder."""
    left = H36M17.indices("left_hip", "left_shoulder")
    right = H36M17.indices("right_hip", "right_shoulder")
    across = (joints[..., left, :] - joints[..., right, :]).sum(axis=-2)
    return np.arctan2(across[..., 2], across[..., 0])


def _turned(joints: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """(T, J, 3) turned in its x-z plane by angles (T,)."""
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y, z = np.moveaxis(joints, -1, 0)
    return np.stack([c * x - s * z, np.broadcast_to(y, (c * x).shape), s * x + c * z], axis=-1)


def _face(mean: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The mean pose turned in every frame to the heading of the truth, (T, 17, 3)."""
    return _turned(np.broadcast_to(mean, truth.shape), _heading(truth))


# ------------------------------------------------------------------ results beside known truth


def evaluate_result(result: Path, truth: Path) -> list[Score]:
    """A poses.npz beside a clip's exact truth: scores for each person of the truth.

    Two a person: of `joints_3d`, as lifted, and of `joints_world`, after motion, turned back to the
    camera's axes. truth: an npz whose `camera` is (T, 17, 3) or (T, P, 17, 3) metres in CAMERA,
    Human3.6M joints. People are paired by the least total error; frames count where the person is
    valid in the result and the truth is finite. A person whom the result lacks has 0 frames and
    NaN errors.
    """
    lifted, moved, valid = _read_result(result)
    expected = _read_truth(truth)
    if lifted.shape[1] != expected.shape[1]:
        what = f"has {lifted.shape[1]} frames, the truth {expected.shape[1]}"
        raise UserError(what, path=result, cure="give the truth of the same clip")
    expected = expected - expected[:, :, :1]
    counts = valid[None] & np.isfinite(expected).all(axis=(2, 3))[:, None]  # (truth, result, T)
    pairs = _pair(lifted, expected, counts)
    return [
        _score_person(f"person {i + 1}, {kind}", joints, expected[i], counts[i], pairs.get(i))
        for i in range(len(expected))
        for kind, joints in (("as lifted", lifted), ("after motion", moved))
    ]


def _pair(joints: np.ndarray, expected: np.ndarray, counts: np.ndarray) -> dict[int, int]:
    """Truth's person → result's, by the least total error over the frames that count."""
    cost = np.full(counts.shape[:2], 1e3)
    for i, k in np.ndindex(*cost.shape):
        if counts[i, k].any():
            error = metrics.mpjpe(joints[k, counts[i, k]], expected[i, counts[i, k]])
            cost[i, k] = error + (1 - counts[i, k].mean())  # whoever is seen longer, too
    return {int(i): int(k) for i, k in zip(*linear_sum_assignment(cost), strict=True)}


def _score_person(
    name: str, joints: np.ndarray, expected: np.ndarray, counts: np.ndarray, k: int | None
) -> Score:
    """Person k of joints (P, T, 17, 3) beside expected (T, 17, 3), over the frames counts[k]."""
    if k is None or not counts[k].any():
        nan = float("nan")
        return Score(name, 0, nan, nan, nan)
    here = counts[k]
    both = here[1:] & here[:-1]
    motion = (np.diff(v, axis=0)[both] for v in (joints[k], expected))
    return Score(
        name,
        int(here.sum()),
        1000 * metrics.mpjpe(joints[k, here], expected[here]),
        1000 * metrics.p_mpjpe(joints[k, here], expected[here]),
        1000 * metrics.mpjpe(*motion) if both.any() else float("nan"),
    )


def _read_result(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """joints_3d and joints_world, (P, T, 17, 3) float64 metres in CAMERA_ROOT; valid (P, T)."""
    needed = ("joints_3d", "joints_world", "world_from_camera", "valid")
    file = archives.read(path, needed)
    if file.keys() != set(needed) or file["world_from_camera"].shape != (4, 4):
        raise UserError("is not a poses.npz", path=path)
    lifted, world, valid = (file[key] for key in ("joints_3d", "joints_world", "valid"))
    if lifted.ndim != 4 or lifted.shape[2:] != (17, 3) or valid.shape != lifted.shape[:2]:
        raise UserError(f"is not a poses.npz: joints_3d is {lifted.shape}", path=path)
    if world.shape != lifted.shape:
        raise UserError(f"is not a poses.npz: joints_world is {world.shape}", path=path)
    lifted, world = lifted.astype(np.float64), world.astype(np.float64)
    moved = (world - world[:, :, :1]) @ file["world_from_camera"][:3, :3]  # R^T from the left
    valid = valid.astype(bool) & np.isfinite(lifted + world).all(axis=(2, 3))
    return lifted - lifted[:, :, :1], moved, valid


def _read_truth(path: Path) -> np.ndarray:
    """(P, T, 17, 3) float64 metres in CAMERA."""
    file = archives.read(path, ("camera",))
    if "camera" not in file:
        raise UserError("is not a truth file: it has no camera", path=path)
    joints = file["camera"].astype(np.float64)
    joints = joints[:, None] if joints.ndim == 3 else joints
    if joints.ndim != 4 or joints.shape[2:] != (17, 3):
        raise UserError(f"is not a truth file: camera is {joints.shape}", path=path)
    return joints.swapaxes(0, 1)
