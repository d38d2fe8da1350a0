"""Claims about our own benchmark and about scoring results beside known truth."""

import json

import mocap as files
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from mocap import walk
from scipy.spatial.transform import Rotation
from torch import nn

from video2pose3d import keypoints2d, lifters
from video2pose3d.cli import video2pose3d
from video2pose3d.datasets.mocap import Mocap
from video2pose3d.errors import UserError
from video2pose3d.evaluation import detector, filming, mocap, result
from video2pose3d.evaluation.scores import Errors, Score, Table
from video2pose3d.lifters import Lifter, ssr_stf
from video2pose3d.multiview.centres import joint_centres
from video2pose3d.skeletons import COCO17, H36M17

# What of Human3.6M's joints stands for a COCO point that it has not.
FACE = "left_eye", "right_eye", "left_ear", "right_ear"
JOINT = {"nose": "neck", **dict.fromkeys(FACE, "head")}


class Flat(nn.Module):
    def forward(self, x):
        return torch.cat([x[..., :2], torch.zeros_like(x[..., :1])], dim=-1)


@pytest.fixture
def folder(tmp_path):
    files.write(tmp_path, ["train", "test"], [walk(300), walk(60, seed=1), walk(20, seed=2)])
    return tmp_path


# ------------------------------------------------------------------ the benchmark


def test_everybody_is_filmed_alike_each_time(folder):
    clips = Mocap.read(folder / "test.npz")
    one, two = filming.film(clips), filming.film(clips)
    assert [len(s.truth) for s in one] == [243, 57, 60]  # the clip of 20 frames is too short
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a.keypoints["noisy"].xy, b.keypoints["noisy"].xy)
    few = filming.film(clips, limit=2)
    np.testing.assert_array_equal(few[1].keypoints["noisy"].xy, one[2].keypoints["noisy"].xy)


def test_clean_keypoints_are_sure_and_noisy_ones_are_near(folder):
    sequence = filming.film(Mocap.read(folder / "test.npz"))[0]
    clean, noisy = sequence.keypoints["clean"], sequence.keypoints["noisy"]
    assert (clean.scores == 1).all()
    assert 0.7 < np.median(noisy.scores) < 0.96
    off = np.linalg.norm(noisy.xy - clean.xy, axis=-1)
    assert 2 < np.median(off) < 8  # px, of a person who is 400 px tall
    assert not sequence.truth[:, 0].any()


def test_the_scores_stand_beside_the_mean_pose(folder):
    lifter = Lifter("flat", Flat(), 81, "cpu", {})
    scores = mocap.evaluate(lifter, folder).scores
    names = [score.name for score in scores]
    assert names[:2] == ["flat, noisy 2D", "flat, clean 2D"]
    facing, still = scores[2:]
    assert facing.mpjpe < still.mpjpe  # knowing the heading helps
    assert facing.p_mpjpe == pytest.approx(still.p_mpjpe)
    assert all(score.frames == 360 for score in scores)
    assert "MPJPE" in str(facing)


def test_a_wrong_size_is_what_n_mpjpe_forgives():
    truth = walk(9)
    truth = truth - truth[:, :1]
    taller = 1.1 * truth
    score = Score.of("tall", taller, truth, (np.diff(taller, axis=0), np.diff(truth, axis=0)))
    assert score.mpjpe == pytest.approx(100 * np.linalg.norm(truth, axis=-1).mean())
    assert score.n_mpjpe == pytest.approx(0, abs=1e-6)
    nobody = Score.of("nobody", truth[:0], truth[:0], (truth[:0], truth[:0]))
    assert nobody.frames == 0
    assert np.isnan([nobody.mpjpe, nobody.n_mpjpe, nobody.p_mpjpe, nobody.mpjve]).all()


def test_json_of_a_person_whom_the_result_lacks_is_json(tmp_path):
    np.savez(tmp_path / "truth.npz", camera=walk(9))
    nobody = np.zeros((0, 9, 17, 3))
    np.savez(
        tmp_path / "poses.npz", joints_3d=nobody, joints_world=nobody, valid=np.zeros((0, 9), bool),
        world_from_camera=np.eye(4),
    )  # fmt: skip
    flags = ["evaluate", str(tmp_path / "truth.npz"), "--poses", str(tmp_path / "poses.npz")]
    done = CliRunner().invoke(video2pose3d, [*flags, "--json"])
    for score in json.loads(done.stdout, parse_constant=pytest.fail):
        assert (score["frames"], score["mpjpe"]) == (0, None)


def test_the_detector_points_where_coco_ones_do():
    joints = walk(9)
    points = detector.points(joints)
    place = {name: points[:, j] for j, name in enumerate(H36M17.joints)}
    for pair, share in (("hip", 1.1), ("shoulder", 0.91)):
        a, b = H36M17.indices(f"left_{pair}", f"right_{pair}")
        width = np.linalg.norm(joints[:, a] - joints[:, b], axis=-1)
        found = np.linalg.norm(points[:, a] - points[:, b], axis=-1)
        np.testing.assert_allclose(found, share * width)
    np.testing.assert_allclose(place["pelvis"], (place["left_hip"] + place["right_hip"]) / 2)
    np.testing.assert_allclose(place["spine"], (place["pelvis"] + place["thorax"]) / 2)
    nose = place["neck"] - joints[:, H36M17.index("neck")]
    assert (nose[:, 1] > 0.09).all()  # the figure faces +y


def test_the_benchmark_stays_what_it_was(folder):
    keypoints = filming.film(Mocap.read(folder / "test.npz"))[2].keypoints
    for kind, expected in (
        ("clean", [[477.72, 347.05], [479.79, 338.73], [472.33, 382.96]]),
        ("noisy", [[476.76, 346.02], [479.12, 338.27], [472.38, 384.19]]),
    ):
        np.testing.assert_allclose(keypoints[kind].xy[30, 9:12], expected, atol=0.01)


def test_every_frame_is_in_one_source_one_angle_and_one_camera(folder):
    report = mocap.evaluate(Lifter("flat", Flat(), 81, "cpu", {}), folder)
    noisy = report.scores[0]
    for table in report.tables[:3]:
        rows = [row for row in table.rows.values() if row[1]]
        assert sum(row[1] for row in rows) == 360
        column = table.columns.index("noisy MPJPE")
        assert sum(row[1] * row[column] for row in rows) / 360 == pytest.approx(noisy.mpjpe)
    assert set(report.tables[0].rows) == {"UI-PRMD", "CMU-AMC"}


def test_angles_say_what_of_the_person_the_camera_sees(folder):
    sequence = filming.film(Mocap.read(folder / "test.npz"))[0]
    facing = mocap._turned(sequence.truth, -mocap._heading(sequence.truth))
    nose, thorax = H36M17.indices("neck", "thorax")
    assert (facing[:, nose, 2] < facing[:, thorax, 2]).all()  # the nose is nearer to the camera
    for degrees, name in ((0, "front"), (90, "side"), (-120, "side"), (170, "back")):
        joints = mocap._turned(facing, np.full(len(facing), np.radians(degrees)))
        turned = filming.Sequence(0, "", "", 0, "UI-PRMD", 0, joints, {})
        errors = {"noisy": [Errors.of(joints, joints)]}
        _, by_angle, *_ = mocap.tables([turned], errors)
        seen = {row.split(",")[0]: cells[1] for row, cells in by_angle.rows.items()}
        assert seen == {"front": 0, "side": 0, "back": 0, name: len(joints)}


def test_the_worst_sequences_are_listed_first_to_last(folder):
    report = mocap.evaluate(Lifter("flat", Flat(), 81, "cpu", {}), folder)
    worst = [row[3] for row in report.tables[3].rows.values()]
    assert worst == sorted(worst, reverse=True)
    assert len(worst) == 3
    first, last = next(iter(report.tables[3].rows.values()))[:2]
    assert last - first + 1 in (243, 57, 60)


def test_joints_share_the_error_between_them(folder):
    report = mocap.evaluate(Lifter("flat", Flat(), 81, "cpu", {}), folder)
    by_joint = np.array(list(report.tables[4].rows.values()))
    noisy, clean = report.scores[:2]
    expected = [noisy.mpjpe, noisy.p_mpjpe, clean.mpjpe, clean.p_mpjpe]
    np.testing.assert_allclose(by_joint.mean(axis=0), expected)
    assert by_joint[0, 0] == 0  # all joints are relative to the pelvis


def test_the_benchmark_can_be_given_to_other_programs(folder, tmp_path):
    sequences = filming.film(Mocap.read(folder / "test.npz"))
    paths = filming.dump(sequences, tmp_path / "given")
    assert len(paths) == 9
    for s, noisy, truth in zip(sequences, paths[::3], paths[2::3], strict=True):
        people, _ = keypoints2d.read(noisy)
        seen = people[0].scores > 0  # a keypoint that was lost has no place
        np.testing.assert_array_equal(
            people[0].xy[seen], s.keypoints["noisy"].xy[people[0].frames][seen]
        )
        with np.load(truth) as z:
            np.testing.assert_allclose(z["camera"], s.joints, atol=1e-6)
            np.testing.assert_array_equal(z["K"], filming.CAMERA.K)  # for --keypoints-2d


def test_the_command_prints_tables_and_draws_a_picture(folder, tmp_path):
    tiny = ssr_stf.Model(ssr_stf.Config(N=1, C=16, Ch=8, heads=2))
    lifters.save(tmp_path / "tiny.safetensors", "ssr_stf", tiny, frames=9, about={})
    flags = ["evaluate", "mocap", "--data", str(folder), "--device", "cpu"]
    flags += ["--weights", str(tmp_path / "tiny.safetensors")]
    done = CliRunner().invoke(video2pose3d, [*flags, "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    for words in ("tiny, noisy 2D", "mean pose, facing the camera", "By source", "By angle"):
        assert words in done.output
    assert (tmp_path / "out" / "mocap.png").stat().st_size > 10_000
    done = CliRunner().invoke(video2pose3d, [*flags, "--dump", str(tmp_path / "given"), "--json"])
    assert len(json.loads(done.stdout)) == 9


@pytest.mark.parametrize("measure", ["mocap", "rigs", "relate"])
def test_what_is_missing_is_said_before_anything_is_lifted(tmp_path, measure, monkeypatch):
    def lift(*_, **__):
        pytest.fail("lifted")

    monkeypatch.setattr(mocap, "lift", lift)
    flags = ["evaluate", measure, "--data", str(tmp_path), "--device", "cpu"]
    files.write(tmp_path, ["train", "test"], [walk(20), walk(20, seed=1)])
    (tmp_path / "train.npz").rename(tmp_path / "kept")
    done = CliRunner().invoke(video2pose3d, flags)
    what = "train.npz: no such file" if measure == "mocap" else "no clip of its test has 27 frames"
    assert what in done.stderr
    assert done.exit_code == 1
    (tmp_path / "kept").rename(tmp_path / "train.npz")
    done = CliRunner().invoke(video2pose3d, flags)
    assert "no clip of its test has 27 frames" in done.stderr


def test_tables_line_up_and_say_where_there_is_no_number():
    table = Table("T", ("a", "long"), {"x": (1.25, float("nan")), "row": (3, 100.0)})
    assert str(table).split("\n") == ["T", "       a   long", "x    1.2      –", "row    3  100.0"]
    assert table.as_json()["rows"]["x"] == {"a": 1.25, "long": None}


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
        timestamps=np.arange(joints.shape[1]) / 10,
    )
    return folder / "poses.npz", folder / "truth.npz"


def test_people_are_paired_by_their_error_and_only_valid_frames_count(tmp_path):
    truth = clip(people=2)
    found = truth[:, ::-1].swapaxes(0, 1).copy()  # in the other order, (P, T, 17, 3)
    found[0] += np.random.default_rng(1).normal(scale=0.05, size=found[0].shape)
    valid = np.ones(found.shape[:2], bool)
    valid[0, 20:] = False
    found[0, 20:] = np.nan
    first, _, second, _ = result.evaluate(*write(tmp_path, truth, found, valid))
    assert (first.name, first.frames, second.frames) == ("person 1, as lifted", 30, 20)
    assert first.mpjpe < 0.01
    assert 60 < second.mpjpe < 140
    assert second.p_mpjpe < second.mpjpe


def test_somebody_who_was_not_found_has_no_score(tmp_path):
    truth = clip(people=2)
    found = truth[:, 1:].swapaxes(0, 1)
    first, _, second, _ = result.evaluate(
        *write(tmp_path, truth, found, np.ones(found.shape[:2], bool))
    )
    assert (first.frames, second.frames) == (0, 30)
    assert np.isnan(first.mpjpe)


def test_where_the_person_stands_does_not_count(tmp_path):
    truth = clip(people=1)
    found = truth.swapaxes(0, 1) - [0, 0, 3.0]
    lifted, moved = result.evaluate(*write(tmp_path, truth, found, np.ones(found.shape[:2], bool)))
    assert lifted.mpjpe < 0.01
    assert moved.mpjpe < 0.01  # the world's turn is undone


def test_limbs_stand_beside_a_detector_s_points_and_beside_the_centres_of_their_joints(tmp_path):
    points = detector.points(walk(30))  # where a COCO detector points at somebody who walks
    coco = np.stack([points[:, H36M17.index(JOINT.get(name, name))] for name in COCO17.joints], 1)
    coco[3, COCO17.index("left_wrist")] = np.nan  # not triangulated then
    turn = Rotation.from_euler("xyz", [40, 50, 60], degrees=True).as_matrix()
    np.savez(tmp_path / "theirs.npz", person0_xyz_m=coco @ turn.T + 3)
    joints = joint_centres(points)[None]
    poses, _ = write(tmp_path, points[:, None], joints, np.ones(joints.shape[:2], bool))
    limbs, _, centres, _ = result.evaluate_limbs(poses, tmp_path / "theirs.npz")
    assert (limbs.name, centres.name) == (
        "person 1, limbs, as lifted",
        "person 1, centres, as lifted",
    )
    assert limbs.frames == centres.frames == 29
    assert centres.p_mpjpe < 0.01
    assert 5 < limbs.p_mpjpe < 15  # hips and shoulders of the surface
    assert np.isnan(limbs.mpjpe)


def test_details_say_which_joint_errs_and_when(tmp_path):
    truth = clip(people=1, frames=48)
    found = truth.swapaxes(0, 1).copy()
    knee = H36M17.index("left_knee")
    found[0, 20:24, knee] += [0, 0, 0.34]
    valid = np.ones((1, 48), bool)
    valid[0, :2] = False
    by_joint, by_time = result.evaluate_details(*write(tmp_path, truth, found, valid))
    errors = {name: row[0] for name, row in by_joint.rows.items()}
    assert errors.pop("left_knee") == pytest.approx(340 * 4 / 46, abs=0.01)
    assert max(errors.values()) < 0.01
    assert list(by_time.rows)[5] == "2.0 to 2.3 s, frames 20 to 23"
    assert [row[0] for row in by_time.rows.values()] == [2] + [4] * 11
    assert [round(row[1]) for row in by_time.rows.values()] == [0] * 5 + [20] + [0] * 6
    _, mpjpe, p_mpjpe = by_time.rows["2.0 to 2.3 s, frames 20 to 23"]
    assert 0 < p_mpjpe != mpjpe


def test_the_parts_of_a_short_clip_are_told_apart(tmp_path):
    truth = clip(people=1, frames=12)
    files = write(tmp_path, truth, truth.swapaxes(0, 1), np.ones((1, 12), bool))
    assert len(result.evaluate_details(*files)[1].rows) == 12


def test_files_that_do_not_belong_together_are_one_clear_error(tmp_path):
    truth = clip(people=1)
    found = truth.swapaxes(0, 1)
    poses, known = write(tmp_path, truth, found[:, :9], np.ones((1, 9), bool))
    with pytest.raises(UserError, match="9 frames, the truth 30"):
        result.evaluate(poses, known)
    with pytest.raises(UserError, match="not a truth file"):
        result.evaluate(poses, poses)
    with pytest.raises(UserError, match=r"not a poses\.npz"):
        result.evaluate(known, known)
    with pytest.raises(UserError, match="no such file"):
        result.evaluate(tmp_path / "missing.npz", known)
