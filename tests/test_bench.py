"""Claims about `bench`; nothing here depends on how fast the machine is."""

import json

import pytest
from click.testing import CliRunner

from video2pose3d.bench import lifters, program
from video2pose3d.cli import video2pose3d


@pytest.fixture
def tiny(monkeypatch):
    """Only the shipped lifters at two short T, beside a small product."""
    measure = lifters.measure
    monkeypatch.setitem(lifters.SIDE, "cpu", 64)
    monkeypatch.setattr(
        lifters, "measure", lambda device: measure(device, frames=(2, 4), sizes=(), turns=2)
    )


def test_the_table_has_a_row_for_every_lifter_and_window(tiny):
    done = CliRunner().invoke(video2pose3d, ["bench", "lifters", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    for name in ("ssr_stf", "ssr_stf_tiny"):
        rows = [line for line in done.stdout.splitlines() if line.startswith(f"{name}, shipped")]
        assert len(rows) >= 2
    assert "threads" in done.stdout
    assert "64 x 64" in done.stdout


def test_the_json_says_what_the_shares_are_made_of(tiny):
    arguments = ["bench", "--only", "lifters", "--device", "cpu", "--json"]
    done = CliRunner().invoke(video2pose3d, arguments)
    measured = json.loads(done.stdout)["lifters"]
    assert measured["products"]["fp32"] > 0
    assert measured["threads"] >= 1
    exact = [t for t in measured["timings"] if t["precision"] == "fp32"]
    two, four = (t for t in exact if t["lifter"] == "ssr_stf_tiny, shipped")
    assert (two["frames"], four["frames"]) == (2, 4)
    assert two["gflop"] < four["gflop"] < 2.1 * two["gflop"]
    of_weights = 2e-9 * two["parameters"] * two["frames"] * 17  # nearly all of them are Linear's
    assert 0.9 * of_weights < two["gflop"] < 1.2 * of_weights
    assert two["gflops"] == pytest.approx(1e3 * two["gflop"] / two["ms"])


def test_stages_are_measured_on_the_device_that_was_asked_for(tmp_path, monkeypatch):
    asked = []
    empty = program.Bench([], None)
    monkeypatch.setattr(program, "measure", lambda _, flags, __: asked.append(flags) or empty)
    clip = tmp_path / "clip.mp4"
    clip.touch()
    flags = ["bench", str(clip), "--only", "stages", "--flags", "--camera 'my lens.npz'"]
    assert CliRunner().invoke(video2pose3d, [*flags, "--device", "cpu"]).exit_code == 0
    assert asked == [["--device", "cpu", "--camera", "my lens.npz"]]
    done = CliRunner().invoke(video2pose3d, [*flags, "--device", "cuda:99"])
    assert done.exit_code == 1
    assert "cuda:99" in done.stderr


def test_a_clip_that_is_not_there_is_wrong_usage():
    done = CliRunner().invoke(video2pose3d, ["bench", "lifter"])
    assert done.exit_code == 2
    assert "the word lifters" in done.stderr
