"""poses.npz: everything a run found, in NumPy's own format; the one that can be read back.

The keys, shapes and units are the project's contract (schema_version 1). P people, T video frames
(all of them, in order), 17 joints in Human3.6M order; NaN, or False, where a person is absent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from video2pose3d import archives
from video2pose3d.errors import UserError
from video2pose3d.exporters._fields import COORDINATE_SYSTEM, PER_FRAME, SCHEMA_VERSION, UNITS
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Camera, Keypoints2D, Person, Poses3D, Rig, Scene, Track
from video2pose3d.video.clock import MAX_FPS

suffix = ".npz"

_J = len(H36M17)

# What the file holds of each person in each frame: (P, T, ...) of a type.
_PER_FRAME: dict[str, tuple[tuple[int, ...], type]] = {
    "joints_3d": ((_J, 3), np.float32),
    "scores_3d": ((_J,), np.float32),
    "root_camera": ((3,), np.float32),
    "joints_world": ((_J, 3), np.float32),
    "keypoints_2d": ((_J, 2), np.float32),
    "scores_2d": ((_J,), np.float32),
    "valid": ((), np.bool_),
    "foot_contact": ((2,), np.bool_),
    "boxes": ((4,), np.float32),
    "box_scores": ((), np.float32),
}
_FRAME_BYTES = sum(math.prod(rest) * np.dtype(kind).itemsize for rest, kind in _PER_FRAME.values())
# And of the clip; T is written as None.
_PER_CLIP: dict[str, tuple[tuple[int | None, ...], type]] = {
    "timestamps": ((None,), np.float64),
    "fps": ((), np.float64),
    "image_size": ((2,), np.int64),
    "camera_K": ((3, 3), np.float64),
    "camera_dist": ((5,), np.float64),
    "world_from_camera": ((4, 4), np.float64),
    "joint_names": ((_J,), np.str_),
    "camera_source": ((), np.str_),
    "scale_source": ((), np.str_),
}
# And of several cameras: (V, ...), or (V, P, T, ...) of what each saw.
_PER_CAMERA: dict[str, tuple[tuple[int, ...], type]] = {
    "cameras_K": ((3, 3), np.float64),
    "cameras_dist": ((5,), np.float64),
    "cameras_size": ((2,), np.int64),
    "world_from_cameras": ((4, 4), np.float64),
    "time_offsets": ((), np.float64),
}
_PER_VIEW: dict[str, tuple[int, ...]] = {
    "keypoints_2d_views": (_J, 2),
    "scores_2d_views": (_J,),
}
# These are not in the contract's first list: a file without them is read all the same.
_OPTIONAL = {"scores_3d", "boxes", "box_scores", "camera_dist", "cameras_size"}


def write(scene: Scene, folder: Path) -> list[Path]:
    """Write poses.npz."""
    return [write_file(scene, folder / f"poses{suffix}")]


def write_file(scene: Scene, path: Path) -> Path:
    """Write a poses.npz under a name of one's own."""
    archives.write(path, _arrays(scene))
    return path


def read(path: Path) -> Scene:
    """The scene that was written; UserError for a file that is no poses.npz, or a hostile one."""
    wanted = {*_PER_CLIP, "track_ids", "schema_version"}
    wanted |= {
        *_PER_CAMERA,
        *_PER_VIEW,
        "camera_names",
        "reprojection_px",
        "world_from_calibration",
    }
    arrays = archives.read(path, wanted)
    version = _get(arrays, "schema_version", (), np.int64, path)
    if version > SCHEMA_VERSION:
        raise UserError(
            f"has schema_version {version}, this program reads {SCHEMA_VERSION}",
            path=path,
            cure="update video2pose3d",
        )
    ids = _get(arrays, "track_ids", (None,), np.int64, path)
    if len(set(ids.tolist())) < len(ids):
        raise UserError("has two people of one id in track_ids", path=path)
    clip = {
        key: _get(arrays, key, shape, dtype, path)
        for key, (shape, dtype) in _PER_CLIP.items()
        if key in arrays or key not in _OPTIONAL
    }
    shape = (len(ids), len(clip["timestamps"]))
    _check_clip(clip, path)
    width, height = clip["image_size"].tolist()
    size, fps = (width, height), clip["fps"].item()
    camera = Camera(
        K=clip["camera_K"],
        size=size,
        dist=clip.get("camera_dist", np.zeros(5)),
        source=clip["camera_source"].item(),
    )
    return Scene(
        people=tuple(_read_people(path, ids, shape, size, fps)),
        timestamps=clip["timestamps"],
        fps=fps,
        image_size=size,
        camera=camera,
        world_from_camera=clip["world_from_camera"],
        scale_source=clip["scale_source"].item(),
        rig=_read_rig(arrays, shape, camera, path) if "cameras_K" in arrays else None,
    )


def _read_people(
    path: Path, ids: np.ndarray, shape: tuple[int, int], size: tuple[int, int], fps: float
) -> Iterator[Person]:
    """One person after another: of (P, T, ...), most may be empty. shape: P, T."""
    headers = archives.headers(path, _PER_FRAME)
    for key, (rest, _) in _PER_FRAME.items():
        if key in headers:
            _check_shape(key, headers[key][0], (*shape, *rest), path)
        elif key not in _OPTIONAL:
            raise _lacks(key, path)
    held = 0
    for id, rows in zip(ids.tolist(), archives.rows(path, headers), strict=True):
        typed = {k: archives.as_type(row, _PER_FRAME[k][1], k, path) for k, row in rows.items()}
        person = _person(id, typed, size, fps, path)
        held += _FRAME_BYTES * (1 + len(person.frames))
        if held > archives.MOST_BYTES:
            raise UserError("unpacks to more than 4 GiB of people", path=path)
        yield person


def _arrays(scene: Scene) -> dict[str, ArrayLike | archives.Rows]:
    """The file's content by key."""
    p, t = len(scene.people), len(scene.timestamps)
    for person in scene.people:
        skeletons = person.keypoints.skeleton, person.poses.skeleton
        if skeletons != (H36M17, H36M17) or person.poses.space != "CAMERA_ROOT":
            raise ValueError(f"person {person.id}: expected H36M17 in CAMERA_ROOT")

    def rows(key: str, shape: tuple[int, ...], dtype: type) -> Iterator[np.ndarray]:
        for person in scene.people:
            row = np.full(shape, False if dtype is np.bool_ else np.nan, dtype)
            frames, values = _values(person, key)
            row[frames] = values
            yield row

    return {
        **{
            key: archives.Rows((p, t, *rest), dtype, rows(key, (t, *rest), dtype))
            for key, (rest, dtype) in _PER_FRAME.items()
        },
        "track_ids": np.array([person.id for person in scene.people], dtype=np.int64),
        "timestamps": scene.timestamps,
        "fps": np.array(scene.fps, dtype=np.float64),
        "image_size": np.array(scene.image_size, dtype=np.int64),
        "camera_K": scene.camera.K,
        "camera_dist": scene.camera.dist.astype(np.float64),
        "world_from_camera": scene.world_from_camera,
        "joint_names": np.array(H36M17.labels),
        "parents": np.array(H36M17.parents, dtype=np.int64),
        "units": np.array(UNITS),
        "coordinate_system": np.array(COORDINATE_SYSTEM),
        "camera_source": np.array(scene.camera.source),
        "scale_source": np.array(scene.scale_source),
        "schema_version": np.array(SCHEMA_VERSION, dtype=np.int64),
        **({} if scene.rig is None else _rig(scene.rig)),
    }


def _values(person: Person, key: str) -> tuple[np.ndarray, np.ndarray]:
    """The frames that have a value, and their values."""
    if key == "boxes":
        return person.track.frames, person.track.boxes
    if key == "box_scores":
        return person.track.frames, person.track.scores
    return person.frames, PER_FRAME[key](person)


def _rig(rig: Rig) -> dict[str, np.ndarray]:
    """What a file of several cameras holds besides."""
    back = rig.world_from_calibration
    return {
        "camera_names": np.array(rig.names),
        "cameras_K": np.stack([camera.K for camera in rig.cameras]),
        "cameras_dist": np.stack([camera.dist for camera in rig.cameras]),
        "cameras_size": np.array([camera.size for camera in rig.cameras], dtype=np.int64),
        "world_from_cameras": rig.world_from_cameras,
        "time_offsets": rig.time_offsets,
        "keypoints_2d_views": rig.keypoints,
        "scores_2d_views": rig.scores,
        "reprojection_px": rig.reprojection_px,
        **({} if back is None else {"world_from_calibration": back}),
    }


def _read_rig(
    arrays: dict[str, np.ndarray], shape: tuple[int, int], first: Camera, path: Path
) -> Rig:
    """The cameras that _rig wrote, `first` being the first of them. shape: P, T."""
    names = _get(arrays, "camera_names", (None,), np.str_, path).tolist()
    cameras = {
        key: _get(arrays, key, (len(names), *rest), dtype, path)
        for key, (rest, dtype) in _PER_CAMERA.items()
        if key in arrays or key not in _OPTIONAL
    }
    for key, array in cameras.items():
        if not np.isfinite(array).all():
            raise UserError(f"{key} is not finite", path=path)
    sizes = cameras.get("cameras_size")
    if sizes is None:  # a lens looks at about the middle of its pictures
        sizes = np.rint(2 * cameras["cameras_K"][:, :2, 2]).astype(np.int64)
        sizes[:1] = first.size
    if (sizes <= 0).any():
        raise UserError("cameras_size is not a size", path=path)
    views = {
        key: _get(arrays, key, (len(names), *shape, *rest), np.float32, path)
        for key, rest in _PER_VIEW.items()
    }
    back = "world_from_calibration"
    return Rig(
        names=tuple(names),
        cameras=tuple(
            Camera(K=K, size=(w, h), dist=dist, source=first.source)
            for K, (w, h), dist in zip(
                cameras["cameras_K"], sizes.tolist(), cameras["cameras_dist"], strict=True
            )
        ),
        world_from_cameras=cameras["world_from_cameras"],
        time_offsets=cameras["time_offsets"],
        keypoints=views["keypoints_2d_views"],
        scores=views["scores_2d_views"],
        reprojection_px=_get(arrays, "reprojection_px", (len(names), shape[0]), np.float64, path),
        world_from_calibration=(
            _get(arrays, back, (4, 4), np.float64, path) if back in arrays else None
        ),
    )


def _person(
    id: int, arrays: dict[str, np.ndarray], size: tuple[int, int], fps: float, path: Path
) -> Person:
    """One person's rows, (T, ...) each, as a Person over the frames where they are there."""
    present = ~np.isnan(arrays["joints_3d"]).all(axis=(1, 2))
    frames = np.flatnonzero(present)
    rows = {key: array[frames] for key, array in arrays.items()}
    for key in rows.keys() - {"boxes", "box_scores"}:
        if not np.isfinite(rows[key]).all():
            raise UserError(f"{key} of person {id} has gaps while they are there", path=path)
    keypoints = Keypoints2D(frames, rows["keypoints_2d"], rows["scores_2d"], H36M17, size, fps)
    scores = rows.get("scores_3d", rows["scores_2d"])
    return Person(
        track=_track(id, arrays, rows, frames),
        frames=frames,
        valid=rows["valid"],
        keypoints=keypoints,
        poses=Poses3D(frames, rows["joints_3d"], scores, H36M17, "CAMERA_ROOT", fps),
        root_camera=rows["root_camera"],
        joints_world=rows["joints_world"],
        foot_contact=rows["foot_contact"],
    )


def _track(
    id: int, arrays: dict[str, np.ndarray], rows: dict[str, np.ndarray], frames: np.ndarray
) -> Track:
    """The boxes as written, or, in a file without them, round the keypoints."""
    if "boxes" in arrays and "box_scores" in arrays:
        seen = np.flatnonzero(np.isfinite(arrays["boxes"]).all(axis=1))
        return Track(id, seen, arrays["boxes"][seen], arrays["box_scores"][seen])
    seen, xy = rows["valid"], rows["keypoints_2d"]
    boxes = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
    return Track(id, frames[seen], boxes[seen], rows["scores_2d"].mean(axis=1)[seen])


def _check_clip(clip: dict[str, np.ndarray], path: Path) -> None:
    """Hold the clip's own values to what they mean."""
    times = clip["timestamps"]
    frames, span = len(times), clip["fps"] * np.diff(times).sum()
    wrong = {
        "joint_names are not Human3.6M's 17": clip["joint_names"].tolist() != [*H36M17.labels],
        "holds no frames": not frames,
        "timestamps do not go forward": not (
            np.isfinite(times).all() and (np.diff(times) > 0).all()
        ),
        "fps is not a rate": not 0 < clip["fps"] <= MAX_FPS,
        # Else a file of a constant rate would lack frames, or have more than memory holds.
        "fps does not fit the timestamps": not (frames - 1) / 2 <= span <= 2 * frames,
        "image_size is not a size": (clip["image_size"] <= 0).any(),
        "camera_K is not finite": not np.isfinite(clip["camera_K"]).all(),
        "camera_K has no focal length": (clip["camera_K"][[0, 1], [0, 1]] <= 0).any(),
        "camera_dist is not finite": not np.isfinite(clip.get("camera_dist", 0)).all(),
        "world_from_camera is not finite": not np.isfinite(clip["world_from_camera"]).all(),
    }
    for what, found in wrong.items():
        if found:
            raise UserError(what, path=path)


def _get(
    arrays: dict[str, np.ndarray],
    key: str,
    shape: tuple[int | None, ...],
    dtype: type,
    path: Path,
) -> np.ndarray:
    """One array, held to its shape (None: any length) and kind of type, as that type."""
    if key not in arrays:
        raise _lacks(key, path)
    _check_shape(key, arrays[key].shape, shape, path)
    return archives.as_type(arrays[key], dtype, key, path)


def _lacks(key: str, path: Path) -> UserError:
    return UserError(f"has no {key}", path=path, cure="is it a poses.npz of video2pose3d?")


def _check_shape(
    key: str, shape: tuple[int, ...], expected: tuple[int | None, ...], path: Path
) -> None:
    fits = len(shape) == len(expected) and all(
        want in (None, have) for have, want in zip(shape, expected, strict=True)
    )
    if not fits:
        raise UserError(f"{key} has shape {shape}, expected {expected}", path=path)
