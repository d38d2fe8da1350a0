"""Claims about the readers of benchmarks, each on a small file in the published layout."""

import pickle

import benchmarks
import numpy as np
import pytest
from benchmarks import CAMERAS
from mocap import walk

from video2pose3d.datasets import _videopose3d, h36m, h36m_motionbert, humaneva, mpi_inf_3dhp
from video2pose3d.errors import UserError
from video2pose3d.skeletons import H36M17, HUMANEVA15, MPI_INF_3DHP17

WALK = {
    "s_09_act_02_subact_01_ca_01": 6, "s_09_act_02_subact_01_ca_02": 5,
    "s_11_act_05_subact_02_ca_01": 4,
}  # fmt: skip
ACTIONS = {
    "s_09_act_02_subact_01": "Directions", "s_11_act_05_subact_02": "Greeting",
    "s_09_act_05_subact_02": "Greeting",
}  # fmt: skip


# ------------------------------------------------------------------ Human3.6M, MotionBERT's file


def test_motionberts_file_is_one_sequence_a_video_and_camera(tmp_path):
    path = tmp_path / h36m_motionbert.FILE
    benchmarks.motionbert(path, WALK, ACTIONS)
    sequences = h36m_motionbert.read(tmp_path, "test")
    assert [(s.subject, s.action, s.camera, len(s.inputs)) for s in sequences] == [
        ("S9", "Directions", CAMERAS[0], 6),
        ("S9", "Directions", CAMERAS[1], 5),
        ("S11", "Greeting", CAMERAS[0], 4),
    ]
    for s in sequences:
        assert (s.inputs[..., 2] == 0.5).all()
        assert not s.target[:, 0].any()
        assert s.unit == "screen"
        np.testing.assert_allclose(s.target * s.to_mm[:, None, None], s.truth, atol=1e-2)


def test_the_screen_is_normalised_by_each_cameras_own_size(tmp_path):
    path = tmp_path / h36m_motionbert.FILE
    benchmarks.motionbert(path, WALK, ACTIONS)
    tall, square, _ = h36m_motionbert.read(path, "test", truth_2d=True)
    for s, height, seed in ((tall, 1002, 0), (square, 1000, 1)):
        xy = benchmarks.seen(len(s.inputs), seed)[1] + 500
        expected = xy * 2 / 1000 - [1, height / 1000]
        np.testing.assert_allclose(s.inputs[..., :2], expected, atol=1e-6)
        assert (s.inputs[..., 2] == 1).all()


def test_detected_and_true_2d_differ_and_labels_do_not(tmp_path):
    path = tmp_path / h36m_motionbert.FILE
    benchmarks.motionbert(path, WALK, ACTIONS)
    found = h36m_motionbert.read(path, "test")[0]
    known = h36m_motionbert.read(path, "test", truth_2d=True)[0]
    np.testing.assert_allclose(found.inputs[..., :2] - known.inputs[..., :2], 4 / 1000, atol=1e-6)
    np.testing.assert_array_equal(found.target, known.target)


def test_sequences_with_wrong_labels_are_skipped(tmp_path):
    path = tmp_path / h36m_motionbert.FILE
    videos = {**WALK, "s_09_act_05_subact_02_ca_03": 9}
    benchmarks.motionbert(path, videos, ACTIONS)
    assert len(h36m_motionbert.read(path, "test")) == 3
    assert len(h36m_motionbert.SKIPPED) == 3


def test_the_training_half_has_targets_and_no_millimetres(tmp_path):
    path = tmp_path / h36m_motionbert.FILE
    benchmarks.motionbert(path, WALK, ACTIONS)
    for s in h36m_motionbert.read(path, "train"):
        assert np.isfinite(s.target).all()
        assert np.isnan(s.to_mm).all()
        assert s.valid.all()


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return eval, (f"open({str(tmp_path / 'made')!r}, 'w')",)

    path = tmp_path / h36m_motionbert.FILE
    path.write_bytes(pickle.dumps({"train": {}, "test": Evil()}))
    with pytest.raises(UserError, match=r"names builtins\.eval, which could run code"):
        h36m_motionbert.read(path, "test")
    assert not (tmp_path / "made").exists()


def test_another_pickle_is_one_clear_error(tmp_path):
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"train": {"joint_2d": np.zeros((3, 17, 2))}}))
    with pytest.raises(UserError, match="train has no joint3d_image"):
        h36m_motionbert.read(path, "train")
    with pytest.raises(UserError, match="test has no joint_2d"):
        h36m_motionbert.read(path, "test")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda half: {key: values[:0] for key, values in half.items()}, "is not MotionBERT's"),
        (lambda half: {"confidence": half["confidence"][:, :16]}, r"confidence is \(15, 16\)"),
        (lambda half: {"joint_2d": half["joint_2d"][:, :16]}, r"joint_2d is \(15, 16, 2\)"),
        (lambda half: {"action": None}, r"action is \(\)"),
        (lambda half: {"source": ["s_09_act_05_subact_02_ca_01"] * 15}, "holds no frames"),
    ],
)
def test_a_half_of_other_shapes_is_one_clear_error(tmp_path, change, says):
    path = tmp_path / h36m_motionbert.FILE
    benchmarks.motionbert(path, WALK, ACTIONS)
    halves = pickle.loads(path.read_bytes())
    halves["test"].update(change(halves["test"]))
    path.write_bytes(pickle.dumps(halves))
    with pytest.raises(UserError, match=says):
        h36m_motionbert.read(path, "test")


# ------------------------------------------------------------------ VideoPose3D's files


def test_videopose3ds_files_give_metres_before_four_cameras(tmp_path):
    tree = {"S1": {"Walking 1": 5}, "S9": {"Walking": 4, "Eating 2": 3}, "S11": {"Photo": 6}}
    benchmarks.videopose3d(tmp_path, tree)
    sequences = h36m.read(tmp_path, "test", keypoints="gt")
    assert len(sequences) == 12
    assert {s.subject for s in sequences} == {"S9", "S11"}
    assert [s.camera for s in sequences[:4]] == list(CAMERAS)
    assert len(h36m.read(tmp_path, "train", keypoints="gt")) == 4
    bones = np.linalg.norm(np.diff(walk(4, 1), axis=1), axis=-1)
    for s in sequences[:4]:  # cameras turn and move people, and do no more
        joints = s.truth / 1000
        np.testing.assert_allclose(np.linalg.norm(np.diff(joints, axis=1), axis=-1), bones, 1e-5)
        assert not s.target[:, 0].any()
        assert joints[0, H36M17.index("head"), 1] < -0.5  # y down: the head is above the pelvis
        assert len(s.inputs) == 4  # cut to the motion capture's length


def test_the_cameras_look_at_the_middle_of_the_room():
    for subject, views in _videopose3d.cameras("h36m_cameras.toml").items():
        for camera in views:
            middle = camera.see(np.array([[[0.0, 0.0, 1.0]]]))[0, 0]
            assert 3 < middle[2] < 7, (subject, camera.name)
            assert np.abs(middle[:2] / middle[2]).max() < 0.35, (subject, camera.name)
    for views in _videopose3d.cameras("humaneva_cameras.toml").values():
        for camera in views:
            middle = camera.see(np.array([[[0.0, 0.0, 1.0]]]))[0, 0]
            assert np.abs(middle[:2] / middle[2]).max() < 0.35
            assert 3 < middle[2] < 7


def test_quaternions_of_the_cameras_are_of_length_one():
    for file in ("h36m_cameras.toml", "humaneva_cameras.toml"):
        with open(h36m.__file__.replace("h36m.py", file), "rb") as stream:
            table = _videopose3d.tomllib.load(stream)
        for name in set(table) - {"names", "sizes"}:
            lengths = np.linalg.norm(table[name]["rotation"], axis=1)
            np.testing.assert_allclose(lengths, 1, atol=2e-6)


def test_2d_that_does_not_fit_is_one_clear_error(tmp_path):
    benchmarks.videopose3d(tmp_path, {"S9": {"Walking": 4}})
    benchmarks.videopose3d(tmp_path, {"S9": {"Walking": 9}}, keypoints="other")  # 3D: 9 frames
    with pytest.raises(UserError, match="expected 2D of \\(9, 17, 2\\), got \\(7, 17, 2\\)"):
        h36m.read(tmp_path, "test", keypoints="gt")
    benchmarks.videopose3d(tmp_path, {"S9": {"Eating": 4}}, keypoints="gt")
    with pytest.raises(UserError, match="has 0 cameras for S9 Eating"):
        h36m.read(tmp_path, "test", keypoints="other")


def test_humaneva_is_read_by_half(tmp_path):
    tree = {"Train/S1": {"Walking 1 chunk0": 5}, "Validate/S2": {"Jog 1 chunk2": 4}}
    benchmarks.humaneva(tmp_path, tree)
    train, test = humaneva.read(tmp_path, "train"), humaneva.read(tmp_path, "test")
    assert [(s.subject, s.action, s.camera) for s in test] == [
        ("S2", "Jog 1 chunk2", camera) for camera in ("C1", "C2", "C3")
    ]
    assert [s.subject for s in train] == ["S1"] * 3
    assert test[0].skeleton is HUMANEVA15
    xy = benchmarks.other(benchmarks.seen(4, 1)[1], HUMANEVA15) + 300
    np.testing.assert_allclose(test[0].inputs[..., :2], xy / 320 - [1, 0.75], atol=1e-5)


# ------------------------------------------------------------------ MPI-INF-3DHP


def test_3dhp_is_in_metres_and_only_valid_frames_are_scored(tmp_path):
    valid = np.array([1, 0, 1, 1])
    benchmarks.mpi_inf_3dhp(tmp_path, {"TS1": valid, "TS5": np.ones(3)}, {"S1 Seq1": 5})
    first, outdoors = mpi_inf_3dhp.read(tmp_path, "test")
    np.testing.assert_array_equal(first.valid, valid > 0)
    joints, xy = (benchmarks.other(x, MPI_INF_3DHP17) for x in benchmarks.seen(4))
    pelvis = MPI_INF_3DHP17.root
    np.testing.assert_allclose(first.truth / 1000, joints - joints[:, pelvis, None], atol=1e-9)
    np.testing.assert_allclose(first.inputs[..., :2], xy / 1024, atol=1e-6)
    xy = benchmarks.other(benchmarks.seen(3, 1)[1], MPI_INF_3DHP17) + 1024
    np.testing.assert_allclose(outdoors.inputs[..., :2], xy / 960 - [1, 1080 / 1920], atol=1e-5)


def test_3dhps_training_half_is_one_sequence_a_camera(tmp_path):
    benchmarks.mpi_inf_3dhp(tmp_path, {"TS1": np.ones(3)}, {"S1 Seq1": 5, "S2 Seq2": 4})
    sequences = mpi_inf_3dhp.read(tmp_path, "train")
    assert [(s.subject, s.action, s.camera) for s in sequences] == [
        ("S1", "Seq1", "0"), ("S1", "Seq1", "8"), ("S2", "Seq2", "0"), ("S2", "Seq2", "8"),
    ]  # fmt: skip
    assert sequences[0].fps == 25
    assert sequences[0].valid.all()


def bent(folder, **parts):
    """A test half of one sequence with other arrays."""
    benchmarks.mpi_inf_3dhp(folder, {"TS1": np.array([1, 1, 1, 0])}, {"S1 Seq1": 3})
    tree = {"TS1": {**benchmarks.read(folder / "data_test_3dhp.npz")["TS1"], **parts}}
    np.savez(folder / "data_test_3dhp.npz", data=np.array(tree, object))


@pytest.mark.parametrize(("key", "frame"), [("data_2d", 1), ("data_2d", 3), ("data_3d", 2)])
def test_joints_that_are_no_numbers_are_one_clear_error(tmp_path, key, frame):
    bent(tmp_path)
    joints = benchmarks.read(tmp_path / "data_test_3dhp.npz")["TS1"][key]
    joints[frame, 4] = np.nan
    bent(tmp_path, **{key: joints})
    with pytest.raises(UserError, match=f"TS1: frame {frame} has a joint that is no number"):
        mpi_inf_3dhp.read(tmp_path, "test")


def test_3d_may_lack_where_it_is_not_scored(tmp_path):
    bent(tmp_path)
    joints = benchmarks.read(tmp_path / "data_test_3dhp.npz")["TS1"]["data_3d"]
    joints[3] = np.nan
    bent(tmp_path, data_3d=joints)
    (s,) = mpi_inf_3dhp.read(tmp_path, "test")
    assert np.isfinite(s.truth[s.valid]).all()


# ------------------------------------------------------------------ all of them


def test_sequences_without_frames_are_left_out_and_only_such_are_an_error(tmp_path):
    benchmarks.mpi_inf_3dhp(tmp_path, {"TS1": np.ones(0), "TS2": np.ones(3)}, {"S1 Seq1": 0})
    assert [s.subject for s in mpi_inf_3dhp.read(tmp_path, "test")] == ["TS2"]
    with pytest.raises(UserError, match="holds no frames of this split"):
        mpi_inf_3dhp.read(tmp_path, "train")
    benchmarks.videopose3d(tmp_path, {"S9": {"Photo": 0}})
    with pytest.raises(UserError, match="holds no frames of this split"):
        h36m.read(tmp_path, "test", keypoints="gt")


@pytest.mark.parametrize("reader", [h36m_motionbert, h36m, humaneva, mpi_inf_3dhp])
def test_missing_data_say_where_to_get_them_and_under_which_licence(tmp_path, reader):
    with pytest.raises(UserError) as caught:
        reader.read(tmp_path, "test")
    assert reader.WHERE in str(caught.value)
    assert "research" in reader.WHERE or "academic" in reader.WHERE
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("reader", [h36m, humaneva, mpi_inf_3dhp])
def test_npz_with_something_else_is_one_clear_error(tmp_path, reader):
    for name in ("data_3d_h36m", "data_2d_h36m_cpn_ft_h36m_dbb", "data_3d_humaneva15",
                 "data_2d_humaneva15_gt", "data_test_3dhp"):  # fmt: skip
        np.savez(tmp_path / f"{name}.npz", positions_3d=np.ones(3), positions_2d=1, data=np.ones(2))
    with pytest.raises(UserError):
        reader.read(tmp_path, "test")


def test_sides_are_the_persons_own():
    for skeleton in (HUMANEVA15, MPI_INF_3DHP17):
        for joint, other in enumerate(skeleton.mirror):
            a, b = skeleton.joints[joint], skeleton.joints[other]
            assert a == b or {a.split("_")[0], b.split("_")[0]} == {"left", "right"}
    assert [i for i, j in enumerate(HUMANEVA15.joints) if j[:4] == "left"] == [2, 3, 4, 8, 9, 10]
    assert [i for i, j in enumerate(MPI_INF_3DHP17.joints) if j[:4] == "left"] == [
        5,
        6,
        7,
        11,
        12,
        13,
    ]
