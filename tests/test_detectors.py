"""Detectors: the people and only them, as ultralytics finds them, in silence and without harm."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from video2pose3d import networks
from video2pose3d.detectors import mediapipe, yolo
from video2pose3d.errors import UserError
from video2pose3d.networks import Choice, Networks
from video2pose3d.options import Options
from video2pose3d.skeletons import COCO17, H36M17
from video2pose3d.structures import Detections
from video2pose3d.vendors import ultralytics
from video2pose3d.vendors.mediapipe import available as has_mediapipe
from video2pose3d.video import open_video

needs_mediapipe = pytest.mark.skipif(not has_mediapipe(), reason="mediapipe is not installed")


@pytest.fixture(scope="module")
def detector(data: Path) -> yolo.Detector:
    return yolo.build(data / "weights/yolo11n_deq.pt", "cpu")


def test_boxes_fit_the_rendered_people(detector: yolo.Detector, data: Path) -> None:
    truth = np.load(data / "examples/two_people_truth.npz")["bbox"]
    for index, image in enumerate(open_video(data / "examples/two_people.mp4")):
        if index in (10, 30, 100):
            found = detector.detect([image])[0]
            sure = found.boxes[found.scores > 0.5]
            assert len(sure) == 2
            expected = truth[index]
            order = [np.abs(sure - box).sum(axis=1).argmin() for box in expected]
            assert np.abs(sure[order] - expected).max() < 15


def test_boxes_are_those_of_ultralytics_own_predictor(data: Path) -> None:
    """Its letterbox, colour order and suppression, without its Predictor."""
    weights = data / "weights/yolo11n_deq.pt"
    image = next(iter(open_video(data / "videos/walk_backlit_two_people_sports2d.mp4")))
    bus = _bus()
    theirs = ultralytics.load_module("ultralytics").YOLO(str(weights))
    for picture in (image, bus):
        (result,) = theirs.predict(
            picture[..., ::-1].copy(), conf=0.1, classes=[0], verbose=False, save=False
        )
        expected = result.boxes.xyxy.cpu().numpy()
        found = yolo.build(weights, "cpu").detect([picture])[0]
        assert len(found) == len(expected)
        np.testing.assert_allclose(found.boxes, expected, atol=0.6)
        np.testing.assert_allclose(found.scores, result.boxes.conf.cpu().numpy(), atol=5e-3)


def test_a_batch_gives_what_each_picture_gives_alone(detector: yolo.Detector) -> None:
    bus = _bus()
    pictures = [bus, bus[:, ::-1].copy(), np.zeros_like(bus)]
    together = detector.detect(pictures)
    for found, picture in zip(together, pictures, strict=True):
        alone = detector.detect([picture])[0]
        np.testing.assert_allclose(found.boxes, alone.boxes, atol=0.1)
    # Mirrored people are as many, in mirrored places.
    assert len(together[0]) >= 3
    centre = np.sort(bus.shape[1] - together[1].boxes[:3, ::2].mean(axis=1))
    np.testing.assert_allclose(centre, np.sort(together[0].boxes[:3, ::2].mean(axis=1)), atol=15)
    assert not len(together[2])


def test_pictures_of_different_sizes_go_into_one_batch(detector: yolo.Detector) -> None:
    bus = _bus()
    wide, whole = detector.detect([bus[300:600], bus])
    assert len(wide)
    assert wide.boxes[:, 3].max() <= 300
    assert len(whole) >= 3


def test_no_people_no_boxes(detector: yolo.Detector, data: Path) -> None:
    images = [
        f for i, f in enumerate(open_video(data / "videos/no_people_cars_intel.mp4")) if i % 60 == 0
    ]
    assert all((found.scores < 0.5).all() for found in detector.detect(images))
    assert detector.detect([]) == []


@pytest.mark.parametrize(
    ("model", "task"),
    [
        ("yolov8n.yaml", "detect"),
        ("yolo11n.yaml", "detect"),
        ("yolo26n.yaml", "detect"),
        ("yolo11n-pose.yaml", "pose"),
        ("yolo26n-pose.yaml", "pose"),
    ],
)
def test_every_generation_of_yolo_loads_and_gives_rows(
    model: str, task: str, tmp_path: Path
) -> None:
    weights = _untrained(model, tmp_path)
    network = ultralytics.YOLO(weights, "cpu", task=task, size=64)
    rows = network([np.zeros((40, 64, 3), np.uint8)], min_score=0.0)[0]
    joints, numbers = network.keypoints_shape
    assert len(rows)
    assert rows.shape[1] == 5 + joints * numbers
    assert (rows[:, [0, 2]] <= 64).all()
    assert (rows[:, [1, 3]] <= 40).all()


def test_a_malicious_file_is_refused_and_does_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {trace}",)

    torch.save({"model": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match=r"holds (posix|nt)\.system"):
        yolo.build(tmp_path / "evil.pt", "cpu")
    assert not trace.exists()


def test_no_constructor_of_ultralytics_is_called(tmp_path: Path) -> None:
    """DetectionModel evaluates its configuration's activation: code, from within allowed names."""
    trace = tmp_path / "ran"
    tasks = ultralytics.load_module("ultralytics.nn.tasks")
    evaluates = {"activation": f"open({str(trace)!r}, 'w')", "nc": 1, "backbone": [], "head": []}

    class Evil:
        def __reduce__(self):
            return tasks.DetectionModel, (evaluates,)

    torch.save({"model": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match="not a YOLO network"):
        yolo.build(tmp_path / "evil.pt", "cpu")
    assert not trace.exists()


def test_a_file_that_is_no_detector_says_so(tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("not weights")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "tensors.pt")
    for name in ("text.pt", "tensors.pt"):
        with pytest.raises(UserError, match=f"{name}: not a YOLO network"):
            yolo.build(tmp_path / name, "cpu")
    with pytest.raises(UserError, match="no such weights file"):
        yolo.build(tmp_path / "absent.pt", "cpu")


def test_ultralytics_neither_connects_nor_writes_nor_speaks(tmp_path: Path) -> None:
    """In a process of its own, whose home is empty and whose sockets are shut."""
    weights = _untrained("yolo11n.yaml", tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    code = f"""
import socket, sys, os
def shut(*args, **kwargs):
    raise SystemExit("a connection was tried")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = shut
import cv2, torch, numpy as np
before = dict(os.environ), cv2.getNumThreads(), torch.save, np.get_printoptions()
from pathlib import Path
from video2pose3d.detectors import yolo
from video2pose3d.tracking import Tracker
image = np.zeros((64, 64, 3), np.uint8)
Tracker(30.0).update(yolo.build(Path({str(weights)!r}), "cpu").detect([image])[0], image)
assert before == (dict(os.environ), cv2.getNumThreads(), torch.save, np.get_printoptions())
from ultralytics.utils import SETTINGS, AUTOINSTALL, ONLINE
assert not (SETTINGS["sync"] or AUTOINSTALL or ONLINE)
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "YOLO_"))}
    environment |= {"HOME": str(home), "USERPROFILE": str(home), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not [path for path in home.rglob("*") if path.is_file()]


@needs_mediapipe
def test_mediapipe_finds_the_man_and_says_nothing(data: Path, capfd) -> None:
    truth = np.load(data / "examples/walk_truth.npz")["bbox"]
    finder = mediapipe.build(None, "cpu")
    images = [f for i, f in enumerate(open_video(data / "examples/walk.mp4")) if i % 60 == 0]
    for found, expected in zip(finder.detect(images), truth[::60], strict=True):
        assert isinstance(found, Detections)
        assert len(found) == 1
        assert np.abs(found.boxes[0] - expected).max() < 0.15 * (expected[3] - expected[1])
        assert found.scores[0] > 0.8
    assert not len(finder.detect([np.zeros((90, 120, 3), np.uint8)])[0])
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


@needs_mediapipe
def test_mediapipe_sees_keypoints_and_follows_nobody_into_another_clip(data: Path) -> None:
    truth = np.load(data / "examples/walk_truth.npz")["image"]
    images = [f for i, f in zip(range(10), open_video(data / "examples/walk.mp4"), strict=False)]
    finder = mediapipe.build(None, "cpu")
    first = finder.detect(images)
    for found, expected in zip(first, truth, strict=False):
        hips = found.keypoints[0, COCO17.indices("left_hip", "right_hip"), :2].mean(axis=0)
        assert np.linalg.norm(hips - expected[H36M17.index("pelvis")]) < 25
    # A cut within a clip costs no frame: who is lost is looked for in the whole picture.
    away = [image[:, ::-1].copy() for image in images[:2]]
    assert all(len(found) == 1 for found in finder.detect(away))
    finder.reset()
    for found, again in zip(first, finder.detect(images), strict=True):
        np.testing.assert_array_equal(found.keypoints, again.keypoints)


@needs_mediapipe
def test_mediapipe_for_people_and_keypoints_is_one_network() -> None:
    networks = Networks.load(Options(keypoints="mediapipe", offline=True, device="cpu"))
    if networks.names["detector"] == "mediapipe":  # no YOLO weights on this machine
        assert networks.keypoints is None


def test_without_mediapipe_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from video2pose3d.vendors import mediapipe as vendor

    monkeypatch.setattr(vendor, "available", lambda: False)
    with pytest.raises(UserError, match=r'pip install "video2pose3d\[mediapipe\]"'):
        mediapipe.build(None, "cpu")


def test_a_run_without_mediapipe_and_mmpose_asks_for_what_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDEO2POSE3D_HOME", str(tmp_path))
    monkeypatch.delenv("VIDEO2POSE3D_WEIGHTS", raising=False)
    monkeypatch.setattr(networks, "_runs", lambda backend: backend == "yolo_pose")
    for find, name in ((Choice.of, "yolo11n"), (networks._find_keypoints, "yolo11n-pose")):
        with pytest.raises(UserError, match=f"video2pose3d weights download {name} "):
            find(Options(offline=True))
    for name in ("hrnet", "mediapipe"):  # weights would not help
        with pytest.raises(UserError, match=f"--keypoints {name}: the package .* doctor"):
            networks._find_keypoints(Options(keypoints=name, offline=True))


def test_a_download_that_breaks_off_leaves_mediapipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def find(name: str, **_: object) -> Path:
        raise UserError(f"{name}: broken off")

    monkeypatch.setenv("VIDEO2POSE3D_HOME", str(tmp_path))
    monkeypatch.delenv("VIDEO2POSE3D_WEIGHTS", raising=False)
    monkeypatch.setattr(networks.weights, "available", lambda name, offline: True)
    monkeypatch.setattr(networks.weights, "find", find)
    runs = {"yolo_pose", "mediapipe"}
    monkeypatch.setattr(networks, "_runs", lambda backend: backend in runs)
    assert networks._find_keypoints(Options()) == ("mediapipe", None)
    assert "yolo11n-pose: broken off" in caplog.text
    runs.remove("mediapipe")
    with pytest.raises(UserError, match="yolo11n-pose: broken off"):
        networks._find_keypoints(Options())


def test_weights_for_a_network_that_takes_none_are_not_dropped_in_silence() -> None:
    if not networks._runs("mediapipe"):
        pytest.skip("needs mediapipe")
    with pytest.raises(UserError, match="mediapipe brings its own"):
        networks._find_keypoints(Options(keypoints="mediapipe", keypoints_weights="x.pt"))


def test_threads_load_networks_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work, most = [], []

    def load(*_: object) -> None:
        at_work.append(1)
        time.sleep(0.02)
        most.append(len(at_work))
        at_work.pop()

    monkeypatch.setattr(networks.discovery, "load", lambda *_: SimpleNamespace(build=load))
    monkeypatch.setattr(networks.lifters, "load", load)
    choice = Choice({"keypoints": "yolo_pose"}, {}, Path("a.pt"), Path("b.pt"), None, Path("c"))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: Networks.load(Options(device="cpu"), choice), range(4)))
    assert len(most) == 12
    assert max(most) == 1


def _bus() -> np.ndarray:
    """RGB: a street with four people, a photograph that comes with ultralytics."""
    import cv2

    assets = ultralytics.load_module("ultralytics").ASSETS
    return cv2.cvtColor(cv2.imread(str(assets / "bus.jpg")), cv2.COLOR_BGR2RGB)


def _untrained(model: str, folder: Path) -> Path:
    """A file as ultralytics saves it, of a network with random weights."""
    tasks = ultralytics.load_module("ultralytics.nn.tasks")
    kind, classes = (tasks.PoseModel, 1) if "pose" in model else (tasks.DetectionModel, 80)
    network = kind(model, nc=classes, verbose=False)
    network.names = {0: "person", **{i: f"thing {i}" for i in range(1, classes)}}
    path = folder / model.replace(".yaml", ".pt")
    torch.save({"model": network.half(), "ema": None, "train_args": {"imgsz": 640}}, path)
    return path
