"""Cameras found from people: a walk whose joints are known exactly, filmed by generated rigs.

Lifted bodies are the true ones turned by some degrees and shaken, so no network is needed.
"""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from video2pose3d import geometry, metrics
from video2pose3d.errors import UserError
from video2pose3d.evaluation import detector
from video2pose3d.multiview import View, movement, reconstruct, self_calibration
from video2pose3d.multiview.adjustment import BONES, JOINTS, KINDS, Bundle, Estimate, Free, adjust
from video2pose3d.multiview.movement import Mover
from video2pose3d.multiview.people import Sighted
from video2pose3d.multiview.synchronisation import find_offsets
from video2pose3d.pipeline import Sighting
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Keypoints2D, Track

EXAMPLES = Path(__file__).parent.parent / "examples"
SIZE, FPS = (1280, 720), 30.0
ASSUMED = geometry.camera_from_fov(SIZE, geometry.ASSUMED_FOV, "assumed")


def walker(clip: str = "walk", person: int | None = None) -> np.ndarray:
    """(T, 17, 3) metres, y up, about the origin: somebody of the rendered examples."""
    with np.load(EXAMPLES / f"{clip}_truth.npz") as truth:
        world = truth["world"].astype(np.float64)
    joints = world if person is None else world[:, person]
    return joints - [*joints[:, 0, 0].mean(keepdims=True), 0, joints[:, 0, 2].mean()]


def rig(angles: list[float], fovs: list[float] | None = None) -> list[View]:
    """Cameras at degrees round the origin, 5 m off, that look at a person's middle; y is up."""
    views = []
    for number, (angle, fov) in enumerate(zip(angles, fovs or [50, 62, 57, 54], strict=False)):
        a = np.radians(angle)
        place = np.array([5 * np.sin(a), 1.3 + 0.2 * number, 5 * np.cos(a)])
        ahead = geometry.unit(np.array([0, 0.9, 0]) - place)
        right = geometry.unit(np.cross(ahead, [0, 1.0, 0]))
        R = np.stack([right, np.cross(ahead, right), ahead])
        camera = geometry.camera_from_fov(SIZE, fov, "true")
        views.append(View(f"cam{number}", camera, R, -R @ place))
    return views


def filmed(
    people: list[np.ndarray], views: list[View], began: list[int] | None = None, noise: float = 2.0
) -> tuple[list[Sighted], list[Mover]]:
    """What cameras see whose lenses and places aren't known, and bodies as if lifted.

    began: the frame that each clip begins with.
    """
    rng = np.random.default_rng(5)
    cameras, movers = [], []
    for v, view in enumerate(views):
        sightings = []
        for p, joints in enumerate(people):
            own = joints[0 if began is None else began[v] :]
            frames, times = np.arange(len(own)), np.arange(len(own)) / FPS
            seen = geometry.transform(view.from_calibration, detector.points(own))
            xy = geometry.project(seen, view.camera)
            xy = (xy + rng.normal(0, noise, xy.shape)).astype(np.float32)
            scores = np.full(xy.shape[:2], 0.9, np.float32)
            boxes = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
            track = Track(p + 1, frames, boxes, np.full(len(own), 0.9, np.float32))
            keypoints = Keypoints2D(frames, xy, scores, H36M17, SIZE, FPS)
            sightings.append(Sighting(track, keypoints, np.ones(len(own), bool)))
            movers.append(_lifted(v, sightings[-1], own, view, times, rng))
        camera = View(view.name, ASSUMED, np.eye(3), np.zeros(3))
        cameras.append(Sighted(camera, sightings, times, 0.0))
    return cameras, movers


def _lifted(v, sighting, joints, view, times, rng) -> Mover:
    there = geometry.transform(view.from_calibration, joints)
    root = there[:, :1]
    tilt = cv2.Rodrigues(rng.normal(0, np.radians(4), 3))[0]
    body = (there - root) @ tilt.T + np.cumsum(rng.normal(0, 0.003, there.shape), axis=0)
    far = np.array([1, 1, rng.uniform(0.85, 1.15)])
    return Mover(v, sighting, times, body + root * far, np.full(body.shape[:2], 0.9))


@pytest.fixture
def find(monkeypatch):
    """`self_calibration.calibrate` with bodies lifted already."""

    def run(cameras, movers, *, clocks=True, lenses=True, height=None):
        monkeypatch.setattr(movement, "movers", lambda *_: movers)
        return self_calibration.calibrate(
            cameras, None, clocks=clocks, lenses=lenses, height=height
        )

    return run


def turned(found: View, first: View, true: View) -> float:
    """Degrees between a camera's true and found rotation, from the first camera's."""
    apart = found.R @ (true.R @ first.R.T).T
    return float(np.degrees(np.arccos(np.clip((np.trace(apart) - 1) / 2, -1, 1))))


def test_a_walk_tells_where_three_cameras_stood_and_what_their_lenses_are(find):
    joints, views = walker(), rig([0, 70, -60])
    found = find(*filmed([joints], views))
    assert not found.warnings
    for camera, view, report in zip(found.cameras, views, found.report, strict=True):
        assert turned(camera.view, views[0], view) < 2
        assert abs(camera.view.camera.K[0, 0] / view.camera.K[0, 0] - 1) < 0.1
        assert camera.offset == 0
        assert "people" in camera.view.camera.source
        assert report["agreeing_keypoints"] > 0.9
        assert report["angle_to_others_degrees"] > 40
    # What it says of its errors is about what they are.
    for camera, view, report in zip(found.cameras[1:], views[1:], found.report[1:], strict=True):
        assert turned(camera.view, views[0], view) < 3 * report["rotation_deviation_degrees"] < 12
        wanted = views[0].R @ (view.centre - views[0].centre)
        apart = np.linalg.norm(camera.view.centre - wanted)
        assert apart < 3 * report["position_deviation_m"] < 6
    scene = reconstruct(found.cameras, None, FPS).scene
    (person,) = scene.people
    truth = geometry.transform(views[0].from_calibration, joints)
    assert metrics.p_mpjpe(person.poses.joints, truth) < 0.025
    up = scene.world_from_camera[:3, :3] @ views[0].R @ [0, 1, 0]
    assert up[1] > np.cos(np.radians(5))


def test_a_given_height_is_the_person_s(find):
    cameras, movers = filmed([walker()], rig([0, 70]))
    found = find(cameras, movers, height=1.9)
    (quality,) = reconstruct(found.cameras, None, FPS).qualities
    assert quality.stature == pytest.approx(1.9, rel=0.02)
    assert found.scale_source == "from --height 1.9"


def test_keypoints_lost_by_all_but_one_camera_do_not_count_against_a_rig(find):
    cameras, movers = filmed([walker()], rig([0, 70]))
    (one,) = cameras[1].people
    scores = one.keypoints.scores.copy()
    scores[::2, H36M17.indices("left_wrist", "left_elbow", "right_ankle")] = 0
    lost = one._replace(keypoints=replace(one.keypoints, scores=scores))
    cameras[1], movers[1] = replace(cameras[1], people=[lost]), replace(movers[1], sighting=lost)
    assert not any("lengths" in warning for warning in find(cameras, movers).warnings)


def test_given_lenses_stay(find):
    found = find(*filmed([walker()], rig([0, 70])), lenses=False)
    for camera in found.cameras:
        np.testing.assert_array_equal(camera.view.camera.K, ASSUMED.K)
        assert camera.view.camera.source == "assumed"


def test_clips_that_began_apart_are_found_in_time(find):
    began = [20, 0, 43]
    views = rig([0, 70, -60])
    found = find(*filmed([walker()], views, began))
    frames = np.array([camera.offset for camera in found.cameras]) * FPS
    np.testing.assert_allclose(frames, np.array(began) - 20, atol=0.5)
    for camera, view in zip(found.cameras, views, strict=True):
        assert turned(camera.view, views[0], view) < 3


def test_with_a_calibration_clocks_alone_are_found(monkeypatch):
    views, began = rig([0, 70, -60]), [0, 12, 0]
    cameras, movers = filmed([walker()], views, began)
    monkeypatch.setattr(movement, "movers", lambda *_: movers)
    known = [replace(c, view=view) for c, view in zip(cameras, views, strict=True)]
    found = self_calibration.set_clocks(known, None)
    offsets = [camera.offset * FPS for camera in found.cameras]
    assert offsets[0] == offsets[2] == 0
    assert offsets[1] == pytest.approx(12, abs=0.5)
    assert [camera.view for camera in found.cameras] == views


def test_pictures_of_one_moment_are_taken_to_be_in_time(monkeypatch):
    views = rig([0, 70])
    cameras, movers = filmed([walker()[:1]], views)
    monkeypatch.setattr(movement, "movers", lambda *_: movers)
    known = [replace(c, view=view) for c, view in zip(cameras, views, strict=True)]
    found = self_calibration.set_clocks(known, None)
    assert [camera.offset for camera in found.cameras] == [0, 0]
    assert "doesn't show when cam1 began" in found.warnings[0]


def test_two_people_are_told_apart_before_cameras_are_known(find):
    aside = np.array([0.6, 0, 0])
    people = [walker("two_people", 0) + aside, walker("two_people", 1) - aside]
    views = rig([0, 80, -70])
    cameras, movers = filmed(people, views)
    # Nobody says in which order people are found.
    cameras[1] = replace(cameras[1], people=cameras[1].people[::-1])
    found = find(cameras, movers)
    for camera, view in zip(found.cameras, views, strict=True):
        assert turned(camera.view, views[0], view) < 3
    scene = reconstruct(found.cameras, None, FPS).scene
    assert len(scene.people) == 2


def test_other_people_s_clips_are_refused(find):
    one, other = walker(), walker("two_people", 1)
    views = rig([0, 70])
    a, movers_a = filmed([one[: len(other)]], views[:1])
    b, movers_b = filmed([other], views[1:])
    with pytest.raises(UserError, match=r"moves like|agrees|lengths"):
        find([*a, *b], [*movers_a, replace(movers_b[0], view=1)])


def test_cameras_at_one_place_are_refused(find):
    with pytest.raises(UserError, match="depth"):
        find(*filmed([walker()], rig([0, 0.5], [55, 55])))


def test_a_clip_without_people_is_refused(find):
    cameras, movers = filmed([walker()], rig([0, 70]))
    with pytest.raises(UserError, match="nobody is seen in cam1"):
        find([cameras[0], replace(cameras[1], people=[])], movers[:1])


@pytest.mark.parametrize(("pixels", "refused"), [(1400, True), (900, False)])
def test_a_camera_that_turns_round_is_refused_or_doubted(find, pixels, refused):
    cameras, movers = filmed([walker()], rig([0, 70]))
    (one,) = cameras[1].people
    away = np.linspace(0, pixels, len(one.keypoints.xy))[:, None] * [1, 0]
    xy = (one.keypoints.xy + away[:, None]).astype(np.float32)
    panned = one._replace(keypoints=replace(one.keypoints, xy=xy))
    cameras[1] = replace(cameras[1], people=[panned])
    movers[1] = replace(movers[1], sighting=panned)
    if refused:
        with pytest.raises(UserError, match="no camera moves"):
            find(cameras, movers)
        return
    try:
        said = find(cameras, movers).warnings
    except UserError as error:
        said = [str(error)]
    assert said


def test_movement_that_comes_again_and_again_is_not_taken_for_a_time():
    times = np.arange(300) / FPS
    body = np.repeat(walker()[:1], len(times), axis=0)
    body[:, H36M17.indices("left_wrist", "right_wrist"), 1] += 0.3 * np.sin(
        2 * np.pi * times
    )[:, None]  # fmt: skip
    cameras, movers = filmed([body], rig([0, 70]), [0, 10])
    clocks = find_offsets(movers, len(cameras))
    assert not clocks.sure[1]
    assert clocks.offsets[1] == 0


def bundle_of(joints: np.ndarray, views: list[View], late: float = 0.0) -> Bundle:
    """Exact sights; the last clip's clock is `late` seconds behind."""
    points = joints[:, JOINTS]
    speed = np.gradient(points, 1 / FPS, axis=0)
    rays, drift = [], []
    for v, view in enumerate(views):
        at = points + speed * late * (v == len(views) - 1)
        ends = [geometry.transform(view.from_calibration, at + speed * h) for h in (-1e-3, 0, 1e-3)]
        before, now, after = (e[..., :2] / e[..., 2:] * view.camera.K[0, 0] for e in ends)
        rays.append(now / ASSUMED.K[0, 0])
        drift.append((after - before) / 2e-3 / ASSUMED.K[0, 0])
    bones = np.linalg.norm(points[:, BONES[:, 1]] - points[:, BONES[:, 0]], axis=-1).mean(axis=0)
    expected = np.array([[bones[k == KINDS].mean() for k in range(KINDS.max() + 1)]])
    seen = np.ones((len(views), *points.shape[:2]))
    return Bundle(np.stack(rays), np.stack(drift), seen, np.zeros(len(points), int), expected)


@pytest.mark.parametrize("late", [0.0, 0.02])
def test_adjustment_finds_the_cameras_from_some_way_off(late):
    views, joints = rig([0, 70, -100]), walker()[::6]
    joints = geometry.transform(views[0].from_calibration, joints)
    back = np.linalg.inv(views[0].from_calibration)
    views = [
        replace(v, R=(v.from_calibration @ back)[:3, :3], t=(v.from_calibration @ back)[:3, 3])
        for v in views
    ]
    bundle = bundle_of(joints, views, late)
    rng = np.random.default_rng(0)
    off = [np.eye(3), *(cv2.Rodrigues(rng.normal(0, 0.08, 3))[0] for _ in views[1:])]
    start = Estimate(
        np.stack([turn @ v.R for turn, v in zip(off, views, strict=True)]),
        np.stack([v.t * rng.uniform(0.9, 1.1, 3) for v in views]),
        np.ones(3), np.zeros(3), joints[:, JOINTS] + rng.normal(0, 0.1, joints[:, JOINTS].shape),
        bundle.expected,
    )  # fmt: skip
    later = np.array([False, True, True])
    found = adjust(bundle, start, Free(later, np.ones(3, bool), later)).estimate
    for v, view in enumerate(views):
        assert turned(replace(view, R=found.R[v]), views[0], view) < 0.5
        wanted = view.camera.K[0, 0] / ASSUMED.K[0, 0]
        assert found.focal[v] == pytest.approx(wanted, rel=0.05)
    # A clock behind shows people further on than it says.
    np.testing.assert_allclose(found.delay, [0, 0, late], atol=0.002)
