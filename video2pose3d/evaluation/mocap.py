"""Our own benchmark, "mocap17 test 1" (`filming` defines it): how good a lifter is, and where.

Errors are relative to the pelvis, in mm; velocity in mm a frame. Beside the lifter stands the mean
pose, once facing the camera and once turned to the true heading.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from video2pose3d.datasets import collection
from video2pose3d.datasets.mocap import Mocap
from video2pose3d.evaluation.filming import (
    AZIMUTHS,
    CAMERA,
    KINDS,
    SEQUENCES,
    Sequence,
    film,
    read,
)
from video2pose3d.evaluation.scores import Errors, Score, Table, mean
from video2pose3d.lifters import Lifter, lift
from video2pose3d.skeletons import H36M17

WORST = 10  # sequences in the list of the worst
# Degrees between where a person's front points and the camera: how much of a turn each name takes.
ANGLES = {"front": (0, 45), "side": (45, 135), "back": (135, 181)}


@dataclass(frozen=True)
class Report:
    """scores: the lifter with noisy and clean 2D, and the mean pose; tables: the lifter's by

    source, by angle and by camera, its worst sequences, and its errors by joint.
    """

    scores: list[Score]
    tables: list[Table]


def evaluate(
    lifter: Lifter, data: Path, *, limit: int | None = SEQUENCES, body: Path | None = None
) -> Report:
    """A lifter and the mean pose on "mocap17 test 1", or on other motion alike, with noisy and with
    clean 2D.

    data: folder with test, and train for the mean pose, each as `collection.read` takes it, body as
    well. limit: how many sequences, spread evenly over the clips; None for all (some 300 in
    mocap17, five times as long).
    """
    mean_ = mean_pose(collection.read(data, "train", body=body))
    sequences = film(read(data, body), limit)
    truth = [sequence.truth for sequence in sequences]
    scores, errors = [], {}
    for kind in KINDS:
        poses = lift(lifter, [s.keypoints[kind] for s in sequences], CAMERA)
        found = [one.joints for one in poses]
        scores.append(score(f"{lifter.name}, {kind} 2D", found, truth))
        errors[kind] = [
            Errors.of(1000 * a.astype(np.float64), 1000 * b)
            for a, b in zip(found, truth, strict=True)
        ]
    facing = [_face(mean_, joints) for joints in truth]
    scores.append(score("mean pose, facing as the truth", facing, truth))
    still = [np.broadcast_to(mean_, joints.shape) for joints in truth]
    scores.append(score("mean pose, facing the camera", still, truth))
    return Report(scores, tables(sequences, errors))


def score(name: str, estimates: list[np.ndarray], truths: list[np.ndarray]) -> Score:
    """Over all frames of all sequences; each sequence (T, 17, 3) metres relative to the pelvis."""
    found, truth = np.concatenate(estimates), np.concatenate(truths)
    found_moves, true_moves = (
        np.concatenate([np.diff(one, axis=0) for one in many]) for many in (estimates, truths)
    )
    return Score.of(name, found, truth, (found_moves, true_moves))


# ------------------------------------------------------------------ where it is good, and where not


def tables(sequences: list[Sequence], errors: dict[str, list[Errors]]) -> list[Table]:
    """errors: by kind of 2D, one a sequence."""
    frames = np.concatenate([np.full(len(s.joints), n) for n, s in enumerate(sequences)])
    turned = np.abs(np.degrees(np.concatenate([_heading(s.truth) for s in sequences])))
    sources = np.array([s.source for s in sequences])[frames]
    cameras = np.array([s.camera for s in sequences])[frames]
    groups = {
        "By source": {name: sources == name for name in sorted(set(sources.tolist()))},
        "By angle: what the camera sees of the person, frame by frame": {
            f"{name}, {low} to {min(high, 180)}°": (low <= turned) & (turned < high)
            for name, (low, high) in ANGLES.items()
        },
        "By camera": {
            f"{n}, at {np.degrees(AZIMUTHS[n]):.0f}°": cameras == n for n in range(len(AZIMUTHS))
        },
    }
    joined = {kind: Errors.join(parts) for kind, parts in errors.items()}
    columns = [f"{kind} {name}" for kind in joined for name in ("MPJPE", "P-MPJPE")]

    def row(here: np.ndarray) -> tuple[float, ...]:
        means = (mean(values[here]) for one in joined.values() for values in (one.p1, one.p2))
        return len(np.unique(frames[here])), int(here.sum()), *means

    by_group = [
        Table(
            f"{title}, mm",
            ("sequences", "frames", *columns),
            {name: row(here) for name, here in members.items()},
        )
        for title, members in groups.items()
    ]
    kind = next(iter(errors))
    worst = _worst(sequences, errors[kind], f"The worst sequences, {kind} 2D, mm")
    of_joints = [one.by_joint() for one in joined.values()]
    rows = {name: sum((one[name] for one in of_joints), ()) for name in H36M17.joints}
    by_joint = Table("By joint, mm", tuple(columns), rows)
    return [*by_group, worst, by_joint]


def _worst(sequences: list[Sequence], errors: list[Errors], title: str) -> Table:
    """first, last: frames of the motion capture's clip."""
    order = np.argsort([-mean(one.p1) for one in errors], kind="stable")[:WORST]
    rows = {}
    for s, one in ((sequences[n], errors[n]) for n in order):
        name = f"{s.number}: {s.clip or s.source} {s.action[:40]}".rstrip()
        rows[name] = s.first, s.first + len(s.joints) - 1, s.camera, mean(one.p1), mean(one.p2)
    return Table(title, ("first", "last", "camera", "MPJPE", "P-MPJPE"), rows)


def plot(report: Report, path: Path) -> None:
    """MPJPE by source and by angle, with noisy and with clean 2D, as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    by_source, by_angle, *_ = report.tables
    sizes = [len(by_source.rows), len(by_angle.rows)]
    figure, panels = pyplot.subplots(
        1, 2, figsize=(11, 4.5), sharey=True, layout="constrained", width_ratios=sizes
    )
    for axes, table in zip(panels, (by_source, by_angle), strict=True):
        for k, kind in enumerate(KINDS):
            column = table.columns.index(f"{kind} MPJPE")
            values = [row[column] for row in table.rows.values()]
            places = np.arange(len(values)) + 0.4 * (k - 0.5)
            bars = axes.bar(places, values, 0.38, label=f"{kind} 2D")
            axes.bar_label(bars, fmt="%.0f", fontsize=8)
        axes.set_xticks(range(len(table.rows)), [name.replace(", ", "\n") for name in table.rows])
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("MPJPE, mm")
    panels[0].set_title("by source")
    panels[1].set_title("by the camera's angle to the person")
    panels[1].legend(frameon=False)
    name, _, _ = report.scores[0].name.partition(",")
    figure.suptitle(f"{name} on motion capture, {report.scores[0].frames} frames")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


# ------------------------------------------------------------------ the mean pose


def mean_pose(mocap: Mocap) -> np.ndarray:
    """(17, 3) metres relative to the pelvis, upright in CAMERA_ROOT's axes, facing the camera."""
    joints = mocap.positions[::25].astype(np.float64)
    joints = joints - joints[:, :1]
    joints = np.stack([joints[..., 0], -joints[..., 2], joints[..., 1]], axis=-1)  # y down
    return _turned(joints, -_heading(joints)).mean(axis=0)


def _heading(joints: np.ndarray) -> np.ndarray:
    """Angle (T,) about the vertical of the line from right to left hip and shoulder; 0 for a
    person who faces the camera.
    """
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
