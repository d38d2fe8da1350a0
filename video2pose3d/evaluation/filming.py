"""The sequences of our own benchmark, "mocap17 test 1": motion capture seen by virtual cameras.

Each clip of a collection is cut into sequences of at most 243 frames (at its own 50 fps; shorter
than 27 left out), and each is filmed by one of four virtual cameras in turn (1000 x 1000
px, f = 1145 px, 5 m from the middle of the person's path, 1.6 m high, at 45, 135, 225 and 315
degrees); 60 sequences, spread evenly over all, are taken. The 2D keypoints are what a COCO
detector gives after conversion to Human3.6M-17 (`detector`), either exact with full scores
("clean") or with errors from a generator whose seed is the sequence's number ("noisy"). All
competitors see the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from video2pose3d import archives
from video2pose3d.datasets import collection
from video2pose3d.datasets.mocap import Mocap
from video2pose3d.errors import UserError
from video2pose3d.evaluation import detector
from video2pose3d.geometry import project
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Camera, Keypoints2D

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
KINDS = ("noisy", "clean")  # of 2D keypoints


@dataclass(frozen=True)
class Sequence:
    """A filmed sequence. joints: (T, 17, 3) metres in CAMERA; keypoints by kind of 2D.

    number: among all of the file; clip, action, first: the motion capture's clip, what is done in
    it, and the frame where the sequence begins; camera: which of the four.
    """

    number: int
    clip: str
    action: str
    first: int
    source: str
    camera: int
    joints: np.ndarray
    keypoints: dict[str, Keypoints2D]

    @property
    def truth(self) -> np.ndarray:
        """(T, 17, 3) metres in CAMERA_ROOT."""
        return self.joints - self.joints[:, :1]


def film(mocap: Mocap, limit: int | None = None) -> list[Sequence]:
    """The sequences of the benchmark, always the same for the same file."""
    return [_film_one(mocap, *piece) for piece in pieces(mocap, limit)]


def read(data: Path, body: Path | None = None) -> Mocap:
    """The test clips of a data folder as `collection.read` takes it; UserError where all are too
    short."""
    mocap = collection.read(data, "test", body=body)
    if not pieces(mocap):
        raise UserError(f"no clip of its test has {SHORTEST} frames", path=data)
    return mocap


def pieces(mocap: Mocap, limit: int | None = None) -> list[tuple[int, int, int, int]]:
    """number, clip, first frame and length of the sequences; `limit` of them, spread evenly."""
    found = []
    for clip, length in enumerate(mocap.length.tolist()):
        for at in range(0, length, LONGEST):
            if min(LONGEST, length - at) >= SHORTEST:
                found.append((len(found), clip, at, min(LONGEST, length - at)))
    if limit is not None and limit < len(found):
        found = [found[n] for n in np.linspace(0, len(found) - 1, limit).astype(int)]
    return found


def middle(joints: np.ndarray) -> np.ndarray:
    """(2,) metres: where on the floor the path of (T, 17, 3) joints, Z up, has its middle."""
    return (joints[:, 0, :2].min(axis=0) + joints[:, 0, :2].max(axis=0)) / 2


def stand(middle: np.ndarray, azimuth: float, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """A camera's place (3,) metres and R (3, 3), x_camera = R (x - place), Z up: it looks at a

    person in the middle from `azimuth` radians.
    """
    away = distance * np.array([np.cos(azimuth), np.sin(azimuth)])
    place = np.array([*(middle + away), HEIGHT])
    forward = np.array([*middle, 0.9]) - place
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    return place, np.stack([right, np.cross(forward, right), forward])


def see(
    joints: np.ndarray, place: np.ndarray, R: np.ndarray, fps: float, rng: np.random.Generator
) -> dict[str, Keypoints2D]:
    """The keypoints of (T, 17, 3) joints in a camera at `place` (3,), turned by R, by kind of 2D;
    rng makes the errors."""
    xy = project(_before_the_lens((detector.points(joints) - place) @ R.T), CAMERA)
    depth = ((joints[:, :1] - place) @ R.T)[..., 2]
    pixels = CAMERA.K[0, 0] / np.maximum(depth, 0.5)  # px a metre at the pelvis, (T, 1)
    frames = np.arange(len(joints))

    def keypoints(xy: np.ndarray, scores: np.ndarray) -> Keypoints2D:
        xy, scores = xy.astype(np.float32), scores.astype(np.float32)
        return Keypoints2D(frames, xy, scores, H36M17, CAMERA.size, fps)

    return {
        "noisy": keypoints(*detector.noisy(xy, pixels, rng)),
        "clean": keypoints(xy, np.ones(xy.shape[:2])),
    }


def _film_one(mocap: Mocap, number: int, clip: int, first: int, length: int) -> Sequence:
    start = mocap.start[clip] + first
    joints = mocap.positions[start : start + length].astype(np.float64)  # Z up
    camera = number % len(AZIMUTHS)
    place, R = stand(middle(joints), AZIMUTHS[camera], DISTANCE)
    return Sequence(
        number=number,
        clip=str(mocap.name[clip]),
        action=str(mocap.action[clip]),
        first=first,
        source=str(mocap.source[clip]),
        camera=camera,
        joints=(joints - place) @ R.T,
        keypoints=see(joints, place, R, mocap.fps, np.random.default_rng([17, number])),
    )


def _before_the_lens(points: np.ndarray) -> np.ndarray:
    """Nothing nearer than 0.3 m: some actors walk past the camera."""
    points = points.copy()
    points[..., 2] = np.maximum(points[..., 2], 0.3)
    return points


def dump(sequences: list[Sequence], folder: Path) -> list[Path]:
    """The benchmark for other programs, three files a sequence, in `folder`.

    NUMBER_CLIP.noisy.npz and .clean.npz: keypoints as `lift` reads them (keypoints_2d, scores_2d,
    image_size, fps, skeleton); .truth.npz: `camera` (T, 17, 3) metres in CAMERA and its `K`, as
    `evaluate` reads them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for s in sequences:
        name = re.sub(r"[^\w.-]+", "_", f"{s.number:03}_{s.clip or s.source}")
        for kind, keypoints in s.keypoints.items():
            files.append(folder / f"{name}.{kind}.npz")
            arrays = {
                "keypoints_2d": keypoints.xy,
                "scores_2d": keypoints.scores,
                "image_size": keypoints.image_size,
                "fps": keypoints.fps,
                "skeleton": keypoints.skeleton.name,
            }
            archives.write(files[-1], arrays)
        files.append(folder / f"{name}.truth.npz")
        archives.write(files[-1], {"camera": s.joints.astype(np.float32), "K": CAMERA.K})
    return files
