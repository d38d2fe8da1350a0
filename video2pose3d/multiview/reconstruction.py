"""From 2D keypoints in several calibrated views to people in the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from video2pose3d import geometry, lifters, relate, tracking
from video2pose3d.errors import UserError
from video2pose3d.motion import bones, feet, quality, scale
from video2pose3d.multiview import doubts, refinement, sides, triangulation, turning
from video2pose3d.multiview.calibrations import View
from video2pose3d.multiview.centres import joint_centres
from video2pose3d.multiview.floor import find_floor
from video2pose3d.multiview.people import Group, Sighted, match_people
from video2pose3d.multiview.triangulation import Sights
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Keypoints2D, Person, Poses3D, Rig, Scene, Track

_SEEN = 0.2  # score by which two cameras see a joint
_ENOUGH = 6  # joints seen so for a person to be there
_STATURES = (0.5, 2.6)  # metres: anybody else is a mistake, or in another unit
_SURE = 0.3  # score of keypoints whose reprojection error counts


@dataclass(frozen=True)
class Reconstruction:
    """scene: with its rig; qualities: (P,); tracks: (V, P) boxes over each clip's own frames;
    warnings: in words."""

    scene: Scene
    qualities: list[quality.Quality]
    tracks: list[list[Track]]
    warnings: list[str]


@dataclass(frozen=True)
class _Body:
    """A group with joints: metres in the calibration's world, over `frames`, `valid` where seen.

    raw: (T, J, 3) as triangulated; points: refined, what detectors see; joints: their centres, as
    given out.
    """

    group: Group
    frames: np.ndarray
    valid: np.ndarray
    sights: Sights
    raw: np.ndarray
    points: np.ndarray
    joints: np.ndarray


def reconstruct(
    cameras: Sequence[Sighted],
    lifter: lifters.Lifter,
    fps: float,
    *,
    person: str | int = "all",
    foot_lock: bool = True,
    relation: relate.Relation | None = None,
) -> Reconstruction:
    """Everybody whom two cameras saw.

    fps: of the first camera; person: "all", "largest" in the pictures, or a number from 1 in that
    order; relation: mends each person's keypoints, all views together. UserError where nobody seen
    in several views fits the calibration.
    """
    views = [camera.view for camera in cameras]
    times = cameras[0].times
    groups, alone = match_people(cameras)
    views, turned = turning.settle(
        views, [Sights.through(views, group.xy, group.scores) for group in groups]
    )
    groups = [sides.mend(group, views, times) for group in groups]
    if relation is not None:
        groups = [_mended(group, views, fps, relation) for group in groups]
    bodies = [body for group in groups if (body := _body(group, views, times, fps, lifter))]
    if groups and not bodies:
        raise UserError(
            "nobody comes out of a person's size",
            cure="check that the calibration is this rig's, in metres, and the clips are in time",
        )
    numbers = _chosen(len(bodies), person)
    bodies = [bodies[number - 1] for number in numbers]
    first = views[0].from_calibration
    floor = find_floor(
        [geometry.transform(first, body.joints) for body in bodies],
        [times[body.frames] for body in bodies],
        np.stack([view.R @ views[0].R.T for view in views]),
        _axes(views),
        lock=foot_lock,
    )
    people, qualities = [], []
    for number, body, world, contact in zip(
        numbers, bodies, floor.joints, floor.contacts, strict=True
    ):
        people.append(_person(number, body, views[0], world, contact, fps))
        qualities.append(_quality(body, views, times[body.frames], world, contact))
    rig = _rig(cameras, views, bodies, floor.world_from_camera @ first)
    scene = Scene(
        people=tuple(people),
        timestamps=times,
        fps=fps,
        image_size=views[0].camera.size,
        camera=views[0].camera,
        world_from_camera=floor.world_from_camera,
        scale_source="from the calibration",
        rig=rig,
    )
    warnings = turned if people else ["no person found by two cameras"]
    if alone:
        warnings.append(f"tracks seen by one camera only, and left out: {alone}")
    if bodies:
        beside = zip(*(_beside(body, views) for body in bodies), strict=True)
        warnings += doubts.moved(views, [np.concatenate(one) for one in beside])
    tracks = [
        [body.group.track(person.id, v) for person, body in zip(people, bodies, strict=True)]
        for v in range(len(views))
    ]
    return Reconstruction(scene, qualities, tracks, warnings)


def _mended(group: Group, views: Sequence[View], fps: float, relation: relate.Relation) -> Group:
    lenses = [view.camera for view in views]
    xy, scores = relate.mend_views(relation, group.xy, group.scores, lenses, fps)
    return replace(group, xy=xy.astype(np.float64), scores=scores.astype(np.float64))


def _axes(views: Sequence[View]) -> np.ndarray | None:
    """(3, 3) rows: the calibration's axes in the first camera; None where they are a camera's own,
    which is seldom level."""
    if any(np.allclose(view.R, np.eye(3), atol=1e-6) for view in views):
        return None
    return views[0].R.T


def _chosen(people: int, person: str | int) -> list[int]:
    """The numbers, from 1, of the people who are wanted."""
    if person == "all" or not people:
        return list(range(1, people + 1))
    number = 1 if person == "largest" else int(person)
    if not 1 <= number <= people:
        raise UserError(f"no person {number}: people are numbered 1 to {people}")
    return [number]


def _body(
    group: Group, views: Sequence[View], times: np.ndarray, fps: float, lifter: lifters.Lifter
) -> _Body | None:
    """One person's joints; None if two cameras never saw enough of them at once, or if what they
    saw has no person's size."""
    everything = Sights.through(views, group.xy, group.scores)
    seen = np.flatnonzero((everything.twice > _SEEN).sum(axis=-1) >= _ENOUGH)
    if not len(seen):
        return None
    frames, valid = tracking.bridge(seen, fps=fps)
    sights = Sights.through(views, group.xy[:, frames], group.scores[:, frames])
    raw = triangulation.triangulate(sights)
    missing = np.isnan(raw).any(axis=-1)
    guess = raw
    if missing.any():
        guess = _guess(group, views, frames, raw, fps, lifter)
    raw = np.where(missing[..., None], guess, raw)
    known = np.where(missing[..., None], np.nan, raw)
    points = refinement.refine(sights, known, guess, times[frames])
    joints = joint_centres(points)
    lengths = bones.lengths(joints, sights.twice, H36M17)
    if not _STATURES[0] <= scale.stature(lengths) <= _STATURES[1]:
        return None
    joints = refinement.shape(joints, lengths)
    return _Body(group, frames, valid, sights, raw, points, joints)


def _guess(
    group: Group, views: Sequence[View], frames: np.ndarray, points: np.ndarray, fps: float,
    lifter: lifters.Lifter,
) -> np.ndarray:  # fmt: skip
    """(T, J, 3) about where joints are that were not triangulated: as the lifter has them.

    It lifts the view that sees the person best; each pose is laid on the joints that are known,
    and where none are, on the lines between those before and after.
    """
    best = int(group.scores[:, frames].sum(axis=(1, 2)).argmax())
    xy, scores = group.xy[best, frames], group.scores[best, frames]
    keypoints = Keypoints2D(
        frames, xy.astype(np.float32), scores.astype(np.float32), H36M17,
        views[best].camera.size, fps,
    )  # fmt: skip
    (poses,) = lifters.lift(lifter, [keypoints], views[best].camera)
    lifted = poses.joints.astype(np.float64) @ views[best].R
    known = np.isfinite(points).all(axis=-1)
    bridged = np.zeros_like(points)
    ever = known.any(axis=0)
    for j in np.flatnonzero(ever):
        bridged[:, j] = tracking.fill(points[known[:, j], j], frames[known[:, j]], frames)
    weight = np.where(known, 1.0, 0.05) * ever
    return _laid_on(lifted, bridged, weight)


def _laid_on(poses: np.ndarray, onto: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Poses (T, J, 3) turned and moved onto others, joints weighing (T, J); one scale for all."""
    w = weight[..., None] / np.maximum(weight.sum(axis=1), 1e-9)[:, None, None]
    middle, place = (w * poses).sum(axis=1, keepdims=True), (w * onto).sum(axis=1, keepdims=True)
    a, b = poses - middle, onto - place
    u, s, vh = np.linalg.svd(np.swapaxes(w * b, -1, -2) @ a)
    sign = np.ones_like(s)
    sign[:, 2] = np.sign(np.linalg.det(u @ vh))
    R = (u * sign[:, None]) @ vh
    size = (s * sign).sum(axis=-1) / np.maximum((w * a**2).sum(axis=(1, 2)), 1e-9)
    return float(np.median(size)) * geometry.rotate(R, a) + place


def _project(joints: np.ndarray, view: View) -> np.ndarray:
    """(T, J, 2) px of (T, J, 3) metres in the calibration's world."""
    there = geometry.transform(view.from_calibration, joints)
    there[..., 2] = np.maximum(there[..., 2], triangulation.NEAREST)
    return geometry.project(there, view.camera)


def _person(
    number: int, body: _Body, view: View, world: np.ndarray, contact: np.ndarray, fps: float
) -> Person:
    """The person as the first view has them; keypoints that it does not see are projections."""
    frames, scores = body.frames, body.sights.scores[0]
    xy = np.where(scores[..., None] > 0, body.group.xy[0, frames], _project(body.joints, view))
    in_camera = geometry.transform(view.from_calibration, body.joints)
    root = in_camera[:, [H36M17.root]]
    return Person(
        track=body.group.track(number, 0),
        frames=frames,
        valid=body.valid,
        keypoints=Keypoints2D(
            frames, xy.astype(np.float32), scores.astype(np.float32), H36M17, view.camera.size, fps
        ),
        poses=Poses3D(
            frames, (in_camera - root).astype(np.float32), body.sights.twice.astype(np.float32),
            H36M17, "CAMERA_ROOT", fps,
        ),
        root_camera=root[:, 0].astype(np.float32),
        joints_world=world.astype(np.float32),
        foot_contact=contact,
    )  # fmt: skip


def _beside(body: _Body, views: Sequence[View]) -> list[np.ndarray]:
    """px by which keypoints surely seen lie beside joints projected, (N, 2) for each view."""
    return [
        (body.group.xy[v, body.frames] - _project(body.points, view))[body.sights.scores[v] > _SURE]
        for v, view in enumerate(views)
    ]


def _errors(body: _Body, views: Sequence[View]) -> list[np.ndarray]:
    """px between keypoints surely seen and joints projected, (N,) for each view."""
    return [np.linalg.norm(one, axis=-1) for one in _beside(body, views)]


def _quality(
    body: _Body, views: Sequence[View], times: np.ndarray, world: np.ndarray, contact: np.ndarray
) -> quality.Quality:
    return quality.Quality(
        reprojection_px=float(np.median(np.concatenate(_errors(body, views)))),
        jitter_before=quality.jitter(body.raw, times),
        jitter_after=quality.jitter(world, times),
        bone_variation_before=bones.variation(body.raw, H36M17),
        bone_variation_after=bones.variation(world, H36M17),
        foot_slide=feet.slide(world, contact, times),
        stature=scale.stature(bones.lengths(world, body.sights.twice, H36M17)),
    )


def _rig(
    cameras: Sequence[Sighted], views: Sequence[View], bodies: Sequence[_Body],
    world_from_calibration: np.ndarray,
) -> Rig:  # fmt: skip
    v, p, t, j = len(views), len(bodies), len(cameras[0].times), len(H36M17)
    xy = np.full((v, p, t, j, 2), np.nan, np.float32)
    scores = np.zeros((v, p, t, j), np.float32)
    errors = np.full((v, p), np.nan)
    for i, body in enumerate(bodies):
        seen = body.group.scores > 0
        xy[:, i][seen], scores[:, i] = body.group.xy[seen], body.group.scores
        for c, one in enumerate(_errors(body, views)):
            errors[c, i] = np.median(one) if len(one) else np.nan
    return Rig(
        names=tuple(view.name for view in views),
        cameras=tuple(view.camera for view in views),
        world_from_cameras=np.stack(
            [world_from_calibration @ np.linalg.inv(view.from_calibration) for view in views]
        ),
        time_offsets=np.array([camera.offset for camera in cameras]),
        keypoints=xy,
        scores=scores,
        reprojection_px=errors,
        world_from_calibration=world_from_calibration,
    )
