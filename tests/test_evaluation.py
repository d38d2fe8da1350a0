"""Claims about the benchmark and about scoring results beside known truth."""

import mocap
import numpy as np
import pytest
import torch
from mocap import walk
from scipy.spatial.transform import Rotation
from torch import nn

from video2pose3d import evaluation
from video2pose3d.datasets.mocap import Mocap
from video2pose3d.errors import UserError
from video2pose3d.lifters import Lifter


class Flat(nn.Module):
    def forward(self, x):
        return torch.cat([x[..., :2], torch.zeros_like(x[..., :1])], dim=-1)


@pytest.fixture
def folder(tmp_path):
    mocap.write(tmp_path, ["train", "test"], [walk(300), walk(60, seed=1), walk(20, seed=2)])
    return tmp_path


# ------------------------------------------------------------------ the benchmark


def test_everybody_is_filmed_alike_each_time(folder):
    clips = Mocap.read(folder / "test.npz")
    one, two = evaluation.film(clips), evaluation.film(clips)
    assert [len(s.truth) for s in one] == [243, 57, 60]  # the clip of 20 frames is too short
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.keypoints["noisy"].xy, b.keypoints["noisy"].xy)
    few = evaluation.film(clips, limit=2)
    np.testing.assert_array_equal(few[1].keypoints["noisy"].xy, one[2].keypoints["noisy"].xy)


def test_clean_keypoints_are_sure_and_noisy_ones_are_near(folder):
    sequence = evaluation.film(Mocap.read(folder / "test.npz"))[0]
    clean, noisy = sequence.keypoints["clean"], sequence.keypoints["noisy"]
    assert (clean.scores == 1).all()
    assert 0.7 < np.median(noisy.scores) < 0.96
    off = np.linalg.norm(noisy.xy - clean.xy, axis=-1)
    assert 2 < np.median(off) < 8  # px, of a person who is 400 px tall
    assert not sequence.truth[:, 0].any()


def test_the_scores_stand_beside_the_mean_pose(folder):
    lifter = Lifter("flat", Flat(), 81, "cpu", {})
    scores = evaluation.evaluate_mocap(lifter, folder)
    names = [score.name for score in scores]
    assert names[:2] == ["flat, noisy 2D", "flat, clean 2D"]
    facing, still = scores[2:]
    assert facing.mpjpe < still.mpjpe  # knowing the heading helps
    assert facing.p_mpjpe == pytest.approx(still.p_mpjpe)
    assert all(score.frames == 360 for score in scores)
    assert "MPJPE" in str(facing)


# ------------------------------------------------------------------ results and truth


def clip(people: int, frames: int = 30) -> np.ndarray:
    """(T, P, 17, 3) metres in CAMERA."""
    rng = np.random.default_rng(0)
    return rng.normal(scale=0.4, size=(frames, people, 17, 3)) + np.array([0, 0, 5.0])


def write(folder, truth, joints, valid):
    truth = truth[:, 0] if truth.shape[1] == 1 else truth
    np.savez(folder / "truth.npz", camera=truth)
    matrix = np.eye(4)  # a world turned away from the camera, and off its place
    matrix[:3, :3], matrix[:3, 3] = Rotation.from_euler("xyz", [170, 10, 20], True).as_matrix(), 2
    world = joints @ matrix[:3, :3].T + matrix[:3, 3]
    np.savez(
        folder / "poses.npz",
        joints_3d=joints.astype(np.float32),
        joints_world=world.astype(np.float32),
        world_from_camera=matrix,
        valid=valid,
    )
    return folder / "poses.npz", folder / "truth.npz"


def test_people_are_paired_by_their_error_and_only_valid_frames_count(tmp_path):
    truth = clip(people=2)
    found = truth[:, ::-1].swapaxes(0, 1).copy()  # in the other order, (P, T, 17, 3)
    found[0] += np.random.default_rng(1).normal(scale=0.05, size=found[0].shape)
    valid = np.ones(found.shape[:2], bool)
    valid[0, 20:] = False
    found[0, 20:] = np.nan
    first, _, second, _ = evaluation.evaluate_result(*write(tmp_path, truth, found, valid))
    assert (first.name, first.frames, second.frames) == ("person 1, as lifted", 30, 20)
    assert first.mpjpe < 0.01
    assert 60 < second.mpjpe < 140
    assert second.p_mpjpe < second.mpjpe


def test_somebody_who_was_not_found_has_no_score(tmp_path):
    truth = clip(people=2)
    found = truth[:, 1:].swapaxes(0, 1)
    first, _, second, _ = evaluation.evaluate_result(
        *write(tmp_path, truth, found, np.ones(found.shape[:2], bool))
    )
    assert (first.frames, second.frames) == (0, 30)
    assert np.isnan(first.mpjpe)


def test_where_the_person_stands_does_not_count(tmp_path):
    truth = clip(people=1)
    found = truth.swapaxes(0, 1) - [0, 0, 3.0]
    lifted, moved = evaluation.evaluate_result(
        *write(tmp_path, truth, found, np.ones(found.shape[:2], bool))
    )
    assert lifted.mpjpe < 0.01
    assert moved.mpjpe < 0.01  # the world's turn is undone


def test_files_that_do_not_belong_together_are_one_clear_error(tmp_path):
    truth = clip(people=1)
    found = truth.swapaxes(0, 1)
    poses, known = write(tmp_path, truth, found[:, :9], np.ones((1, 9), bool))
    with pytest.raises(UserError, match="9 frames, the truth 30"):
        evaluation.evaluate_result(poses, known)
    with pytest.raises(UserError, match="not a truth file"):
        evaluation.evaluate_result(poses, poses)
    with pytest.raises(UserError, match=r"not a poses\.npz"):
        evaluation.evaluate_result(known, known)
    with pytest.raises(UserError, match="no such file"):
        evaluation.evaluate_result(tmp_path / "missing.npz", known)
