"""The command line: what is said, where, and with which exit status."""

import json
import os
import subprocess
import sys

import cv2
import figures
import numpy as np
import pytest
import scenes
import tiny
import torch
from click.testing import CliRunner

from video2pose3d import keypoints2d, lifters
from video2pose3d.cli import COMMANDS, NOTHING_DONE, WRONG_USAGE, evaluate, video2pose3d
from video2pose3d.exporters import npz
from video2pose3d.networks import Networks
from video2pose3d.skeletons import H36M17
from video2pose3d.video import open_video


@pytest.fixture
def program(monkeypatch):
    """Call the program with mock networks; gives click's result."""
    made = []

    def load(options, choice=None):
        made.extend(() if made else [figures.networks()])
        return made[0]

    monkeypatch.setattr(Networks, "load", load)
    return lambda *arguments: CliRunner().invoke(video2pose3d, [str(a) for a in arguments])


def test_every_command_has_a_help_page(program):
    assert all(name in program("--help").stdout for name in COMMANDS)
    for name in COMMANDS:
        assert program(name, "--help").exit_code == 0


def test_evaluate_has_a_help_page_for_each_data_set_and_knows_no_others(program):
    for name in evaluate.command.commands:
        assert name in program("evaluate", "--help").stdout
        assert program("evaluate", name, "--help").exit_code == 0
    wrong = program("evaluate", "h37m", "--data", "x")
    assert wrong.exit_code == WRONG_USAGE
    assert "'h37m' is no data set: choose from mocap" in wrong.stderr
    missing = program("evaluate", "no.npz", "--poses", "poses.npz")
    assert missing.exit_code == NOTHING_DONE
    assert "no.npz: no such file" in missing.stderr


def test_help_imports_nothing_heavy():
    code = (
        "import sys, video2pose3d.cli as c\n"
        "try: c.video2pose3d(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'cv2', 'numpy', 'av', 'ultralytics', 'rich') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_video_alone_means_run(program, tmp_path):
    clip = figures.write_clip(tmp_path / "a clip.mp4")
    done = program(clip, "-o", tmp_path / "out", "--no-overlay")
    assert done.exit_code == 0, done.output
    assert "1 person in 20 frames" in done.stdout
    names = {file.name for file in (tmp_path / "out" / "a clip").iterdir()}
    assert names == {"poses.npz", "person-1.bvh", "animation.mp4", "report.json"}


def test_a_viewer_is_written_on_request_only_and_quiet_is_quiet(program, tmp_path):
    clip = figures.write_clip(tmp_path / "clip.mp4")
    flags = (clip, "-o", tmp_path / "out", "--no-overlay", "--no-animation", "--overwrite", "-q")
    for viewer in (["--viewer"], []):
        done = program(*flags, *viewer)
        assert (done.exit_code, done.stdout) == (0, "")
        files = {file.name for file in (tmp_path / "out" / "clip").iterdir()}
        assert files - {"poses.npz", "person-1.bvh", "report.json"} == set(
            ["viewer.html"] if viewer else []
        )


def test_results_that_are_there_are_not_lost(program, tmp_path):
    clip = figures.write_clip(tmp_path / "clip.mp4")
    flags = ("-o", tmp_path / "out", "--no-overlay", "--no-animation")
    assert program(clip, *flags).exit_code == 0
    again = program(clip, *flags)
    assert again.exit_code == 1
    assert "holds results already; add --overwrite" in again.stderr
    assert program(clip, *flags, "--overwrite").exit_code == 0


@pytest.mark.parametrize("command", ["run", "multiview"])
def test_files_that_are_no_result_s_are_not_lost(program, tmp_path, monkeypatch, command):
    clips = [figures.write_clip(tmp_path / name, frames=4) for name in ("a.mp4", "b.mp4")]
    monkeypatch.setattr(figures.Detector, "detect", lambda *_: pytest.fail("it was watched"))
    folder = tmp_path / "out" / "a"
    folder.mkdir(parents=True)
    clips = clips[:1] if command == "run" else clips
    for name, flags in (("poses.npz", []), ("person-3.bvh", []), ("poses.csv", ["--export", "csv"]),
                        ("overlay.mp4", []), ("report.json", [])):  # fmt: skip
        (folder / name).write_text("somebody's")
        done = program(command, *clips, "-o", tmp_path / "out", *flags)
        assert done.exit_code == NOTHING_DONE
        assert f"{folder / name}: is there already; add --overwrite" in done.stderr
        (folder / name).unlink()
    (folder / "report.json").write_text("{}")
    done = program(command, *clips, "-o", tmp_path / "out")
    assert f"{folder}: holds results already; add --overwrite" in done.stderr


def test_some_failed_is_3_and_all_failed_is_1(program, tmp_path):
    clip = figures.write_clip(tmp_path / "good.mp4")
    bad = tmp_path / "bad.mp4"
    bad.write_text("not a video")
    done = program("run", clip, bad, "-o", tmp_path / "out", "--no-overlay", "--no-animation")
    assert done.exit_code == 3
    assert "1 done, 0 skipped, 1 failed" in done.stdout
    assert (
        sum(str(bad) in line for line in done.stderr.splitlines()) == 2
    )  # as it fails, at the end
    assert not (tmp_path / "out" / "bad").exists()
    alone = program(bad, "-o", tmp_path / "out")
    assert alone.exit_code == 1
    assert alone.stderr.count("\n") == 1


def test_wrong_usage_is_2(program, tmp_path):
    for arguments in (
        ["run"],
        ["run", "a.mp4", "--fov", "400"],
        ["run", "a.mp4", "--export", "bhv"],
        ["export", "poses.npz", "--format", ","],
        ["run", "a.mp4", "--fov", "50", "--camera", "k.npz"],
        ["batch", "a.mp4"],
    ):
        done = program(*arguments)
        assert done.exit_code == 2, arguments
    assert "'bhv' is not an exporter: choose from bvh," in program(
        "a.mp4", "--export", "bhv"
    ).stderr.replace("\n", " ")


def test_a_command_that_does_not_come_first_is_named(program, tmp_path, monkeypatch):
    done = program("-q", "doctor")
    assert done.exit_code == 2
    assert "doctor is a command, which comes first: video2pose3d doctor" in done.stderr
    monkeypatch.chdir(tmp_path)  # but a file may have such a name
    figures.write_clip(tmp_path / "clip.mp4", people=1).rename(tmp_path / "view")
    assert program("--no-overlay", "--no-animation", "-q", "view").exit_code == 0


def test_json_answers_whom_was_interrupted(program, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate.command, "callback", interrupted)
    done = program("evaluate", "h36m", "--json")
    assert done.exit_code == 130
    assert json.loads(done.stdout) == {"error": "interrupted"}


def test_json_is_one_document_on_stdout(program, tmp_path):
    clip = figures.write_clip(tmp_path / "clip.mp4", people=2)
    done = program(clip, "-o", tmp_path / "out", "--json", "--no-overlay", "--no-animation")
    summary = json.loads(done.stdout)
    assert summary["done"] == 1
    assert summary["results"][0]["people"] == 2


def test_json_says_what_was_wrong_also_of_the_usage(program):
    for arguments in (["run"], ["a.mp4", "--fov", "400"], ["run", "a.mp4", "--export", "bhv"]):
        done = program(*arguments, "--json")
        assert done.exit_code == 2
        assert json.loads(done.stdout)["error"]


def test_flags_come_from_a_config_and_the_command_line_wins(program, tmp_path):
    clip = figures.write_clip(tmp_path / "clip.mp4")
    config = tmp_path / "flags.toml"
    config.write_text('height = 1.5\noverlay = false\nanimation = false\nfoot-lock = "off"\n')
    out = tmp_path / "out"
    done = program("run", clip, "--config", config, "-o", out, "--height", "1.9")
    assert done.exit_code == 0, done.output
    report = json.loads((out / "clip" / "report.json").read_text())
    assert report["options"]["height"] == 1.9
    assert report["options"]["foot_lock"] == "off"
    assert report["saving"]["overlay"] is False
    config.write_text("height = 1.7\n", encoding="utf-8-sig")  # as some editors save it
    assert program("run", clip, "--config", config, "-o", tmp_path / "marked").exit_code == 0
    report = json.loads((tmp_path / "marked" / "clip" / "report.json").read_text())
    assert report["options"]["height"] == 1.7
    config.write_text("heigth = 1.5\n")
    wrong = program("run", clip, "--config", config)
    assert wrong.exit_code == 1
    assert "'heigth' is not a flag of run" in wrong.stderr


def test_a_config_says_flags_by_their_own_names(program, tmp_path):
    clip = figures.write_clip(tmp_path / "clip.mp4", frames=4)
    config, out = tmp_path / "flags.toml", tmp_path / "out"
    config.write_text(
        'export = ["npz", "csv"]\nno-overlay = true\nanimation = false\njson = true\n'
    )
    done = program(clip, "--config", config, "-o", out)
    assert done.exit_code == 0, done.output
    files = [os.path.basename(file) for file in json.loads(done.stdout)["results"][0]["files"]]
    assert files == ["poses.npz", "poses.csv", "report.json"]
    config.write_text('format = "json,csv"\n')
    done = program("export", out / "clip" / "poses.npz", "--config", config, "--overwrite")
    assert done.exit_code == 0, done.output
    assert (out / "clip" / "poses.json").exists()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("overlay = 3", "'3' is not a valid boolean"),
        ('no-overlay = "maybe"', "'maybe' is not a valid boolean"),
        ("fov = true", "'True' is not a valid float"),
        ("start = 2020-01-01", "'2020-01-01' is not a valid float"),
    ],
)
def test_a_value_of_a_wrong_type_in_a_config_is_wrong_usage(program, tmp_path, line, error):
    config = tmp_path / "flags.toml"
    config.write_text(line)
    done = program("run", "clip.mp4", "--config", config)
    assert done.exit_code == 2
    assert error in done.stderr


def test_a_config_may_say_values_as_text(program, tmp_path):
    clip = figures.write_clip(tmp_path / "clip.mp4", frames=4)
    config = tmp_path / "flags.toml"
    config.write_text('no-overlay = "false"\nanimation = "no"\nheight = "1.9"\n')
    done = program(clip, "--config", config, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "out" / "clip" / "report.json").read_text())
    assert report["saving"]["overlay"] is True
    assert report["saving"]["animation"] is False
    assert report["options"]["height"] == 1.9


@pytest.mark.parametrize("call", [["run", ""], ["batch", ""], ["multiview", "", "a.mp4"]])
def test_an_empty_name_is_not_the_current_folder(program, tmp_path, monkeypatch, call):
    figures.write_clip(tmp_path / "a.mp4", frames=2)
    cv2.imwrite(str(tmp_path / "picture.png"), np.zeros((240, 320, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    done = program(*call, "-o", "out")
    assert done.exit_code == 1
    assert "an empty name is no video" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes there")
def test_what_is_no_file_is_never_replaced(program, tmp_path):
    program(figures.write_clip(tmp_path / "clip.mp4", frames=4), "-o", tmp_path / "out")
    poses = tmp_path / "out" / "clip" / "poses.npz"
    os.mkfifo(tmp_path / "pipe")
    for command in ("lift", "view"):
        done = program(command, poses, "-o", tmp_path / "pipe", "--overwrite")
        assert done.exit_code == 1
        assert "pipe: is no file that can be replaced" in done.stderr
    assert (tmp_path / "pipe").is_fifo()
    assert "is no file" in program("view", poses, "-o", "", "--overwrite").stderr


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_name_that_is_no_text_can_be_said(tmp_path):
    home = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    done = subprocess.run(
        [sys.executable, "-m", "video2pose3d", "weights", "path"], capture_output=True, text=True,
        env={**os.environ, "VIDEO2POSE3D_HOME": home, "PYTHONIOENCODING": "utf-8:strict"},
    )  # fmt: skip
    assert done.stdout == f"{tmp_path}/caf\\udce9/weights\n"


def test_a_folder_that_cannot_be_is_told_before_the_clip_is_watched(program, tmp_path, monkeypatch):
    clip = figures.write_clip(tmp_path / "clip.mp4", frames=4)
    monkeypatch.setattr(figures.Detector, "detect", lambda *_: pytest.fail("it was watched"))
    done = program(clip, "-o", clip / "out")
    assert done.exit_code == 1
    assert done.stderr == f"error: {clip / 'out' / 'clip'}: cannot be made: {clip} is a file\n"
    done = program("multiview", clip, clip, "-o", clip / "out")
    assert done.stderr == f"error: {clip / 'out' / 'clip'}: cannot be made: {clip} is a file\n"


def test_results_never_replace_their_own_input(program, tmp_path):
    (tmp_path / "overlay").mkdir()
    clip = figures.write_clip(tmp_path / "overlay" / "overlay.mp4", frames=4)
    before = clip.read_bytes()
    for command in (["run", clip], ["multiview", clip, clip]):
        done = program(*command, "-o", tmp_path, "--overwrite")
        assert done.exit_code == NOTHING_DONE
        assert "lies where its own results would go; give another --output" in done.stderr
    assert clip.read_bytes() == before


def test_an_overlay_never_replaces_its_own_clip(program, tmp_path):
    program(figures.write_clip(tmp_path / "clip.mp4", frames=4), "-o", tmp_path / "out")
    poses = tmp_path / "out" / "clip" / "poses.npz"
    clip = (tmp_path / "clip.mp4").rename(tmp_path / "overlay.mp4")
    before = clip.read_bytes()
    done = program("render", poses, "--video", clip, "-o", tmp_path, "--overwrite")
    assert done.exit_code == NOTHING_DONE
    assert "lies where its own overlay would go; give another --output" in done.stderr
    assert clip.read_bytes() == before


def test_results_never_lie_among_the_images_they_came_from(program, tmp_path):
    (tmp_path / "shots").mkdir()
    cv2.imwrite(str(tmp_path / "shots" / "1.png"), np.zeros((240, 320, 3), np.uint8))
    for command in (["run", tmp_path / "shots"], ["multiview", *[tmp_path / "shots"] * 2]):
        done = program(*command, "-o", tmp_path, "--overwrite")
        assert done.exit_code == NOTHING_DONE
        assert "lies where its own results would go; give another --output" in done.stderr
    assert [file.name for file in (tmp_path / "shots").iterdir()] == ["1.png"]


def test_a_bug_in_one_video_leaves_the_others_alone(program, tmp_path, monkeypatch):
    clips = [figures.write_clip(tmp_path / name, frames=4) for name in ("a.mp4", "b.mp4")]
    detect = figures.Detector.detect

    def fail_once(self, images):
        monkeypatch.setattr(figures.Detector, "detect", detect)
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(figures.Detector, "detect", fail_once)
    done = program("run", *clips, "-o", tmp_path / "out", "--no-overlay", "--no-animation")
    assert done.exit_code == 3
    assert "ZeroDivisionError" in done.stderr
    assert (tmp_path / "out" / "b" / "report.json").exists()


@pytest.mark.parametrize("error", [MemoryError("array"), torch.OutOfMemoryError("CUDA ...\nTried")])
@pytest.mark.parametrize("where", [(figures.Detector, "detect"), (Networks, "load")])
def test_too_little_memory_is_no_bug_and_leaves_the_others_alone(
    program, tmp_path, monkeypatch, error, where
):
    clips = [figures.write_clip(tmp_path / name, frames=4) for name in ("a.mp4", "b.mp4")]
    works = getattr(*where)

    def fail_once(*_, **__):
        monkeypatch.setattr(*where, works)
        raise error

    monkeypatch.setattr(*where, fail_once)
    done = program("run", *clips, "-o", tmp_path / "out", "--no-overlay", "--no-animation")
    assert done.exit_code == 3
    line = f"{clips[0]}: not enough memory; try fewer --workers, a part of the clip"
    assert done.stderr.startswith(f"error: {line}")
    assert "this is a bug" not in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "out" / "b" / "report.json").exists()


def test_an_interruption_is_130_and_keeps_what_was_finished(program, tmp_path, monkeypatch):
    clips = [figures.write_clip(tmp_path / name, frames=4) for name in ("a.mp4", "b.mp4")]
    detect = figures.Detector.detect

    def second_time(self, images):
        def interrupt(self, images):
            raise KeyboardInterrupt

        monkeypatch.setattr(figures.Detector, "detect", interrupt)
        return detect(self, images)

    monkeypatch.setattr(figures.Detector, "detect", second_time)
    done = program("run", *clips, "-o", tmp_path / "out", "--no-overlay", "--no-animation")
    assert done.exit_code == 130
    assert (tmp_path / "out" / "a" / "report.json").exists()
    assert not (tmp_path / "out" / "b" / "report.json").exists()


def test_an_error_is_one_line_and_with_json_a_document_too(program, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_text("not a video")
    done = program(bad, "-o", tmp_path / "out", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["results"][0]["error"] in done.stderr
    for command in (["export", bad, "--format", "bvh"], ["batch", tmp_path / "none*", "-o", "o"]):
        done = program(*command, "--json")
        assert done.exit_code == 1
        assert done.stderr == f"error: {json.loads(done.stdout)['error']}\n"


def test_lift_export_and_render(program, tmp_path):
    boxes = np.array([figures.box_at(0, t) for t in range(12)], np.float32)
    xy, scores = figures.Keypoints().predict([], boxes)
    keypoints = tmp_path / "keypoints.npz"
    np.savez(
        keypoints, keypoints_2d=xy, scores_2d=scores, image_size=figures.SIZE, fps=25.0,
        skeleton="coco17",
    )  # fmt: skip
    poses = tmp_path / "poses.npz"
    assert program("lift", keypoints, "-o", poses, "--height", "1.7").exit_code == 0
    assert program("lift", keypoints, "-o", poses).exit_code == 1
    done = program("export", poses, "--format", "bvh", "-o", tmp_path / "made")
    assert done.exit_code == 0
    assert done.stdout.strip() == str(tmp_path / "made" / "person-1.bvh")
    assert program("export", poses, "--format", "bvh", "-o", tmp_path / "made").exit_code == 1
    clip = figures.write_clip(tmp_path / "clip.mp4", frames=12)
    done = program("render", poses, "--video", clip, "-o", tmp_path / "made")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "made" / "overlay.mp4").exists()
    assert (tmp_path / "made" / "animation.mp4").exists()


def test_pictures_of_a_part_of_a_clip_are_of_that_part(program, tmp_path):
    clip = figures.write_clip(tmp_path / "clip.mp4", frames=40)
    part = ("--start", "0.8", "--end", "1.2", "--no-animation")
    assert program(clip, "-o", tmp_path / "out", *part).exit_code == 0
    folder = tmp_path / "out" / "clip"
    at_first = [*open_video(folder / "overlay.mp4")]
    done = program("render", folder / "poses.npz", "--video", clip, "--overwrite")
    assert done.exit_code == 0, done.output
    assert "goes on" not in done.stderr
    assert len(at_first) == 10
    np.testing.assert_array_equal([*open_video(folder / "overlay.mp4")], at_first)
    assert program("view", folder / "poses.npz").exit_code == 0
    assert 'id="start" type="number" value="0.8"' in (folder / "viewer.html").read_text()

    (folder / "report.json").unlink()  # then nobody knows where they begin
    done = program("render", folder / "poses.npz", "--video", clip, "--overwrite")
    assert "the clip goes on after its 10 frames with poses" in done.stderr


@pytest.mark.parametrize("odd", [{"image_size": (1e300, 240.0)}, {"fps": 2e5}, {"fps": 0.0}])
def test_keypoints_of_an_impossible_clip_are_one_clear_error(program, tmp_path, odd):
    boxes = np.array([figures.box_at(0, t) for t in range(12)], np.float32)
    xy, scores = figures.Keypoints().predict([], boxes)
    clip = {"image_size": figures.SIZE, "fps": 25.0, "skeleton": "coco17", **odd}
    np.savez(tmp_path / "keypoints.npz", keypoints_2d=xy, scores_2d=scores, **clip)
    done = program("lift", tmp_path / "keypoints.npz", "-o", tmp_path / "poses.npz")
    assert done.exit_code == NOTHING_DONE
    assert done.stderr.startswith(f"error: {tmp_path / 'keypoints.npz'}: ")
    assert done.stderr.count("\n") == 1
    extreme = clip | {key: {"fps": 1e3, "image_size": (1e6, 1e6)}[key] for key in odd}
    np.savez(tmp_path / "keypoints.npz", keypoints_2d=xy, scores_2d=scores, **extreme)
    assert program("lift", tmp_path / "keypoints.npz", "-o", tmp_path / "poses.npz").exit_code == 0


def test_what_was_made_of_a_result_goes_when_it_is_replaced(program, tmp_path):
    clip = figures.write_clip(tmp_path / "clip.mp4", people=1)
    bare = (clip, "-o", tmp_path / "out", "--no-overlay", "--no-animation")
    assert program(*bare).exit_code == 0
    folder = tmp_path / "out" / "clip"
    whole = {file.name for file in folder.iterdir()}
    (folder / "notes.txt").write_text("the user's own")
    poses = folder / "poses.npz"
    assert program("view", poses).exit_code == 0
    assert program("export", poses, "--format", "glb,csv").exit_code == 0
    assert program("export", poses, "--format", "bvh", "-o", tmp_path / "else").exit_code == 0
    assert program("render", poses).exit_code == 0
    more = {"notes.txt", "viewer.html", "person-1.glb", "poses.csv", "animation.mp4"}
    assert {file.name for file in folder.iterdir()} == whole | more
    listed = json.loads((folder / "report.json").read_text())["files"]
    assert {*listed, "report.json", "notes.txt"} == whole | more
    assert len(listed) == len(set(listed))
    assert program(*bare, "--overwrite").exit_code == 0
    assert {file.name for file in folder.iterdir()} == whole | {"notes.txt"}
    assert (tmp_path / "else" / "person-1.bvh").exists()


def test_export_says_of_which_formats_there_is_no_file_as_nobody_is_there(program, tmp_path):
    poses = npz.write_file(scenes.scene(), tmp_path / "poses.npz")
    done = program("export", poses, "--format", "json,bvh,trc")
    assert done.exit_code == 0
    assert done.stdout == f"{tmp_path / 'poses.json'}\n"
    assert done.stderr.startswith(
        f"warning: {poses}: nobody is in it, so nothing was written as bvh, trc"
    )
    assert done.stderr.count("\n") == 1


def test_the_keypoints_of_a_result_are_lifted_again(program, tmp_path):
    """...as a whole result: with the same lifter it is the same, with another it is not."""
    clip = figures.write_clip(tmp_path / "clip.mp4", people=2)
    flags = ("--no-overlay", "--no-animation")
    assert program(clip, "-o", tmp_path, "--fov", "40", *flags).exit_code == 0
    poses = tmp_path / "clip" / "poses.npz"
    other = tmp_path / "other.safetensors"
    lifters.save(other, "mixste", tiny.lifter("mixste"), frames=9, about={})
    assert program("lift", poses, "-o", tmp_path / "same.npz").exit_code == 0
    assert program("lift", poses, "-o", tmp_path / "other.npz", "--lifter", other).exit_code == 0
    first, same, another = (
        dict(np.load(path)) for path in (poses, tmp_path / "same.npz", tmp_path / "other.npz")
    )
    for key, array in first.items():
        if array.dtype.kind == "f":
            np.testing.assert_allclose(same[key], array, atol=1e-5, err_msg=key)
        else:
            np.testing.assert_array_equal(same[key], array)
    np.testing.assert_array_equal(another["keypoints_2d"], first["keypoints_2d"])
    assert np.nanmax(np.abs(another["joints_3d"] - first["joints_3d"])) > 0.01

    before = poses.read_bytes()
    done = program("lift", poses, "-o", poses, "--overwrite")
    assert done.exit_code == NOTHING_DONE
    assert "lies where its own results would go" in done.stderr
    assert poses.read_bytes() == before
    del first["keypoints_2d"]
    np.savez(tmp_path / "without.npz", **first)
    done = program("lift", tmp_path / "without.npz", "-o", tmp_path / "no.npz")
    assert done.exit_code == NOTHING_DONE
    assert done.stderr.startswith(f"error: {tmp_path / 'without.npz'}: has no keypoints_2d")
    assert done.stderr.count("\n") == 1


def test_a_keypoint_that_is_nowhere_near_the_picture_was_not_seen(tmp_path):
    path, boxes = tmp_path / "keypoints.npz", np.array([figures.box_at(0, 0)] * 3, np.float32)
    xy, scores = figures.Keypoints().predict([], boxes)
    xy[1, 9] = 1e38
    about = {"image_size": figures.SIZE, "fps": 25.0, "skeleton": "coco17"}
    np.savez(path, keypoints_2d=xy, scores_2d=scores, **about)
    (person,), _ = keypoints2d.read(path)
    wrist = H36M17.index("left_wrist")
    assert person.scores[:, wrist].astype(bool).tolist() == [True, False, True]
    assert np.abs(person.xy).max() < max(figures.SIZE)


@pytest.mark.parametrize("content", ["text", "zip without arrays", "half of it"])
def test_files_that_are_no_keypoints_are_told_in_one_line(program, tmp_path, content):
    path = tmp_path / "keypoints.npz"
    path.write_text(content)
    done = program("lift", path, "-o", tmp_path / "poses.npz")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"error: {path}: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("image_size", np.array([np.inf, 48])),
        ("image_size", np.array(["64", "48"])),
        ("fps", np.array("thirty")),
        ("fps", np.array(30j)),
        ("keypoints_2d", np.full((5, 17, 2), "x")),
        ("skeleton", np.array(["coco17"])),
    ],
)
def test_keypoints_of_a_wrong_kind_are_told_in_one_line(program, tmp_path, key, value):
    arrays = {
        "keypoints_2d": np.ones((5, 17, 2)), "scores_2d": np.ones((5, 17)),
        "image_size": np.array([64, 48]), "fps": np.array(30.0), "skeleton": np.array("coco17"),
    }  # fmt: skip
    path = tmp_path / "keypoints.npz"
    np.savez(path, **{**arrays, key: value})
    done = program("lift", path, "-o", tmp_path / "poses.npz")
    assert done.exit_code == 1
    assert done.stderr.startswith(f"error: {path}: ")
    assert key in done.stderr
    assert done.stderr.count("\n") == 1


def test_weights_and_doctor_speak(program):
    listed = json.loads(program("weights", "list", "--json").stdout)
    assert {"ssr_stf", "yolo11n"} <= {entry["name"] for entry in listed}
    assert program("weights", "path", "ssr_stf").stdout.strip().endswith(".safetensors")
    assert "torch" in program("doctor").stdout
