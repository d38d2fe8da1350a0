"""Each stage of motion by itself."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from walker import ANKLE, film, stands, turn, walk

from video2pose3d.geometry import pixels_to_rays, rotation_about
from video2pose3d.motion import bones, clock, contacts, feet, ground, quality, root, scale, sight
from video2pose3d.motion.path import PathProblem, bends
from video2pose3d.motion.smoothing import METHODS, smooth
from video2pose3d.skeletons import H36M17

TIMES = np.arange(90) / 30
LEGS = H36M17.indices("right_ankle", "left_ankle")


def uneven(n: int, seed: int = 0) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).uniform(0.01, 0.08, n))


# clock


@given(st.lists(st.floats(0.001, 3.0), min_size=1, max_size=40))
def test_segments_are_all_of_the_time_in_order_and_have_no_gaps(steps: list[float]) -> None:
    times = np.cumsum(steps)
    parts = clock.segments(times)
    joined = np.concatenate([np.arange(len(times))[part] for part in parts])
    np.testing.assert_array_equal(joined, np.arange(len(times)))
    for part in parts:
        assert (np.diff(times[part]) <= clock.LONGEST_GAP).all()


@given(st.lists(st.booleans(), max_size=30))
def test_runs_are_all_that_is_true_and_never_touch(values: list[bool]) -> None:
    mask, again = np.array(values, dtype=bool), np.zeros(len(values), dtype=bool)
    found = clock.runs(mask)
    for run in found:
        again[run] = True
    np.testing.assert_array_equal(again, mask)
    assert all(a.stop < b.start for a, b in pairwise(found))


def test_speed_is_per_second_on_any_clock() -> None:
    times = uneven(30)
    np.testing.assert_allclose(clock.derivative(3 * times[:, None], times), 3)


# path


def test_path_is_the_least_squares_solution() -> None:
    rng = np.random.default_rng(0)
    length, problem, rows, right = 7, PathProblem(7), [], []
    for k in (1, 2, 3):
        n = length - k + 1
        coefficients, y = rng.normal(size=(n, k)), rng.normal(size=(n, 3))
        factor = rng.normal(size=(n, 3, 3))
        weight = np.einsum("nki,nkj->nij", factor, factor)
        problem.add(coefficients, weight, np.einsum("nij,nj->ni", weight, y))
        for t in range(n):
            row = np.zeros((3, length, 3))
            for i in range(k):
                row[:, t + i] = coefficients[t, i] * factor[t]
            rows.append(row.reshape(3, -1))
            right.append(factor[t] @ y[t])
    dense = np.linalg.lstsq(np.concatenate(rows), np.concatenate(right), rcond=None)[0]
    np.testing.assert_allclose(problem.solve().ravel(), dense, atol=1e-8)


def test_bends_are_second_derivatives_on_any_clock() -> None:
    times = uneven(20)
    coefficients, _ = bends(times)
    x = 2.5 * times**2 - times + 4
    windows = np.lib.stride_tricks.sliding_window_view(x, 3)
    np.testing.assert_allclose((coefficients * windows).sum(axis=1), 5, rtol=1e-6)


# smoothing


@pytest.mark.parametrize("method", METHODS)
def test_what_does_not_move_is_left_where_it_is(method: str) -> None:
    still = np.tile(np.random.default_rng(0).normal(size=(1, 17, 3)), (40, 1, 1))
    np.testing.assert_allclose(smooth(still, uneven(40), method), still, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_smoothing_has_no_delay_it_is_the_same_backwards(method: str) -> None:
    x, times = np.random.default_rng(0).normal(size=(50, 17, 3)), uneven(50)
    backwards = smooth(x[::-1], -times[::-1], method)[::-1]
    np.testing.assert_allclose(backwards, smooth(x, times, method), atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_smeared_across_a_gap(method: str) -> None:
    x = np.random.default_rng(0).normal(size=(40, 17, 3))
    times = np.arange(40) / 30 + np.where(np.arange(40) < 20, 0, 2.0)
    before = smooth(x[:20], times[:20], method)
    np.testing.assert_allclose(smooth(x, times, method)[:20], before)


@pytest.mark.parametrize("method", ["gaussian", "one_euro"])
def test_smoothing_lasts_as_long_at_any_rate(method: str) -> None:
    def left(fps: int) -> float:
        times = np.arange(4 * fps) / fps
        wave = np.zeros((len(times), 1, 3))
        wave[..., 0] = 0.05 * np.sin(2 * np.pi * 4 * times)[:, None]
        return float(smooth(wave, times, method)[fps:-fps].std() / wave[fps:-fps].std())

    assert left(120) == pytest.approx(left(40), abs=0.12)


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(ValueError, match="'boxcar'"):
        smooth(np.zeros((2, 17, 3)), np.arange(2.0), "boxcar")


# bones


def test_lengths_are_the_same_on_both_sides_and_those_of_the_person() -> None:
    lengths = bones.lengths(walk(TIMES, yaw=0.3), np.ones((90, 17)), H36M17)
    np.testing.assert_array_equal(lengths, lengths[list(H36M17.mirror)])
    assert lengths[H36M17.index("left_knee")] == pytest.approx(0.44)


def test_bones_of_right_length_are_left_alone() -> None:
    joints = walk(TIMES)
    lengths = bones.lengths(joints, np.ones((90, 17)), H36M17)
    np.testing.assert_allclose(bones.set_lengths(joints, lengths, H36M17), joints, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 0.3))
def test_lengths_become_exact_and_the_root_stays(seed: int, error: float) -> None:
    rng = np.random.default_rng(seed)
    joints = walk(TIMES[:10])
    lengths = bones.lengths(joints, np.ones((10, 17)), H36M17)
    noisy = joints + error * rng.normal(size=joints.shape)
    out = bones.set_lengths(noisy, lengths, H36M17)
    np.testing.assert_allclose(out[:, 0], noisy[:, 0], atol=1e-9)
    for parent, child in H36M17.bones:
        length = np.linalg.norm(out[:, child] - out[:, parent], axis=-1)
        np.testing.assert_allclose(length, lengths[child], atol=1e-9)
    hips = out[:, H36M17.indices("left_hip", "right_hip")]
    np.testing.assert_allclose(hips.mean(axis=1), out[:, 0], atol=1e-9)  # a straight pelvis


# root


@pytest.mark.parametrize("distance", [1.5, 5.0, 40.0])
def test_each_frame_alone_is_exact_for_exact_input(distance: float) -> None:
    one = film(walk(TIMES[:9]), TIMES[:9], distance=distance, fov=80 if distance < 2 else 30)
    rays = pixels_to_rays(one.keypoints.xy, one.camera)
    found = root.locate_each(rays, one.keypoints.scores, one.poses.joints.astype(np.float64))
    np.testing.assert_allclose(found, one.joints[:, 0], rtol=2e-3, atol=2e-3)


def test_small_people_far_away_are_not_pulled_nearer_by_noise() -> None:
    one = film(walk(TIMES), TIMES, distance=25, fov=60, pixels=4)  # 80 px tall
    rays = pixels_to_rays(one.keypoints.xy, one.camera)
    found = root.locate_each(rays, one.keypoints.scores, one.poses.joints.astype(np.float64))
    assert np.median(found[:, 2] / one.joints[:, 0, 2]) == pytest.approx(1, abs=0.02)


# sight


def test_limbs_go_towards_where_they_were_seen_and_never_along_the_line_of_sight() -> None:
    beside = np.tile(np.array([0.05, -0.02]), (3, 17, 1))
    scores = np.ones((3, 17))
    scores[1], scores[2] = 0, 0.5
    apart = np.arange(3.0)  # seconds: so long that no frame smooths another
    move = sight.offsets(beside, scores, apart)
    wrist, pelvis = H36M17.indices("left_wrist", "pelvis")
    assert 0 < move[0, wrist, 0] < 0.05
    assert -0.02 < move[0, wrist, 1] < 0
    assert (move[..., 2] == 0).all()
    assert (move[1] == 0).all()
    assert (move[:, pelvis] == 0).all()
    np.testing.assert_allclose(2 * move[2], move[0])
    wild = sight.offsets(40 * beside, np.ones((3, 17)), apart)
    assert np.abs(wild).max() < np.abs(move).max()


def test_keypoints_bring_in_where_limbs_are_but_not_how_detectors_shake() -> None:
    shaking = 0.02 * np.random.default_rng(0).normal(size=(90, 17, 2))
    wrist = H36M17.index("left_wrist")
    shaken = sight.offsets(shaking, np.ones((90, 17)), TIMES)[:, wrist, :2]
    moved = sight.offsets(shaking + 0.02, np.ones((90, 17)), TIMES)[:, wrist, :2]
    assert moved.mean() > 0.014
    assert np.diff(shaken, 2, axis=0).std() < 0.03 * np.diff(shaking[:, wrist], 2, axis=0).std()


# ground and scale


def test_world_matrix_is_rigid_for_any_up() -> None:
    for tilt in ([0, -1, 0], [0.1, -0.9, 0.3], [-0.2, -0.5, -0.8]):
        up = np.array(tilt) / np.linalg.norm(tilt)
        matrix = ground.world_from_camera(up, 1.6, np.array([0.3, 0.2, 4.0]))
        np.testing.assert_allclose(matrix[:3, :3] @ up, [0, 1, 0], atol=1e-12)
        np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
        assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1)
        x, _, z, _ = matrix @ [0.3, 0.2, 4.0, 1]
        assert (x, z) == (pytest.approx(0), pytest.approx(0))


def test_stature_grows_with_the_bones() -> None:
    lengths = bones.lengths(walk(TIMES), np.ones((90, 17)), H36M17)
    assert 1.6 < scale.stature(lengths) < 1.9
    assert scale.stature(2 * lengths) == pytest.approx(2 * scale.stature(lengths))


def test_one_floor_moves_sizes_as_far_as_they_are_likely_wrong() -> None:
    assert scale.share_floor(np.array([1.5]), None).tolist() == [1]
    np.testing.assert_allclose(scale.share_floor(np.array([1.5, 1.5, 1.5]), None), 1)
    known = scale.share_floor(np.array([1.5, 1.4]), 0)
    assert known[0] == 1
    assert 1 < known[1] <= 1.5 / 1.4
    # A camera near the floor tells little, one below it nothing.
    low = scale.share_floor(np.array([0.2, 0.1]), 0)
    assert low[1] < 1.2
    assert scale.share_floor(np.array([1.5, -0.1]), None).tolist() == [1, 1]
    # Somebody on a table is no giant.
    assert scale.share_floor(np.array([1.5, 0.7]), 0)[1] <= 1.25


# contacts and feet


def test_contacts_are_where_feet_stand() -> None:
    world = walk(TIMES, yaw=1.0)
    one = film(world, TIMES)
    found, stood = contacts.detect(one.joints[:, LEGS], one.up, TIMES), stands(world)
    assert 2 * (found & stood).sum() / (found.sum() + stood.sum()) > 0.9


def test_a_foot_held_high_and_still_is_no_contact() -> None:
    ankles = np.tile([0.0, 1.0, 4.0], (60, 2, 1))
    ankles[:, 1, 1] -= 0.4
    found = contacts.detect(ankles, np.array([0.0, -1.0, 0.0]), TIMES[:60])
    assert found[:, 0].all()
    assert not found[:, 1].any()


def test_lock_holds_feet_and_changes_no_bone() -> None:
    world = walk(TIMES)
    drift = np.zeros_like(world)
    drift[..., 0] = 0.04 * np.sin(2 * TIMES)[:, None]
    sliding, contact = world + drift, stands(world)
    locked = feet.lock(sliding, contact, TIMES)
    assert feet.slide(sliding, contact, TIMES) > 30
    assert feet.slide(locked, contact, TIMES) < 1
    assert bones.variation(locked, H36M17) < 1e-6
    np.testing.assert_array_equal(locked[:, 0], sliding[:, 0])
    # It fades in and out: no foot jumps.
    step = np.abs(np.diff(locked[:, LEGS], axis=0) - np.diff(sliding[:, LEGS], axis=0))
    assert step.max() < 0.02


def test_without_contact_nothing_is_locked() -> None:
    world = turn(walk(TIMES), 0.5)
    none = np.zeros((90, 2), dtype=bool)
    np.testing.assert_allclose(feet.lock(world, none, TIMES), world, atol=1e-9)
    assert feet.slide(world, none, TIMES) == 0


def test_a_tilted_camera_knows_up_by_the_level_ones_beside_it() -> None:
    """Nobody stands; of four cameras in a ring the first is rolled by 20 degrees."""
    level = ground.LEVEL_CAMERA[1:]
    pitch = np.array([[1, 0, 0], [0, -level[0], level[1]], [0, -level[1], -level[0]]])
    towards = [
        pitch @ rotation_about(np.array([0.0, 1, 0]), np.radians(a)) for a in (0, 90, 180, 270)
    ]
    towards[0] = rotation_about(np.array([0.0, 0, 1]), np.radians(20)) @ towards[0]
    cameras = np.stack([R @ towards[0].T for R in towards])
    truth = towards[0] @ [0, -1, 0]
    alone, together = ground.estimate([]).up, ground.estimate([], cameras).up
    assert np.degrees(np.arccos(alone @ truth)) > 15
    assert np.degrees(np.arccos(together @ truth)) < 10


def test_a_standing_ankle_is_above_the_floor_by_what_the_ground_assumes() -> None:
    assert abs(ground.ANKLE_HEIGHT - ANKLE) < 0.02


# quality


def test_jitter_is_acceleration_and_blind_to_gaps() -> None:
    times = np.concatenate([uneven(20), 5 + uneven(20, 1)])
    joints = np.zeros((40, 17, 3))
    joints[..., 1] = (4.9 * times**2)[:, None]
    joints[20:] += 3
    assert quality.jitter(joints, times) == pytest.approx(9.8)
