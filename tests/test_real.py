"""The main job on real pictures: our rendered examples, and other people's clips where they are."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import figures
import numpy as np
import pytest
from click.testing import CliRunner

from video2pose3d.cli import video2pose3d
from video2pose3d.evaluation import result
from video2pose3d.networks import Networks
from video2pose3d.structures import Detections

EXAMPLES = Path(__file__).parent.parent / "examples"

# The program, in a process that may not open a connection.
NO_NETWORK = """
import socket, sys
def refuse(*_, **__): raise AssertionError("a connection was opened")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from video2pose3d.cli import video2pose3d
video2pose3d(sys.argv[1:])
"""


def _run(*arguments, home):
    environment = {**os.environ, "VIDEO2POSE3D_HOME": str(home), "VIDEO2POSE3D_WEIGHTS": ""}
    return subprocess.run(
        [sys.executable, "-c", NO_NETWORK, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=home,
        check=False,
    )


def test_the_readme_s_first_command_goes_through_offline(tmp_path):
    pytest.importorskip("mediapipe", reason="the mediapipe extra is not installed")
    flags = ("--offline", "--keypoints", "mediapipe", "--no-overlay", "--no-animation")
    done = _run(EXAMPLES / "walk.mp4", "-o", tmp_path / "out", *flags, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "detector: mediapipe, one person only" in done.stderr
    assert "1 person in 240 frames" in done.stdout
    score, moved = result.evaluate(
        tmp_path / "out" / "walk" / "poses.npz", EXAMPLES / "walk_truth.npz"
    )
    assert score.frames > 230
    # MediaPipe's own world landmarks score 82.5 and 64.8 mm here.
    assert score.mpjpe < 75
    assert score.p_mpjpe < 60
    assert moved.mpjpe < score.mpjpe + 2  # what comes after the lifter must not lose what it gave


@pytest.fixture(scope="session")
def yolo(data):
    """Flags for the development weights, which the manifest does not know."""
    weights = data / "weights"
    return (
        "--offline", "--trust-weights", "--no-overlay", "--no-animation",
        "--detector", weights / "yolo11n_deq.pt",
        "--keypoints", "yolo_pose", "--keypoints-weights", weights / "yolo11n-pose_deq.pt",
    )  # fmt: skip


def test_two_people_who_cross_keep_their_ids_to_the_end(tmp_path, yolo):
    done = _run(EXAMPLES / "two_people.mp4", "-o", tmp_path, *yolo, home=tmp_path)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "two_people" / "poses.npz") as poses:
        assert poses["track_ids"].tolist() == [1, 2]
        present = np.isfinite(poses["joints_3d"]).all(axis=(2, 3))
        boxes = poses["boxes"]
    assert present.all()
    with np.load(EXAMPLES / "two_people_truth.npz") as truth:
        middle = (truth["bbox"][..., :2] + truth["bbox"][..., 2:]) / 2  # (T, 2, 2)
    seen = (boxes[..., :2] + boxes[..., 2:]) / 2  # (P, T, 2)
    distance = np.linalg.norm(seen[:, :, None] - middle[None], axis=-1)  # (P, T, truth)
    nearest = distance[..., :].argmin(axis=-1)
    for person in nearest:  # the same of the two at both ends, before and after the crossing
        assert len({*person[:20].tolist(), *person[-20:].tolist()}) == 1
    assert nearest[0, 0] != nearest[1, 0]


def test_a_clip_without_people_is_done_and_says_so(tmp_path, data, yolo):
    clip = data / "videos" / "no_people_cars_intel.mp4"
    done = _run(clip, "-o", tmp_path, "--end", "4", *yolo, home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no person found" in done.stderr
    report = json.loads((tmp_path / clip.stem / "report.json").read_text())
    assert report["people"] == []


def test_mediapipe_s_passing_mistakes_are_nobody(tmp_path, data):
    pytest.importorskip("mediapipe", reason="the mediapipe extra is not installed")
    clip = data / "videos" / "no_people_cars_intel.mp4"  # it takes a car for a person for 0.6 s
    done = _run(clip, "-o", tmp_path, "--offline", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no person found" in done.stderr


# Three rendered cameras, beside the exact truth; four real ones, beside another triangulation.
@pytest.mark.parametrize(
    ("clips", "evaluate", "reference", "most"),
    [
        (["examples/walk.mp4", "examples/walk_b.mp4", "examples/walk_c.mp4"],
         result.evaluate, "examples/walk_truth.npz", 35),
        ([f"videos/pose2sim_single_4cam/cam0{n}.mp4" for n in (1, 2, 3, 4)],
         result.evaluate_limbs, "videos/pose2sim_single_4cam/triangulated_coco17_m.npz", 35),
    ],
)  # fmt: skip
def test_cameras_found_from_the_people(clips, evaluate, reference, most, tmp_path, data):
    pytest.importorskip("mediapipe", reason="the mediapipe extra is not installed")
    flags = ("--offline", "--keypoints", "mediapipe", "--no-overlay", "--no-animation")
    done = _run("multiview", *(data / clip for clip in clips), "-o", tmp_path, *flags,
                home=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    folder = tmp_path / Path(clips[0]).stem
    for score in evaluate(folder / "poses.npz", data / reference):
        assert score.frames > 90
        assert score.p_mpjpe < most
    with np.load(folder / "poses.npz") as poses:
        assert "world_from_calibration" not in poses
        assert (poses["time_offsets"] == 0).all()  # they did begin at once
        assert "found from the people" in str(poses["camera_source"])


def _nasty(data):
    with (data / "nasty" / "manifest.csv").open(encoding="utf-8") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    return {p.name: rows[p.name] for p in (data / "nasty").iterdir() if p.name in rows}


def _see_nobody(images):
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    return [Detections(*nothing) for _ in images]


def test_hostile_inputs_end_in_results_or_in_one_line(tmp_path, data, monkeypatch):
    made = figures.networks()
    monkeypatch.setattr(made.detector, "detect", _see_nobody)
    monkeypatch.setattr(Networks, "load", lambda options, choice: made)
    rejected, finished = [], []
    for name in _nasty(data):
        out = tmp_path / "out"
        arguments = ["--", str(data / "nasty" / name)]
        done = CliRunner().invoke(video2pose3d, ["run", "-o", str(out), *arguments])
        if done.exit_code == 0:
            finished.append(name)
            continue
        assert done.exit_code == 1, (name, done.output)
        errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, (name, done.stderr)
        assert name.replace("\n", "?") in errors[0]
        rejected.append(name)
    assert not (tmp_path / "pwned").exists()
    made_folders = {folder.name for folder in (tmp_path / "out").iterdir()}
    assert made_folders == {Path(n).stem if "." in n else n for n in finished}
    wanted = {
        n
        for n, row in _nasty(data).items()
        if row["what_a_good_tool_should_do"].startswith("reject")
    }
    assert wanted <= set(rejected)


def test_the_example_for_python_runs(tmp_path):
    pytest.importorskip("mediapipe", reason="the mediapipe extra is not installed")
    script = (EXAMPLES / "from_python.py").read_text(encoding="utf-8")
    (tmp_path / "from_python.py").write_text(
        script.replace("end=2.0", 'end=0.5, offline=True, keypoints="mediapipe"')
    )
    (tmp_path / "walk.mp4").symlink_to(EXAMPLES / "walk.mp4")
    done = _python(tmp_path / "from_python.py", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "(15, 17, 3)" in done.stdout
    assert (tmp_path / "out" / "walk" / "person-1.bvh").exists()


def _python(script, home):
    environment = {**os.environ, "VIDEO2POSE3D_HOME": str(home), "VIDEO2POSE3D_WEIGHTS": ""}
    return subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, check=False
    )
