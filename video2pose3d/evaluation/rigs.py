"""Several calibrated cameras on motion capture: "mocap17 test 1" seen by rigs.

The sequences of `filming`, each seen by its lens from all round: cameras of its height, evenly
spaced from the sequence's own on (two of them a right angle apart), at its distance or so far that
nobody can leave a picture. Each camera's 2D errors are from a generator whose seed is the
sequence's number and the camera's. Calibration and timing are exact.

Joints are held against the truth in the rig's own world (absolute), relative to the pelvis, and
after Procrustes: as triangulated, each frame on its own and its gaps bridged, and as given out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from video2pose3d import geometry, metrics, tracking
from video2pose3d.datasets.mocap import Mocap
from video2pose3d.evaluation import filming
from video2pose3d.evaluation.scores import Table
from video2pose3d.lifters import Lifter
from video2pose3d.multiview import Sighted, View, reconstruct
from video2pose3d.multiview.centres import joint_centres
from video2pose3d.multiview.triangulation import Sights, triangulate
from video2pose3d.pipeline import Sighting
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Keypoints2D, Track

CAMERAS = (2, 3, 4, 8)
_REACH = 1.0  # metres from the pelvis to where a body ends
_HALF_VIEW = np.arctan2(filming.CAMERA.size[0] / 2, filming.CAMERA.K[0, 0])  # radians
_STAGES = ("triangulated", "refined", "world")


@dataclass(frozen=True)
class Shoot:
    """joints: (T, 17, 3) metres in the rig's world, Z up; cameras by kind of 2D."""

    joints: np.ndarray
    cameras: dict[str, list[Sighted]]


def film(mocap: Mocap, count: int, limit: int | None = None) -> list[Shoot]:
    """The sequences as `count` cameras see them, always the same for the same file."""
    return [_film_one(mocap, count, *piece) for piece in filming.pieces(mocap, limit)]


def _film_one(mocap: Mocap, count: int, number: int, clip: int, first: int, length: int) -> Shoot:
    start = mocap.start[clip] + first
    joints = mocap.positions[start : start + length].astype(np.float64)
    middle = filming.middle(joints)
    radius = np.linalg.norm(joints[:, 0, :2] - middle, axis=-1).max() + _REACH
    distance = max(filming.DISTANCE, radius / np.sin(_HALF_VIEW))
    turn = 2 * np.pi / max(count, 4) if count != 3 else 2 * np.pi / 3
    times = np.arange(length) / mocap.fps
    cameras: dict[str, list[Sighted]] = {kind: [] for kind in filming.KINDS}
    for c in range(count):
        azimuth = filming.AZIMUTHS[number % len(filming.AZIMUTHS)] + c * turn
        place, R = filming.stand(middle, azimuth, distance)
        view = View(f"camera {c + 1}", filming.CAMERA, R, -R @ place)
        rng = np.random.default_rng([17, number, c])
        for kind, keypoints in filming.see(joints, place, R, mocap.fps, rng).items():
            cameras[kind].append(Sighted(view, [_sighting(keypoints)], times, 0.0))
    return Shoot(joints, cameras)


def _sighting(keypoints: Keypoints2D) -> Sighting:
    xy, frames = keypoints.xy, keypoints.frames
    boxes = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
    track = Track(1, frames, boxes, np.ones(len(frames), np.float32))
    return Sighting(track, keypoints, np.ones(len(frames), dtype=bool))


# ------------------------------------------------------------------ measuring


def evaluate(
    lifter: Lifter, data: Path, *, cameras: Sequence[int] = CAMERAS,
    limit: int | None = filming.SEQUENCES, body: Path | None = None,
) -> list[Table]:  # fmt: skip
    """Errors by number of cameras, with noisy and with clean 2D, and by joint; in mm.

    lifter: for joints that one camera sees; data: folder with test as `collection.read` takes it,
    body as well; limit: how many sequences, None for all.
    """
    mocap = filming.read(data, body)
    rows: dict[str, dict[str, tuple[float, ...]]] = {stage: {} for stage in _STAGES}
    by_joint: dict[str, np.ndarray] = {}
    for count in cameras:
        shoots = film(mocap, count, limit)
        for kind in filming.KINDS:
            name = f"{count} cameras, {kind} 2D"
            pairs = [_measure(shoot, kind, lifter, mocap.fps) for shoot in shoots]
            truth = np.concatenate([truth for truth, _ in pairs])
            for stage in _STAGES:
                found = np.concatenate([stages[stage] for _, stages in pairs])
                rows[stage][name] = _row(found, truth)
                if stage == "refined" and kind == "noisy":
                    by_joint[f"{count} cameras"] = _by_joint(found, truth)
                    always = _always(found, truth)
    titles = {
        "triangulated": "As triangulated, each frame on its own",
        "refined": "As refined (joints_3d)",
        "world": "As given out, on the floor and with standing feet held (joints_world)",
    }
    columns = ("frames", "absolute", "relative", "P-MPJPE")
    tables = [Table(f"{title}, mm", columns, rows[stage]) for stage, title in titles.items()]
    by_joint["always"] = always
    columns = tuple(by_joint)
    joints = {
        name: tuple(float(by_joint[column][j]) for column in columns)
        for j, name in enumerate(H36M17.joints)
    }
    what = "always: the error's constant part in the body's axes, with the last rig"
    return [
        *tables,
        Table(f"As refined, noisy 2D, absolute, by joint, mm; {what}", columns, joints),
    ]


def _measure(
    shoot: Shoot, kind: str, lifter: Lifter, fps: float
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The truth (T, 17, 3) of the frames that were reconstructed, and each stage's joints there."""
    cameras = shoot.cameras[kind]
    scene = reconstruct(cameras, lifter, fps, person="largest").scene
    (person,), rig = scene.people, scene.rig
    assert rig is not None
    assert rig.world_from_calibration is not None
    in_camera = person.poses.joints + person.root_camera[:, None]
    return shoot.joints[person.frames], {
        "triangulated": _triangulated(cameras)[person.frames],
        "refined": _back(cameras[0].view.from_calibration, in_camera),
        "world": _back(rig.world_from_calibration, person.joints_world),
    }


def _triangulated(cameras: Sequence[Sighted]) -> np.ndarray:
    """(T, 17, 3) joints of each frame by itself; those that fewer than two see, on lines between
    their neighbours."""
    keypoints = [camera.people[0].keypoints for camera in cameras]
    xy = np.stack([one.xy for one in keypoints]).astype(np.float64)
    scores = np.stack([one.scores for one in keypoints])
    points = triangulate(Sights.through([camera.view for camera in cameras], xy, scores))
    frames, known = np.arange(len(points)), np.isfinite(points).all(axis=-1)
    for j in range(points.shape[1]):
        points[:, j] = tracking.fill(points[known[:, j], j], frames[known[:, j]], frames)
    return joint_centres(points)


def _back(from_calibration: np.ndarray, joints: np.ndarray) -> np.ndarray:
    return geometry.transform(np.linalg.inv(from_calibration), joints.astype(np.float64))


def _row(found: np.ndarray, truth: np.ndarray) -> tuple[float, ...]:
    relative = found - found[:, :1], truth - truth[:, :1]
    return (
        len(truth),
        1000 * metrics.mpjpe(found, truth),
        1000 * metrics.mpjpe(*relative),
        1000 * metrics.p_mpjpe(found, truth),
    )


def _by_joint(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(17,) mm."""
    return 1000 * np.linalg.norm(found - truth, axis=-1).mean(axis=0)


def _always(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(17,) mm: how large the mean error is in the axes of the body."""
    along = (found - truth) @ np.swapaxes(geometry.body_axes(truth), -1, -2)
    return 1000 * np.linalg.norm(along.mean(axis=0), axis=-1)
