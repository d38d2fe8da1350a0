"""One video: the whole program on one page.

    video → detector → tracker → 2D keypoints (→ relation) → lifter → motion → result

This is the only file that joins stages, and it reads from the top down: `process` is the way
through, `watch` its pass over the pixels, which stream through once and are dropped, `reconstruct`
all that follows the 2D keypoints, which are small. results.py saves what comes out.
"""

from __future__ import annotations

import itertools
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from video2pose3d import geometry, lifters, motion, relate, sides, tracking, video
from video2pose3d.networks import Networks
from video2pose3d.options import Options
from video2pose3d.report import (
    Clock,
    as_json,
    content_hash,
    describe_clip,
    describe_person,
    versions,
)
from video2pose3d.results import Progress, Result, name_of, quiet
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Camera, Keypoints2D, Person, Scene, Track
from video2pose3d.video import Video

log = logging.getLogger("video2pose3d")

REPORT_VERSION = 1

# Frames held in memory at once: enough to fill a batch at 720p, few enough for 8K.
_BATCH_FRAMES, _BATCH_PIXELS = 8, 2**24


class Sighting(NamedTuple):
    """One person as seen: keypoints over frames seen and bridged; valid (T,) bool where seen."""

    track: Track
    keypoints: Keypoints2D
    valid: np.ndarray


def run(source: str | os.PathLike[str], *, progress: Progress = quiet, **options: Any) -> Result:
    """A video in, 3D poses out; writes nothing. The options are the fields of `Options`.

    Raises UserError for anything the caller can mend: a file that is no video, missing weights.
    """
    chosen = Options(**options)
    clip = open_clip(source, chosen)
    return process(clip, Networks.load(chosen), chosen, progress=progress)


def open_clip(source: str | os.PathLike[str], options: Options) -> Video:
    """The part of a video that the options ask for; UserError for a file that is no video."""
    return video.open_video(source, start=options.start, end=options.end, sequence_fps=options.fps)


def process(
    clip: Video, networks: Networks, options: Options, *, progress: Progress = quiet
) -> Result:
    """One video, the whole way through."""
    clock = Clock()
    camera = choose_camera(clip.size, options)
    camera_file = options.camera and content_hash(options.camera)
    everybody = watch(clip, networks, clock, progress)
    tracks = [seen.track for seen in everybody]
    if networks.detector.finds_one:  # its other tracks are scraps
        tracks = tracking.select(tracks, "largest")
    ids = {track.id for track in tracking.select(tracks, _whom(options))}
    scene, report = reconstruct(
        [seen for seen in everybody if seen.track.id in ids],
        clip.timestamps, clip.fps, camera, networks.relation, networks.lifter, options, clock,
    )  # fmt: skip
    report = {
        "schema_version": REPORT_VERSION,
        "input": describe_clip(clip),
        "device": networks.device,
        "networks": networks.names,
        "weights": networks.weights,
        "camera_sha256": camera_file,
        **report,
        "warnings": [*clip.warnings, *report["warnings"]],
    }
    for warning in report["warnings"]:
        log.warning("%s: %s", clip.path, warning)
    return Result.of(scene, name_of(clip.path), clip, report, clock)


def choose_camera(size: tuple[int, int], options: Options) -> Camera:
    """The lens as given, or as assumed."""
    if options.camera is not None:
        return geometry.read_camera(options.camera, size)
    if options.fov is not None:
        return geometry.camera_from_fov(size, options.fov, f"given by --fov {options.fov:g}")
    fov = geometry.ASSUMED_FOV
    return geometry.camera_from_fov(size, fov, f"assumed: field of view {fov:g} degrees")


def watch(clip: Video, networks: Networks, clock: Clock, progress: Progress) -> list[Sighting]:
    """The pass over the pixels: everybody who was seen, and their keypoints."""
    follows = networks.detector.finds_one
    tracker = tracking.Tracker(clip.fps, tracking.FOLLOWED if follows else tracking.Settings())
    found: list[tuple[np.ndarray, ...]] = []
    done = 0
    networks.detector.reset()
    for images in clock.each("decode", _batches(clip)):
        with clock.stage("detect"):
            detections = networks.detector.detect(images)
        with clock.stage("track"):
            people = [tracker.update(d, i)[1] for d, i in zip(detections, images, strict=True)]
        with clock.stage("keypoints"):
            found.append(networks.estimate(images, people))
        done += len(images)
        progress("watch", done, clip.frame_count_hint)
    with clock.stage("track"):
        linking = tracker.finish()
    if not linking.tracks:
        return []
    with clock.stage("keypoints"):
        everything = [np.concatenate(parts) for parts in zip(*found, strict=True)]
        settled = [
            networks.settle(track.frames, [part[linking.rows[track.id]] for part in everything])
            for track in linking.tracks
        ]
    return [
        bridge(track, xy, scores, clip.timestamps, clip.size, clip.fps)
        for track, (xy, scores) in zip(linking.tracks, settled, strict=True)
    ]


def _batches(clip: Video) -> Iterator[list[np.ndarray]]:
    """The clip's frames in small lists."""
    pixels = clip.size[0] * clip.size[1]
    n = max(1, min(_BATCH_FRAMES, _BATCH_PIXELS // pixels))
    frames = iter(clip)
    while batch := list(itertools.islice(frames, n)):
        yield batch


def bridge(
    track: Track,
    xy: np.ndarray,
    scores: np.ndarray,
    timestamps: np.ndarray,
    size: tuple[int, int],
    fps: float,
) -> Sighting:
    """Keypoints (T, 17, 2), (T, 17) of the track's frames: limbs on their own sides (sides.py), and
    short gaps filled with score 0. timestamps: seconds of all the clip's frames."""
    xy, scores = sides.mend(xy, scores, timestamps[track.frames])
    frames, valid = tracking.bridge(track.frames, fps=fps)
    sure = np.zeros((len(frames), scores.shape[1]), dtype=np.float32)
    sure[valid] = scores
    xy = tracking.fill(xy, track.frames, frames)
    return Sighting(track, Keypoints2D(frames, xy, sure, H36M17, size, fps), valid)


def _whom(options: Options) -> Literal["largest", "all"] | int:
    """Whose track is wanted."""
    if options.person in ("largest", "all"):
        return options.person
    return int(options.person)


def reconstruct(
    sightings: list[Sighting],
    timestamps: np.ndarray,
    fps: float,
    camera: Camera,
    relation: relate.Relation | None,
    lifter: lifters.Lifter,
    options: Options,
    clock: Clock,
) -> tuple[Scene, dict[str, Any]]:
    """From 2D keypoints to people in the world, and what the report says of them."""
    if relation is not None:
        with clock.stage("relate"):
            mended = relate.mend(relation, [seen.keypoints for seen in sightings], camera)
        sightings = [s._replace(keypoints=m) for s, m in zip(sightings, mended, strict=True)]
    with clock.stage("lift"):
        poses = lifters.lift(lifter, [seen.keypoints for seen in sightings], camera)
    with clock.stage("motion"):
        settings = motion.Settings(options.smooth, options.height, options.foot_lock)
        seen_and_lifted = [(s.keypoints, p) for s, p in zip(sightings, poses, strict=True)]
        moved = motion.reconstruct(seen_and_lifted, timestamps, camera, settings)
    people = tuple(
        Person(
            track=seen.track,
            frames=seen.keypoints.frames,
            valid=seen.valid,
            keypoints=seen.keypoints,
            poses=one.poses,
            root_camera=one.root_camera,
            joints_world=one.joints_world,
            foot_contact=one.foot_contact,
        )
        for seen, one in zip(sightings, moved.people, strict=True)
    )
    scene = Scene(
        people=people,
        timestamps=timestamps,
        fps=fps,
        image_size=camera.size,
        camera=camera,
        world_from_camera=moved.world_from_camera,
        scale_source=moved.scale_source,
    )
    qualities = [one.quality for one in moved.people]
    return scene, {
        "versions": versions(),
        "command_line": sys.argv,
        "options": as_json(options),
        "camera_source": camera.source,
        "scale_source": moved.scale_source,
        "people": [describe_person(p, q) for p, q in zip(people, qualities, strict=True)],
        "warnings": [*([] if people else ["no person found"]), *moved.warnings],
    }
