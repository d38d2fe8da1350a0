"""Claims about a training run: it learns, goes on as if it had never stopped, and ships."""

import csv
import os
from dataclasses import replace
from types import SimpleNamespace

import mocap
import pytest
import tiny
import torch
from mocap import walk
from test_training_windows import sequence

from video2pose3d import discovery, lifters
from video2pose3d.errors import UserError
from video2pose3d.files import alone_in
from video2pose3d.skeletons import H36M17, HUMANEVA15
from video2pose3d.training import hooks, loop, optimisers, precision
from video2pose3d.training.config import Data, Optimiser, Schedule, Stage, TrainingConfig
from video2pose3d.training.loop import train
from video2pose3d.training.publishing import publish

CONFIG = """
lifter = "ssr_stf"
seed = 3
val_windows = 2
minutes_between_checkpoints = 60
[model]
N = 1
C = 32
Ch = 16
heads = 2
[optimiser]
matrices = "muon"
lr = 3e-3
weight_decay = 0.01
clip = 1.0
ema = 0.9
[loss]
position = 1
scaled = 0.5
velocity = 1.0
[schedule]
steps = 6
warmup = 2
[[stage]]
frames = 5
windows = 4
"""

MODEL = {"N": 1, "C": 32, "Ch": 16, "heads": 2}


@pytest.fixture
def folder(tmp_path):
    """A data folder with two clips, one of them shorter than a window, and a config."""
    mocap.write(tmp_path, ["train", "val"], [walk(300), walk(40, seed=1)])
    (tmp_path / "config.toml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def benchmark(monkeypatch):
    """Put sequences in the place of a benchmark's; gives the list of splits that are read."""
    load, asked = discovery.load, []

    def put(**splits):
        def read(path, split):
            asked.append(split)
            return splits[split]

        reader = SimpleNamespace(read=read)
        monkeypatch.setattr(
            discovery,
            "load",
            lambda package, name: reader if package == "datasets" else load(package, name),
        )
        return asked

    return put


@pytest.fixture
def config(folder) -> TrainingConfig:
    return TrainingConfig.read(folder / "config.toml")


def same(one: object, two: object, tolerance: float = 0.0) -> None:
    """Two checkpoints, or parts of them, hold the same numbers."""
    if isinstance(one, torch.Tensor):
        torch.testing.assert_close(one, two, rtol=0, atol=tolerance)
    elif isinstance(one, dict):
        assert isinstance(two, dict)
        assert one.keys() == two.keys()
        for key in one:
            same(one[key], two[key], tolerance)
    elif isinstance(one, list | tuple):
        assert isinstance(two, list | tuple)
        for a, b in zip(one, two, strict=True):
            same(a, b, tolerance)
    else:
        assert one == two


def rows(folder) -> list[dict[str, str]]:
    with open(folder / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_six_steps_are_three_and_three(folder, config):
    whole = train(config, folder, folder / "whole", threads=1)
    train(config, folder, folder / "parts", steps=3, threads=1)
    assert hooks.read_checkpoint(folder / "parts" / "last.pt")["step"] == 3
    parts = train(config, folder, folder / "parts", threads=1)
    same(hooks.read_checkpoint(whole), hooks.read_checkpoint(parts))
    steps = [(row["step"], row["windows"]) for row in rows(folder / "parts")]
    assert steps == [("3", "12"), ("6", "24")]
    assert not list((folder / "parts").glob("*.part"))


def test_two_batches_a_step_are_one_of_both(folder, benchmark, monkeypatch):
    # Its rounding is visible.
    monkeypatch.setattr(precision, "half_is_faster", lambda device: False)
    benchmark(train=[sequence(64)])
    settings = Optimiser(1e-3)
    config = TrainingConfig(
        lifter="ssr_stf", model=MODEL, stage=(Stage(8, 4),), schedule=Schedule(epochs=3),
        optimiser=settings, loss={"position": 1.0}, data=Data("h36m"),
    )  # fmt: skip
    once = train(config, folder, folder / "once", threads=1)
    halves = replace(config, stage=(Stage(8, 2),), optimiser=replace(settings, accumulate=2))
    twice = train(halves, folder, folder / "twice", threads=1)
    once, twice = hooks.read_checkpoint(once), hooks.read_checkpoint(twice)
    assert once["step"] == twice["step"] == 6
    assert once["facts"] == twice["facts"]
    same(once["model"], twice["model"], tolerance=1e-5)


@pytest.mark.parametrize("name", discovery.names("lifters"))
def test_poses_are_not_rounded_where_the_network_is_in_bfloat16(monkeypatch, name):
    """It says that every joint is always at 0.9876 m, of which bfloat16 makes 0.9883."""
    lifter = tiny.lifter(name)
    torch.nn.init.zeros_(lifter.head.weight)
    torch.nn.init.constant_(lifter.head.bias, 0.9876)
    monkeypatch.setattr(precision, "half_is_faster", lambda device: True)
    task = loop.Lifting(lifter, {"position": 1.0}, H36M17)
    truth = torch.full((1, 4, 17, 3), 0.9876)
    assert task(torch.randn(1, 4, 17, 3), truth, torch.ones(1, 4))["position_loss"] < 1e-6


@pytest.mark.parametrize("matrices", ["muon", "adamw"])
def test_a_lifter_learns_to_walk(folder, config, matrices):
    """On motion capture that it has not seen, filmed anew in every batch."""
    optimiser = replace(config.optimiser, matrices=matrices)
    lesson = replace(config, optimiser=optimiser, val_windows=32)
    train(lesson, folder, folder / "out", steps=1, threads=1)
    train(lesson, folder, folder / "out", steps=40, threads=1)
    first, last = rows(folder / "out")
    assert float(last["noisy_mpjpe"]) < 0.8 * float(first["noisy_mpjpe"])
    assert float(last["loss"]) < 0.8 * float(first["loss"])


def test_all_parameters_but_those_of_no_use_are_moved(folder, config):
    before = config.make_model().state_dict()
    settings = replace(config.optimiser, ema=0.0)
    train(replace(config, optimiser=settings), folder, folder / "out", threads=1)
    after = hooks.read_checkpoint(folder / "out" / "last.pt")["model"]
    moved = [name for name, t in before.items() if not torch.equal(t, after[f"lifter.{name}"])]
    assert set(moved) == set(before)


def test_the_average_lags_behind_and_is_what_is_published(folder, config):
    checkpoint = train(config, folder, folder / "run", threads=1)
    path = folder / "lifter.safetensors"
    publish(config, checkpoint, path, {"licence": "ours"})
    lifter = lifters.load(path)
    state = hooks.read_checkpoint(checkpoint)
    for key, tensor in lifter.model.state_dict().items():
        average = state["average"][f"module.lifter.{key}"]
        torch.testing.assert_close(tensor, average, rtol=1e-3, atol=1e-3)
    assert not torch.equal(
        state["average"]["module.lifter.head.weight"], state["model"]["lifter.head.weight"]
    )
    assert lifter.frames == 5
    (folder / "plain").touch()
    assert path.stat().st_mode == (folder / "plain").stat().st_mode  # others may read it, too
    assert (lifter.metadata["licence"], lifter.metadata["windows_seen"]) == ("ours", "24")


def test_training_begins_with_given_weights(folder, config):
    checkpoint = train(config, folder, folder / "run", threads=1)
    publish(config, checkpoint, folder / "lifter.safetensors")
    start = str(folder / "lifter.safetensors")
    still = replace(config, optimiser=replace(config.optimiser, lr=0.0, ema=0.0))
    again = train(still, folder, folder / "again", start=start, threads=1)
    checkpoint = hooks.read_checkpoint(again)
    assert checkpoint["facts"]["began_with"] == "lifter.safetensors"  # not where it lay
    state = checkpoint["model"]
    for key, tensor in lifters.load(folder / "lifter.safetensors").model.state_dict().items():
        torch.testing.assert_close(state[f"lifter.{key}"], tensor)
    wider = replace(config, model={**config.model, "C": 64})
    with pytest.raises(UserError, match=r"does not fit \[model\]"):
        train(wider, folder, folder / "wider", start=start)


def test_a_lifter_of_other_joints_than_the_data_is_one_clear_error(config):
    for name in discovery.names("lifters"):
        other = replace(config, lifter=name, model=tiny.CONFIGS[name])
        with pytest.raises(UserError, match=r"\[model\] is of 17 joints, mocap has 15"):
            loop.new_lifter(other, HUMANEVA15)


def test_a_checkpoint_of_another_config_or_of_nobody_is_one_clear_error(folder, config):
    train(config, folder, folder / "out", steps=1, threads=1)
    wider = replace(config, model={**config.model, "C": 64})
    with pytest.raises(UserError, match="checkpoint of another config"):
        train(wider, folder, folder / "out", threads=1)
    (folder / "out" / "last.pt").write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="not a checkpoint of this program"):
        train(config, folder, folder / "out", threads=1)


def test_two_runs_never_share_a_folder(folder, config):
    output = folder / "run"
    with alone_in(output), pytest.raises(UserError, match="another run is at work there"):
        train(config, folder, output, threads=1)
    assert not output.exists()  # nothing came into it
    assert train(config, folder, output, threads=1).exists()  # it is free again


def test_a_checkpoint_runs_no_code(folder, config):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(folder / "owned"),)

    (folder / "out").mkdir()
    torch.save({"model": Evil()}, folder / "out" / "last.pt")
    with pytest.raises(UserError, match="not a checkpoint of this program"):
        train(config, folder, folder / "out", threads=1)
    assert not (folder / "owned").exists()


def test_a_benchmark_is_learned_in_epochs_and_its_lifter_says_so(folder, benchmark):
    asked = benchmark(train=[sequence(40, unit="screen")], test=[sequence(10, unit="screen")])
    config = TrainingConfig(
        lifter="ssr_stf", model=MODEL, stage=(Stage(8, 2),),
        schedule=Schedule(epochs=3, factor=0.5), optimiser=Optimiser(1e-3),
        loss={"position": 1.0, "velocity": 20.0}, data=Data("h36m", stride=4, watch="test"),
    )  # fmt: skip
    checkpoint = train(config, folder, folder / "out", threads=1)
    assert asked == ["train", "test"]
    (row,) = rows(folder / "out")
    assert row["step"] == "15"  # 9 windows, 2 a step, 3 epochs
    assert float(row["rate"]) == pytest.approx(1e-3 * 0.5**2)
    assert float(row["mpjpe"]) > 0
    publish(config, checkpoint, folder / "lifter.safetensors")
    with pytest.raises(UserError, match="normalisation is 'screen 1'"):
        lifters.load(folder / "lifter.safetensors")
    header, _ = lifters.read(folder / "lifter.safetensors")
    assert (header["normalisation"], header["unit"]) == ("screen 1", "screen")


def test_a_row_goes_to_the_csv_file_and_to_tensorboard_where_that_is(tmp_path, monkeypatch):
    class Board(list):
        def add_scalar(self, name, value, global_step):
            self.append((name, value, global_step))

        def flush(self): ...

    board = Board()
    monkeypatch.setattr(hooks, "_tensorboard", lambda folder: board)
    for step in (1, 2):  # the second as after a kill
        hooks.Log(tmp_path / "log.csv").write({"step": step, "loss": 0.5})
    assert rows(tmp_path) == [{"step": "1", "loss": "0.5"}, {"step": "2", "loss": "0.5"}]
    assert ("loss", 0.5, 2) in board


def test_a_log_that_nobody_writes_to_opens_no_tensorboard(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(hooks, "_tensorboard", lambda folder: opened.append(folder))
    log = hooks.Log(tmp_path / "log.csv")
    assert opened == []
    for step in (1, 2):
        log.write({"step": step})
    assert opened == [tmp_path]


def test_matrices_of_the_blocks_go_to_muon_and_all_else_to_adamw(config):
    model = config.make_model()
    optimiser = optimisers.make_optimiser(model, config.optimiser)
    names = {id(p): name for name, p in model.named_parameters()}
    muon, adamw = ([names[id(p)] for p in g["params"]] for g in optimiser.param_groups)
    assert set(muon) | set(adamw) == set(names.values())
    assert "blocks.0.global_stream.0.stc.qkv.weight" in muon
    assert {"embed.weight", "head.weight", "to_E.weight", "blocks.0.fuse.weight"} <= set(adamw)


def test_a_rate_that_is_set_holds_for_both_parts_also_after_loading(config):
    model = config.make_model()
    optimiser = optimisers.make_optimiser(model, config.optimiser)
    optimiser.load_state_dict(optimiser.state_dict())
    for group in optimiser.param_groups:
        group["lr"] = 0.0
    model(torch.randn(1, 3, 17, 3)).sum().backward()
    before = [p.clone() for p in model.parameters()]
    optimiser.step()
    for old, new in zip(before, model.parameters(), strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=0)
