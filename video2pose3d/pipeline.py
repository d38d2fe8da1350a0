"""One video: the whole program on one page.

    video → detector → tracker → 2D keypoints → lifter → motion → files

Pixels stream through once and are dropped; what follows the 2D keypoints is small. This is the only
file that joins stages: `process` is the way through and `Result` what comes out.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from video2pose3d import (
    discovery,
    geometry,
    keypoints2d,
    lifters,
    motion,
    skeletons,
    tracking,
    video,
)
from video2pose3d.errors import UserError
from video2pose3d.exporters import npz
from video2pose3d.networks import Networks, choose_device, find_lifter
from video2pose3d.options import Options
from video2pose3d.render import animation, overlay
from video2pose3d.report import (
    Clock,
    as_json,
    content_hash,
    describe_person,
    versions,
    write_report,
)
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Camera, Keypoints2D, Person, Scene, Track
from video2pose3d.video import Video

log = logging.getLogger("video2pose3d")

Progress = Callable[[str, int, "int | None"], None]  # stage, frames done, frames in all if known
EXPORTS = ("npz", "bvh")
REPORT_VERSION = 1

# Frames held in memory at once: enough to fill a batch at 720p, few enough for 8K.
_BATCH_FRAMES, _BATCH_PIXELS = 8, 2**24


class Sighting(NamedTuple):
    """One person as seen: keypoints over frames seen and bridged; valid (T,) bool where seen."""

    track: Track
    keypoints: Keypoints2D
    valid: np.ndarray


def quiet(stage: str, done: int, total: int | None) -> None:
    """The progress of somebody who does not want to know."""


@dataclass(frozen=True)
class Saving:
    """Which files of a result are written; poses.npz and report.json always are."""

    exports: tuple[str, ...] = EXPORTS
    overlay: bool = True
    animation: bool = True


@dataclass(frozen=True)
class Result(Scene):
    """A Scene that knows its clip and its report, and can be saved as the command saves it.

    name: of the clip, and of its folder; clip: the video, for the overlay (None: made from
    keypoints, or loaded); report: what report.json says; clock: seconds of each stage so far.
    """

    name: str
    clip: Video | None
    report: dict[str, Any]
    clock: Clock

    def save(
        self,
        output: str | os.PathLike[str],
        *,
        exports: Sequence[str] = EXPORTS,
        overlay: bool = True,
        animation: bool = True,
    ) -> list[Path]:
        """Write what the command writes: a folder of the clip's name in `output`, and its files."""
        saving = Saving(tuple(exports), overlay, animation)
        return self.write(Path(output) / self.name, saving)

    def write(self, folder: Path, saving: Saving, *, progress: Progress = quiet) -> list[Path]:
        """Write the files into `folder` itself; each appears whole or not at all.

        Returns the files, report.json last: where it lies, everything else lies too.
        """
        _make(folder)
        (folder / "report.json").unlink(missing_ok=True)
        with self.clock.stage("export"):
            formats = tuple(dict.fromkeys(("npz", *saving.exports)))
            files = export(self, folder, formats, overwrite=True)
        total = len(self.timestamps)
        if saving.overlay and self.clip is not None and not self.clip.replayable:
            log.warning("%s: no overlay, a webcam cannot be played again", self.clip.path)
            saving = dataclasses.replace(saving, overlay=False)
        if self.people and saving.overlay and self.clip is not None:
            files.append(folder / "overlay.mp4")
            with self.clock.stage("overlay"):
                overlay.write(
                    self, self.clip, files[-1], lambda done: progress("overlay", done, total)
                )
        if self.people and saving.animation:
            files.append(folder / "animation.mp4")
            with self.clock.stage("animation"):
                animation.write(
                    self, files[-1], progress=lambda done: progress("animation", done, total)
                )
        report = {
            **self.report,
            "saving": as_json(saving),
            "files": [file.name for file in files],
            "stages": self.clock.summary(total),
        }
        return [*files, write_report(report, folder)]


def run(source: str | os.PathLike[str], *, progress: Progress = quiet, **options: Any) -> Result:
    """A video in, 3D poses out; writes nothing. The options are the fields of `Options`.

    Raises UserError for anything the caller can mend: a file that is no video, missing weights.
    """
    chosen = Options(**options)
    clip = open_clip(source, chosen)
    return process(clip, Networks.load(chosen), chosen, progress=progress)


def load(path: str | os.PathLike[str]) -> Result:
    """A saved poses.npz, to look at, export or render. UserError for a file that is none."""
    path = Path(path)
    return _result(npz.read(path), path.absolute().parent.name, clip=None, report={})


def open_clip(source: str | os.PathLike[str], options: Options) -> Video:
    """The part of a video that the options ask for; UserError for a file that is no video."""
    return video.open_video(source, start=options.start, end=options.end, sequence_fps=options.fps)


def name_of(source: Path) -> str:
    """What a clip's results are called: its stem, a folder's whole name, webcam-0."""
    if source.name.isdecimal() and not source.exists():
        return f"webcam-{source}"
    path = Path(os.path.abspath(source))
    return path.name if path.is_dir() else path.stem


def process(
    clip: Video, networks: Networks, options: Options, *, progress: Progress = quiet
) -> Result:
    """One video, the whole way through."""
    clock = Clock()
    camera = choose_camera(clip.size, options)
    sightings = _watch(clip, networks, clock, progress)
    tracks = tracking.select([seen.track for seen in sightings], _whom(networks, options))
    chosen = {track.id for track in tracks}
    sightings = [seen for seen in sightings if seen.track.id in chosen]
    scene, report = _reconstruct(
        sightings, clip.timestamps, clip.fps, camera, networks.lifter, options, clock
    )
    report = {
        "schema_version": REPORT_VERSION,
        "input": {
            "path": str(clip.path),
            "sha256": content_hash(clip.path),
            "codec": clip.codec,
            "size": list(clip.size),
            "fps": clip.fps,
            "frames_decoded": len(clip.timestamps),
            "frames_lost": clip.lost,
        },
        "device": networks.device,
        "networks": networks.names,
        "weights": networks.weights,
        **report,
        "warnings": [*clip.warnings, *report["warnings"]],
    }
    for warning in report["warnings"]:
        log.warning("%s: %s", clip.path, warning)
    return _result(scene, name_of(clip.path), clip=clip, report=report, clock=clock)


def lift(path: Path, options: Options) -> Result:
    """The poses of a KEYPOINTS2D.npz (CONTRACT.md), without a video."""
    clock = Clock()
    people, timestamps = keypoints2d.read(path)
    size, fps = people[0].image_size, people[0].fps
    sightings = [
        _bridge(_track_around(number, keypoints), keypoints.xy, keypoints.scores, size, fps)
        for number, keypoints in enumerate(people, start=1)
    ]
    lifter = lifters.load(find_lifter(options), choose_device(options.device))
    camera = choose_camera(size, options)
    scene, report = _reconstruct(sightings, timestamps, fps, camera, lifter, options, clock)
    return _result(scene, path.stem, clip=None, report=report, clock=clock)


def export(
    scene: Scene, folder: Path, formats: Sequence[str], *, overwrite: bool = False
) -> list[Path]:
    """Write a scene in some formats into a folder; returns the files."""
    exporters = [discovery.load("exporters", name) for name in formats]
    if not overwrite:
        for exporter in exporters:
            _refuse(folder.glob(f"poses{exporter.suffix}"))
            _refuse(folder.glob(f"person-*{exporter.suffix}"))
    return [file for exporter in exporters for file in exporter.write(scene, folder)]


def render(
    scene: Scene,
    folder: Path,
    *,
    clip: Video | None,
    overwrite: bool = False,
    progress: Progress = quiet,
) -> list[Path]:
    """The animation of a scene, and the overlay on its clip; returns the files."""
    _make(folder)
    files = [folder / "animation.mp4"]
    if clip is not None:
        if clip.size != scene.image_size:
            ours, theirs = ("x".join(map(str, s)) for s in (scene.image_size, clip.size))
            raise UserError(f"is {theirs}, the poses were made from {ours}", path=clip.path)
        files.append(folder / "overlay.mp4")
    if not overwrite:
        _refuse(files)
    total = len(scene.timestamps)
    animation.write(scene, files[0], progress=lambda done: progress("animation", done, total))
    if clip is not None:
        overlay.write(scene, clip, files[1], lambda done: progress("overlay", done, total))
    return files


def choose_camera(size: tuple[int, int], options: Options) -> Camera:
    """The lens as given, or as assumed."""
    if options.camera is not None:
        return geometry.read_camera(options.camera, size)
    if options.fov is not None:
        return geometry.camera_from_fov(size, options.fov, f"given by --fov {options.fov:g}")
    fov = geometry.ASSUMED_FOV
    return geometry.camera_from_fov(size, fov, f"assumed: field of view {fov:g} degrees")


def _watch(clip: Video, networks: Networks, clock: Clock, progress: Progress) -> list[Sighting]:
    """The pass over the pixels: everybody who was seen, and their keypoints."""
    tracker = tracking.Tracker(clip.fps)
    found: list[tuple[np.ndarray, np.ndarray]] = []
    done = 0
    for images in clock.each("decode", _batches(clip)):
        with clock.stage("detect"):
            detections = networks.detector.detect(images)
        with clock.stage("track"):
            boxes = [tracker.update(d, i)[1] for d, i in zip(detections, images, strict=True)]
        with clock.stage("keypoints"):
            image_of = [image for image, b in zip(images, boxes, strict=True) for _ in b]
            found.append(networks.keypoints.predict(image_of, np.concatenate(boxes)))
        done += len(images)
        progress("watch", done, clip.frame_count_hint)
    with clock.stage("track"):
        linking = tracker.finish()
        if not linking.tracks:
            return []
        xy, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
        xy, scores = skeletons.h36m_from_coco(xy, scores)
        return [
            _bridge(track, xy[rows], scores[rows], clip.size, clip.fps)
            for track in linking.tracks
            for rows in (linking.rows[track.id],)
        ]


def _whom(networks: Networks, options: Options) -> Literal["largest", "all"] | int:
    """Whose track is wanted; mediapipe finds one person, so what else it tracks are scraps."""
    if options.person == "largest" or networks.names["detector"] == "mediapipe":
        return "largest"
    return "all" if options.person == "all" else int(options.person)


def _batches(clip: Video) -> Iterator[list[np.ndarray]]:
    """The clip's frames in small lists."""
    pixels = clip.size[0] * clip.size[1]
    n = max(1, min(_BATCH_FRAMES, _BATCH_PIXELS // pixels))
    frames = iter(clip)
    while batch := list(itertools.islice(frames, n)):
        yield batch


def _bridge(
    track: Track, xy: np.ndarray, scores: np.ndarray, size: tuple[int, int], fps: float
) -> Sighting:
    """Keypoints (T, 17, 2), (T, 17) of the track's frames, with its short gaps filled: score 0."""
    frames, valid = tracking.bridge(track.frames, fps=fps)
    sure = np.zeros((len(frames), scores.shape[1]), dtype=np.float32)
    sure[valid] = scores
    xy = tracking.fill(xy, track.frames, frames)
    return Sighting(track, Keypoints2D(frames, xy, sure, H36M17, size, fps), valid)


def _track_around(number: int, keypoints: Keypoints2D) -> Track:
    """The track of a person of whom only keypoints are known: the boxes around those seen."""
    sure = (keypoints.scores > 0)[..., None]
    low = np.where(sure, keypoints.xy, np.inf).min(axis=1)
    high = np.where(sure, keypoints.xy, -np.inf).max(axis=1)
    boxes = np.concatenate([low, high], axis=1).astype(np.float32)
    return Track(number, keypoints.frames, boxes, keypoints.scores.mean(axis=1))


def _reconstruct(
    sightings: list[Sighting],
    timestamps: np.ndarray,
    fps: float,
    camera: Camera,
    lifter: lifters.Lifter,
    options: Options,
    clock: Clock,
) -> tuple[Scene, dict[str, Any]]:
    """From 2D keypoints to people in the world, and what the report says of them."""
    with clock.stage("lift"):
        poses = lifters.lift(lifter, [seen.keypoints for seen in sightings], camera)
    with clock.stage("motion"):
        settings = motion.Settings(options.smooth, options.height, options.foot_lock)
        seen_and_lifted = [(s.keypoints, p) for s, p in zip(sightings, poses, strict=True)]
        moved = motion.reconstruct(seen_and_lifted, timestamps, camera, settings)
    scene = Scene(
        people=tuple(
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
        ),
        timestamps=timestamps,
        fps=fps,
        image_size=camera.size,
        camera=camera,
        world_from_camera=moved.world_from_camera,
        scale_source=moved.scale_source,
    )
    nobody = ["no person found"] if not sightings else []
    return scene, {
        "versions": versions(),
        "command_line": sys.argv,
        "options": as_json(options),
        "camera_source": camera.source,
        "scale_source": moved.scale_source,
        "people": [
            describe_person(person, one.quality)
            for person, one in zip(scene.people, moved.people, strict=True)
        ],
        "warnings": [*nobody, *moved.warnings],
    }


def _result(
    scene: Scene, name: str, clip: Video | None, report: dict[str, Any], clock: Clock | None = None
) -> Result:
    fields = {field.name: getattr(scene, field.name) for field in dataclasses.fields(Scene)}
    return Result(**fields, name=name, clip=clip, report=report, clock=clock or Clock())


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot be made ({error.strerror})", path=folder) from error


def _refuse(files: Iterable[Path]) -> None:
    """UserError for the first file that is there already."""
    for file in files:
        if file.exists():
            raise UserError("is there already", path=file, cure="add --overwrite")
