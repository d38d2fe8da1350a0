"""Tracking: a person keeps one id, two people keep two, and ghosts have none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from video2pose3d import tracking
from video2pose3d.detectors import yolo
from video2pose3d.errors import UserError
from video2pose3d.structures import Detections, Track
from video2pose3d.video import open_video

FPS = 30.0
RED, BLUE, GREY = (200, 30, 30), (30, 40, 200), (120, 120, 120)
Person = tuple[tuple[float, float, float, float], tuple[int, int, int]]  # box, clothes


def watch(frames: list[list[Person]], fps: float = FPS) -> tracking.Linking:
    """Track painted people: each frame lists who is detected; the last is in front."""
    tracker = tracking.Tracker(fps)
    for people in frames:
        image = np.full((360, 640, 3), 230, np.uint8)
        for (x1, y1, x2, y2), colour in people:
            image[int(y1) : int(y2), max(int(x1), 0) : int(x2)] = colour
        boxes = np.array([box for box, _ in people], np.float32).reshape(-1, 4)
        found = Detections(boxes, np.full(len(boxes), 0.9, np.float32))
        ids, given_out = tracker.update(found, image)
        assert len(set(ids.tolist())) == len(ids)
        assert all(
            (boxes == box).all(axis=1).any() for box in given_out.boxes
        )  # the detector's own
    return tracker.finish()


def at(x: float, width: float = 60, y: float = 100) -> tuple[float, float, float, float]:
    return (x, y, x + width, y + 180)


def x_of(track: Track, frame: int) -> float:
    return float(track.boxes[track.frames == frame][0, 0])


def test_one_person_is_one_track_from_the_first_frame_to_the_last() -> None:
    linking = watch([[(at(50 + 3 * t), RED)] for t in range(60)])
    (track,) = linking.tracks
    assert track.id == 1
    assert track.frames.tolist() == list(range(60))
    assert linking.rows[1].tolist() == list(range(60))


def test_two_who_cross_keep_their_ids_though_one_is_hidden() -> None:
    """They walk into each other; for ten frames only the one in front is detected."""
    frames = []
    for t in range(90):
        left, right = at(40 + 6 * t), at(560 - 6 * t)
        hidden = abs(left[0] - right[0]) < 60
        frames.append([(right, BLUE)] if hidden else [(left, RED), (right, BLUE)])
    linking = watch(frames)
    assert len(linking.tracks) == 2
    for track in linking.tracks:
        assert (track.frames[0], track.frames[-1]) == (0, 89)
    went_right = min(linking.tracks, key=lambda track: x_of(track, 0))
    assert x_of(went_right, 89) > 500


def test_two_who_meet_and_turn_back_are_told_by_their_clothes() -> None:
    """Both are unseen as they turn; motion says that they passed, red and blue that they didn't."""
    frames = []
    for t in range(90):
        step = 6 * min(t, 89 - t)
        red, blue = at(40 + step), at(540 - step)
        unseen = blue[0] - red[0] < 24
        frames.append([] if unseen else [(red, RED), (blue, BLUE)])
    linking = watch(frames)
    assert len(linking.tracks) == 2
    for track in linking.tracks:
        assert abs(x_of(track, 0) - x_of(track, 89)) < 10


def test_a_box_that_changes_its_extent_is_still_the_same_person() -> None:
    """With arms out, then without; for three frames the detector gives both boxes."""
    wide, narrow = ((100.0, 100.0, 260.0, 280.0), RED), ((100.0, 100.0, 140.0, 260.0), RED)
    frames = [[wide]] * 40 + [[wide, narrow]] * 3 + [[narrow]] * 40
    (track,) = watch(frames).tracks
    assert len(track.frames) == 83


def test_what_is_seen_while_two_are_mixed_up_belongs_to_one_of_them() -> None:
    """A detection that flickers between two people in contact is nobody new, and is not lost."""
    frames = []
    for t in range(90):
        left, right = at(40 + 6 * t), at(560 - 6 * t)
        both = [(left, RED), (right, BLUE)]
        middle = ((left[0] + right[0]) / 2 - 40, 100.0, (left[0] + right[0]) / 2 + 100, 280.0)
        near = abs(left[0] - right[0]) < 60
        frames.append([(middle, BLUE)] if near and t % 3 == 0 else [] if near else both)
    linking = watch(frames)
    assert len(linking.tracks) == 2
    assert sum(len(track.frames) for track in linking.tracks) == sum(map(len, frames))


@pytest.mark.parametrize("seconds", [0.4, 2.0, 4.0])
def test_who_walks_behind_a_tree_comes_out_as_the_same(seconds: float) -> None:
    gap = int(seconds * FPS)
    before = [[(at(50 + 3 * t), RED)] for t in range(40)]
    after = [[(at(50 + 3 * 40 + 60 + 3 * t), RED)] for t in range(40)]
    (track,) = watch([*before, *[[] for _ in range(gap)], *after]).tracks
    assert len(track.frames) == 80


def test_another_person_at_the_same_place_is_another() -> None:
    before = [[(at(200), RED)] for _ in range(40)]
    after = [[(at(200), BLUE)] for _ in range(40)]
    assert len(watch([*before, *[[] for _ in range(60)], *after]).tracks) == 2


def test_ghosts_are_dropped_but_a_still_picture_has_its_person() -> None:
    real = (at(100), RED)
    ghost = (at(400, width=30, y=20), GREY)
    frames = [[real, ghost] if t in (10, 11, 40) else [real] for t in range(60)]
    assert len(watch(frames).tracks) == 1
    assert len(watch([[real]]).tracks) == 1


def test_a_second_box_on_one_person_is_not_a_second_person() -> None:
    upper = (110.0, 105.0, 150.0, 190.0)
    frames = [[(at(100), RED), (upper, RED)] for _ in range(60)]
    assert len(watch(frames).tracks) == 1


def test_ids_are_by_first_appearance_and_larger_first() -> None:
    small, large, late = (at(100, width=40), at(300, width=90), at(500, width=120))
    frames = [[(small, RED), (large, BLUE)] + ([(late, GREY)] if t > 20 else []) for t in range(60)]
    tracks = watch(frames).tracks
    assert [track.id for track in tracks] == [1, 2, 3]
    assert [x_of(track, 59) for track in tracks] == [300, 100, 500]


def test_nobody_and_nothing() -> None:
    assert watch([[] for _ in range(20)]).tracks == []
    assert tracking.Tracker(FPS).finish().tracks == []


boxes = st.tuples(
    st.integers(0, 500), st.integers(0, 200), st.integers(10, 140), st.integers(20, 160)
).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
people = st.tuples(boxes, st.sampled_from([RED, BLUE, GREY]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(people, max_size=4), min_size=1, max_size=25), st.floats(1, 240))
def test_no_person_is_in_one_frame_twice(frames: list[list[Person]], fps: float) -> None:
    linking = watch(frames, fps)
    rows = np.concatenate([np.zeros(0, np.int64), *linking.rows.values()])
    assert len(set(rows.tolist())) == len(rows)  # no box belongs to two people
    for track in linking.tracks:  # Track itself holds frames to be increasing
        assert len(linking.rows[track.id]) == len(track.frames)


def test_what_is_measured_box_by_box_becomes_one_persons() -> None:
    """The pipeline's two lines: append as boxes come, index by rows at the end."""
    tracker, measured = tracking.Tracker(FPS), []
    image = np.full((360, 640, 3), 230, np.uint8)
    for t in range(30):
        found = np.array([at(300 - 4 * t), at(20 + 4 * t, y=150)], np.float32)
        _, given_out = tracker.update(Detections(found, np.full(2, 0.9, np.float32)), image)
        measured.append(given_out.boxes[:, 0])
    linking = tracker.finish()
    x = np.concatenate(measured)
    for track in linking.tracks:
        np.testing.assert_array_equal(x[linking.rows[track.id]], track.boxes[:, 0])


# Which person, which frames ---------------------------------------------------------------------


def track(number: int, frames: int, side: float) -> Track:
    box = np.array([[0, 0, side, side]], np.float32)
    return Track(
        number,
        np.arange(frames),
        np.repeat(box, frames, axis=0),
        np.ones(frames, np.float32),
    )


def test_the_largest_is_near_and_long_not_just_long() -> None:
    tracks = [track(1, 100, 10), track(2, 30, 100), track(3, 1, 150)]
    assert [t.id for t in tracking.select(tracks, "largest")] == [2]
    assert tracking.select(tracks, "all") == tracks
    assert [t.id for t in tracking.select(tracks, 3)] == [3]
    assert tracking.select([], "largest") == []


def test_an_unknown_id_is_answered_with_those_there_are() -> None:
    with pytest.raises(UserError, match="no person 7; people seen: 1, 2"):
        tracking.select([track(1, 5, 9), track(2, 5, 9)], 7)
    with pytest.raises(UserError, match="people seen: none"):
        tracking.select([], 1)


def test_short_gaps_are_bridged_and_long_ones_are_not() -> None:
    frames, valid = tracking.bridge(np.array([0, 1, 5, 40]), fps=10, max_gap_s=0.5)
    assert frames.tolist() == [0, 1, 2, 3, 4, 5, 40]
    assert frames[valid].tolist() == [0, 1, 5, 40]
    filled = tracking.fill(np.array([[0.0], [1.0], [5.0], [9.0]]), frames[valid], frames)
    assert filled[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 9]


@given(st.sets(st.integers(0, 300)), st.floats(1, 240), st.floats(0, 2))
def test_bridging_keeps_every_frame_and_its_value(seen: set[int], fps: float, gap: float) -> None:
    frames = np.array(sorted(seen), dtype=np.int64)
    values = np.random.default_rng(0).normal(size=(len(frames), 17, 2)).astype(np.float32)
    bridged, valid = tracking.bridge(frames, fps=fps, max_gap_s=gap)
    np.testing.assert_array_equal(bridged[valid], frames)
    assert (np.diff(bridged) > 0).all()
    if len(frames):
        filled = tracking.fill(values, frames, bridged)
        assert (filled.shape, filled.dtype) == ((len(bridged), 17, 2), np.float32)
        np.testing.assert_allclose(filled[valid], values, atol=1e-6)


# Real detections --------------------------------------------------------------------------------


def test_the_two_rendered_people_are_told_apart_throughout(data: Path) -> None:
    truth = np.load(data / "examples/two_people_truth.npz")["bbox"]
    linking = _watch_clip(data, data / "examples/two_people.mp4", 0, 10**6)
    assert len(linking.tracks) == 2
    # One hides the other for six frames.
    assert sum(len(track.frames) for track in linking.tracks) >= 2 * len(truth) - 8
    for track in linking.tracks:
        assert (track.frames[0], track.frames[-1]) == (0, len(truth) - 1)
        off = np.abs(track.boxes[:, None] - truth[track.frames]).mean(axis=2)  # (T, 2 people)
        clear = np.abs(truth[track.frames, 0, 0] - truth[track.frames, 1, 0]) > 80
        assert len(set(off[clear].argmin(axis=1).tolist())) == 1


def test_a_man_who_jumps_off_a_roof_stays_himself(data: Path) -> None:
    """Backlit, upside down, for a second unseen, twice as large when he lands."""
    clip = data / "videos/walk_backlit_two_people_sports2d.mp4"
    linking = _watch_clip(data, clip, 120, 230)
    assert len(linking.tracks) == 2
    jumper = max(linking.tracks, key=lambda t: t.frames[-1])
    assert jumper.frames[0] < 5
    assert jumper.boxes[0, 3] < 520 < jumper.boxes[-1, 3]


def _watch_clip(data: Path, clip: Path, first: int, last: int) -> tracking.Linking:
    detector = yolo.build(data / "weights/yolo11n_deq.pt", "cpu")
    video = open_video(clip)
    tracker = tracking.Tracker(video.fps)
    for index, image in enumerate(video):
        if first <= index < last:
            tracker.update(detector.detect([image])[0], image)
    return tracker.finish()
