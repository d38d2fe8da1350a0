"""From lifted poses to people who move over a floor: the stages of `motion` in their order.

A lifter gives bodies without a place. Here each gets smooth, of constant bone lengths and of one
size; then a path through the camera's space from its 2D keypoints; all of them together tell the
ground; and with the ground their feet steady their paths once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from video2pose3d.geometry import pixels_to_rays, project, transform
from video2pose3d.motion import bones, contacts, feet, ground, quality, scale, sight
from video2pose3d.motion.root import NEAREST, Standing, locate, locate_each, residuals
from video2pose3d.motion.smoothing import smooth
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Camera, Keypoints2D, Poses3D

_ANKLES = H36M17.indices("right_ankle", "left_ankle")
_DOUBTFUL = 7.0  # degrees of uncertainty of the camera's tilt that are worth a warning
_STEP = 0.25  # metres off the others' floor, somebody stands on another: a stage, a chair
_CAMERA_HEIGHT = 1.5  # metres above the floor, of a camera that saw nobody


@dataclass(frozen=True)
class Settings:
    """smooth: one of smoothing.METHODS; height: metres, of the person largest in the picture, or
    None; foot_lock: "auto", feet in contact stand still, or "off"."""

    smooth: str = "gaussian"
    height: float | None = None
    foot_lock: str = "auto"

    def __post_init__(self) -> None:
        if self.foot_lock not in ("auto", "off"):
            raise ValueError(f"foot_lock: expected 'auto' or 'off', got {self.foot_lock!r}")


@dataclass(frozen=True)
class PersonMotion:
    """One person's movement; arrays are over the frames of the poses given.

    poses: CAMERA_ROOT, as lifted but at the person's size; root_camera: (T, 3) float32 metres, the
    pelvis in CAMERA; joints_world: (T, J, 3) float32 metres, WORLD, smooth, constant bone lengths;
    foot_contact: (T, 2) bool, right then left; scale: what the lifter's metres were multiplied by.
    """

    poses: Poses3D
    root_camera: np.ndarray
    joints_world: np.ndarray
    foot_contact: np.ndarray
    scale: float
    quality: quality.Quality


@dataclass(frozen=True)
class Reconstruction:
    """people: as given; world_from_camera: (4, 4) float64; scale_source and warnings: in words.

    WORLD has y up, the floor at 0 and +z from the scene towards the camera; its origin is on the
    floor below the place where the person largest in the picture was first seen.
    """

    people: tuple[PersonMotion, ...]
    world_from_camera: np.ndarray
    scale_source: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Body:
    """One person on the way.

    rays: (T, J, 2) x/z, y/z; scores: (T, J); times: (T,) seconds; shape: (T, J, 3) metres,
    CAMERA_ROOT, smooth and of constant bones; root: (T, 3) metres, CAMERA; contact: (T, 2) bool.
    """

    rays: np.ndarray
    scores: np.ndarray
    times: np.ndarray
    shape: np.ndarray
    root: np.ndarray
    contact: np.ndarray
    scale: float

    @property
    def joints(self) -> np.ndarray:
        """(T, J, 3) metres, CAMERA."""
        return self.shape + self.root[:, None]

    @property
    def ankles(self) -> np.ndarray:
        """(T, 2, 3) metres, CAMERA: at the body's depth, but where the keypoints saw them."""
        ankles, seen = self.joints[:, _ANKLES], self.scores[:, _ANKLES, None]
        depth = np.maximum(ankles[..., 2:], NEAREST)
        sighted = np.concatenate([self.rays[:, _ANKLES] * depth, depth], axis=-1)
        return ankles + seen * (sighted - ankles)

    def resized(self, factor: float) -> _Body:
        """Larger and as much further away, so it looks the same."""
        return replace(
            self, shape=self.shape * factor, root=self.root * factor, scale=self.scale * factor
        )


def reconstruct(
    people: Sequence[tuple[Keypoints2D, Poses3D]],
    timestamps: np.ndarray,
    camera: Camera,
    settings: Settings | None = None,
) -> Reconstruction:
    """Place, scale, smooth and ground everybody in a clip taken by a camera that stands still.

    people: each one's keypoints and poses (CAMERA_ROOT), both H36M17 over the same frames, which
    may have gaps; timestamps: (T,) seconds of all video frames.
    """
    settings = settings or Settings()
    _check(people)
    if not people:
        level = ground.world_from_camera(ground.LEVEL_CAMERA, _CAMERA_HEIGHT, np.zeros(3))
        return Reconstruction((), level, "no people", ())
    largest = int(np.argmax([_apparent_size(keypoints) for keypoints, _ in people]))
    bodies = []
    for p, (keypoints, poses) in enumerate(people):
        times = timestamps[poses.frames]
        height = settings.height if p == largest else None
        bodies.append(_place(keypoints, poses, times, camera, settings.smooth, height))

    floor, bodies = _ground(bodies)
    fixed = None if settings.height is None else largest
    factors = scale.share_floor(floor.heights, fixed)
    bodies = [body.resized(factor) for body, factor in zip(bodies, factors.tolist(), strict=True)]
    heights = floor.heights * factors
    own = np.abs(heights - _common(heights, fixed)) > _STEP
    heights = np.where(own, heights, _common(heights, fixed))
    still = settings.foot_lock == "auto"
    bodies = [
        _stand(body, floor.up, height, still)
        for body, height in zip(bodies, heights.tolist(), strict=True)
    ]
    floor, bodies = _ground(bodies)
    height = _common(floor.heights, fixed)
    matrix = ground.world_from_camera(floor.up, height, bodies[largest].root[0])

    return Reconstruction(
        people=tuple(
            _finish(keypoints, poses, body, matrix, camera, still)
            for (keypoints, poses), body in zip(people, bodies, strict=True)
        ),
        world_from_camera=matrix,
        scale_source=_scale_source(settings.height, len(people)),
        warnings=_warnings(floor, height),
    )


def _check(people: Sequence[tuple[Keypoints2D, Poses3D]]) -> None:
    for keypoints, poses in people:
        if not len(poses.frames) or not np.array_equal(keypoints.frames, poses.frames):
            raise ValueError(
                "people: expected keypoints and poses of the same frames, at least one"
            )
        if keypoints.skeleton != H36M17 or poses.skeleton != H36M17:
            raise ValueError(f"people: expected {H36M17.name}")
        if not (np.isfinite(keypoints.xy).all() and np.isfinite(poses.joints).all()):
            raise ValueError("people: expected finite keypoints and joints")


def _place(
    keypoints: Keypoints2D,
    poses: Poses3D,
    times: np.ndarray,
    camera: Camera,
    method: str,
    height: float | None,
) -> _Body:
    """A smooth body of constant bone lengths, of the height given, limbs as seen, and its path."""
    shape = smooth(poses.joints.astype(np.float64), times, method)
    lengths = bones.lengths(shape, keypoints.scores, H36M17)
    factor = 1.0 if height is None else height / scale.stature(lengths)
    lengths *= factor
    shape = bones.set_lengths(shape * factor, lengths, H36M17)
    rays, scores = pixels_to_rays(keypoints.xy, camera), keypoints.scores.astype(np.float64)
    root = locate(rays, scores, shape, times, locate_each(rays, scores, shape))
    move = sight.offsets(residuals(rays, shape, root), scores, times)
    shape = bones.set_lengths(shape + move, lengths, H36M17)
    root = locate(rays, scores, shape, times, root)
    contact = np.zeros((len(times), 2), dtype=bool)
    return _Body(rays, scores, times, shape, root, contact, factor)


def _ground(bodies: list[_Body]) -> tuple[ground.Ground, list[_Body]]:
    """The ground and the bodies with their contacts with it; each helps to find the other."""
    for _ in range(2):
        up = _estimate_ground(bodies).up
        bodies = [
            replace(body, contact=contacts.detect(body.ankles, up, body.times)) for body in bodies
        ]
    return _estimate_ground(bodies), bodies


def _estimate_ground(bodies: list[_Body]) -> ground.Ground:
    return ground.estimate(
        [ground.Body(body.joints, body.ankles, body.contact, body.times) for body in bodies]
    )


def _common(heights: np.ndarray, fixed: int | None) -> float:
    """metres: the camera's height above everybody's floor, from (P,) each one's."""
    return float(np.median(heights) if fixed is None else heights[fixed])


def _stand(body: _Body, up: np.ndarray, height: float, still: bool) -> _Body:
    """The body's path once more, steadied by the feet that stand on a floor `height` m below."""
    standing = Standing(
        feet=body.shape[:, _ANKLES],
        contact=body.contact,
        up=up,
        level=ground.ANKLE_HEIGHT - height,
        still=still,
    )
    root = locate(body.rays, body.scores, body.shape, body.times, body.root, standing)
    return replace(body, root=root)


def _finish(
    keypoints: Keypoints2D,
    poses: Poses3D,
    body: _Body,
    matrix: np.ndarray,
    camera: Camera,
    still: bool,
) -> PersonMotion:
    """The body in WORLD, and how good it is."""
    joints = transform(matrix, body.joints)
    if still:
        joints = feet.lock(joints, body.contact, body.times)
    as_lifted = poses.joints.astype(np.float64) * body.scale
    alone = as_lifted + locate_each(body.rays, body.scores, as_lifted)[:, None]
    in_camera = transform(np.linalg.inv(matrix), joints)
    in_camera[..., 2] = np.maximum(in_camera[..., 2], NEAREST / 2)
    return PersonMotion(
        poses=replace(poses, joints=as_lifted.astype(np.float32)),
        root_camera=body.root.astype(np.float32),
        joints_world=joints.astype(np.float32),
        foot_contact=body.contact,
        scale=body.scale,
        quality=quality.Quality(
            reprojection_px=quality.reprojection(
                keypoints.xy, project(in_camera, camera), keypoints.scores
            ),
            jitter_before=quality.jitter(alone, body.times),
            jitter_after=quality.jitter(joints, body.times),
            bone_variation_before=bones.variation(poses.joints, H36M17),
            bone_variation_after=bones.variation(joints, H36M17),
            foot_slide=feet.slide(joints, body.contact, body.times),
            stature=scale.stature(bones.lengths(joints, keypoints.scores, H36M17)),
        ),
    )


def _apparent_size(keypoints: Keypoints2D) -> float:
    """px² of picture that a person filled, summed over the clip."""
    seen = keypoints.scores[..., None] > 0
    low = np.where(seen, keypoints.xy, np.inf).min(axis=1)
    high = np.where(seen, keypoints.xy, -np.inf).max(axis=1)
    return float(np.maximum(high - low, 0).prod(axis=1).sum())


def _scale_source(height: float | None, people: int) -> str:
    if height is None:
        return "assumed: people of the size the lifter learned from"
    if people == 1:
        return f"from --height {height:g}"
    return f"from --height {height:g} of the person largest in the picture, others by the floor"


def _warnings(floor: ground.Ground, height: float) -> tuple[str, ...]:
    warnings = []
    if floor.uncertainty > _DOUBTFUL:
        warnings.append(
            f"the camera's tilt is known to {floor.uncertainty:.0f} degrees only: "
            "nobody was seen to stand or walk for long"
        )
    if height < 0:
        warnings.append("the floor came out above the camera: the world's height is doubtful")
    return tuple(warnings)
