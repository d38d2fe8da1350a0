"""Overlay and animation: everybody drawn in the right place and colour, in time, without loss."""

from __future__ import annotations

import logging
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from video2pose3d import geometry
from video2pose3d.render import _floor, _style, animation, overlay
from video2pose3d.render._view import fit
from video2pose3d.skeletons import COCO17, H36M17
from video2pose3d.structures import Keypoints2D, Person, Poses3D, Scene, Track
from video2pose3d.video import open_video

SIZE = (640, 360)
STEADY, VARYING = np.arange(10) / 25, np.array([0, 0.04, 0.08, 0.2, 0.24, 0.5])  # seconds
LEFT, RIGHT = np.array(_style.SIDES["left"]), np.array(_style.SIDES["right"])

# A person at the origin with arms spread, facing +z, the camera: their left is at +x. Metres.
STANDING = {
    "pelvis": (0, 0.95, 0), "spine": (0, 1.2, 0), "thorax": (0, 1.45, 0),
    "neck": (0, 1.55, 0.05), "head": (0, 1.68, 0.03),
    "left_hip": (0.13, 0.95, 0), "left_knee": (0.13, 0.5, 0), "left_ankle": (0.13, 0.08, 0),
    "left_shoulder": (0.15, 1.4, 0), "left_elbow": (0.43, 1.4, 0), "left_wrist": (0.68, 1.4, 0),
}  # fmt: skip
STANDING |= {
    name.replace("left", "right"): (-x, y, z) for name, (x, y, z) in STANDING.items()
    if name.startswith("left")
}  # fmt: skip

# The camera stands at z = 4 m, 1 m above the floor, and looks along -z, level.
WORLD_FROM_CAMERA = np.array([[1.0, 0, 0, 0], [0, -1, 0, 1], [0, 0, -1, 4], [0, 0, 0, 1]])


def person(
    camera: geometry.Camera,
    *,
    id: int = 1,
    frames: range = range(10),
    at: tuple[float, float, float] = (0, 0, 0),
    size: float = 1.0,
    unseen: tuple[str, ...] = (),
    bridged: range = range(0),
) -> Person:
    """Somebody who stands still, seen by `camera`."""
    world = size * np.array([STANDING[name] for name in H36M17.joints]) + at
    seen = geometry.transform(np.linalg.inv(WORLD_FROM_CAMERA), world)
    xy = geometry.project(seen, camera)
    sure = np.where(np.isin(H36M17.joints, unseen), 0.1, 1.0).astype(np.float32)

    def repeat(array: np.ndarray) -> np.ndarray:
        return np.tile(array.astype(np.float32), (len(frames),) + (1,) * array.ndim)

    when = np.array(frames, np.int64)
    valid = ~np.isin(when, bridged)
    scores = valid[:, None] * repeat(sure)
    box = repeat(np.concatenate([xy.min(axis=0) - 10, xy.max(axis=0) + 10]))
    return Person(
        track=Track(id, when[valid], box[valid], np.ones(valid.sum(), np.float32)),
        frames=when,
        valid=valid,
        keypoints=Keypoints2D(when, repeat(xy), scores, H36M17, camera.size, 25.0),
        poses=Poses3D(when, repeat(seen - seen[0]), scores, H36M17, "CAMERA_ROOT", 25.0),
        root_camera=repeat(seen[0]),
        joints_world=repeat(world),
        foot_contact=np.ones((len(when), 2), bool),
    )


def scene(*people: dict, size: tuple[int, int] = SIZE, times: np.ndarray = STEADY) -> Scene:
    camera = geometry.camera_from_fov(size, 60, "a test")
    return Scene(
        people=tuple(person(camera, **one) for one in people),
        timestamps=times,
        fps=25.0,
        image_size=size,
        camera=camera,
        world_from_camera=WORLD_FROM_CAMERA,
        scale_source="a test",
    )


def grey(size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.full((size[1], size[0], 3), 128, np.uint8)


def centre_of(image: np.ndarray, colour: np.ndarray, tolerance: int = 12) -> np.ndarray:
    """(2,) px: the middle of all pixels of about that colour."""
    v, u = np.nonzero((np.abs(image.astype(int) - colour) <= tolerance).all(axis=-1))
    assert len(u), f"nothing in colour {colour}"
    return np.array([u.mean(), v.mean()]) + 0.5


def between(one: Person, a: str, b: str) -> np.ndarray:
    """(2,) px: the middle of a bone in the first frame."""
    return one.keypoints.xy[0, H36M17.indices(a, b)].mean(axis=0)


# Overlay.


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_limb_is_drawn_in_the_colour_of_its_side_where_it_is(side):
    clip = scene({})
    image = overlay.Overlay(clip).draw(grey(), 0)
    for bone in ("elbow", "wrist"), ("knee", "ankle"), ("shoulder", "elbow"):
        x, y = between(clip.people[0], *(f"{side}_{joint}" for joint in bone))
        assert np.abs(image[int(y), int(x)].astype(int) - _style.SIDES[side]).max() < 20


def test_a_person_who_faces_the_camera_has_their_left_on_the_right_of_the_picture():
    image = overlay.Overlay(scene({})).draw(grey(), 0)
    assert centre_of(image, LEFT)[0] > SIZE[0] / 2 > centre_of(image, RIGHT)[0]


def test_the_overlay_draws_into_the_image_it_is_given():
    image = grey()
    assert overlay.Overlay(scene({})).draw(image, 0) is image
    assert (image != 128).any()


def test_nothing_is_drawn_where_nobody_is():
    drawn = overlay.Overlay(scene({"frames": range(3, 5)}))
    for frame in range(10):
        assert (drawn.draw(grey(), frame) != 128).any() == (frame in (3, 4))


def test_a_keypoint_with_a_low_score_is_not_drawn():
    clip = scene({"unseen": ("left_wrist",)})
    image = overlay.Overlay(clip).draw(grey(), 0)
    x, y = between(clip.people[0], "left_elbow", "left_wrist")
    assert (image[int(y), int(x)] == 128).all()


def test_a_bridged_frame_looks_different_and_has_no_box():
    drawn = overlay.Overlay(scene({"bridged": range(4, 6)}))
    seen, bridged = drawn.draw(grey(), 3), drawn.draw(grey(), 4)
    coloured = [(np.abs(i.astype(int) - LEFT).max(axis=-1) < 12).sum() for i in (seen, bridged)]
    assert 0 < coloured[1] < 0.7 * coloured[0]


def test_the_nearer_person_is_drawn_over_the_farther():
    near, far = {"id": 1, "at": (0, 0, 1)}, {"id": 2, "at": (0, 0, -1)}
    first, second = (
        overlay.Overlay(scene(*pair)).draw(grey(), 0) for pair in ((near, far), (far, near))
    )
    x, y = between(scene(near).people[0], "left_hip", "left_knee").astype(int)
    assert np.array_equal(first[y, x], second[y, x])
    assert np.abs(first[y, x].astype(int) - LEFT).max() < 20


def test_labels_stay_inside_the_picture():
    for at in (-1.9, 0, 1.4), (1.9, 0, 1.4), (0, 0.6, 1.8):
        clip = scene({"at": at, "id": 1234})
        label = np.array(_style.person_colour(0))
        image = overlay.Overlay(clip).draw(grey(), 0)
        plate = (np.abs(image.astype(int) - label).max(axis=-1) < 25).sum()
        assert plate > 150, at


@pytest.mark.parametrize("size", [(7680, 4320), (359, 641), (33, 17)])
def test_any_picture_size_can_be_drawn_on(size):
    image = overlay.Overlay(scene({}, {"id": 2, "at": (0.5, 0, -8)}, size=size)).draw(grey(size), 0)
    assert (image != 128).any()


def test_keypoints_far_outside_the_picture_do_no_harm():
    clip = scene({"at": (3, 0, 3.9), "bridged": range(1, 2)}, {"at": (1e4, 0, 0), "id": 2})
    for frame in range(2):
        overlay.Overlay(clip).draw(grey(), frame)


def test_the_overlay_keeps_size_number_times_and_sound_of_the_frames(tmp_path: Path, clip):
    source = open_video(clip(times=VARYING, sound="aac", size=SIZE))
    done: list[int] = []
    people = {"frames": range(len(VARYING))}
    written = tmp_path / "overlay.mp4"
    overlay.write(scene(people, times=VARYING), source, written, progress=done.append)
    result = open_video(written)
    drawn = list(result)
    assert result.size == SIZE
    assert result.has_audio
    assert done == list(range(1, len(VARYING) + 1))
    np.testing.assert_allclose(result.timestamps, VARYING, atol=1e-3)
    for image, original in zip(drawn, open_video(source.path), strict=True):
        assert np.abs(image.astype(int) - original).mean() > 1


def test_a_clip_that_ends_before_the_poses_is_told(tmp_path: Path, clip, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("video2pose3d"), "propagate", True)
    video = open_video(clip("in.mp4", size=SIZE, times=STEADY[:7]))
    overlay.write(scene(), video, tmp_path / "overlay.mp4")
    assert "the clip has 7 frames only, of 10 with poses" in caplog.text


def test_sound_that_is_lost_is_told(tmp_path: Path, clip, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("video2pose3d"), "propagate", True)
    path = clip("clip.avi", sound="mp2", size=SIZE)
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        for packet in container.demux(audio=0):
            content[packet.pos or 0 : (packet.pos or 0) + packet.size] = bytes(packet.size)
    path.write_bytes(content)
    written = tmp_path / "overlay.mp4"
    overlay.write(scene(times=np.arange(10) / 30), open_video(path), written)
    assert f"{written}: some of the sound was broken" in caplog.text


def test_every_bone_belongs_to_one_limb():
    for skeleton in H36M17, COCO17:
        bones = [b for limb in _style.limbs(skeleton) for b in pairwise(limb)]
        assert sorted(bones) == sorted(skeleton.bones)


# Animation.


def test_left_and_right_in_the_animation_are_those_of_the_video():
    image = animation.Animation(scene({})).draw(0)[:660]  # without the legend
    assert centre_of(image, LEFT)[0] > centre_of(image, RIGHT)[0]


def test_up_is_up():
    view = fit(scene({}), (640, 360), 1.0)
    joints = scene({}).people[0].joints_world[0]
    xy, _ = view.project(joints[H36M17.indices("head", "pelvis", "left_ankle")])
    assert (np.diff(xy[:, 1]) > 0).all()


@pytest.mark.parametrize("size", [(1280, 720), (360, 640)])
@pytest.mark.parametrize(
    "people",
    [
        [{}],
        [{"at": (-10, 0, 0)}, {"id": 2, "at": (10, 0, -3)}],
        [{"frames": range(2)}, {"id": 2, "frames": range(2, 4), "at": (0, 0, -25)}],
        [{"size": 500.0}],
        [{"size": 1e-3}],
        [{"at": (0, -8, 0)}],
    ],
)
def test_nobody_leaves_the_view(people, size):
    clip = scene(*people)
    view = fit(clip, size, 1.0)
    for one in clip.people:
        xy, depth = view.project(one.joints_world.astype(np.float64))
        assert (depth > 0).all()
        assert (xy > 0).all()
        assert (xy < size).all()


def test_the_view_is_no_farther_away_than_it_must_be():
    clip = scene({"at": (-2, 0, 0)}, {"id": 2, "at": (2, 0, 0)})
    view = fit(clip, (1280, 720), 1.0)
    xy, _ = view.project(np.concatenate([one.joints_world[0] for one in clip.people]))
    spread = (xy.max(axis=0) - xy.min(axis=0)) / (1280, 720)
    assert spread.max() > 0.6


def test_a_camera_that_looks_straight_down_still_gives_a_view():
    down = np.array([[1.0, 0, 0, 0], [0, 0, -1, 5], [0, 1, 0, 0], [0, 0, 0, 1]])
    view = fit(replace(scene({}), world_from_camera=down), (640, 360), 1.0)
    np.testing.assert_allclose(view.axes @ view.axes.T, np.eye(3), atol=1e-12)
    assert view.axes[2, 2] < 0 < view.position[1]  # the picture's top is far away


def test_only_people_who_are_there_are_in_the_animation():
    drawn = animation.Animation(scene({"frames": range(3, 4)}), SIZE)
    without, present = drawn.draw(2)[:300], drawn.draw(3)[:300]
    assert np.array_equal(without, drawn.backdrop[:300])
    assert not np.array_equal(present, without)


def test_an_empty_clip_shows_an_empty_floor():
    image = animation.Animation(scene(times=np.zeros(1)), SIZE).draw(0)
    assert image.shape == (SIZE[1], SIZE[0], 3)


@pytest.mark.parametrize("size", [(1280, 720), (321, 241), (200, 600)])
def test_odd_people_and_sizes_are_drawn(size):
    clip = scene(
        {"size": 300.0}, {"id": 2, "size": 1e-3}, {"id": 3, "at": (0, -5, 0), "bridged": range(5)}
    )
    image = animation.Animation(clip, size).draw(0)
    assert image.shape == (size[1], size[0], 3)


def test_drawing_a_frame_does_not_change_the_next():
    drawn = animation.Animation(scene({}), SIZE)
    first = drawn.draw(4)
    drawn.draw(5)
    assert np.array_equal(drawn.draw(4), first)


def test_the_animation_has_a_picture_for_each_frame_at_its_time(tmp_path: Path):
    written = tmp_path / "animation.mp4"
    animation.write(scene({"frames": range(2, 4)}, times=VARYING), written, size=(320, 180))
    video = open_video(written)
    assert len(list(video)) == len(VARYING)
    assert video.size == (320, 180)
    np.testing.assert_allclose(video.timestamps, VARYING, atol=1e-3)


@pytest.mark.parametrize(("distance", "step"), [(0.5, 0.05), (5, 0.5), (8, 1), (20, 2), (45, 5)])
def test_the_grid_has_round_steps(distance, step):
    assert _floor.grid_step(distance) == pytest.approx(step)
