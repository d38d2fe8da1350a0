"""Left and right: what a detector exchanged is put back, what it did not is left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from walker import film, walk

from video2pose3d import pipeline, sides
from video2pose3d.skeletons import H36M17, h36m_from_coco
from video2pose3d.structures import Track

TIMES = np.arange(90) / 30
LEGS, ARMS = (
    [H36M17.indices(f"left_{joint}", f"right_{joint}") for joint in limb]
    for limb in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist"))
)


def seen(yaw: float, times: np.ndarray = TIMES, spin: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints and scores of somebody who walks, and spins `spin` times a second."""
    world, angle = walk(times, yaw=yaw), 2 * np.pi * spin * times
    c, s, o = np.cos(angle), np.sin(angle), np.zeros(len(times))
    turns = np.array([[c, o, s], [o, 1 + o, o], [-s, o, c]]).transpose(2, 0, 1)
    middle = world[:, :1] * [1, 0, 1]
    world = (world - middle) @ turns.transpose(0, 2, 1) + middle
    keypoints = film(world, times, pixels=5).keypoints
    return keypoints.xy, keypoints.scores


def exchange(values: np.ndarray, pairs: list[list[int]], frames: slice) -> np.ndarray:
    out = values.copy()
    for left, right in pairs:
        out[frames, left], out[frames, right] = values[frames, right], values[frames, left]
    return out


@pytest.mark.parametrize("fps", [12.5, 30, 60])
@pytest.mark.parametrize("yaw", [0.0, 0.8, np.pi / 2, np.pi])
@pytest.mark.parametrize("spin", [0.0, 1.0])
def test_legs_that_pass_each_other_and_people_who_turn_are_left_alone(
    fps: float, yaw: float, spin: float
) -> None:
    times = np.arange(round(3 * fps)) / fps
    xy, scores = seen(yaw, times, spin)
    mended, same = sides.mend(xy, scores, times)
    np.testing.assert_array_equal(mended, xy)
    np.testing.assert_array_equal(same, scores)


@pytest.mark.parametrize("pairs", [LEGS, ARMS, LEGS + ARMS], ids=["legs", "arms", "all"])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_limbs_exchanged_for_a_while_are_put_back(pairs: list[list[int]], length: int) -> None:
    xy, scores = seen(yaw=0.3)
    scores[:, LEGS[2][0]] = 0.7  # a score goes with its keypoint
    frames = slice(40, 40 + length)
    wrong, unsure = exchange(xy, pairs, frames), exchange(scores, pairs, frames)
    mended, sure = sides.mend(wrong, unsure, TIMES)
    np.testing.assert_array_equal(mended, xy)
    np.testing.assert_array_equal(sure, scores)


def test_flicker_from_frame_to_frame_is_stilled() -> None:
    xy, scores = seen(yaw=0.3)
    wrong = exchange(xy, LEGS + ARMS, slice(40, 60, 2))
    np.testing.assert_array_equal(sides.mend(wrong, scores, TIMES)[0], xy)


def test_what_a_detector_insists_on_is_left_alone() -> None:
    xy, scores = seen(yaw=0.3)
    wrong = exchange(xy, LEGS, slice(25, 70))
    assert not sides.find(wrong, scores, TIMES).any()


def test_a_frame_with_both_legs_in_one_place_does_not_exchange_what_follows() -> None:
    xy, scores = seen(yaw=np.pi / 2)
    for left, right in LEGS:
        xy[40, [left, right]] = xy[40, [left, right]].mean(axis=0)
    found = sides.find(xy, scores, TIMES)
    found[40] = False  # where they are in one place, it does not matter
    assert not found.any()


def test_a_mirror_makes_no_difference() -> None:
    xy, scores = seen(yaw=0.3)
    wrong = exchange(xy, LEGS, slice(40, 44))
    mirrored = (wrong * np.array([-1, 1], np.float32))[:, list(H36M17.mirror)]
    found = sides.find(wrong, scores, TIMES)
    np.testing.assert_array_equal(sides.find(mirrored, scores, TIMES), found)
    assert found.any()


@pytest.mark.parametrize("frames", [[], [0], [0, 1], [0, 50], [*range(5), 60, *range(80, 85)]])
def test_any_number_of_frames_with_any_gaps(frames: list[int]) -> None:
    xy, scores = seen(yaw=0.3)
    index = np.array(frames, dtype=np.int64)
    xy, scores = exchange(xy, LEGS + ARMS, slice(50, 90))[index], scores[index]
    # After a gap nobody knows who was left, so nothing is exchanged.
    np.testing.assert_array_equal(sides.mend(xy, scores, TIMES[index])[0], xy)


def test_joints_that_were_not_seen_say_nothing() -> None:
    xy, scores = seen(yaw=0.3)
    xy[30:60] = np.random.default_rng(0).uniform(0, 700, (30, 17, 2))
    scores[30:60] = 0
    assert not sides.find(xy, scores, TIMES).any()


def test_the_pipeline_mends_before_it_bridges_gaps() -> None:
    xy, scores = seen(yaw=0.3)
    frames = np.delete(np.arange(90), [42, 43])
    boxes = np.zeros((len(frames), 4), np.float32)
    track = Track(1, frames, boxes, np.ones(len(frames), np.float32))
    wrong = exchange(xy, LEGS, slice(45, 50))
    bridged = pipeline.bridge(track, wrong[frames], scores[frames], TIMES, (1280, 720), 30.0)
    np.testing.assert_array_equal(bridged.keypoints.xy[frames], xy[frames])


def test_the_pipeline_mends_by_the_true_times_of_a_variable_rate() -> None:
    xy, scores = seen(yaw=0.3)
    track = Track(1, np.arange(90), np.zeros((90, 4), np.float32), np.ones(90, np.float32))
    wrong = exchange(xy, LEGS, slice(40, 45))
    times = TIMES + np.where(np.arange(90) < 70, 0, 30)  # one picture stays for half a minute
    bridged = pipeline.bridge(track, wrong, scores, times, (1280, 720), 89 / times[-1])
    np.testing.assert_array_equal(bridged.keypoints.xy, xy)


def test_real_detections_of_sure_sides_are_left_alone(data: Path) -> None:
    changed = frames = 0
    for path in sorted((data / "videos").rglob("*.coco17.npz")):
        with np.load(path) as file:
            people, fps = file["main_track_keypoints"], float(file["fps"])
        index = np.flatnonzero(np.isfinite(people).all(axis=(1, 2)))
        xy, scores = h36m_from_coco(people[index, :, :2], people[index, :, 2])
        changed += sides.find(xy, scores, index / fps).any(axis=1).sum()
        frames += len(index)
    assert frames > 500
    assert changed == 0
