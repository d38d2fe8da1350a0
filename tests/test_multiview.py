"""Several cameras: generated rigs round walking figures, whose joints are known exactly."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import figures
import mocap
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from video2pose3d import geometry, metrics, multiview, pipeline, relate
from video2pose3d.cli import video2pose3d as program
from video2pose3d.datasets.mocap import Mocap
from video2pose3d.errors import UserError
from video2pose3d.exporters import npz
from video2pose3d.files import alone_in
from video2pose3d.motion import bones
from video2pose3d.multiview import (
    Sighted,
    View,
    calibrations,
    centres,
    doubts,
    refinement,
    sides,
    triangulation,
    turning,
)
from video2pose3d.multiview.centres import joint_centres
from video2pose3d.multiview.timing import at_times
from video2pose3d.multiview.triangulation import Sights
from video2pose3d.options import Options
from video2pose3d.pipeline import Sighting
from video2pose3d.render import rig as rig_picture
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Camera, Keypoints2D, Track
from video2pose3d.training.detector import detector_points
from video2pose3d.video import write_video

SIZE = (1280, 960)
FPS = 50.0
DISTORTION = np.array([-0.2, 0.05, 0.001, -0.002, 0.0])


def rig(cameras: int, seed: int = 0, dist: np.ndarray = DISTORTION) -> list[View]:
    """Cameras round the origin of a Z-up world that look at a person's middle."""
    rng = np.random.default_rng(seed)
    views = []
    for number in range(cameras):
        angle = 2 * np.pi * (number + rng.uniform(-0.2, 0.2)) / cameras
        place = np.array([4.5 * np.cos(angle), 4.5 * np.sin(angle), rng.uniform(1.0, 2.2)])
        ahead = geometry.unit(np.array([0.0, 0.0, 1.0]) - place)
        right = geometry.unit(np.cross(ahead, [0.0, 0.0, 1.0]))
        R = np.stack([right, np.cross(ahead, right), ahead])
        camera = geometry.camera_from_fov(SIZE, 62, "made")
        views.append(View(f"cam{number}", replace(camera, dist=dist), R, -R @ place))
    return views


def project(joints: np.ndarray, views: list[View]) -> np.ndarray:
    """(V, T, J, 2) px."""
    return np.stack(
        [geometry.project(geometry.transform(v.from_calibration, joints), v.camera) for v in views]
    )


def sighting(xy: np.ndarray, scores: np.ndarray | float = 0.9, number: int = 1) -> Sighting:
    frames = np.arange(len(xy))
    scores = np.broadcast_to(scores, xy.shape[:-1]).astype(np.float32)
    boxes = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1).astype(np.float32)
    track = Track(number, frames, boxes, np.full(len(xy), 0.9, np.float32))
    keypoints = Keypoints2D(frames, xy.astype(np.float32), scores, H36M17, SIZE, FPS)
    return Sighting(track, keypoints, np.ones(len(xy), bool))


def detected(joints: np.ndarray) -> np.ndarray:
    """The points that detectors see of a figure."""
    points = joints
    for _ in range(10):
        points = points + joints - joint_centres(points)
    return points


def filmed(people: list[np.ndarray], views: list[View], noise: float = 0.0) -> list[Sighted]:
    rng = np.random.default_rng(3)
    seen = [project(detected(joints), views) for joints in people]
    seen = [xy + rng.normal(0, noise, xy.shape) for xy in seen]
    times = np.arange(len(people[0])) / FPS
    return [
        Sighted(view, [sighting(xy[v], number=p) for p, xy in enumerate(seen, 1)], times, 0.0)
        for v, view in enumerate(views)
    ]


def found(cameras: list[Sighted], lifter=None, **choices) -> multiview.Reconstruction:
    return multiview.reconstruct(cameras, lifter, FPS, **choices)


def in_calibration(person, scene) -> np.ndarray:
    back = np.linalg.inv(scene.rig.world_from_calibration)
    return geometry.transform(back, person.joints_world.astype(np.float64))


def walk(frames: int = 60, shift: tuple[float, float] = (0.0, 0.0), seed: int = 0) -> np.ndarray:
    return mocap.walk(frames, seed) + np.array([*shift, 0]) - [0, 0.6, 0]


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 6), st.integers(0, 1000))
def test_exact_projections_triangulate_exactly_through_lens_distortion(cameras, seed):
    views, joints = rig(cameras, seed), walk(3)
    sights = Sights.through(views, project(joints, views), np.ones((cameras, 3, 17)))
    np.testing.assert_allclose(triangulation.triangulate(sights), joints, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 3), st.floats(-400, 400), st.floats(150, 400))
def test_an_outlier_in_one_view_of_four_does_not_move_the_point(view, dx, dy):
    views, joints = rig(4), walk(2)
    xy = project(joints, views)
    xy[view, :, H36M17.index("left_wrist")] += [dx, dy]
    sights = Sights.through(views, xy, np.ones((4, 2, 17)))
    np.testing.assert_allclose(triangulation.triangulate(sights), joints, atol=1e-3)


def test_what_one_camera_sees_is_not_a_point():
    views, joints = rig(3), walk(2)
    scores = np.ones((3, 2, 17))
    scores[:2, 0, 5] = 0
    points = triangulation.triangulate(Sights.through(views, project(joints, views), scores))
    assert np.isnan(points[0, 5]).all()
    assert np.isfinite(np.delete(points.reshape(-1, 3), 5, axis=0)).all()


def test_somebody_whom_one_camera_sees_is_said_to_be_left_out():
    cameras = filmed([walk(20)], rig(3))
    cameras = [replace(camera, people=camera.people[: v == 0]) for v, camera in enumerate(cameras)]
    warnings = found(cameras).warnings
    assert warnings == [
        "no person found by two cameras",
        "tracks seen by one camera only, and left out: 1",
    ]


def test_refined_bones_keep_their_lengths_and_bodies_stay_where_they_were_seen():
    views, joints = rig(4), walk(40)
    rng = np.random.default_rng(0)
    xy = project(joints, views)
    xy += rng.normal(0, 4, xy.shape)
    sights = Sights.through(views, xy, np.ones(xy.shape[:-1]))
    raw = triangulation.triangulate(sights)
    refined = refinement.refine(sights, raw, raw, np.arange(40) / FPS)
    assert bones.variation(refined, H36M17) < bones.variation(raw, H36M17) / 2
    lengths = bones.lengths(refined, sights.twice, H36M17)
    refined = refinement.shape(refined, lengths)
    for parent, child in H36M17.bones:
        bone = np.linalg.norm(refined[:, child] - refined[:, parent], axis=-1)
        np.testing.assert_allclose(bone, lengths[child], atol=1e-9)
    assert metrics.mpjpe(refined, joints) < metrics.mpjpe(raw, joints)


def test_a_long_clip_refined_in_windows_is_as_if_refined_at_once(monkeypatch):
    views, joints = rig(3), walk(90)
    xy = project(joints, views) + np.random.default_rng(1).normal(0, 4, (3, 90, 17, 2))
    sights, times = Sights.through(views, xy, np.ones((3, 90, 17))), np.arange(90) / FPS
    raw = triangulation.triangulate(sights)
    at_once = refinement.refine(sights, raw, raw, times)
    monkeypatch.setattr(refinement, "_WINDOW", 30)
    monkeypatch.setattr(refinement, "_OVERLAP", 30)
    np.testing.assert_allclose(refinement.refine(sights, raw, raw, times), at_once, atol=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_noisy_keypoints_of_four_cameras_give_joints_within_15_mm(seed):
    people = [walk(), walk(shift=(0.9, 0.3), seed=2)]
    views = rig(4, seed)
    result = found(filmed(people, views, noise=4))
    assert len(result.scene.people) == 2
    got = [in_calibration(person, result.scene) for person in result.scene.people]
    if np.linalg.norm(got[0][0, 0] - people[0][0, 0]) > 0.3:
        got.reverse()
    for joints, truth in zip(got, people, strict=True):
        assert metrics.mpjpe(joints, truth) < 0.015
    assert np.nanmax(result.scene.rig.reprojection_px) < 8


def test_the_order_of_cameras_does_not_matter():
    cameras = filmed([walk(), walk(shift=(-0.9, 0.2), seed=1)], rig(4), noise=3)
    one, other = (found(order) for order in (cameras, cameras[::-1]))
    for a, b in zip(one.scene.people, other.scene.people, strict=True):
        np.testing.assert_allclose(
            in_calibration(a, one.scene), in_calibration(b, other.scene), atol=2e-3
        )


def test_somebody_unseen_in_the_first_view_and_a_bystander_of_one_view():
    cameras = filmed([walk(), walk(shift=(1.0, 0.0), seed=1)], rig(4), noise=2)
    stranger = sighting(project(walk(shift=(-1.5, 1.5)), [cameras[2].view])[0], number=9)
    cameras[0] = replace(cameras[0], people=cameras[0].people[:1])
    cameras[2] = replace(cameras[2], people=[*cameras[2].people, stranger])
    result = found(cameras)
    assert len(result.scene.people) == 2
    unseen = result.scene.people[int(np.isnan(result.scene.rig.reprojection_px[0]).argmax())]
    truth = walk(shift=(1.0, 0.0), seed=1)
    assert metrics.mpjpe(in_calibration(unseen, result.scene), truth) < 0.015
    assert not unseen.keypoints.scores.any()
    assert np.isfinite(unseen.keypoints.xy).all()
    assert any("one camera only" in warning for warning in result.warnings)


def test_a_person_is_chosen_by_number_and_keeps_it():
    cameras = filmed([walk(20), walk(20, shift=(1.0, 0.0), seed=1)], rig(3))
    everybody, second = found(cameras).scene, found(cameras, person="2").scene
    assert [person.id for person in everybody.people] == [1, 2]
    assert [person.id for person in second.people] == [2]
    np.testing.assert_array_equal(second.people[0].root_camera, everybody.people[1].root_camera)
    with pytest.raises(UserError, match="no person 3"):
        found(cameras, person=3)


def test_a_rig_of_another_unit_gives_nobody_but_one_clear_line():
    cameras = filmed([walk(20)], rig(3))
    small = [replace(c, view=replace(c.view, t=c.view.t / 10)) for c in cameras]
    with pytest.raises(UserError, match="metres"):
        found(small)


def test_a_camera_that_was_moved_is_named_and_others_are_not():
    cameras = filmed([walk(), walk(shift=(0.9, 0.3), seed=2)], rig(4), noise=4)
    assert not found(cameras).warnings
    camera = cameras[2].view.camera
    shift = np.array([[0, 0, -25.0], [0, 0, 15.0], [0, 0, 0]])
    moved = replace(camera, K=camera.K + shift)
    cameras[2] = replace(cameras[2], view=replace(cameras[2].view, camera=moved))
    (warning,) = found(cameras).warnings
    assert "cam2" in warning
    assert "(+2" in warning  # to the right by some of the 25 px


def test_a_camera_that_was_turned_is_turned_back():
    views, joints = rig(4), walk()
    cameras = filmed([joints], views, noise=4)
    away = cv2.Rodrigues(np.radians([0.6, -1.0, 0.3]))[0]
    view = cameras[1].view
    cameras[1] = replace(cameras[1], view=replace(view, R=away @ view.R, t=away @ view.t))
    scene = found(cameras).scene
    assert metrics.mpjpe(in_calibration(scene.people[0], scene), joints) < 0.02
    assert np.nanmax(scene.rig.reprojection_px) < 8
    back = np.linalg.inv(scene.rig.world_from_calibration) @ scene.rig.world_from_cameras
    for matrix, true in zip(back, views, strict=True):
        np.testing.assert_allclose(matrix[:3, 3], true.centre, atol=1e-6)
        angle = np.linalg.norm(cv2.Rodrigues(matrix[:3, :3].T @ true.R.T)[0])
        assert np.degrees(angle) < 0.5


@pytest.mark.parametrize("seed", range(3))
def test_cameras_that_agree_but_for_noise_are_not_turned(seed):
    views, joints = rig(4, seed), walk()
    rng = np.random.default_rng(seed)
    xy = project(joints, views)
    xy += rng.normal(0, 12, xy.shape) + rng.normal(0, 5, (4, 1, 17, 2))  # joints' own, for long
    settled, warnings = turning.settle(views, [Sights.through(views, xy, np.ones(xy.shape[:3]))])
    assert settled == views
    assert not warnings


def test_limbs_that_one_view_has_exchanged_for_long_are_put_back_and_no_others():
    views, joints = rig(4), walk(80)
    xy = project(joints, views) + np.random.default_rng(0).normal(0, 4, (4, 80, 17, 2))
    wrong = np.zeros((4, 80, 2), bool)
    wrong[1, 20:60, 0] = wrong[3, 50:, 1] = True
    for limb, joint in ((0, "hip knee ankle"), (1, "shoulder elbow wrist")):
        for name in joint.split():
            pair = H36M17.indices(f"left_{name}", f"right_{name}")
            xy[..., pair, :] = np.where(
                wrong[..., limb, None, None], xy[..., pair[::-1], :], xy[..., pair, :]
            )
    sights = Sights.through(views, xy, np.full(xy.shape[:3], 0.9))
    exchanged = sides.find(sights, np.arange(80) / FPS)
    # Where legs pass each other nobody can tell, nor does it matter.
    assert (exchanged != wrong).mean() < 0.02
    assert not exchanged[[0, 2]].any()
    two = Sights.through(views[:2], xy[:2], np.full((2, 80, 17), 0.9))
    assert not sides.find(two, np.arange(80) / FPS).any()


@pytest.mark.parametrize(("height", "doubted"), [(None, 0), (1.7, 0), (1.2, 1), (2.4, 1)])
def test_a_height_that_the_calibration_contradicts_is_said(height, doubted):
    assert len(doubts.other_size(1.65, height)) == doubted


def test_smoothing_again_is_refused_in_one_line():
    with pytest.raises(UserError, match="--smooth"):
        multiview.run(["a.mp4", "b.mp4"], "rig.npz", smooth="none")


def test_the_frames_of_reference_agree():
    """World, camera and calibration say the same of one joint; the floor is the calibration's."""
    views = rig(3)
    scene = found(filmed([walk()], views), foot_lock=False).scene
    (person,) = scene.people
    in_camera = person.poses.joints + person.root_camera[:, None]
    np.testing.assert_allclose(
        geometry.transform(scene.world_from_camera, in_camera), person.joints_world, atol=1e-4
    )
    np.testing.assert_allclose(scene.rig.world_from_cameras[0], scene.world_from_camera, atol=1e-9)
    up = scene.rig.world_from_calibration[:3, :3] @ [0, 0, 1]
    np.testing.assert_allclose(up, [0, 1, 0], atol=1e-9)
    for view, matrix in zip(views, scene.rig.world_from_cameras, strict=True):
        centre = geometry.transform(scene.rig.world_from_calibration, view.centre)
        np.testing.assert_allclose(matrix[:3, 3], centre, atol=1e-9)


def test_a_joint_that_one_camera_sees_is_filled_by_the_lifter(lifter):
    joints = walk(30)
    cameras = filmed([joints], rig(3))
    wrist = H36M17.index("left_wrist")
    for c in (0, 1):
        scores = np.full((30, 17), 0.9)
        scores[:, wrist] = 0
        one = cameras[c].people[0]
        hidden = replace(one.keypoints, scores=scores.astype(np.float32))
        cameras[c] = replace(cameras[c], people=[one._replace(keypoints=hidden)])
    result = found(cameras, lifter)
    error = np.linalg.norm(in_calibration(result.scene.people[0], result.scene) - joints, axis=-1)
    assert error[:, wrist].mean() < 0.25
    assert np.delete(error, wrist, axis=1).mean() < 0.015


@pytest.fixture(scope="module")
def lifter():
    return figures.networks().lifter


def test_trunk_and_head_are_where_the_training_split_has_them(data):
    """The constants of `centres`, fitted again."""
    clips = Mocap.read(data / "mocap" / "train.npz")
    joints = clips.positions[::20].astype(np.float64)
    points = detector_points(joints[:, None], np.random.default_rng(0))[:, 0]
    axes = geometry.body_axes(points)
    aside, along = centres.posture(points, axes)
    moves = (joints - points) @ np.swapaxes(axes, -1, -2)

    def fitted(features, wanted):
        unsure = 0.02**2 * len(features) * np.eye(features.shape[1])
        return np.linalg.solve(features.T @ features + unsure, features.T @ wanted)

    for name, (left, forwards, upwards) in centres.BY_POSTURE.items():
        move = moves[:, H36M17.index(name)]
        np.testing.assert_allclose(fitted(aside, move[:, 0]), left, atol=0.02)
        np.testing.assert_allclose(fitted(along, move[:, 1]), forwards, atol=0.02)
        np.testing.assert_allclose(fitted(along, move[:, 2]), upwards, atol=0.02)


def test_centres_turn_with_the_body_and_grow_with_its_trunk():
    points = walk(5)
    R = cv2.Rodrigues(np.array([0.4, -1.0, 2.0]))[0]
    np.testing.assert_allclose(joint_centres(points @ R.T + 3), joint_centres(points) @ R.T + 3)
    trunk = H36M17.indices("spine", "thorax", "neck", "head")
    np.testing.assert_allclose(joint_centres(points * 0.6)[:, trunk],
                               joint_centres(points)[:, trunk] * 0.6)  # fmt: skip


def test_keypoints_are_mended_in_all_views_together_before_they_are_triangulated(monkeypatch):
    joints, views = walk(), rig(3)
    exact = project(detected(joints), views)

    def mend(relation, xy, scores, cameras, fps):
        assert (relation, fps, [c.size for c in cameras]) == ("a network", FPS, [SIZE] * 3)
        assert 5 < np.abs(xy - exact).mean() < 20
        return exact, scores

    monkeypatch.setattr(relate, "mend_views", mend)
    scene = found(filmed([joints], views, noise=12), relation="a network").scene
    (person,) = scene.people
    assert np.linalg.norm(in_calibration(person, scene) - joints, axis=-1).mean() < 0.01
    np.testing.assert_allclose(person.keypoints.xy, exact[0], atol=1e-2)


def test_clips_out_of_time_meet_at_the_first_ones_times():
    times = np.arange(20) / FPS
    moving = np.broadcast_to(times[:, None, None] * 100, (20, 17, 2)).astype(np.float32)
    keypoints = replace(sighting(moving).keypoints, scores=np.full((20, 17), 0.5, np.float32))
    xy, scores = at_times(keypoints, times + 0.137, times)
    there = scores[:, 0] > 0
    assert there.tolist() == [t >= 0.137 - 0.5 / FPS - 1e-9 for t in times]
    inside = times >= 0.137
    np.testing.assert_allclose(xy[inside, 0, 0], (times[inside] - 0.137) * 100, atol=1e-4)


def test_keypoints_that_meet_nowhere_say_what_to_check():
    cameras = filmed([walk()], rig(3))[:2]
    lower = replace(cameras[1].view, t=cameras[1].view.t + np.array([0, 0.5, 0]))
    with pytest.raises(UserError, match="meet"):
        found([cameras[0], replace(cameras[1], view=lower)])


def write_npz(path: Path, views: list[View]) -> Path:
    np.savez(
        path,
        names=np.array([v.name for v in views]),
        K=np.stack([v.camera.K for v in views]),
        R=np.stack([v.R for v in views]),
        t=np.stack([v.t for v in views]),
        dist=np.stack([v.camera.dist for v in views]),
        size=np.array([v.camera.size for v in views]),
    )
    return path


def opencv_K(view: View) -> np.ndarray:
    K = view.camera.K.copy()
    K[:2, 2] -= 0.5  # OpenCV's first pixel has its centre at 0
    return K


def write_toml(path: Path, views: list[View]) -> Path:
    lines = []
    for view in views:
        lines += [
            f"[{view.name}]",
            f'name = "{view.name}"',
            f"size = [{SIZE[0]}.0, {SIZE[1]}.0]",
            f"matrix = {opencv_K(view).tolist()}",
            f"distortions = {view.camera.dist[:4].tolist()}",
            f"rotation = {cv2.Rodrigues(view.R)[0].ravel().tolist()}",
            f"translation = {view.t.tolist()}",
            "fisheye = false",
        ]
    path.write_text("\n".join([*lines, "[metadata]", "adjusted = false", "error = 0.0"]))
    return path


def write_yaml(path: Path, views: list[View]) -> Path:
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.startWriteStruct("names", cv2.FILE_NODE_SEQ)
    for view in views:
        storage.write("", view.name)
    storage.endWriteStruct()
    for view in views:
        storage.write(f"K_{view.name}", opencv_K(view))
        storage.write(f"dist_{view.name}", view.camera.dist[None])
        storage.write(f"R_{view.name}", cv2.Rodrigues(view.R)[0])
        storage.write(f"T_{view.name}", view.t[:, None])
        storage.write(f"W_{view.name}", SIZE[0])
        storage.write(f"H_{view.name}", SIZE[1])
    storage.release()
    return path


def write_yamls(path: Path, views: list[View]) -> Path:
    folder = path.with_suffix("")
    folder.mkdir()
    for view in views:
        storage = cv2.FileStorage(str(folder / f"{view.name}.yml"), cv2.FILE_STORAGE_WRITE)
        storage.write("image_width", SIZE[0])
        storage.write("image_height", SIZE[1])
        storage.write("camera_matrix", opencv_K(view))
        storage.write("distortion_coefficients", view.camera.dist[None])
        storage.write("R", view.R)
        storage.write("T", view.t[:, None])
        storage.release()
    return folder


def write_qualisys(path: Path, views: list[View]) -> Path:
    """As its files look, for a picture that is the sensor's part from 8, 4 on."""
    lines = ["<?xml version='1.0' encoding='ASCII'?>", "<calibration><cameras>"]
    for view in views:
        K, k, place = opencv_K(view), view.camera.dist, view.centre * 1000
        turned = np.diag([1, -1, -1]) @ view.R
        rows = " ".join(f'r{i + 1}{j + 1}="{turned[i, j]}"' for i in range(3) for j in range(3))
        lines += [
            f'<camera serial="{view.name}">',
            f'<fov_video left="8" top="4" right="{SIZE[0] + 7}" bottom="{SIZE[1] + 3}"/>',
            f'<transform {rows} x="{place[0]}" y="{place[1]}" z="{place[2]}"/>',
            f'<intrinsic focalLengthU="{K[0, 0] * 64}" focalLengthV="{K[1, 1] * 64}" '
            f'centerPointU="{(K[0, 2] + 8) * 64}" centerPointV="{(K[1, 2] + 4) * 64}" '
            f'radialDistortion1="{k[0]}" radialDistortion2="{k[1]}" radialDistortion3="{k[4]}" '
            f'tangentalDistortion1="{k[2]}" tangentalDistortion2="{k[3]}"/>',
            "</camera>",
        ]
    path.write_text("\n".join([*lines, "</cameras></calibration>"]))
    return path


WRITERS = {
    "a.npz": write_npz,
    "b.toml": write_toml,
    "c.yml": write_yaml,
    "d.yml": write_yamls,
    "e.qca.txt": write_qualisys,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_says_the_same_of_a_rig(name, tmp_path):
    views = rig(3)
    path = WRITERS[name](tmp_path / name, views)
    read = calibrations.read(path, ["x", "y", "z"], [SIZE] * 3)
    for got, view in zip(read, views, strict=True):
        assert got.name == view.name
        for ours, truth in (
            (got.R, view.R), (got.t, view.t), (got.camera.K, view.camera.K),
            (got.camera.dist, view.camera.dist),
        ):  # fmt: skip
            np.testing.assert_allclose(ours, truth, atol=1e-6)


def test_cameras_are_found_by_the_names_of_clips_and_scaled_to_their_pictures(tmp_path):
    path = write_npz(tmp_path / "rig.npz", rig(3))
    half = (SIZE[0] // 2, SIZE[1] // 2)
    got = calibrations.read(path, ["cam2", "cam0"], [half, SIZE])
    assert [view.name for view in got] == ["cam2", "cam0"]
    np.testing.assert_allclose(got[0].camera.K[:2] * 2, got[1].camera.K[:2])


@pytest.mark.parametrize(
    ("names", "size", "unit", "message"),
    [
        (["a", "b"], SIZE, 1, "holds 3 cameras"),
        (["a", "b", "c"], SIZE[::-1], 1, "pictures"),
        (["a", "b", "c"], SIZE, 1000, "metres"),
    ],
)
def test_a_calibration_of_another_rig_is_one_clear_line(names, size, unit, message, tmp_path):
    views = [replace(view, t=view.t * unit) for view in rig(3)]
    path = write_npz(tmp_path / "rig.npz", views)
    with pytest.raises(UserError, match=message):
        calibrations.read(path, names, [size] * len(names))


@pytest.mark.parametrize("name", ["x.npz", "x.toml", "x.yml", "x.qca.txt", "x.doc"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\x80", b"[cam]\nmatrix = 3\n", b"a: [1, {"])
def test_what_is_no_calibration_is_one_clear_line(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError):
        calibrations.read(path, ["a", "b"], [SIZE] * 2)


def side_by_side() -> list[View]:
    """Two cameras that show one picture of what is 6 m away."""
    base = Camera(
        np.array([[600.0, 0, figures.SIZE[0] / 2], [0, 600, figures.SIZE[1] / 2], [0, 0, 1]]),
        figures.SIZE, np.zeros(5), "made",
    )  # fmt: skip
    aside = replace(base, K=base.K - [[0, 0, 60], [0, 0, 0], [0, 0, 0]])
    return [
        View("left", base, np.eye(3), np.zeros(3)),
        View("right", aside, np.eye(3), np.array([0.6, 0, 0])),
    ]


def test_the_whole_way_from_clips_to_files(tmp_path):
    """Two cameras side by side see one mock person, who is thereby as far as their disparity."""
    clips = [figures.write_clip(tmp_path / f"{name}.mp4", frames=8) for name in ("left", "right")]
    options = Options()
    opened = [pipeline.open_clip(c, options) for c in clips]
    result = multiview.process(opened, side_by_side(), [0, 0], figures.networks(), options)
    (person,) = result.people
    np.testing.assert_allclose(person.root_camera[:, 2], 6, atol=0.05)
    files = result.save(tmp_path / "out")
    assert [file.name for file in files] == [
        "poses.npz", "person-1.bvh", "overlay-left.mp4", "overlay-right.mp4", "animation.mp4",
        "rig.png", "report.json",
    ]  # fmt: skip
    with np.load(files[0], allow_pickle=False) as poses:
        assert poses["camera_names"].tolist() == ["left", "right"]
        shapes = {
            "cameras_K": (2, 3, 3), "cameras_dist": (2, 5), "world_from_cameras": (2, 4, 4),
            "time_offsets": (2,), "keypoints_2d_views": (2, 1, 8, 17, 2),
            "scores_2d_views": (2, 1, 8, 17), "reprojection_px": (2, 1),
            "world_from_calibration": (4, 4),
        }  # fmt: skip
        for key, shape in shapes.items():
            assert poses[key].shape == shape, key
    report = json.loads(files[-1].read_text())
    assert [camera["name"] for camera in report["cameras"]] == ["left", "right"]
    assert all(camera["reprojection_px"] < 3 for camera in report["cameras"])


def test_clips_of_other_rates_that_start_on_the_way_stay_in_time(tmp_path):
    """--start 0.15 is 0.16 s at 25 fps and 0.2 s at 10; the person walks 100 px in a second."""
    options, opened = Options(start=0.15), []
    for name, fps in (("left", 25), ("right", 10)):
        with write_video(tmp_path / f"{name}.mp4", figures.SIZE, fps=fps) as out:
            for time in np.arange(0, 1.5, 1 / fps):
                image = np.full((figures.SIZE[1], figures.SIZE[0], 3), 60, np.uint8)
                image[40:220, (x := round(50 + 100 * time)) : x + 50] = 250
                out.write(image, time)
        opened.append(pipeline.open_clip(tmp_path / f"{name}.mp4", options))
    rig = multiview.process(opened, side_by_side(), [0, 0], figures.networks(), options).rig
    assert rig is not None
    left, right = rig.keypoints[:, 0, 5:-5]
    np.testing.assert_allclose(left, right, atol=1.5)
    assert rig.time_offsets.tolist() == [0, 0]


def test_a_camera_whose_name_looks_like_a_formula_is_drawn_all_the_same(tmp_path):
    views = rig(2)
    views[0] = replace(views[0], name=r"a$\frac{$")
    scene = found(filmed([walk(6)], views)).scene
    assert rig_picture.write(scene, tmp_path / "rig.png").stat().st_size > 10_000


def test_one_clip_twice_is_no_second_view(tmp_path):
    clips = [figures.write_clip(tmp_path / f"{name}.mp4", frames=40) for name in ("a", "b")]
    options = Options()
    opened = [pipeline.open_clip(clip, options) for clip in clips]
    with pytest.raises(UserError, match="depth"):
        multiview.process(opened, None, None, figures.networks(), options)


def test_a_calibration_says_what_the_lenses_are():
    arguments = ["multiview", "a.mp4", "b.mp4", "--calibration", "rig.toml", "--fov", "60"]
    ended = CliRunner().invoke(program, arguments)
    assert ended.exit_code == 1
    assert "leave out --fov" in ended.output


def test_a_rig_without_a_calibration_has_no_way_back_into_one(tmp_path):
    scene = found(filmed([walk(20)], rig(3))).scene
    own = replace(scene, rig=replace(scene.rig, world_from_calibration=None))
    for one, there in ((scene, True), (own, False)):
        with np.load(npz.write_file(one, tmp_path / "poses.npz"), allow_pickle=False) as poses:
            assert ("world_from_calibration" in poses) == there


def test_two_runs_never_share_a_folder(tmp_path):
    clips = [str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4")]
    with alone_in(tmp_path / "out" / "a"):
        ended = CliRunner().invoke(program, ["multiview", *clips, "-o", str(tmp_path / "out")])
    assert ended.exit_code == 1
    assert "another run is at work there" in ended.stderr
