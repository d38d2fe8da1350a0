"""Claims about the papers' tables, on cases whose answer is known."""

import json

import benchmarks
import numpy as np
import pytest
import tiny
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from video2pose3d import discovery, lifters
from video2pose3d.cli import video2pose3d
from video2pose3d.datasets import Sequence, h36m_motionbert, humaneva, mpi_inf_3dhp
from video2pose3d.datasets import h36m as h36m_reader
from video2pose3d.errors import UserError
from video2pose3d.evaluation import h36m, lifting
from video2pose3d.evaluation import humaneva as humaneva_table
from video2pose3d.evaluation import mpi_inf_3dhp as mpi_table
from video2pose3d.lifters import Lifter
from video2pose3d.lifters.ssr_stf import Config, Model
from video2pose3d.skeletons import H36M17, HUMANEVA15

OTHERS = 16 / 17  # of the joints have an error where all but the root are off by the same


class Knowing(nn.Module):
    """A lifter that has learnt the test set by heart: target + what `wrong` says of a sequence.

    It knows frames by their input, also in the mirror.
    """

    def __init__(self, sequences, wrong):
        super().__init__()
        self.known = {}
        for s in sequences:
            root, mirror = s.skeleton.root, list(s.skeleton.mirror)
            error = np.asarray(wrong(s), float)  # (3,) mm, or (T, 3)
            shift = np.broadcast_to(error, (len(s.target), 3)) / s.to_mm[:, None]
            answers = s.target.astype(float) + shift[:, None]
            answers[:, root] = s.target[:, root]
            flip = np.array([-1, 1, 1])
            for x, answer in zip(s.inputs, answers, strict=True):
                self.known[key(x)] = answer
                self.known[key((x * flip)[mirror])] = (answer * flip)[mirror]

    def forward(self, x):
        frames = [[self.known[key(frame)] for frame in window] for window in x.numpy()]
        return torch.tensor(np.array(frames), dtype=torch.float64)


def key(frame):
    return (np.asarray(frame, np.float32).round(5) + np.float32(0)).tobytes()


def knowing(sequences, wrong, T=4, **header):
    return Lifter("knowing", Knowing(sequences, wrong), T, "cpu", header)


def sequence(N, skeleton=H36M17):
    rng = np.random.default_rng(N)
    inputs = rng.normal(size=(N, len(skeleton), 3)).astype(np.float32)
    joints = rng.normal(size=(N, len(skeleton), 3))
    valid = np.ones(N, bool)
    return Sequence.in_metres("S", "A", "C", inputs, joints, valid, skeleton, 50.0)


class Same(nn.Module):
    def forward(self, x):
        return x


def rooted(joints):
    """With the root at 0, and the others where they are."""
    return np.where(np.arange(joints.shape[1])[:, None] == 0, 0, joints)


# ------------------------------------------------------------------ lifting


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(1, 12), st.integers(1, 5)
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_every_frame_is_lifted_whatever_the_window_and_the_batch(lengths, T, batch):
    sequences = [sequence(N) for N in lengths]
    lifted = lifting.lift(Lifter("same", Same(), T, "cpu", {}), sequences, batch=batch)
    for joints, s in zip(lifted, sequences, strict=True):
        np.testing.assert_allclose(joints, rooted(s.inputs), atol=1e-6)


def test_the_last_window_ends_with_the_last_frame_and_gives_only_what_is_left():
    class Place(nn.Module):
        def forward(self, x):
            place = torch.arange(x.shape[1])[None, :, None, None].expand_as(x).clone().float()
            place[:, :, 0] = 0
            return place

    lifter = Lifter("place", Place(), 4, "cpu", {})
    ten, three = lifting.lift(lifter, [sequence(10), sequence(3)], flip=False)
    assert ten[:, 1, 0].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 2, 3]
    assert three[:, 1, 0].tolist() == [0, 1, 2]


def test_flip_averaging_takes_away_what_favours_a_side():
    class Leaning(nn.Module):
        def forward(self, x):
            return x + torch.tensor([0.3, 0, 0]) * (torch.arange(x.shape[2]) > 0)[:, None]

    s = sequence(9)
    lifter = Lifter("leaning", Leaning(), 4, "cpu", {})
    plain, both = (lifting.lift(lifter, [s], flip=flip)[0] for flip in (False, True))
    np.testing.assert_allclose(both, rooted(s.inputs), atol=1e-6)
    assert np.abs(plain - both)[:, 1:].max() == pytest.approx(0.3, abs=1e-6)


def test_what_a_lifter_says_of_the_root_moves_no_other_joint():
    class Adrift(nn.Module):
        def forward(self, x):
            return x + 0.1 * (torch.arange(x.shape[2]) == 0)[:, None]

    s = sequence(9)
    adrift, same = (Lifter("", model, 4, "cpu", {}) for model in (Adrift(), Same()))
    (found,), (expected,) = (lifting.lift(lifter, [s]) for lifter in (adrift, same))
    np.testing.assert_array_equal(found, expected)


def test_a_lifter_of_other_joints_or_units_is_refused():
    for name in discovery.names("lifters"):
        with pytest.raises(UserError, match="takes 17 joints, this benchmark has 15"):
            lifting.lift(Lifter(name, tiny.lifter(name), 4, "cpu", {}), [sequence(5, HUMANEVA15)])
    other = Lifter("same", Same(), 4, "cpu", {"skeleton": "mpi_inf_3dhp17"})
    with pytest.raises(UserError, match="gives the joints of mpi_inf_3dhp17, not of h36m17"):
        lifting.lift(other, [sequence(5)])
    with pytest.raises(UserError, match="in screens, this benchmark has metres"):
        lifting.lift(Lifter("same", Same(), 4, "cpu", {"unit": "screen"}), [sequence(5)])


# ------------------------------------------------------------------ Human3.6M

VIDEOS = {
    "s_09_act_02_subact_01_ca_01": 9, "s_09_act_02_subact_01_ca_02": 6,
    "s_11_act_02_subact_02_ca_01": 3, "s_11_act_14_subact_02_ca_04": 4,
}  # fmt: skip
ACTIONS = {
    "s_09_act_02_subact_01": "Directions", "s_11_act_02_subact_02": "Directions",
    "s_11_act_14_subact_02": "Walking", "s_09_act_05_subact_02": "Walking",
}  # fmt: skip


@pytest.fixture
def motionbert(tmp_path):
    benchmarks.motionbert(tmp_path / h36m_motionbert.FILE, VIDEOS, ACTIONS)
    return tmp_path


@pytest.mark.parametrize("truth_2d", [False, True])
def test_a_constant_error_is_the_mpjpe_and_no_velocity(motionbert, truth_2d):
    sequences = h36m_motionbert.read(motionbert, "test", truth_2d=truth_2d)
    lifter = knowing(sequences, lambda s: [30, 0, 40])
    table = h36m.evaluate(lifter, motionbert, truth_2d=truth_2d)
    assert table.columns == ("Dir.", "Walk", "Avg.")
    np.testing.assert_allclose(table.rows["P1"], 50 * OTHERS, atol=0.01)
    # A pixel is not the same mm in each frame, so labels that keep still move a little in mm.
    np.testing.assert_allclose(table.rows["MPJVE"], 0, atol=0.02)
    assert max(table.rows["P2"]) < 50 * OTHERS


def test_actions_count_alike_and_not_by_their_frames(motionbert):
    sequences = h36m_motionbert.read(motionbert, "test")
    lifter = knowing(sequences, lambda s: [80 if s.action == "Walking" else 20, 0, 0])
    walk, directions = 80 * OTHERS, 20 * OTHERS
    table = h36m.evaluate(lifter, motionbert)
    expected = directions, walk, (walk + directions) / 2
    np.testing.assert_allclose(table.rows["P1"], expected, atol=0.01)
    by_frame = (18 * directions + 4 * walk) / 22
    assert abs(table.rows["P1"][-1] - by_frame) > 10
    assert "22 frames" in table.title


def test_frames_of_an_action_count_alike_and_not_its_videos(motionbert):
    sequences = h36m_motionbert.read(motionbert, "test")
    lifter = knowing(sequences, lambda s: [90 if s.subject == "S11" else 30, 0, 0])
    table = h36m.evaluate(lifter, motionbert)
    expected = (15 * 30 + 3 * 90) / 18 * OTHERS
    assert table.rows["P1"][0] == pytest.approx(expected, abs=0.01)


def test_sequences_with_wrong_labels_do_not_count(tmp_path):
    videos = {**VIDEOS, "s_09_act_05_subact_02_ca_01": 50}
    benchmarks.motionbert(tmp_path / h36m_motionbert.FILE, videos, ACTIONS)
    sequences = h36m_motionbert.read(tmp_path, "test")
    table = h36m.evaluate(knowing(sequences, lambda s: [10, 0, 0]), tmp_path)
    assert "22 frames" in table.title  # the lifter does not even know the 50 others


def test_velocity_is_what_changes_from_frame_to_frame(tmp_path):
    benchmarks.videopose3d(tmp_path, {"S9": {"Eating": 6}, "S11": {"Eating 1": 4}})
    sequences = h36m_reader.read(tmp_path, "test", keypoints="gt")

    def drifting(s):
        return np.arange(len(s.target))[:, None] * np.array([0, 3.0, 4.0])

    table = h36m.evaluate_metres(knowing(sequences, drifting), tmp_path, keypoints="gt")
    assert table.rows["MPJVE"][0] == pytest.approx(5 * OTHERS, abs=1e-3)
    expected = 5 * (sum(range(6)) + sum(range(4))) / 10 * OTHERS
    assert table.rows["P1"][0] == pytest.approx(expected, abs=1e-2)


def test_protocol_2_forgives_size_turn_and_place():
    class Twice(nn.Module):
        def forward(self, x):
            return 2 * x[..., [1, 0, 2]] * torch.tensor([-1, 1, 1])

    s = sequence(8)
    inputs = s.inputs - s.inputs[:, :1]
    s = Sequence.in_metres("S9", "Eating", "", inputs, inputs, s.valid, H36M17, 50.0)
    lifter = Lifter("twice", Twice(), 4, "cpu", {})
    found = lifting.lift(lifter, [s], flip=False)[0]
    errors = h36m.Errors.of(lifting.in_mm(found, s), s.truth)
    assert errors.p1.min() > 100
    assert errors.p2.max() < 1e-3


def test_metres_are_scored_by_action_whatever_the_take(tmp_path):
    benchmarks.videopose3d(tmp_path, {"S9": {"Photo 1": 5, "Photo": 4}, "S11": {"WalkDog": 7}})
    same = Lifter("same", Same(), 4, "cpu", {})
    table = h36m.evaluate_metres(same, tmp_path, keypoints="gt")
    assert table.columns == ("Photo", "WalkD.", "Avg.")
    assert f"{4 * 16} frames" in table.title  # four cameras


# ------------------------------------------------------------------ the others


def test_3dhp_counts_valid_frames_and_pck_and_auc_are_exact(tmp_path):
    valid = {"TS1": np.array([1, 1, 0, 1, 1, 1]), "TS6": np.array([0, 1])}
    benchmarks.mpi_inf_3dhp(tmp_path, valid, {"S1 Seq1": 3})
    sequences = mpi_inf_3dhp.read(tmp_path, "test")

    def wrong(s):
        error = np.full((len(s.target), 3), [102.0, 0, 0] if s.subject == "TS1" else [0, 202.0, 0])
        error[~s.valid] = 5000
        return error

    table = mpi_table.evaluate(knowing(sequences, wrong), tmp_path)
    frames, mpjpe, pck, auc = np.array(list(table.rows.values())).T
    assert list(table.rows) == ["TS1", "TS6", "All"]
    assert frames.tolist() == [5, 1, 6]
    np.testing.assert_allclose(mpjpe, np.array([102, 202, (5 * 102 + 202) / 6]) * OTHERS, atol=1e-3)
    np.testing.assert_allclose(pck, [100, 0, 500 / 6])
    near = 100 * 10 / 31  # of 0, 5 ... 150 mm, those from 105 on
    np.testing.assert_allclose(auc, [near, 0, near * 5 / 6])


def test_3dhp_without_a_valid_frame_is_one_clear_error(tmp_path):
    benchmarks.mpi_inf_3dhp(tmp_path, {"TS1": np.zeros(3)}, {})
    with pytest.raises(UserError, match="marks no frame as valid"):
        mpi_table.evaluate(Lifter("same", Same(), 4, "cpu", {}), tmp_path)


def test_humaneva_is_by_action_and_subject_and_its_average_is_over_walk_and_jog(tmp_path):
    tree = {
        "Validate/S1": {"Walking 1 chunk0": 9, "Walking 1 chunk2": 3, "Box 1 chunk0": 5},
        "Validate/S3": {"Jog 1 chunk0": 4}, "Train/S1": {"Jog 1 chunk0": 4},
    }  # fmt: skip
    benchmarks.humaneva(tmp_path, tree)
    sequences = humaneva.read(tmp_path, "test")
    wrong = {"Walking 1 chunk0": 10, "Walking 1 chunk2": 50, "Box 1 chunk0": 99, "Jog 1 chunk0": 40}
    lifter = knowing(sequences, lambda s: [wrong[s.action], 0, 0])
    table = humaneva_table.evaluate(lifter, tmp_path)
    assert table.columns == ("Walk S1", "Jog S3", "Avg.", "Box S1")
    np.testing.assert_allclose(table.rows["P1"], np.array([20, 40, 30, 99]) * 14 / 15, atol=1e-3)


# ------------------------------------------------------------------ weights and the command


def save(path, model, **header):
    """A lifter's file with another normalisation and unit than `lifters.save` writes today."""
    lifters.save(path, "ssr_stf", model, frames=4, about={})
    with safe_open(path, "pt") as file:
        metadata = {**file.metadata(), **header}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata)


def test_a_benchmarks_lifter_is_loaded_for_that_and_for_nothing_else(tmp_path):
    path = tmp_path / "a.safetensors"
    save(path, Model(Config(N=1, C=16, Ch=8, heads=2)), normalisation="screen 1", unit="screen")
    lifter = lifters.load(path, normalisation="screen 1", unit="screen")
    assert lifter.metadata["unit"] == "screen"
    with pytest.raises(UserError, match="normalisation is 'screen 1'"):
        lifters.load(path)
    with pytest.raises(UserError, match="unit is 'screen', not 'metre'"):
        lifters.load(path, normalisation="screen 1")


def test_the_command_prints_the_papers_table(tmp_path, motionbert):
    path = tmp_path / "a.safetensors"
    save(path, Model(Config(N=1, C=16, Ch=8, heads=2)), normalisation="screen 1", unit="screen")
    flags = ["--data", str(motionbert), "--weights", str(path), "--device", "cpu"]
    done = CliRunner().invoke(video2pose3d, ["evaluate", "h36m_gt", *flags])
    assert done.exit_code == 0, done.output
    first = [line.split()[0] for line in done.output.splitlines()[1:]]
    assert first == ["Dir.", "P1", "P2", "MPJVE"]
    done = CliRunner().invoke(video2pose3d, ["evaluate", "h36m", "--json", *flags])
    rows = json.loads(done.stdout)[0]["rows"]
    assert list(rows["P1"]) == ["Dir.", "Walk", "Avg."]
    benchmarks.mpi_inf_3dhp(motionbert, {"TS1": np.ones(3)}, {})
    done = CliRunner().invoke(video2pose3d, ["evaluate", "3dhp", *flags])
    assert done.exit_code == 1
    assert "unit is 'screen', not 'metre'" in done.output
    done = CliRunner().invoke(video2pose3d, ["evaluate", "humaneva"])
    assert done.exit_code == 2
    assert "Missing option '--data'" in done.output


CONFIG = """
lifter = "ssr_stf"
[model]
N = 1
C = 16
Ch = 8
heads = 2
[data]
name = "DATA"
watch = "test"
[optimiser]
lr = 1e-3
[loss]
position = 1.0
[schedule]
epochs = 9
[[stage]]
frames = 4
windows = 2
"""


def mpi(folder):
    benchmarks.mpi_inf_3dhp(folder, {"TS1": np.ones(9)}, {"S1 Seq1": 7})


@pytest.mark.parametrize(
    ("reader", "table", "unit", "write"),
    [("h36m_motionbert", "h36m", "screen",
      lambda folder: benchmarks.motionbert(folder / h36m_motionbert.FILE, VIDEOS, ACTIONS)),
     ("mpi_inf_3dhp", "3dhp", "metre", mpi)],
)  # fmt: skip
def test_what_is_trained_on_a_benchmark_is_measured_on_it(tmp_path, reader, table, unit, write):
    write(tmp_path)
    config, weights = tmp_path / "config.toml", tmp_path / "lifter.safetensors"
    config.write_text(CONFIG.replace("DATA", reader))

    def command(words: str):
        words += f" --data {tmp_path} --device cpu"
        done = CliRunner().invoke(video2pose3d, words.split())
        assert done.exit_code == 0, done.output
        return done

    command(f"train {config} -o {tmp_path / 'run'} --steps 2 --publish {weights}")
    lifter = lifters.load(weights, normalisation="screen 1", unit=unit)
    assert (lifter.frames, lifter.metadata["steps"]) == (4, "2")
    expected = {"screen": "h36m17", "metre": "mpi_inf_3dhp17"}[unit]
    assert lifter.metadata["skeleton"] == expected
    measured = json.loads(command(f"evaluate {table} --weights {weights} --json").stdout)
    assert "T = 4" in measured[0]["title"]


@pytest.mark.parametrize(
    ("dataset", "reader"),
    [("h36m", h36m_motionbert), ("h36m_metres", h36m_reader), ("3dhp", mpi_inf_3dhp),
     ("humaneva", humaneva)],
)  # fmt: skip
def test_the_command_says_where_to_get_missing_data(tmp_path, dataset, reader):
    done = CliRunner().invoke(video2pose3d, ["evaluate", dataset, "--data", str(tmp_path)])
    assert done.exit_code == 1
    assert reader.WHERE in done.output
