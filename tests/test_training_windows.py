"""Claims about benchmark sequences as training windows and batches."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from video2pose3d import discovery
from video2pose3d.datasets import Sequence
from video2pose3d.errors import UserError
from video2pose3d.skeletons import H36M17
from video2pose3d.training import batches
from video2pose3d.training.config import Data, Optimiser, Schedule, Stage, TrainingConfig
from video2pose3d.training.validation import watch_windows
from video2pose3d.training.windows import Windows


def sequence(frames: int, *, unit="metre", first: int = 0) -> Sequence:
    """Random poses; the score of every joint is its frame's number, counted from `first`."""
    rng = np.random.default_rng(frames)
    inputs = rng.standard_normal((frames, 17, 3)).astype(np.float32)
    inputs[..., 2] = first + np.arange(frames)[:, None]
    target = rng.standard_normal((frames, 17, 3)).astype(np.float32)
    return Sequence(
        "S1", "Walking", "1", inputs, target, truth=1000.0 * target,
        to_mm=np.full(frames, 1000.0 if unit == "metre" else 1200.0),
        valid=np.ones(frames, bool), skeleton=H36M17, fps=50, unit=unit,
    )  # fmt: skip


def config(**changes) -> TrainingConfig:
    return TrainingConfig(
        **{
            "lifter": "ssr_stf", "stage": (Stage(4, 3),), "schedule": Schedule(epochs=2),
            "optimiser": Optimiser(1e-3), "loss": {"position": 1.0},
            "data": Data("h36m", stride=2), **changes,
        }
    )  # fmt: skip


@given(frames=st.integers(1, 40), T=st.integers(1, 12), stride=st.integers(1, 12))
def test_windows_cover_every_frame_and_repeat_the_last(frames, T, stride):
    stride = min(stride, T)
    windows = Windows([sequence(frames)], T, stride)
    seen = set()
    for i in range(len(windows)):
        item = windows[i]
        numbers, counts = item["inputs"][:, 0, 2].numpy(), item["weights"].numpy() > 0
        assert numbers.shape == (T,)
        assert (np.diff(numbers[counts]) == 1).all()
        assert (numbers[~counts] == frames - 1).all()
        seen |= set(numbers[counts].astype(int))
    assert seen == set(range(frames))
    assert windows.places[-1][1] == 0 or windows.places[-2][1] + T < frames  # none too many


def test_a_window_and_its_mirror_image_are_the_same_person():
    windows = Windows([sequence(9)], 4, 2)
    plain, mirrored = windows[1], windows[len(windows) + 1]
    left, right = H36M17.index("left_wrist"), H36M17.index("right_wrist")
    for key in ("inputs", "targets"):
        torch.testing.assert_close(mirrored[key][:, left, 0], -plain[key][:, right, 0])
        torch.testing.assert_close(mirrored[key][:, right, 1:], plain[key][:, left, 1:])
    torch.testing.assert_close(mirrored["weights"], plain["weights"])


def test_frames_that_the_benchmark_does_not_score_do_not_count():
    given = sequence(4)
    given.valid[2] = False
    assert Windows([given], 4, 4)[0]["weights"].tolist() == [1, 1, 0, 1]


def test_windows_of_one_frame_are_measured_and_have_no_velocity():
    windows = Windows([sequence(5)], 1, 1)
    found = watch_windows(torch.nn.Identity(), windows, torch.device("cpu"))
    assert found["mpjpe"] > found["p_mpjpe"] > 0
    assert np.isnan(found["mpjve"])


def test_an_epoch_shows_every_window_once_whoever_shows_it():
    source = batches.SequenceBatches(
        [sequence(9), sequence(14, first=100)], config(stage=(Stage(4, 2),)), per_step=2
    )
    assert (source.steps_per_epoch, source.steps) == (3, 6)  # 4 + 6 windows, 4 a step
    first, second = (
        [float(row[0, 0, 2]) for n in range(e * 6, e * 6 + 6) for row in source[n]["inputs"]]
        for e in (0, 1)
    )
    windows = Windows(source.windows.sequences, 4, 2)
    every = {float(windows[i]["inputs"][0, 0, 2]) for i in range(len(windows))}
    assert set(first[:10]) == set(second[:10]) == every
    assert first != second
    assert first[10:] == first[:2]  # filled with the first


def test_about_half_of_the_windows_are_mirrored():
    source = batches.SequenceBatches([sequence(800)], config(), per_step=1)
    order = source._order(0)
    assert 0.4 < (order >= len(source.windows)).mean() < 0.6
    assert set(order % len(source.windows)) == set(range(len(source.windows)))


def test_the_unit_is_that_of_the_sequences():
    for unit in ("metre", "screen"):
        assert batches.SequenceBatches([sequence(9, unit=unit)], config(), 1).unit == unit


def test_a_benchmark_is_read_with_the_options_of_its_config(monkeypatch, tmp_path):
    asked = []

    def read(path, split, *, keypoints="cpn"):
        asked.append((path, split, keypoints))
        return [sequence(9)]

    load = discovery.load
    monkeypatch.setattr(
        discovery,
        "load",
        lambda package, name: (
            SimpleNamespace(read=read) if package == "datasets" else load(package, name)
        ),
    )
    batches.read_batches(config(data=Data("h36m", options={"keypoints": "gt"})), tmp_path, 1)
    assert asked == [(tmp_path, "train", "gt")]
    with pytest.raises(UserError, match=r"\[data\] does not fit h36m"):
        batches.read_batches(config(data=Data("h36m", options={"dots": 1})), tmp_path, 1)


def test_batches_made_ahead_are_the_same():
    source = batches.SequenceBatches([sequence(30)], config(), per_step=1)
    here, ahead = (
        list(batches.load(source, 1, 1, rank=0, processes=1, workers=workers)) for workers in (0, 1)
    )
    assert len(here) == source.steps - 1
    for one, two in zip(here, ahead, strict=True):
        for key in one:
            torch.testing.assert_close(one[key], two[key], rtol=0, atol=0)


def test_processes_take_turns_at_the_batches():
    class Numbers(torch.utils.data.Dataset):
        steps = 3

        def __getitem__(self, n: int):
            return {"n": torch.tensor(n)}

    taken = [
        [
            int(b["n"])
            for b in batches.load(Numbers(), first, 2, rank=rank, processes=3, workers=0)  # type: ignore
        ]
        for first, rank in ((0, 0), (0, 1), (0, 2), (1, 1))
    ]
    assert sorted(taken[0] + taken[1] + taken[2]) == list(range(18))
    assert taken[3] == taken[1][2:]
