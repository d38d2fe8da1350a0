"""Our own benchmark, "mocap17 test 1": motion capture filmed by virtual cameras.

Each clip of a motion capture file is cut into sequences of at most 243 frames (at its own 50 fps;
shorter than 27 left out), and each is filmed by one of four virtual cameras in turn (1000 x 1000
px, f = 1145 px, 5 m from the middle of the person's path, 1.6 m high, at 45, 135, 225 and 315
degrees); 60 sequences, spread evenly over the file, are taken. The 2D keypoints are what a COCO
detector gives after conversion to Human3.6M-17 (`detector`), either exact with full scores
("clean") or with errors from a generator whose seed is the sequence's number ("noisy"). All
competitors see the same. Errors are relative to the pelvis, in mm; velocity in mm a frame.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from video2pose3d import metrics
from video2pose3d.datasets.mocap import Mocap
from video2pose3d.evaluation import detector
from video2pose3d.evaluation.scores import Errors, Score, Table, mean
from video2pose3d.geometry import project
from video2pose3d.lifters import Lifter, lift
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
WORST = 10  # sequences in the list of the worst
# Degrees between where a person's front points and the camera: how much of a turn each name takes.
ANGLES = {"front": (0, 45), "side": (45, 135), "back": (135, 181)}


@dataclass(frozen=True)
class Sequence:
    """A filmed sequence. joints: (T, 17, 3) metres in CAMERA; keypoints by kind of 2D.

    number: among all of the file; clip, first: the motion capture's clip and frame where it begins;
    camera: which of the four.
    """

    number: int
    clip: str
    first: int
    source: str
    camera: int
    joints: np.ndarray
    keypoints: dict[str, Keypoints2D]

    @property
    def truth(self) -> np.ndarray:
        """(T, 17, 3) metres in CAMERA_ROOT."""
        return self.joints - self.joints[:, :1]


@dataclass(frozen=True)
class Report:
    """scores: the lifter with noisy and clean 2D, and the mean pose; tables: the lifter's by

    source, by angle and by camera, and its worst sequences.
    """

    scores: list[Score]
    tables: list[Table]


def evaluate(lifter: Lifter, data: Path, *, limit: int | None = SEQUENCES) -> Report:
    """A lifter and the mean pose on "mocap17 test 1", with noisy and with clean 2D.

    data: folder with test.npz, and train.npz for the mean pose. limit: how many sequences, spread
    evenly over the file; None for all (some 300 in mocap17, five times as long).
    """
    sequences = film(Mocap.read(Path(data) / "test.npz"), limit)
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
    mean_ = mean_pose(Mocap.read(Path(data) / "train.npz"))
    facing = [_face(mean_, joints) for joints in truth]
    scores.append(score("mean pose, facing as the truth", facing, truth))
    still = [np.broadcast_to(mean_, joints.shape) for joints in truth]
    scores.append(score("mean pose, facing the camera", still, truth))
    return Report(scores, tables(sequences, errors))


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


# ------------------------------------------------------------------ where it is good, and where not


def tables(sequences: list[Sequence], errors: dict[str, list[Errors]]) -> list[Table]:
    """errors: by kind of 2D, one a sequence."""
    frames = np.concatenate([np.full(len(s.joints), n) for n, s in enumerate(sequences)])
    joined = {kind: Errors.join(parts) for kind, parts in errors.items()}
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
    columns = tuple(f"{kind} {name}" for kind in joined for name in ("MPJPE", "P-MPJPE"))
    made = [
        Table(
            f"{title}, mm",
            ("sequences", "frames", *columns),
            {
                name: (
                    len(np.unique(frames[here])),
                    int(here.sum()),
                    *(mean(v[here]) for one in joined.values() for v in (one.p1, one.p2)),
                )
                for name, here in members.items()
            },
        )
        for title, members in groups.items()
    ]
    kind = next(iter(errors))
    worst = sorted(zip(errors[kind], sequences, strict=True), key=lambda pair: -pair[0].p1.mean())
    rows = {
        f"{s.number}: {s.clip or s.source}": (
            s.first, s.first + len(s.joints) - 1, s.camera, mean(e.p1), mean(e.p2)
        )
        for e, s in worst[:WORST]
    }  # fmt: skip
    columns = ("first", "last", "camera", "MPJPE", "P-MPJPE")
    return [*made, Table(f"The worst sequences, {kind} 2D, mm", columns, rows)]


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
    figure.suptitle(f"{name} on mocap17 test 1, {report.scores[0].frames} frames")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def dump(sequences: list[Sequence], folder: Path) -> list[Path]:
    """The benchmark for other programs, three files a sequence, in `folder`.

    NUMBER_CLIP.noisy.npz and .clean.npz: keypoints as `lift` reads them (keypoints_2d, scores_2d,
    image_size, fps, skeleton); .truth.npz: `camera` (T, 17, 3) metres in CAMERA, as `evaluate`
    reads it, and `camera_K`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for s in sequences:
        name = re.sub(r"[^\w.-]+", "_", f"{s.number:03}_{s.clip or s.source}")
        for kind, keypoints in s.keypoints.items():
            files.append(folder / f"{name}.{kind}.npz")
            np.savez_compressed(
                files[-1],
                keypoints_2d=keypoints.xy,
                scores_2d=keypoints.scores,
                image_size=np.array(keypoints.image_size),
                fps=np.float64(keypoints.fps),
                skeleton=np.array(keypoints.skeleton.name),
            )
        files.append(folder / f"{name}.truth.npz")
        np.savez_compressed(files[-1], camera=s.joints.astype(np.float32), camera_K=CAMERA.K)
    return files


# ------------------------------------------------------------------ filming


def film(mocap: Mocap, limit: int | None = None) -> list[Sequence]:
    """The sequences of the benchmark, always the same for the same file."""
    pieces = []
    for clip, length in enumerate(mocap.length):
        for at in range(0, length, LONGEST):
            if min(LONGEST, length - at) >= SHORTEST:
                pieces.append((clip, at, min(LONGEST, length - at)))
    numbers = range(len(pieces))
    if limit is not None and limit < len(pieces):
        numbers = np.linspace(0, len(pieces) - 1, limit).astype(int)
    return [_film_one(mocap, int(n), *pieces[n]) for n in numbers]


def _film_one(mocap: Mocap, number: int, clip: int, first: int, length: int) -> Sequence:
    start = mocap.start[clip] + first
    joints = mocap.positions[start : start + length].astype(np.float64)  # Z up
    camera = number % len(AZIMUTHS)
    azimuth = AZIMUTHS[camera]
    middle = (joints[:, 0, :2].min(axis=0) + joints[:, 0, :2].max(axis=0)) / 2
    away = DISTANCE * np.array([np.cos(azimuth), np.sin(azimuth)])
    position = np.array([*(middle + away), HEIGHT])
    forward = np.array([*middle, 0.9]) - position
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])  # x_camera = R (x - position)

    xy = project(_before_the_lens((detector.points(joints) - position) @ R.T), CAMERA)
    seen = (joints - position) @ R.T
    frames = np.arange(len(joints))

    def keypoints(xy: np.ndarray, scores: np.ndarray) -> Keypoints2D:
        xy, scores = xy.astype(np.float32), scores.astype(np.float32)
        return Keypoints2D(frames, xy, scores, H36M17, CAMERA.size, mocap.fps)

    pixels = CAMERA.K[0, 0] / np.maximum(seen[:, :1, 2], 0.5)  # px a metre at the pelvis, (T, 1)
    return Sequence(
        number=number,
        clip=str(mocap.name[clip]),
        first=first,
        source=str(mocap.source[clip]),
        camera=camera,
        joints=seen,
        keypoints={
            "noisy": keypoints(*detector.noisy(xy, pixels, np.random.default_rng([17, number]))),
            "clean": keypoints(xy, np.ones(xy.shape[:2])),
        },
    )


def _before_the_lens(points: np.ndarray) -> np.ndarray:
    """Nothing nearer than 0.3 m: some actors walk past the camera."""
    points = points.copy()
    points[..., 2] = np.maximum(points[..., 2], 0.3)
    return points


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
