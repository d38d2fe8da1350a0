"""Cameras found from the people whom they filmed, and clocks from how people move.

    lifted people → when clips began → arrangement → bundle adjustment → scale → how sure

What comes out are Views like those of a calibration, in metres, the first camera's CAMERA being
their world; so all that follows is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from video2pose3d import lifters
from video2pose3d.errors import UserError
from video2pose3d.motion import bones, scale
from video2pose3d.multiview import arrangement, certainty, movement
from video2pose3d.multiview.adjustment import Adjusted, Estimate, Free, adjust
from video2pose3d.multiview.bundling import Bodies, bundle
from video2pose3d.multiview.calibrations import View
from video2pose3d.multiview.centres import joint_centres
from video2pose3d.multiview.movement import Mover
from video2pose3d.multiview.people import Group, Sighted, gather, match_people
from video2pose3d.multiview.synchronisation import find_offsets
from video2pose3d.multiview.timing import at_times
from video2pose3d.multiview.triangulation import Sights, triangulate
from video2pose3d.skeletons import H36M17

_AT_ONCE = 0.5  # frames by which clips that began together may seem not to
_FEWEST = 6  # instants of people whom two cameras see
_LIMBS = slice(0, 4)  # of the bones' kinds, those that detectors and lifters mean alike


@dataclass(frozen=True)
class Found:
    """cameras: with clocks, views, or both as found; scale_source and warnings: in words;
    report: how sure it is of each camera."""

    cameras: list[Sighted]
    scale_source: str
    report: list[dict[str, Any]]
    warnings: list[str] = field(default_factory=list)


def set_clocks(cameras: Sequence[Sighted], lifter: lifters.Lifter) -> Found:
    """When each clip began, by how people move, of cameras whose places are known."""
    nothing = [{} for _ in cameras]
    if sum(bool(camera.people) for camera in cameras) < 2:
        return Found(list(cameras), "from the calibration", nothing)
    movers = movement.movers(cameras, lifter)
    cameras, warnings = _in_time(cameras, movers)
    R = np.stack([camera.view.R for camera in cameras])
    t = np.stack([camera.view.t for camera in cameras])
    later = np.arange(len(cameras)) > 0
    # Where cameras stand may change, too: else an error of the calibration would pass for time.
    free = Free(pose=later, focal=np.zeros_like(later), delay=later)
    cameras, bodies = _adjusted(cameras, movers, R, t, free, lambda now: match_people(now)[0])
    report = nothing if bodies is None else certainty.clocks(bodies.adjusted)
    return Found(cameras, "from the calibration", report, warnings)


def calibrate(
    cameras: Sequence[Sighted],
    lifter: lifters.Lifter,
    *,
    clocks: bool,
    lenses: bool,
    height: float | None = None,
) -> Found:
    """Where the cameras stand; of the views given only the lenses count.

    clocks, lenses: whether offsets and focal lengths are to be found, too, or were given;
    height: metres, of the person largest in the pictures. UserError where people don't tell.
    """
    names = [camera.view.name for camera in cameras]
    lost = [camera.view.name for camera in cameras if not camera.people]
    if lost:
        cure = "leave the clip out, or give --calibration"
        raise UserError(f"nobody is seen in {', '.join(lost)}, so where it stood can't be found",
                        cure=cure)  # fmt: skip
    movers = movement.movers(cameras, lifter)
    cameras, warnings = _in_time(cameras, movers) if clocks else (list(cameras), [])
    began = arrangement.arrange(movers, [camera.offset for camera in cameras], names)
    later = np.arange(len(cameras)) > 0
    free = Free(later, np.full(len(cameras), lenses), later & clocks)
    cameras, bodies = _adjusted(
        cameras, movers, began.R, began.t, free,
        lambda now: _gathered(now, movers, began.together),
    )  # fmt: skip
    if bodies is None:
        raise UserError(
            "people are hardly ever seen by two cameras at once",
            cure="give clips of one scene at one time (--offset), or --calibration",
        )
    certainty.refuse(names, bodies)
    cameras = _placed(cameras, bodies.adjusted.estimate)
    factor = _factor(cameras, bodies, height)
    cameras = [replace(c, view=replace(c.view, t=c.view.t * factor)) for c in cameras]
    report, doubts = certainty.describe(names, bodies, factor)
    source = "assumed: people of the size the lifter learned from"
    if height is not None:
        source = f"from --height {height:g}"
        source += " of the person largest in the pictures" * (len(bodies.groups) > 1)
    return Found(cameras, source, report, [*warnings, *doubts])


def _adjusted(
    cameras: Sequence[Sighted], movers: Sequence[Mover], R: np.ndarray, t: np.ndarray, free: Free,
    people: Callable[[Sequence[Sighted]], list[Group]],
) -> tuple[list[Sighted], Bodies | None]:  # fmt: skip
    """Adjusted twice, the second time with keypoints at the times that the first leads to; as it
    was, and None, where there is hardly anybody whom two cameras see at once."""
    focal, groups = np.ones(len(cameras)), []
    for _ in range(2):
        groups = people(cameras)
        seen, start = bundle(cameras, movers, groups, R, t)
        if len(seen.person) < _FEWEST:
            return list(cameras), None
        adjusted = adjust(seen, replace(start, focal=focal), free)
        R, t, focal = adjusted.estimate.R, adjusted.estimate.t, adjusted.estimate.focal
        cameras, free = _settled(cameras, adjusted, free)
        bodies = Bodies(groups, seen, adjusted)
    return list(cameras), bodies


def _in_time(
    cameras: Sequence[Sighted], movers: Sequence[Mover]
) -> tuple[list[Sighted], list[str]]:
    """The cameras at the times when people move alike; and a warning where they never do."""
    clocks = find_offsets(movers, len(cameras))
    unsure = [c.view.name for c, sure in zip(cameras, clocks.sure, strict=True) if not sure]
    warning = (
        f"how people move doesn't show when {', '.join(unsure)} began: taken to have begun with "
        "the first; --offset would say it"
    )
    moved = [_later(c, by) for c, by in zip(cameras, clocks.offsets.tolist(), strict=True)]
    return moved, [warning] if unsure else []


def _later(camera: Sighted, seconds: float) -> Sighted:
    return replace(camera, times=camera.times + seconds, offset=camera.offset + seconds)


def _settled(
    cameras: Sequence[Sighted], adjusted: Adjusted, free: Free
) -> tuple[list[Sighted], Free]:
    """The clocks as adjusted; those by which clips may well have begun at once say just that."""
    out, may = [], free.delay.copy()
    frame = np.median(np.diff(cameras[0].times)) if len(cameras[0].times) > 1 else 0.0
    noise = np.maximum(_AT_ONCE * frame, 2 * certainty.clock_deviations(adjusted))
    for v, camera in enumerate(cameras):
        moved = _later(camera, float(adjusted.estimate.delay[v]))
        if may[v] and abs(moved.offset) < noise[v]:
            moved, may[v] = _later(camera, -camera.offset), False
        out.append(moved)
    return out, replace(free, delay=may)


def _gathered(
    cameras: Sequence[Sighted], movers: Sequence[Mover], together: list[list[int]]
) -> list[Group]:
    """The people of movers, at the times of the first camera's frames."""
    times = cameras[0].times
    seen = [at_times(one.sighting.keypoints, cameras[one.view].times, times) for one in movers]
    return gather(len(cameras), [(one.view, one.sighting) for one in movers], seen, together)


def _placed(cameras: Sequence[Sighted], estimate: Estimate) -> list[Sighted]:
    """The cameras where the estimate has them, with its lenses."""
    out = []
    for v, camera in enumerate(cameras):
        lens = camera.view.camera
        K = lens.K.copy()
        K[[0, 1], [0, 1]] *= estimate.focal[v]
        source = lens.source if estimate.focal[v] == 1 else "found from the people"
        lens = replace(lens, K=K, source=source)
        view = View(camera.view.name, lens, estimate.R[v], estimate.t[v])
        out.append(replace(camera, view=view))
    return out


def _factor(cameras: Sequence[Sighted], bodies: Bodies, height: float | None) -> float:
    """What makes metres of the adjustment's: the lifter's limbs, or somebody's height."""
    ratio = bodies.bundle.expected / bodies.adjusted.estimate.lengths
    usual = float(np.median(ratio[:, _LIMBS]))
    if height is None:
        return usual
    largest = bodies.groups[0]
    sights = Sights.through([camera.view for camera in cameras], largest.xy, largest.scores)
    points = triangulate(sights)
    whole = np.isfinite(points).all(axis=(1, 2))
    if not whole.any():
        raise UserError("the person largest in the pictures is never seen whole by two cameras",
                        cure="leave out --height")  # fmt: skip
    factor = usual
    for _ in range(3):  # by how much joints lie inside of what detectors see isn't scaled
        joints = joint_centres(points[whole] * factor)
        found = scale.stature(bones.lengths(joints, sights.twice[whole], H36M17))
        factor *= height / found
    return factor
