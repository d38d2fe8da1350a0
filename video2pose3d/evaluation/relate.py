"""How much --relate mends: "mocap17 relate 2", motion capture of held-out people seen by rigs.

Pieces of test.npz of at most 243 frames (at their own 50 fps), spread evenly over the file, each
seen by eight random cameras as lifters are trained with (`training.cameras`), through one detector
(`training.detector`). Its keypoints are exact with full scores ("clean"), or as training makes
them: noisy, with joints and frames lost, swapped or cut off ("noisy"), each camera by itself. A
rig of V views is the first V of the eight. Every random number hangs on the piece's number alone.
All pictures have the lens that is assumed, which is not the true one, as in training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from video2pose3d import lifters, relate
from video2pose3d.datasets.mocap import Mocap
from video2pose3d.evaluation.filming import CAMERA, KINDS, pieces, read
from video2pose3d.evaluation.scores import Score, Table
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Keypoints2D
from video2pose3d.training.cameras import Cameras
from video2pose3d.training.detector import detect, detector_points
from video2pose3d.training.recipe import Recipe

VIEWS = 1, 2, 4, 8
SEQUENCES = 24  # of the benchmark
COLUMNS = (
    "median mm", "median %", "mean mm", "mean %", "median px", "unseen mm",
    "MPJPE", "N-MPJPE", "P-MPJPE", "velocity",
)  # fmt: skip


@dataclass(frozen=True)
class Filmed:
    """A piece seen by 8 cameras. truth: (8, T, 17, 2) px where the detector would point; xy, scores

    (8, T, 17) by kind; millimetres: (8, T, 1) that a pixel is at the person; joints: (T, 17, 3)
    metres in CAMERA_ROOT of the first.
    """

    truth: np.ndarray
    xy: dict[str, np.ndarray]
    scores: dict[str, np.ndarray]
    millimetres: np.ndarray
    joints: np.ndarray


def evaluate(
    relation: relate.Relation,
    lifter: lifters.Lifter,
    data: Path,
    *,
    limit: int | None = SEQUENCES,
    body: Path | None = None,
) -> Table:
    """Errors of 2D keypoints that were seen, in mm at the person and in px, as they were seen and

    mended, and by how much they changed. unseen mm: the median of those that were filled in;
    MPJPE, N-MPJPE, P-MPJPE in mm, velocity (MPJVE) in mm a frame: of the first view as the lifter
    has it. data, body: as for rigs. limit: how many pieces; None for all.
    """
    mocap = read(data, body)
    filmed = list(film(mocap, limit))
    rows = {}
    for kind in KINDS:
        given = [(f.xy[kind], f.scores[kind]) for f in filmed]
        as_seen = lift(lifter, filmed, given, mocap.fps)
        for V in VIEWS:
            mended = [
                relate.mend_views(relation, xy[:V], scores[:V], [CAMERA] * V, mocap.fps)
                for xy, scores in given
            ]
            before, after = (_errors(filmed, kind, V, views) for views in (given, mended))
            name = f"{V} view{'s' if V > 1 else ''}, {kind}"
            rows[f"{name}, as seen"] = _row(before, before, as_seen)
            lifted = lift(lifter, filmed, mended, mocap.fps)
            rows[f"{name}, mended"] = _row(before, after, lifted)
    return Table('"mocap17 relate 2"', COLUMNS, rows)


def film(mocap: Mocap, limit: int | None) -> Iterator[Filmed]:
    """The pieces, always the same for the same file."""
    for number, clip, first, length in pieces(mocap, limit):
        start = mocap.start[clip] + first
        yield _film_one(number, mocap.positions[start : start + length].astype(np.float64))


def _film_one(number: int, joints: np.ndarray) -> Filmed:
    """joints: (T, 17, 3) metres, Z up."""
    rng, recipe = np.random.default_rng([23, number]), Recipe()
    points = detector_points(joints[None], rng)
    joints, points = (np.repeat(v.reshape(1, *joints.shape), max(VIEWS), axis=0)
                      for v in (joints, points))  # fmt: skip
    cameras = Cameras.draw(joints, rng, recipe)
    joints, points = cameras.see(joints), cameras.see(points)
    f = CAMERA.K[0, 0] * cameras.focal_error[:, None, None, None]  # px a ray
    middle = CAMERA.K[:2, 2]
    truth = points[..., :2] / np.maximum(points[..., 2:], 0.3)
    rays, scores = detect(joints, points, rng, recipe)
    return Filmed(
        truth * f + middle,
        {"noisy": rays * f + middle, "clean": truth * f + middle},
        {"noisy": scores, "clean": np.ones_like(scores)},
        1000 * np.maximum(joints[:, :, :1, 2], 0.3) / f[..., 0],
        joints[0] - joints[0, :, :1],
    )


def lift(
    lifter: lifters.Lifter,
    filmed: list[Filmed],
    views: list[tuple[np.ndarray, np.ndarray]],
    fps: float,
) -> Score:
    """How well the first view of each piece is lifted; views: (V, T, 17, 2) px, (V, T, 17)."""
    people = [
        Keypoints2D(np.arange(xy.shape[1]), xy[0].astype(np.float32), scores[0].astype(np.float32),
                    H36M17, CAMERA.size, fps)
        for xy, scores in views
    ]  # fmt: skip
    found = [pose.joints.astype(np.float64) for pose in lifters.lift(lifter, people, CAMERA)]
    truth = [f.joints for f in filmed]
    moves = [np.concatenate([np.diff(one, axis=0) for one in joints]) for joints in (found, truth)]
    return Score.of("", np.concatenate(found), np.concatenate(truth), (moves[0], moves[1]))


class Errors2D(NamedTuple):
    """Of all pieces and views. mm, px: of what was seen, (N,); unseen: mm of what was not, (M,)."""

    mm: np.ndarray
    px: np.ndarray
    unseen: np.ndarray


def _errors(
    filmed: list[Filmed], kind: str, V: int, views: list[tuple[np.ndarray, np.ndarray]]
) -> Errors2D:
    """views: keypoints (V or more, T, 17, 2) px of each piece, with scores; 0 is not seen."""
    parts = []
    for piece, (xy, scores) in zip(filmed, views, strict=True):
        off = np.linalg.norm(xy[:V] - piece.truth[:V], axis=-1)
        seen = piece.scores[kind][:V] > 0
        mm = off * piece.millimetres[:V]
        parts.append((mm[seen], off[seen], mm[~seen & (scores[:V] > 0)]))
    return Errors2D(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _row(before: Errors2D, after: Errors2D, lifted: Score) -> tuple[float, ...]:
    columns = []
    for measure in (np.median, np.mean):
        old, new = (float(measure(errors.mm)) for errors in (before, after))
        columns += [new, 100 * (new / old - 1) if old > 0.01 else float("nan")]  # none if exact
    unseen = float(np.median(after.unseen)) if len(after.unseen) else float("nan")
    poses = lifted.mpjpe, lifted.n_mpjpe, lifted.p_mpjpe, lifted.mpjve
    return *columns, float(np.median(after.px)), unseen, *poses
