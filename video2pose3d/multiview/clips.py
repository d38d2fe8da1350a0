"""Clips of several cameras: the whole way through.

Each clip goes through the pipeline's own pass over the pixels, one after another with the same
networks, so memory is that of one clip and its keypoints.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from video2pose3d import geometry, pipeline, tracking
from video2pose3d.errors import UserError
from video2pose3d.lifters import Lifter
from video2pose3d.multiview import calibrations, doubts, self_calibration
from video2pose3d.multiview.calibrations import View
from video2pose3d.multiview.people import Sighted
from video2pose3d.multiview.reconstruction import reconstruct
from video2pose3d.multiview.result import MultiviewResult, Shot, scene_of
from video2pose3d.multiview.self_calibration import Found
from video2pose3d.networks import Networks
from video2pose3d.options import Options
from video2pose3d.report import Clock, as_json, describe_clip, describe_person, versions
from video2pose3d.results import Progress, name_of, quiet
from video2pose3d.structures import Scene
from video2pose3d.video import Video

log = logging.getLogger("video2pose3d")


def run(
    sources: Sequence[str | os.PathLike[str]],
    calibration: str | os.PathLike[str] | None = None,
    *,
    offsets: Sequence[float] | None = None,
    progress: Progress = quiet,
    **options: Any,
) -> MultiviewResult:
    """Clips of one scene in, 3D poses out; writes nothing. options: the fields of `Options`.

    calibration: the cameras; by default they are found from the people. offsets: seconds that each
    clip began after the first; by default they are found from how people move. UserError for what
    the caller can mend.
    """
    chosen = Options(**options)
    if chosen.smooth != Options.smooth:
        raise UserError("several views are smoothed while they are triangulated",
                        cure="leave out --smooth")  # fmt: skip
    if calibration is not None and (chosen.fov is not None or chosen.camera is not None):
        raise UserError("--calibration says what the lenses are: leave out --fov and --camera")
    if len(sources) < 2:
        raise UserError("several views are needed", cure="give a clip of each camera")
    if offsets is not None and (len(offsets) != len(sources) or not np.isfinite(offsets).all()):
        raise UserError(f"{len(offsets)} offsets for {len(sources)} clips",
                        cure="give --offset once a clip, 0 for the first")  # fmt: skip
    clips = [pipeline.open_clip(source, chosen) for source in sources]
    names = [name_of(clip.path) for clip in clips]
    views = None
    if calibration is not None:
        views = calibrations.read(Path(calibration), names, [clip.size for clip in clips])
    return process(clips, views, offsets, Networks.load(chosen), chosen, progress=progress)


def process(
    clips: Sequence[Video],
    views: Sequence[View] | None,
    offsets: Sequence[float] | None,
    networks: Networks,
    options: Options,
    *,
    progress: Progress = quiet,
) -> MultiviewResult:
    """Clips and their cameras, one each; None for those, or offsets, that are to be found.

    offsets: as for `run`, counted from the first clip's.
    """
    clock = Clock()
    cameras = []
    lenses = _lenses(clips, options) if views is None else views
    began = [0.0] * len(clips) if offsets is None else [float(o - offsets[0]) for o in offsets]
    for clip, view, since in zip(clips, lenses, began, strict=True):

        def tell(stage: str, done: int, total: int | None, name: str = view.name) -> None:
            progress(f"{stage} {name}", done, total)

        everybody = pipeline.watch(clip, networks, clock, tell)
        if networks.detector.finds_one:  # its other tracks are scraps
            kept = tracking.select([seen.track for seen in everybody], "largest")
            everybody = [seen for seen in everybody if seen.track in kept]
        # Frames of another rate, or phase, make another first frame of --start.
        times = clip.timestamps + (clip.began - clips[0].began) + since
        cameras.append(Sighted(view, everybody, times, since))
    with clock.stage("cameras"):
        rig = _find(cameras, networks.lifter, options, views is None, offsets is None)
    with clock.stage("motion"):
        found = reconstruct(
            rig.cameras, networks.lifter, clips[0].fps,
            person=options.person, foot_lock=options.foot_lock == "auto",
            relation=networks.relation,
        )  # fmt: skip
    scene = found.scene
    if views is None and scene.rig is not None:
        own = replace(scene.rig, world_from_calibration=None)
        scene = replace(scene, scale_source=rig.scale_source, rig=own)
    warnings = [warning for clip in clips for warning in clip.warnings]
    warnings += [*rig.warnings, *found.warnings]
    if views is not None and found.qualities:
        warnings += doubts.other_size(found.qualities[0].stature, options.height)
    report = {
        "schema_version": pipeline.REPORT_VERSION,
        "input": describe_clip(clips[0]),
        "device": networks.device,
        "networks": networks.names,
        "weights": networks.weights,
        "versions": versions(),
        "command_line": sys.argv,
        "options": as_json(options),
        "camera_source": scene.camera.source,
        "scale_source": scene.scale_source,
        "cameras": _describe_cameras(clips, scene, rig.report),
        "people": [
            describe_person(p, q) for p, q in zip(scene.people, found.qualities, strict=True)
        ],
        "warnings": warnings,
    }
    for warning in warnings:
        log.warning("%s: %s", clips[0].path, warning)
    result = MultiviewResult.of(scene, name_of(clips[0].path), clips[0], report, clock)
    shots = tuple(
        Shot(name, clip, scene_of(scene, v, camera.times, clip.fps, tracks))
        for v, (name, clip, camera, tracks) in enumerate(
            zip(_file_names(lenses), clips, rig.cameras, found.tracks, strict=True)
        )
    )
    return replace(result, shots=shots)


def _lenses(clips: Sequence[Video], options: Options) -> list[View]:
    """Cameras of which the lenses are known, or assumed, but not yet where they stand."""
    names = [name_of(clip.path) for clip in clips]
    if options.camera is not None:
        cameras = geometry.read_cameras(options.camera, [clip.size for clip in clips])
    else:
        cameras = [pipeline.choose_camera(clip.size, options) for clip in clips]
    return [View(*one, np.eye(3), np.zeros(3)) for one in zip(names, cameras, strict=True)]


def _find(
    cameras: list[Sighted], lifter: Lifter, options: Options, places: bool, clocks: bool
) -> Found:
    """The cameras with what was not given, places or clocks, as people tell it."""
    if places:
        lenses = options.fov is None and options.camera is None
        return self_calibration.calibrate(
            cameras, lifter, clocks=clocks, lenses=lenses, height=options.height
        )
    if clocks:
        return self_calibration.set_clocks(cameras, lifter)
    return Found(cameras, "from the calibration", [{} for _ in cameras])


def _describe_cameras(
    clips: Sequence[Video], scene: Scene, known: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What the report says of each camera: its clip, px by which keypoints and joints differ, the
    median over people of each one's median, and how sure it is where it was found."""
    rig = scene.rig
    assert rig is not None
    described = []
    for clip, name, offset, errors, how in zip(
        clips, rig.names, rig.time_offsets.tolist(), rig.reprojection_px, known, strict=True
    ):
        seen = errors[np.isfinite(errors)]
        described.append(
            {
                "name": name,
                **describe_clip(clip),
                "time_offset": offset,
                "reprojection_px": float(np.median(seen)) if len(seen) else None,
                **how,
            }
        )
    return described


def _file_names(views: Sequence[View]) -> list[str]:
    """The cameras' names as parts of file names, all different."""
    names: list[str] = []
    for number, view in enumerate(views, start=1):
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in view.name)[:100]
        names.append(name if name and name not in names else f"{name}-{number}")
    return names
