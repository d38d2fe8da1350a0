"""2D keypoints of a file, lifted without a video: KEYPOINTS2D.npz, which somebody else detected, or
those of an earlier poses.npz."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from video2pose3d import archives, lifters, pipeline, relate, skeletons
from video2pose3d.errors import UserError
from video2pose3d.exporters import npz
from video2pose3d.networks import choose_device, find_lifter, find_relation
from video2pose3d.options import Options
from video2pose3d.report import Clock
from video2pose3d.results import Result
from video2pose3d.structures import Camera, Keypoints2D, Track
from video2pose3d.video.clock import MAX_FPS

_FAR = 1e6  # px: nothing is seen so far away, and no picture is as large
_NOTHING = "no keypoint in it has a score above 0"
_KEYS: dict[str, type] = {
    "keypoints_2d": np.float32,
    "scores_2d": np.float32,
    "image_size": np.float64,
    "fps": np.float64,
    "skeleton": np.str_,
}


def lift(path: Path, options: Options) -> Result:
    """The poses of everybody in the file, a KEYPOINTS2D.npz or a poses.npz, whose 2D keypoints are
    lifted again; UserError for a file that is neither."""
    clock = Clock()
    seen = _seen_before(path, options) if _is_result(path) else _seen_by_others(path, options)
    device, related = choose_device(options.device), find_relation(options)
    relation = None if related is None else relate.load(related, device)
    lifter = lifters.load(find_lifter(options), device)
    scene, report = pipeline.reconstruct(
        seen.people, seen.timestamps, seen.fps, seen.camera, relation, lifter, options, clock
    )
    return Result.of(scene, path.stem, None, report, clock)


class _Seen(NamedTuple):
    """What there is to lift. timestamps: (T,) seconds of all frames; fps: their mean rate."""

    people: list[pipeline.Sighting]
    timestamps: np.ndarray
    fps: float
    camera: Camera


def _seen_by_others(path: Path, options: Options) -> _Seen:
    people, timestamps = read(path)
    size, fps = people[0].image_size, people[0].fps
    sightings = [
        pipeline.bridge(
            _track_around(number, person), person.xy, person.scores, timestamps, size, fps
        )
        for number, person in enumerate(people, start=1)
    ]
    return _Seen(sightings, timestamps, fps, pipeline.choose_camera(size, options))


def _seen_before(path: Path, options: Options) -> _Seen:
    """Everybody as a poses.npz has them, ids, gaps, clock and all; its lens, unless one is given.

    Of several cameras the first one's.
    """
    scene = npz.read(path)
    if not scene.people:
        raise UserError("holds nobody", path=path)
    sightings = []
    for person in scene.people:
        xy, scores = _clean(person.keypoints.xy, person.keypoints.scores)
        keypoints = replace(person.keypoints, xy=xy, scores=scores)
        valid = person.valid & (scores > 0).any(axis=-1)  # others may be seen by other cameras
        if valid.any():
            sightings.append(pipeline.Sighting(person.track, keypoints, valid))
    if not sightings:
        raise UserError(_NOTHING, path=path)
    given = options.camera is not None or options.fov is not None
    camera = pipeline.choose_camera(scene.image_size, options) if given else scene.camera
    return _Seen(sightings, scene.timestamps, scene.fps, camera)


def _is_result(path: Path) -> bool:
    """Whether it is a poses.npz: keypoints of others say their skeleton instead."""
    keys = archives.read(path, ("schema_version", "skeleton"))
    return "schema_version" in keys and "skeleton" not in keys


def read(path: Path) -> tuple[list[Keypoints2D], np.ndarray]:
    """Everybody in the file (H36M17, in the frames seen), and the clip's (T,) timestamps, seconds.

    The file holds keypoints_2d (P, T, 17, 2) or (T, 17, 2) px, scores_2d of the same shape without
    the last axis, image_size (W, H), fps, and skeleton: coco17 or h36m17. A frame whose keypoints
    are all NaN or of score 0 is one where the person is absent. UserError for anything else.
    """
    arrays = archives.read(path, _KEYS)
    missing = [key for key in _KEYS if key not in arrays]
    if missing:
        raise UserError(f"has no {missing[0]}", path=path, cure=f"it needs {', '.join(_KEYS)}")
    arrays = {key: archives.as_type(arrays[key], kind, key, path) for key, kind in _KEYS.items()}
    xy, scores = arrays["keypoints_2d"], arrays["scores_2d"]
    if xy.ndim == 3:
        xy, scores = xy[None], scores[None]
    skeleton = skeletons.named(str(arrays["skeleton"]), path)
    if xy.ndim != 4 or xy.shape[2:] != (len(skeleton), 2) or scores.shape != xy.shape[:3]:
        raise UserError(
            f"keypoints_2d has shape {arrays['keypoints_2d'].shape}, scores_2d "
            f"{arrays['scores_2d'].shape}",
            path=path,
            cure=f"expected (P, T, {len(skeleton)}, 2) and (P, T, {len(skeleton)})",
        )
    size = arrays["image_size"]
    fps = float(arrays["fps"]) if arrays["fps"].shape == () else math.nan
    if size.shape != (2,) or not ((size >= 1) & (size <= _FAR)).all():
        raise UserError(f"image_size is {size.tolist()}", path=path, cure="expected W, H px")
    if not 0 < fps <= MAX_FPS:
        raise UserError("fps is not a rate", path=path, cure="expected frames per second")
    if not (xy.shape[0] and xy.shape[1]):
        raise UserError("holds nobody", path=path)

    xy, scores = _clean(xy, scores)
    if skeleton is skeletons.COCO17:
        xy, scores = skeletons.h36m_from_coco(xy, scores)
    width, height = (int(v) for v in size)
    people = []
    for xy_one, scores_one in zip(xy, scores, strict=True):
        frames = np.flatnonzero((scores_one > 0).any(axis=-1))
        if len(frames):
            people.append(
                Keypoints2D(
                    frames,
                    xy_one[frames],
                    scores_one[frames],
                    skeletons.H36M17,
                    (width, height),
                    fps,
                )
            )
    if not people:
        raise UserError(_NOTHING, path=path)
    return people, np.arange(xy.shape[1]) / fps


def _clean(xy: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (..., 2) px, scores (...) from 0 to 1, which is 0 for what is nowhere."""
    seen = (np.abs(xy) < _FAR).all(axis=-1) & np.isfinite(scores)
    return np.where(seen[..., None], xy, 0), np.where(seen, scores, 0).clip(0, 1)


def _track_around(number: int, keypoints: Keypoints2D) -> Track:
    """The track of a person of whom only keypoints are known: the boxes around those seen."""
    sure = (keypoints.scores > 0)[..., None]
    low = np.where(sure, keypoints.xy, np.inf).min(axis=1)
    high = np.where(sure, keypoints.xy, -np.inf).max(axis=1)
    boxes = np.concatenate([low, high], axis=1).astype(np.float32)
    return Track(number, keypoints.frames, boxes, keypoints.scores.mean(axis=1))
