"""KEYPOINTS2D.npz: keypoints that somebody else detected, lifted without a video (CONTRACT.md)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from video2pose3d import archives, lifters, pipeline, relate, skeletons
from video2pose3d.errors import UserError
from video2pose3d.networks import choose_device, find_lifter, find_relation
from video2pose3d.options import Options
from video2pose3d.report import Clock
from video2pose3d.results import Result
from video2pose3d.structures import Keypoints2D, Track

_FAR = 1e6  # px: nothing is seen so far away
_KEYS: dict[str, type] = {
    "keypoints_2d": np.float32,
    "scores_2d": np.float32,
    "image_size": np.float64,
    "fps": np.float64,
    "skeleton": np.str_,
}


def lift(path: Path, options: Options) -> Result:
    """The poses of everybody in the file; UserError for a file that is none."""
    clock = Clock()
    people, timestamps = read(path)
    size, fps = people[0].image_size, people[0].fps
    sightings = [
        pipeline.bridge(
            _track_around(number, person), person.xy, person.scores, timestamps, size, fps
        )
        for number, person in enumerate(people, start=1)
    ]
    camera = pipeline.choose_camera(size, options)
    device, related = choose_device(options.device), find_relation(options)
    relation = None if related is None else relate.load(related, device)
    lifter = lifters.load(find_lifter(options), device)
    scene, report = pipeline.reconstruct(
        sightings, timestamps, fps, camera, relation, lifter, options, clock
    )
    return Result.of(scene, path.stem, None, report, clock)


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
    if size.shape != (2,) or not ((size >= 1) & np.isfinite(size)).all():
        raise UserError(f"image_size is {size.tolist()}", path=path, cure="expected W, H px")
    if not 0 < fps < math.inf:
        raise UserError("fps is not a rate", path=path, cure="expected frames per second")
    if not (xy.shape[0] and xy.shape[1]):
        raise UserError("holds nobody", path=path)

    seen = (np.abs(xy) < _FAR).all(axis=-1) & np.isfinite(scores)
    xy = np.where(seen[..., None], xy, 0)
    scores = np.where(seen, scores, 0).clip(0, 1)
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
        raise UserError("no keypoint in it has a score above 0", path=path)
    return people, np.arange(xy.shape[1]) / fps


def _track_around(number: int, keypoints: Keypoints2D) -> Track:
    """The track of a person of whom only keypoints are known: the boxes around those seen."""
    sure = (keypoints.scores > 0)[..., None]
    low = np.where(sure, keypoints.xy, np.inf).min(axis=1)
    high = np.where(sure, keypoints.xy, -np.inf).max(axis=1)
    boxes = np.concatenate([low, high], axis=1).astype(np.float32)
    return Track(number, keypoints.frames, boxes, keypoints.scores.mean(axis=1))
