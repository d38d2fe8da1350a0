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

import numpy as np

from video2pose3d import lifters, relate
from video2pose3d.datasets.mocap import Mocap
from video2pose3d.evaluation.filming import CAMERA, KINDS, pieces
from video2pose3d.evaluation.scores import Errors, Table, mean
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Keypoints2D
from video2pose3d.training.cameras import Cameras
from video2pose3d.training.detector import detect, detector_points
from video2pose3d.training.recipe import Recipe

VIEWS = 1, 2, 4, 8
SEQUENCES = 24  # of the benchmark
COLUMNS = (
    "median mm", "mended", "change %", "mean mm", "mended", "change %", "median px", "mended",
    "unseen, mm", "MPJPE", "mended", "P-MPJPE", "mended", "velocity", "mended",
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
) -> Table:
    """Errors of 2D keypoints that were seen, before and after, in mm at the person and in px.

    unseen: the median of those that were filled in; MPJPE, P-MPJPE in mm, velocity (MPJVE) in mm a
    frame: of the first view as the lifter has it. data: folder with test.npz. limit: how many
    pieces; None for all.
    """
    mocap = Mocap.read(Path(data) / "test.npz")
    filmed = list(film(mocap, limit))
    rows = {}
    for kind in KINDS:
        before = lift(lifter, filmed, [f.xy[kind][0] for f in filmed],
                      [f.scores[kind][0] for f in filmed], mocap.fps)  # fmt: skip
        for V in VIEWS:
            cameras = [CAMERA] * V
            mended = [
                relate.mend_views(relation, f.xy[kind][:V], f.scores[kind][:V], cameras, mocap.fps)
                for f in filmed
            ]
            after = lift(lifter, filmed, [xy[0] for xy, _ in mended], [s[0] for _, s in mended],
                         mocap.fps)  # fmt: skip
            parts = [_errors(f, kind, V, xy) for f, (xy, _) in zip(filmed, mended, strict=True)]
            errors = [np.concatenate(part) for part in zip(*parts, strict=True)]
            rows[f"{V} view{'s' if V > 1 else ''}, {kind}"] = _row(errors, before, after)
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
    xy: list[np.ndarray],
    scores: list[np.ndarray],
    fps: float,
) -> Errors:
    """The errors of one view's keypoints (T, 17, 2) px of each piece, lifted."""
    people = [
        Keypoints2D(np.arange(len(a)), a.astype(np.float32), b.astype(np.float32), H36M17,
                    CAMERA.size, fps)
        for a, b in zip(xy, scores, strict=True)
    ]  # fmt: skip
    poses = lifters.lift(lifter, people, CAMERA)
    return Errors.join(
        [
            Errors.of(1000 * pose.joints.astype(np.float64), 1000 * f.joints)
            for pose, f in zip(poses, filmed, strict=True)
        ]
    )


def _errors(filmed: Filmed, kind: str, V: int, mended: np.ndarray) -> tuple[np.ndarray, ...]:
    """Of V views: mm before and after and px before and after where seen, mm after where not."""
    seen = filmed.scores[kind][:V] > 0
    truth, mm = filmed.truth[:V], filmed.millimetres[:V]
    before, after = (np.linalg.norm(xy[:V] - truth, axis=-1) for xy in (filmed.xy[kind], mended))
    there = seen.any(axis=-1, keepdims=True)
    return (
        (before * mm)[seen], (after * mm)[seen], before[seen], after[seen],
        (after * mm)[~seen & there],
    )  # fmt: skip


def _row(errors: list[np.ndarray], before: Errors, after: Errors) -> tuple[float, ...]:
    """errors: as `_errors` gives them, of all pieces; before, after: of the poses lifted."""
    mm, mended_mm, px, mended_px, unseen = errors

    def changed(a: float, b: float) -> tuple[float, float, float]:
        return a, b, 100 * (b / a - 1) if a > 0 else float("nan")

    return (
        *changed(float(np.median(mm)), float(np.median(mended_mm))),
        *changed(mean(mm), mean(mended_mm)),
        float(np.median(px)), float(np.median(mended_px)),
        float(np.median(unseen)) if len(unseen) else float("nan"),
        mean(before.p1), mean(after.p1), mean(before.p2), mean(after.p2),
        mean(before.velocity), mean(after.velocity),
    )  # fmt: skip
