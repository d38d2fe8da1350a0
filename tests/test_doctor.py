"""The doctor finds what is missing, names the cure, and never falls ill itself."""

from __future__ import annotations

import importlib
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from video2pose3d import doctor, downloads, weights


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDEO2POSE3D_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VIDEO2POSE3D_WEIGHTS", raising=False)
    monkeypatch.delenv("VIDEO2POSE3D_OFFLINE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home" / "weights"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch):
    """installed(av="14.0", ...) → these packages are installed, and no other."""

    def make(**versions: str) -> None:
        known = {name.replace("_", "-"): version for name, version in versions.items()}

        def version(package: str) -> str:
            if package in known:
                return known[package]
            raise metadata.PackageNotFoundError(package)

        monkeypatch.setattr(metadata, "version", version)

    return make


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch):
    """imports(av=module, cv2=error) → importing these gives a module, or raises."""

    def make(**modules: object) -> None:
        real = importlib.import_module

        def load(name: str) -> object:
            if name.startswith("video2pose3d"):
                return real(name)
            module = modules.get(name, ImportError(f"No module named {name!r}"))
            if isinstance(module, Exception):
                raise module
            return module

        monkeypatch.setattr(importlib, "import_module", load)

    return make


def test_this_machine_can_be_examined_without_a_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(downloads, "answers", lambda urls: pytest.fail("asked the network"))
    checks = doctor.examine()
    assert {"Python", "torch", "device", "detector", "keypoints", "lifter"} <= {
        check.name for check in checks
    }
    assert all(check.state in ("ok", "warn", "missing") and check.detail for check in checks)
    assert not [check for check in checks if "can't be examined" in check.detail]


def test_with_nothing_installed_everything_missing_has_a_cure(installed, imports) -> None:
    installed()
    imports()
    states = {check.name: check for check in doctor.examine()}
    assert all(c.cure for c in states.values() if c.state == "missing")
    for name in ("torch", "torchvision", "ultralytics", "OpenCV", "PyAV", "keypoints"):
        assert states[name].state == "missing"
    assert states["device"].detail.startswith("can't be examined: ImportError")


def test_packages_that_break_on_import_are_findings(installed, imports) -> None:
    installed(torch="2.13.0+cpu", torchvision="0.28.0", av="14.0", opencv_python="4.11.0.86")
    broken = RuntimeError("operator torchvision::nms does not exist\nand more")
    imports(torchvision=broken, av=OSError("no libav"), cv2=ImportError("libGL.so.1: not found"))
    states = {check.name: check for check in doctor.examine()}
    assert states["torchvision"].state == "missing"
    assert "0.28.0 does not fit torch 2.13.0+cpu" in states["torchvision"].detail
    assert "more" not in states["torchvision"].detail
    assert "apt install libgl1" in (states["OpenCV"].cure or "")
    assert states["PyAV"].detail == "can't be examined: OSError: no libav"


def test_two_opencv_wheels_must_be_of_one_version(installed, imports) -> None:
    imports(cv2=SimpleNamespace())
    installed(opencv_python="4.12.0.88", opencv_contrib_python="4.11.0.86")
    check = doctor._opencv()
    assert check.state == "warn"
    assert "opencv-python==4.11.0.86 opencv-contrib-python==4.11.0.86" in (check.cure or "")
    installed(opencv_python="4.11.0.86", opencv_contrib_python="4.11.0.86")
    assert doctor._opencv().state == "ok"


def test_a_pyav_without_h264_is_no_use(installed, imports) -> None:
    installed(av="14.0")
    imports(av=SimpleNamespace(__version__="14.0", codecs_available={"mpeg4"}))
    assert doctor._pyav().state == "missing"


@pytest.mark.parametrize(
    ("version", "lap", "state"),
    [("8.3.45", "0.5.12", "missing"), ("8.4.0", None, "missing"), ("8.4.0", "0.5.12", "ok")],
)
def test_ultralytics_comes_clean_and_with_lap(
    installed, version: str, lap: str | None, state: str
) -> None:
    installed(ultralytics=version, **({"lap": lap} if lap else {}))
    assert doctor._ultralytics().state == state


def test_a_gpu_that_torch_cannot_see_is_said(imports, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 1,
        get_device_properties=lambda i: SimpleNamespace(name="H200", total_memory=150e9),
    )
    imports(torch=SimpleNamespace(cuda=cuda))
    assert doctor._device().detail == "cuda:0 H200, 150.0 GB"
    cuda.is_available = lambda: False
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    assert doctor._device().state == "warn"


def test_newer_pythons_are_told_of_hrnet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 12, 1, "final", 0))
    check = doctor._mmpose()
    monkeypatch.undo()
    assert check.state == "warn"
    assert "3.12" in check.detail
    assert "Python 3.11" in (check.cure or "")


def test_mmpose_is_examined_by_what_it_needs(installed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 11, 7, "final", 0))
    installed(mmpose="1.1.0", mmengine="0.10.7", xtcocotools="1.14", numpy="2.1.0")
    check = doctor._mmpose()
    monkeypatch.undo()
    assert check.state == "warn"
    assert '"mmcv-lite<2.1.1"' in (check.cure or "")
    assert '"numpy<2"' in (check.cure or "")


def test_the_weights_that_a_run_would_take_are_named(
    installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {"yolo26s"}
    monkeypatch.setattr(weights, "on_disk", lambda name: Path(name) if name in here else None)
    installed()
    check = doctor._detector()
    assert check.state == "warn"
    assert "also here: yolo26s" in check.detail
    assert check.cure == "video2pose3d weights download yolo11n"
    here.add("yolo11n")
    assert doctor._detector().state == "ok"


def test_the_best_keypoints_on_disk_are_taken(installed, monkeypatch: pytest.MonkeyPatch) -> None:
    def backend(name: str | None, available: bool = True) -> SimpleNamespace:
        return SimpleNamespace(DEFAULT_WEIGHTS=name, available=lambda: available)

    backends = {
        "hrnet": backend("hrnet-w48-256x192"),
        "mediapipe": backend(None),
        "swin": backend("swin-b-256x192", available=False),
        "yolo_pose": backend("yolo11n-pose"),
    }
    monkeypatch.setattr(doctor.discovery, "names", lambda package: list(backends))
    monkeypatch.setattr(doctor.discovery, "load", lambda package, name: backends[name])
    here = {"yolo11n-pose", "swin-b-256x192"}
    monkeypatch.setattr(weights, "on_disk", lambda name: Path(name) if name in here else None)
    check = doctor._keypoints()
    assert check.state == "ok"
    assert check.detail.startswith("yolo_pose with yolo11n-pose")
    assert check.cure == "video2pose3d weights download hrnet-w48-256x192"  # the better one
    here.add("hrnet-w48-256x192")
    assert doctor._keypoints().detail.startswith("hrnet")
    here.clear()
    installed(mediapipe="0.10.21")
    assert doctor._keypoints().state == "warn"
    installed()
    assert doctor._keypoints().state == "missing"


@pytest.mark.parametrize(("carries", "state"), [(True, "ok"), (False, "warn")])
def test_a_mediapipe_without_its_model_is_nothing_to_fall_back_on(
    installed, monkeypatch: pytest.MonkeyPatch, carries: bool, state: str
) -> None:
    installed(mediapipe="0.10.30")
    monkeypatch.setattr(doctor.mediapipe, "available", lambda: carries)
    assert doctor._mediapipe().state == state


@pytest.mark.parametrize(("answers", "state"), [(True, "ok"), (False, "warn")])
def test_the_network_is_asked_when_wanted(
    monkeypatch: pytest.MonkeyPatch, answers: bool, state: str
) -> None:
    monkeypatch.setattr(downloads, "answers", lambda urls: answers)
    assert doctor._network().state == state


def test_offline_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEO2POSE3D_OFFLINE", "1")
    monkeypatch.setattr(downloads, "answers", lambda urls: pytest.fail("asked the network"))
    assert doctor._network().state == "ok"


def test_a_store_that_cannot_be_written_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    check = doctor._store()
    assert check.state == "warn"
    assert "VIDEO2POSE3D_HOME" in (check.cure or "")
