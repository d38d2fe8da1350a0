"""A poses.npz beside a clip's exact truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from video2pose3d import archives, metrics
from video2pose3d.errors import UserError
from video2pose3d.evaluation import keypoints
from video2pose3d.evaluation.scores import Errors, Score, Table, mean
from video2pose3d.multiview.centres import joint_centres
from video2pose3d.skeletons import COCO17, H36M17, h36m_from_coco

PARTS = 12  # of a clip, in the table by time
TRIANGULATED = [f"person{n}_xyz_m" for n in range(20)]
_LIMBS = [
    f"{side}_{joint}"
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
]


@dataclass(frozen=True)
class _Beside:
    """A result and its clip's truth, person beside person.

    lifted, moved: (P, T, 17, 3) metres, see `_read_result`; camera: (Q, T, 17, 3) metres in CAMERA
    and expected, the same relative to the pelvis, the truth's people; counts: (Q, P, T) frames in
    which both are there; pairs: truth's person → result's.
    """

    lifted: np.ndarray
    moved: np.ndarray
    camera: np.ndarray
    expected: np.ndarray
    counts: np.ndarray
    pairs: dict[int, int]

    @classmethod
    def read(cls, result: Path, truth: Path) -> _Beside:
        lifted, moved, valid = _read_result(result)
        camera = _read_truth(truth)
        if lifted.shape[1] != camera.shape[1]:
            what = f"has {lifted.shape[1]} frames, the truth {camera.shape[1]}"
            raise UserError(what, path=result, cure="give the truth of the same clip")
        expected = camera - camera[:, :, :1]
        counts = _count(valid, expected)
        return cls(lifted, moved, camera, expected, counts, _pair(lifted, expected, counts))


def evaluate(result: Path, truth: Path) -> list[Score]:
    """A poses.npz beside a clip's exact truth: scores for each person of the truth.

    Two a person: of `joints_3d`, as lifted, and of `joints_world`, after motion, turned back to the
    camera's axes. truth: an npz whose `camera` is (T, 17, 3) or (T, P, 17, 3) metres in CAMERA,
    Human3.6M joints. People are paired by the least total error; frames count where the person is
    valid in the result and the truth is finite. A person whom the result lacks has 0 frames and
    NaN errors.
    """
    both = _Beside.read(result, truth)
    return [
        _score_person(
            f"person {i + 1}, {kind}", joints, expected, both.counts[i], both.pairs.get(i)
        )
        for i, expected in enumerate(both.expected)
        for kind, joints in (("as lifted", both.lifted), ("after motion", both.moved))
    ]


def evaluate_details(result: Path, truth: Path) -> list[Table]:
    """Where `joints_3d` errs: tables by joint and by time for each person whom the result has.

    As for `evaluate`. Of time there are PARTS parts of equal length.
    """
    both = _Beside.read(result, truth)
    (seconds,) = _read(result, ("timestamps",), "is not a poses.npz")
    tables = []
    for i, k in both.pairs.items():
        here = both.counts[i, k]
        errors = Errors.of(1000 * both.lifted[k], 1000 * both.expected[i], here)
        by_time = {
            "{:.1f} to {:.1f} s, frames {} to {}".format(*seconds[part[[0, -1]]], *part[[0, -1]]): (
                len(errors.p1[rows]), mean(errors.p1[rows]), mean(errors.p2[rows]),
            )
            for part in np.array_split(np.arange(len(here)), min(PARTS, len(here)))
            for rows in [np.isin(np.flatnonzero(here), part)]
        }  # fmt: skip
        name, columns = f"person {i + 1}, as lifted", ("MPJPE", "P-MPJPE")
        tables += [
            Table(f"{name}, by joint, mm", columns, errors.by_joint()),
            Table(f"{name}, by time, mm", ("frames", *columns), by_time),
        ]
    return tables


def evaluate_limbs(result: Path, reference: Path) -> list[Score]:
    """A poses.npz beside joints that another program triangulated: P-MPJPE of the limbs' twelve.

    Those joints are where a COCO detector points, hips and shoulders on the body's surface; ours
    are joint centres. So each score is given twice: beside the points as they are ("limbs"), and
    beside the centres of their joints, made as `multiview` makes its own ("centres"). reference: an
    npz with person<N>_xyz_m, from N = 0 on, (T, 17, 3) metres in any frame of reference, COCO's
    joints, NaN where there are none.
    """
    lifted, moved, valid = _read_result(result)
    file = archives.read(reference, TRIANGULATED)
    shape = (valid.shape[1], len(COCO17), 3)
    if not file or any(one.shape != shape for one in file.values()):
        what = f"is neither a truth file, with camera, nor a triangulation, with {TRIANGULATED[0]} "
        raise UserError(f"{what}{shape}", path=reference)
    theirs = np.stack([file[key] for key in TRIANGULATED if key in file]).astype(np.float64)
    points = h36m_from_coco(theirs, np.ones(theirs.shape[:-1]))[0].astype(np.float64)
    centres = np.stack([joint_centres(one) for one in points])
    limbs = H36M17.indices(*_LIMBS)
    scores = []
    for what, expected in (("limbs", points[:, :, limbs]), ("centres", centres[:, :, limbs])):
        counts = _count(valid, expected)
        for kind, joints in (("as lifted", lifted), ("after motion", moved)):
            ours = joints[:, :, limbs]
            pairs = _pair(ours, expected, counts, metrics.p_mpjpe)
            scores += [
                _score_person(f"person {i + 1}, {what}, {kind}", ours, one, counts[i], pairs.get(i))
                for i, one in enumerate(expected)
            ]
    nan = float("nan")  # whose axes theirs are is not known
    return [replace(score, mpjpe=nan, n_mpjpe=nan, mpjve=nan) for score in scores]


def evaluate_keypoints(result: Path, truth: Path) -> list[Table]:
    """The 2D keypoints of a poses.npz beside the truth, a table for each person of the truth whom

    the result has; see `keypoints.table`. truth: as for `evaluate`, with the camera's `K` (3, 3).
    """
    both = _Beside.read(result, truth)
    xy, scores = _read(result, ("keypoints_2d", "scores_2d"), "is not a poses.npz")
    (K,) = _read(truth, ("K",), "is not a truth file with its camera's K")
    return [
        keypoints.table(
            f"person {i + 1}, 2D keypoints, mm",
            xy[k, both.counts[i, k]].astype(np.float64),
            scores[k, both.counts[i, k]].astype(np.float64),
            both.camera[i, both.counts[i, k]],
            K,
        )
        for i, k in both.pairs.items()
    ]


def _count(valid: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """(Q, P, T) bool: the result's person is valid (P, T), the truth's (Q, T, J, 3) finite."""
    return valid[None] & np.isfinite(expected).all(axis=(2, 3))[:, None]


def _pair(
    joints: np.ndarray,
    expected: np.ndarray,
    counts: np.ndarray,
    measure: Callable[[np.ndarray, np.ndarray], float] = metrics.mpjpe,
) -> dict[int, int]:
    """Truth's person → result's, by the least total error over the frames that count."""
    cost = np.full(counts.shape[:2], 1e3)
    for i, k in np.ndindex(*cost.shape):
        if counts[i, k].any():
            error = measure(joints[k, counts[i, k]], expected[i, counts[i, k]])
            cost[i, k] = error + (1 - counts[i, k].mean())  # whoever is seen longer, too
    return {int(i): int(k) for i, k in zip(*linear_sum_assignment(cost), strict=True)}


def _score_person(
    name: str, joints: np.ndarray, expected: np.ndarray, counts: np.ndarray, k: int | None
) -> Score:
    """Person k of joints (P, T, 17, 3) beside expected (T, 17, 3), over the frames counts[k]."""
    here = np.zeros(len(expected), bool) if k is None else counts[k]
    found = expected if k is None else joints[k]
    both = here[1:] & here[:-1]
    moves = np.diff(found, axis=0)[both], np.diff(expected, axis=0)[both]
    return Score.of(name, found[here], expected[here], moves)


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


def _read(path: Path, keys: tuple[str, ...], lacking: str) -> list[np.ndarray]:
    file = archives.read(path, keys)
    if file.keys() != set(keys):
        raise UserError(lacking, path=path)
    return [file[key] for key in keys]


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
