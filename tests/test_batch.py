"""Many videos: which are found, where their results go, who does them and what may befall them."""

import dataclasses
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import figures
import numpy as np
import pytest
import tiny
from click.testing import CliRunner

from video2pose3d import downloads, lifters, networks
from video2pose3d.batch.inputs import Job, discover, name_results, place_inputs, shard
from video2pose3d.batch.on_ray import OnRay
from video2pose3d.batch.work import Worker
from video2pose3d.cli import NOTHING_DONE, SOME_FAILED, WRONG_USAGE, video2pose3d
from video2pose3d.cli._progress import Bars
from video2pose3d.errors import UserError
from video2pose3d.files import alone_in
from video2pose3d.networks import Choice, Networks
from video2pose3d.options import Options
from video2pose3d.results import Saving, name_of


@pytest.fixture
def tree(tmp_path):
    for name in (
        "a/x.mp4",
        "b/x.mp4",
        "b/c/y.MOV",
        "b/notes.txt",
        ".hidden/z.mp4",
        "x.mp4",
        "x.avi",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def _folders(tree, *sources, mark=""):
    jobs, _ = name_results(discover(f"{mark}{tree / s}" for s in sources)[0], tree / "out")
    return [str(job.folder.relative_to(tree / "out")) for job in jobs]


def test_a_folder_is_searched_at_any_depth_and_names_do_not_collide(tree):
    assert _folders(tree, "") == ["x.avi", "x.mp4", "a/x", "b/x", "b/c/y"]


def test_results_of_earlier_runs_are_not_taken_for_videos(tree):
    for name in ("out/x/poses.npz", "out/x/overlay.mp4"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    assert _folders(tree, "") == ["x.avi", "x.mp4", "a/x", "b/x", "b/c/y"]


def test_a_glob_names_results_by_the_part_with_wildcards(tree):
    assert _folders(tree, "*/x.mp4") == ["a/x", "b/x"]
    assert _folders(tree, "**/*.MOV") == ["b/c/y"]


def test_a_list_is_read_relative_to_itself(tree):
    (tree / "list.txt").write_text("# clips\na/x.mp4\n\nb/c/y.MOV\n")
    jobs, _ = name_results(discover([f"@{tree / 'list.txt'}"])[0], tree / "out")
    assert [job.folder for job in jobs] == [tree / "out/a/x", tree / "out/b/c/y"]
    assert [job.source for job in jobs] == [str(tree / "a/x.mp4"), str(tree / "b/c/y.MOV")]


def test_what_lies_elsewhere_than_a_list_has_its_name_or_what_tells_it_apart(tree):
    """...and a line more changes no name but of those whose name it shares."""
    (tree / "lists").mkdir()
    lines = []
    for line, expected in (
        (tree / "b/c/y.MOV", ["y"]),
        ("../x.avi", ["y", "x"]),
        (tree / "a/x.mp4", ["y", "x.avi", "x.mp4"]),
        (tree / "b/x.mp4", ["y", "x", "a/x", "b/x"]),
        ("..", ["y", "x", "a/x", "b/x", tree.name]),
    ):
        lines.append(f"{line}\n")
        (tree / "lists" / "list.txt").write_text("".join(lines))
        assert _folders(tree, "lists/list.txt", mark="@") == expected


def test_videos_of_several_sources_are_told_apart_by_their_folders(tree):
    assert _folders(tree, "a", "b") == ["a/x", "b/x", "c/y"]
    assert _folders(tree, "a/*.mp4", "b/*.mp4") == ["a/x", "b/x"]
    assert _folders(tree, "b", "a/x.mp4", "x.avi") == ["b/x", "c/y", "a/x", "x"]


def test_an_ending_that_is_kept_is_not_another_s_stem(tree):
    (tree / "x.mp4.mov").touch()
    names = _folders(tree, "x.*")
    assert names == ["x.avi", "x.mp4", "x.mp4.mov"]


def test_a_list_may_begin_with_a_byte_order_mark_but_is_text(tree):
    (tree / "list.txt").write_text("a/x.mp4\n", encoding="utf-8-sig")
    (job,), _ = name_results(discover([f"@{tree / 'list.txt'}"])[0], tree / "out")
    assert job.source == str(tree / "a/x.mp4")
    (tree / "list.txt").write_text("a/x.mp4\n", encoding="utf-16-le")
    with pytest.raises(UserError, match="not a list of videos"):
        discover([f"@{tree / 'list.txt'}"])


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_to_folders_are_followed_but_never_in_a_circle(tree, tmp_path_factory):
    beside = tmp_path_factory.mktemp("beside")
    (beside / "z.mp4").touch()
    (tree / "b" / "0").symlink_to(beside)
    (tree / "b" / "c" / "up").symlink_to(tree / "b")
    (tree / "b" / "all").symlink_to(tree)
    (beside / "back").symlink_to(tree / "b")
    assert _folders(tree, "b") == ["x", "c/y", "0/z"]
    assert _folders(tree, "") == ["x.avi", "x.mp4", "a/x", "b/x", "b/c/y", "b/0/z"]


def test_many_videos_are_named_at_once(tmp_path):
    places = [(f"{n}/x.mp4", Path(f"{n}", "x.mp4")) for n in range(20_000)]
    begun = time.perf_counter()
    jobs, _ = name_results(places, tmp_path)
    assert len({job.folder for job in jobs}) == len(places)
    assert time.perf_counter() - begun < 10  # two minutes where each looks at all


def test_names_that_are_too_long_end_nothing(batch, tmp_path):
    figures.write_clip(tmp_path / "good.mp4", frames=4)
    long = "x" * 300 + ".mp4"
    (tmp_path / "list.txt").write_text(f"{long}\ngood.mp4\n")
    done = batch(f"@{tmp_path / 'list.txt'}", long, "-o", tmp_path / "out", "--json")
    assert done.exit_code == SOME_FAILED, done.output
    results = {one["input"]: one for one in json.loads(done.stdout)["results"]}
    assert results[str(tmp_path / "good.mp4")]["status"] == "done"
    for name in (str(tmp_path / long), long):
        assert results[name]["error"] == f"{name}: File name too long"


def test_a_video_that_two_sources_name_is_done_once(tree):
    assert _folders(tree, "a", "a/x.mp4") == ["x"]


def test_a_source_without_videos_is_told(tree):
    (tree / "empty").mkdir()
    with pytest.raises(UserError, match="holds no videos"):
        discover([str(tree / "empty")])
    with pytest.raises(UserError, match="not a list"):
        discover(["@" + str(tree / "no-such-list.txt")])


def test_a_source_without_videos_ends_nothing_where_another_has_some(batch, tmp_path):
    for name in ("in", "empty"):
        (tmp_path / name).mkdir()
    for name in "ab":
        figures.write_clip(tmp_path / "in" / f"{name}.mp4", frames=4)
    empty = [tmp_path / "empty", tmp_path / "none*.mp4"]
    done = batch(empty[0], tmp_path / "in", empty[1], "-o", tmp_path / "out")
    assert done.exit_code == SOME_FAILED
    assert done.stdout.splitlines()[-1] == "2 done, 0 skipped, 2 failed"
    for source in empty:
        assert f"error: {source}: holds no videos" in done.stderr
    each = [
        batch(empty[0], tmp_path / "in", "-o", tmp_path / "out", "--json", "--shard", part)
        for part in ("1/3", "2/3", "3/3")
    ]
    told = [one["input"] for part in each for one in json.loads(part.stdout)["results"]]
    assert told == [str(empty[0]), *(str(tmp_path / "in" / f"{name}.mp4") for name in "ab")]
    assert [part.exit_code for part in each] == [SOME_FAILED, 0, 0]


def test_two_inputs_of_the_same_name_are_refused_rather_than_mixed(tree):
    clips = [str(tree / name) for name in ("a/x.mp4", "b/x.mp4")]
    jobs, clashing = name_results(place_inputs([*clips, str(tree / "x.avi")]), tree / "out")
    assert [job.source for job in jobs] == [str(tree / "x.avi")]
    assert list(clashing) == clips
    done = CliRunner().invoke(video2pose3d, ["run", *clips, "-o", str(tree / "out")])
    assert done.exit_code == NOTHING_DONE
    assert "both write to" in done.stderr


def test_names_come_from_the_file_whatever_it_is_called(tmp_path):
    (tmp_path / "take 1.2").mkdir()
    names = ["-dash.mp4", "名前 & 'q';$(touch x).mp4", "take 1.2", "noending"]
    jobs, _ = name_results(place_inputs([str(tmp_path / n) for n in names]), tmp_path / "out")
    assert [job.folder.name for job in jobs] == [
        "-dash", "名前 & 'q';$(touch x)", "take 1.2", "noending",
    ]  # fmt: skip
    (webcam,), _ = name_results(place_inputs(["0"]), tmp_path)
    assert webcam.folder.name == "webcam-0"


@pytest.mark.parametrize("name", ["a{b}", "{0}", "[/]", "100%"])
def test_progress_shows_names_as_they_are(name, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    with Bars(name, quiet=False) as progress:
        progress(f"watch {name}", 1, 2)
    assert f"{name} watch {name}" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["..mp4", "...mp4"])
def test_no_name_leads_out_of_the_folder_of_results(tmp_path, name):
    (tmp_path / name).touch()
    for places in (place_inputs([str(tmp_path / name)]), [(str(tmp_path / name), Path(name))]):
        (job,), _ = name_results(places, tmp_path / "out")
        assert job.folder == tmp_path / "out" / name
    assert name_of(tmp_path / name) == name


def test_shards_together_are_all_jobs_each_once():
    jobs = [Job(f"{n}.mp4", Path(str(n))) for n in range(7)]
    for of in (1, 2, 3, 9):
        parts = [shard(jobs, number, of) for number in range(1, of + 1)]
        assert sorted((job for part in parts for job in part), key=jobs.index) == jobs
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.fixture
def apart(monkeypatch):
    """Mock networks, in the workers' processes too; see apart/sitecustomize.py."""
    monkeypatch.setattr(Choice, "of", figures.choose)
    here = Path(__file__).parent
    path = [here / "apart", here, *filter(None, sys.path)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, path)))


@pytest.fixture
def batch(apart):
    """Call `batch` without pictures; gives click's result."""
    flags = ("--no-overlay", "--no-animation")
    return lambda *arguments: CliRunner().invoke(
        video2pose3d, ["batch", *map(str, arguments), *flags]
    )


def test_what_is_finished_is_not_done_again_while_content_and_options_are_the_same(
    monkeypatch, tmp_path
):
    made = figures.networks()
    monkeypatch.setattr(Networks, "load", lambda options, choice: made)
    monkeypatch.setattr(Choice, "of", lambda options: figures.choice())
    for name in ("a/x.mp4", "b/x.mp4"):
        (tmp_path / "in" / name).parent.mkdir(parents=True)
        figures.write_clip(tmp_path / "in" / name, frames=6)
    (tmp_path / "in" / "broken.mp4").write_bytes(b"\0" * 100)
    jobs, _ = name_results(discover([str(tmp_path / "in")])[0], tmp_path / "out")

    def outcomes(exports=("npz", "bvh"), **options):
        saving = Saving(exports, overlay=False, animation=False)
        worker = Worker(Options(**options), saving, "resume", partial(Bars, quiet=True))
        return [worker.do(job).status for job in jobs]

    again = ["failed", "skipped", "skipped"]
    assert outcomes() == ["failed", "done", "done"]
    assert (tmp_path / "out" / "b" / "x" / "poses.npz").exists()
    assert outcomes() == ["failed", "skipped", "skipped"]
    figures.write_clip(tmp_path / "in" / "b" / "x.mp4", frames=7)
    assert outcomes() == ["failed", "skipped", "done"]
    (tmp_path / "out" / "a" / "x" / "person-1.bvh").unlink()
    assert outcomes() == ["failed", "done", "skipped"]
    assert outcomes(height=1.6) == ["failed", "done", "done"]
    # The same by other words: the contents of the files that they name are compared.
    assert outcomes(height=1.6, lifter="./ssr_stf", detector="mine.pt") == again
    assert outcomes(height=1.6, device="cpu", offline=True, trust_weights=True) == again
    assert outcomes(("bvh", "npz"), height=1.6) == outcomes(("bvh",), height=1.6) == again
    assert outcomes(("csv",), height=1.6) == ["failed", "done", "done"]
    report = tmp_path / "out" / "b" / "x" / "report.json"
    for odd in ({"options": 3}, {"saving": {"exports": 3}}, {"weights": [3]}, {"input": 3}):
        report.write_text(json.dumps(json.loads(report.read_text()) | odd))
        assert outcomes(("csv",), height=1.6) == [*again[:2], "done"]


def test_what_another_camera_file_of_the_same_name_has_made_is_done_again(monkeypatch, tmp_path):
    made, lens = figures.networks(), tmp_path / "lens.npz"
    monkeypatch.setattr(Networks, "load", lambda options, choice: made)
    monkeypatch.setattr(Choice, "of", lambda options: figures.choice())
    figures.write_clip(tmp_path / "x.mp4", frames=4)
    (job,), _ = name_results(discover([str(tmp_path)])[0], tmp_path / "out")

    def outcome():
        saving = Saving(overlay=False, animation=False)
        options = Options(camera=lens)
        return Worker(options, saving, "resume", partial(Bars, quiet=True)).do(job).status

    for focal in (300, 400):
        np.savez(lens, K=np.array([[focal, 0, 160], [0, focal, 120], [0, 0, 1]]))
        assert outcome() == "done"
        assert outcome() == "skipped"


def test_what_other_weights_of_the_same_name_have_made_is_done_again(monkeypatch, tmp_path):
    """...and no file of weights is read twice to know them."""
    made, read = figures.networks(), []

    def load(options, choice):
        return dataclasses.replace(made, weights=list(choice.weights.values()))

    def sha256(path):
        read.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(Networks, "load", load)
    monkeypatch.setattr(networks, "_find_detector", lambda options: ("mediapipe", None))
    monkeypatch.setattr(networks, "_find_keypoints", lambda options: ("mediapipe", None))
    monkeypatch.setattr(downloads, "file_sha256", sha256)
    lifter = tmp_path / "mine.safetensors"
    figures.write_clip(tmp_path / "x.mp4", frames=4)
    figures.write_clip(tmp_path / "y.mp4", frames=5)
    jobs, _ = name_results(discover([str(tmp_path)])[0], tmp_path / "out")

    def outcomes():
        saving = Saving(overlay=False, animation=False)
        options = Options(lifter=str(lifter))
        worker = Worker(options, saving, "resume", partial(Bars, quiet=True))
        return [worker.do(job).status for job in jobs]

    for heads in (2, 4):
        lifters.save(lifter, "mixste", tiny.lifter("mixste", heads=heads), frames=9, about={})
        assert outcomes() == ["done", "done"]
        assert outcomes() == ["skipped", "skipped"]
    assert read.count(lifter) == 2  # once a content


@pytest.mark.parametrize("workers", [1, 2])  # the one that died has a successor
def test_a_video_that_kills_its_process_ends_nothing(batch, tmp_path, workers):
    (tmp_path / "in").mkdir()
    for name, grey in (("a", 60), ("b", 0), ("c", 60)):
        figures.write_clip(tmp_path / "in" / f"{name}.mp4", frames=4, grey=grey)
    done = batch(tmp_path / "in", "-o", tmp_path / "out", "--workers", workers, "--json")
    assert done.exit_code == SOME_FAILED
    results = {Path(one["input"]).stem: one for one in json.loads(done.stdout)["results"]}
    assert {name: one["status"] for name, one in results.items()} == {
        "a": "done", "b": "failed", "c": "done",
    }  # fmt: skip
    assert "its process was ended by SIGKILL, perhaps for want of memory" in results["b"]["error"]
    assert sorted(p.parent.name for p in (tmp_path / "out").rglob("report.json")) == ["a", "c"]


def test_a_shard_does_its_part(batch, tmp_path):
    (tmp_path / "in").mkdir()
    for name in "abc":
        figures.write_clip(tmp_path / "in" / f"{name}.mp4", frames=4)
    call = (tmp_path / "in", "-o", tmp_path / "out", "--shard")
    assert "2 done" in batch(*call, "1/2").stdout
    assert [p.name for p in sorted((tmp_path / "out").iterdir())] == ["a", "c"]
    assert batch(*call, "4/4").exit_code == 0  # nothing is left for it
    for wrong in ("0/2", "3/2", "1", "a/b"):
        assert batch(*call, wrong).exit_code == WRONG_USAGE


@pytest.mark.parametrize(
    ("flag", "value", "error"),
    [
        ("--lifter", "none.safetensors", "'none.safetensors' is neither a file nor a name"),
        ("--device", "cuda:99", "--device cuda:99: torch sees"),  # as each worker's machine has it
    ],
)
def test_without_networks_nothing_can_be_done(tmp_path, monkeypatch, flag, value, error):
    for find in ("_find_detector", "_find_keypoints"):  # there may be neither here
        monkeypatch.setattr(networks, find, lambda options: ("mediapipe", None))
    figures.write_clip(tmp_path / "a.mp4", frames=4)
    figures.write_clip(tmp_path / "b.mp4", frames=4)
    call = ["batch", str(tmp_path), "-o", str(tmp_path / "out"), "--offline", "-q"]
    done = CliRunner().invoke(video2pose3d, [*call, flag, value])
    assert done.exit_code == NOTHING_DONE
    assert f"error: {error}" in done.stderr
    assert done.stderr.count("\n") == 1


def test_weights_that_change_between_choice_and_use_are_refused(tmp_path, monkeypatch):
    lifter = tmp_path / "mine.safetensors"
    lifters.save(lifter, "mixste", tiny.lifter("mixste"), frames=9, about={})
    for find in ("_find_detector", "_find_keypoints"):
        monkeypatch.setattr(networks, find, lambda options: ("mediapipe", None))
    options = Options(lifter=str(lifter), device="cpu")
    choice = Choice.of(options)
    lifters.save(lifter, "mixste", tiny.lifter("mixste", heads=4), frames=9, about={})
    with pytest.raises(UserError, match=f"{lifter}: is another file"):
        Networks.load(options, choice)


def test_several_workers_use_one_choice_of_networks_and_say_it_once(batch, tmp_path, capfd):
    for name in "ab":
        figures.write_clip(tmp_path / f"{name}.mp4", frames=4)
    done = batch(tmp_path, "-o", tmp_path / "out", "--workers", 2)
    assert "2 done" in done.stdout
    assert (done.stderr + capfd.readouterr().err).count("networks: mock") == 1


def test_two_runs_at_once_do_not_mix_their_files(monkeypatch, tmp_path):
    monkeypatch.setattr(Networks, "load", lambda options, choice: figures.networks())
    clip = figures.write_clip(tmp_path / "clip.mp4", frames=4)
    worker = Worker(Options(), Saving(("npz",), False, False), "replace", partial(Bars, quiet=True))
    job = Job(str(clip), tmp_path / "out" / "clip")
    with alone_in(job.folder):
        outcome = worker.do(job)
        assert outcome.status == "failed"
        assert "another run is at work there" in str(outcome.error)
        assert list(job.folder.iterdir()) == []
    assert not job.folder.exists()  # nothing came into it
    assert worker.do(job).status == "done"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_a_batch_with_130_and_what_was_finished(apart, tmp_path, how):
    for name, grey in (("a", 60), ("b", 120)):
        figures.write_clip(tmp_path / f"{name}.mp4", frames=4, grey=grey)
    out = tmp_path / "out"
    # A shell starts what runs in its background deaf to Ctrl-C, these tests perhaps.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from video2pose3d.__main__ import main; main()"
    )
    flags = ("-o", out, "--no-overlay", "--no-animation", "--json")
    process = subprocess.Popen(
        [sys.executable, "-c", code, "batch", *map(str, (tmp_path, *flags))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "in the grey clip" not in (line := process.stderr.readline()):
        assert line, "it ended by itself"
    process.send_signal(how)
    stdout, stderr = process.communicate(timeout=60)  # its pipes close when all processes are gone
    assert process.returncode == 130
    assert stderr.strip() == "interrupted: what was finished is kept"
    assert [one["status"] for one in json.loads(stdout)["results"]] == ["done"]
    assert {path.name for path in out.rglob("*") if path.is_file()} == {
        "poses.npz", "person-1.bvh", "report.json",
    }  # fmt: skip
    assert not (out / "b").exists()


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_ray_is_not_asked_for_a_cluster_where_nothing_answers(monkeypatch, scheme):
    def init(*address, **settings):
        raise ConnectionError("Ray was asked")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"{scheme}127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UserError, match=r"no Ray cluster \(Ray was asked\)"):
            OnRay(Worker, 1, address)
    with pytest.raises(UserError, match=rf"^{address}: no Ray cluster \(.*refused\)"):
        OnRay(Worker, 1, address)


def test_the_same_on_ray(apart, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    for name, grey in (("a", 60), ("b", 0), ("c", 60)):
        figures.write_clip(tmp_path / "in" / f"{name}.mp4", frames=4, grey=grey)
    flags = ("--no-overlay", "--no-animation", "--ray", "local", "--workers", "2", "--json")
    done = CliRunner().invoke(video2pose3d, ["batch", "in", "-o", "out", *flags])
    assert done.exit_code == SOME_FAILED, done.output
    results = {Path(one["input"]).stem: one for one in json.loads(done.stdout)["results"]}
    assert {name: one["status"] for name, one in results.items()} == {
        "a": "done", "b": "failed", "c": "done",
    }  # fmt: skip
    assert "its worker died" in results["b"]["error"]
    assert sorted(p.parent.name for p in (tmp_path / "out").rglob("report.json")) == ["a", "c"]
