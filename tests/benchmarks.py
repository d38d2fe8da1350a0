"""Small files in exactly the layouts in which Human3.6M, MPI-INF-3DHP and HumanEva are published.

Everybody walks as tests/mocap.py's stick figure; frames are few, numbers are made up.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from mocap import walk

from video2pose3d.datasets.h36m import JOINTS, MOVING
from video2pose3d.skeletons import H36M17, HUMANEVA15, MPI_INF_3DHP17

FOCAL = 1145.0  # px
CAMERAS = ("54138969", "55011271", "58860488", "60457274")

# Where the other skeletons' joints are in Human3.6M's, near enough.
NEAR = {"head_top": "head", "neck": "thorax", "head": "neck"}


def seen(frames: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(T, 17, 3) metres in CAMERA, about 5 m away, and (T, 17, 2) px from the picture's middle."""
    joints = walk(frames, seed)[..., [0, 2, 1]] * [1, -1, 0.2] + [0.3, 0.9, 5.0]
    return joints, joints[..., :2] / joints[..., 2:] * FOCAL


def other(joints: np.ndarray, skeleton) -> np.ndarray:
    """(T, 17, D) of H36M17 in the order of another skeleton."""
    names = [name if name in H36M17.joints else NEAR[name] for name in skeleton.joints]
    if skeleton is HUMANEVA15:
        names = [NEAR.get(name, name) for name in skeleton.joints]
    return joints[:, H36M17.indices(*names)]


def motionbert(path: Path, videos: dict[str, int], actions: dict[str, str]) -> None:
    """videos: source ("s_09_act_02_subact_01_ca_01") → frames, the same in both halves;
    actions: source without camera → the action's name."""
    halves = {}
    for split in ("train", "test"):
        rows: dict[str, list] = {}
        for number, (source, frames) in enumerate(videos.items()):
            camera = CAMERAS[int(source[-2:]) - 1]
            joints, xy = seen(frames, number)
            depth = joints[..., 2:] - joints[:, :1, 2:]
            factor = joints[:, 0, 2] / FOCAL * 1000  # mm a px at the pelvis, (T,)
            pixels = xy + 500
            image = np.concatenate([pixels, depth * 1000 / factor[:, None, None]], axis=-1)
            rows.setdefault("joint_2d", []).append(pixels + 2)
            rows.setdefault("confidence", []).append(np.full((frames, 17), 0.5, np.float32))
            rows.setdefault("joint3d_image", []).append(image)
            rows.setdefault("camera_name", []).append(np.full(frames, camera))
            rows.setdefault("source", []).append(np.full(frames, source))
            if split == "test":
                rows.setdefault("2.5d_factor", []).append(factor)
                rows.setdefault("joints_2.5d_image", []).append(image * factor[:, None, None])
                rows.setdefault("action", []).append(np.full(frames, actions[source[:-6]]))
        halves[split] = {key: np.concatenate(values) for key, values in rows.items()}
        halves[split]["source"] = halves[split]["source"].tolist()  # a list, as published
    with open(path, "wb") as file:
        pickle.dump(halves, file)


def videopose3d(folder: Path, tree: dict[str, dict[str, int]], keypoints: str = "gt") -> None:
    """Human3.6M's files. tree: {subject: {action: frames}}; 2D goes on for 3 frames more, and each
    camera's lies 7 px further than the one's before."""
    positions, points = {}, {}
    for number, (subject, action, frames) in enumerate(_leaves(tree)):
        joints = np.zeros((frames, JOINTS, 3), np.float32)
        joints[:, MOVING] = walk(frames, number)
        xy = seen(frames + 3, number)[1].astype(np.float32) + 500
        positions.setdefault(subject, {})[action] = joints
        points.setdefault(subject, {})[action] = [xy + 7 * n for n in range(len(CAMERAS))]
    _objects(folder / "data_3d_h36m.npz", positions_3d=positions)
    metadata = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": [[4], [1]]}
    _objects(folder / f"data_2d_h36m_{keypoints}.npz", positions_2d=points, metadata=metadata)


def humaneva(folder: Path, tree: dict[str, dict[str, int]]) -> None:
    """tree: {"Validate/S1": {"Walking 1 chunk0": frames}}; 2D as in `videopose3d`."""
    positions, points = {}, {}
    for number, (subject, action, frames) in enumerate(_leaves(tree)):
        joints = other(walk(frames, number), HUMANEVA15).astype(np.float32)
        xy = other(seen(frames, number)[1], HUMANEVA15).astype(np.float32) + 300
        positions.setdefault(subject, {})[action] = joints
        points.setdefault(subject, {})[action] = [xy + 7 * n for n in range(3)]
    _objects(folder / "data_3d_humaneva15.npz", positions_3d=positions)
    _objects(folder / "data_2d_humaneva15_gt.npz", positions_2d=points, metadata={"num_joints": 15})


def mpi_inf_3dhp(folder: Path, test: dict[str, np.ndarray], train: dict[str, int]) -> None:
    """test: {"TS1": valid (T,)}; train: {"S1 Seq1": frames}, each with two cameras."""

    def view(frames: int, number: int) -> dict[str, np.ndarray]:
        joints, xy = seen(frames, number)
        return {
            "data_2d": other(xy, MPI_INF_3DHP17) + 1024,
            "data_3d": 1000 * other(joints, MPI_INF_3DHP17),
        }

    halves = {
        "train": {
            name: [{str(camera): view(frames, n) for camera in (0, 8)}, 25]
            for n, (name, frames) in enumerate(train.items())
        },
        "test": {
            name: {**view(len(valid), n), "valid": valid}
            for n, (name, valid) in enumerate(test.items())
        },
    }
    for split, tree in halves.items():
        _objects(folder / f"data_{split}_3dhp.npz", data=tree)


def read(path: Path) -> dict:
    """What `mpi_inf_3dhp` wrote."""
    return np.load(path, allow_pickle=True)["data"][()]


def _leaves(tree: dict[str, dict[str, int]]) -> Iterator[tuple[str, str, int]]:
    for subject, actions in tree.items():
        for action, frames in actions.items():
            yield subject, action, frames


def _objects(path: Path, **trees: dict) -> None:
    np.savez_compressed(path, **{key: np.array(tree, object) for key, tree in trees.items()})
