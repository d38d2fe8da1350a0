"""What is installed, on which device, with which weights; what is missing and what cures it.

`examine` returns data and prints nothing. It reads package metadata first and imports only what
has to be tried, each in a guard of its own: a package that is missing or broken is a finding.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from video2pose3d import discovery, downloads, weights
from video2pose3d.errors import UserError
from video2pose3d.options import Options
from video2pose3d.vendors import mediapipe

State = Literal["ok", "warn", "missing"]

# Releases that somebody else had put code into, December 2024.
COMPROMISED_ULTRALYTICS = ("8.3.41", "8.3.42", "8.3.45", "8.3.46")
OPENCV_WHEELS = (
    "opencv-python",
    "opencv-contrib-python",
    "opencv-python-headless",
    "opencv-contrib-python-headless",
)
ROOM = 1e9  # bytes: enough for the weights of a run


@dataclass(frozen=True)
class Check:
    """One finding. ok: works; warn: works less well without the cure; missing: does not work."""

    name: str
    state: State
    detail: str
    cure: str | None = None


def examine(*, network: bool = False) -> list[Check]:
    """All findings, the groundwork first. network: also ask whether weights can be downloaded."""
    checks: list[tuple[str, Callable[[], Check]]] = [
        ("Python", _python),
        ("requirements", _requirements),
        ("torch", _torch),
        ("device", _device),
        ("torchvision", _torchvision),
        ("ultralytics", _ultralytics),
        ("mmpose", _mmpose),
        ("mediapipe", _mediapipe),
        ("OpenCV", _opencv),
        ("PyAV", _pyav),
        ("weights folder", _store),
        ("detector", _detector),
        ("keypoints", _keypoints),
        ("lifter", _lifter),
    ]
    if network:
        checks.append(("network", _network))
    return [_guarded(name, check) for name, check in checks]


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except UserError as problem:
        return Check(name, "warn", problem.what, problem.cure)
    except Exception as problem:  # a broken package may raise anything
        return Check(name, "warn", f"can't be examined: {_brief(problem)}")


# ---- packages


def _python() -> Check:
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info >= (3, 12):
        cure = "for HRNet and Swin make an environment with Python 3.11"
        return Check("Python", "warn", f"{detail}; HRNet and Swin end at Python 3.11", cure)
    return Check("Python", "ok", detail)


def _requirements() -> Check:
    """Whether what this package declares to need is there, in the versions it names."""
    from packaging.requirements import Requirement

    try:
        declared = [Requirement(line) for line in metadata.requires("video2pose3d") or ()]
    except metadata.PackageNotFoundError:
        return Check("requirements", "warn", "video2pose3d is not installed", "pip install .")
    needed = [r for r in declared if r.marker is None or r.marker.evaluate({"extra": ""})]
    wrong = [r for r in needed if (v := _version(r.name)) is None or v not in r.specifier]
    if not wrong:
        return Check("requirements", "ok", f"{len({r.name for r in needed})} packages as declared")
    found = ", ".join(f"{r.name} {_version(r.name) or 'not installed'}" for r in wrong)
    wanted = " ".join(f'"{r.name}{r.specifier}"' for r in wrong)
    return Check("requirements", "missing", found, f"pip install {wanted}")


def _torch() -> Check:
    if (absent := _absent("torch", "torch>=2.10")) is not None:
        return absent
    torch = importlib.import_module("torch")
    return Check("torch", "ok", torch.__version__)


def _device() -> Check:
    torch = importlib.import_module("torch")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count:
        properties = [torch.cuda.get_device_properties(i) for i in range(count)]
        names = (f"cuda:{i} {p.name}, {_gb(p.total_memory)}" for i, p in enumerate(properties))
        return Check("device", "ok", "; ".join(names))
    detail = f"cpu, {os.cpu_count()} cores"
    if shutil.which("nvidia-smi"):
        cure = "pip install --force-reinstall torch torchvision (a build for the driver's CUDA)"
        return Check("device", "warn", f"{detail}; torch does not see the NVIDIA GPU", cure)
    return Check("device", "ok", detail)


def _torchvision() -> Check:
    if (absent := _absent("torchvision", "torch torchvision")) is not None:
        return absent
    try:
        torchvision = importlib.import_module("torchvision")
        _ = importlib.import_module("torch").ops.torchvision.nms
    except Exception as problem:
        cure = "pip install --force-reinstall torch torchvision (both from one place)"
        what = f"{_version('torchvision')} does not fit torch {_version('torch')}"
        return Check("torchvision", "missing", f"{what}: {_brief(problem)}", cure)
    return Check("torchvision", "ok", torchvision.__version__)


def _ultralytics() -> Check:
    if (absent := _absent("ultralytics", "ultralytics>=8.3.50")) is not None:
        return absent
    version = _version("ultralytics")
    if version in COMPROMISED_ULTRALYTICS:
        cure = "pip install --upgrade ultralytics, and change this machine's passwords"
        return Check("ultralytics", "missing", f"{version} carries foreign code", cure)
    if (lap := _version("lap")) is None:
        cure = 'pip install "lap>=0.5.12"'
        return Check("ultralytics", "missing", f"{version}, but its tracker needs lap", cure)
    return Check("ultralytics", "ok", f"{version}, lap {lap}")


def _mmpose() -> Check:
    if sys.version_info >= (3, 12):
        detail = "has no binaries for Python 3.12 and later: no HRNet, no Swin"
        return Check("mmpose", "warn", detail, "make an environment with Python 3.11")
    needs = {"mmpose": "<1.2", "mmcv-lite": "<2.1.1", "mmengine": "<0.11", "xtcocotools": ""}
    lacking = [f'"{name}{limit}"' for name, limit in needs.items() if _version(name) is None]
    if importlib.util.find_spec("pkg_resources") is None:
        lacking.append('"setuptools<82"')  # mmengine imports its pkg_resources
    if (_version("numpy") or "1").split(".")[0] != "1":
        lacking.append('"numpy<2"')
    if lacking:
        detail = f"no HRNet, no Swin: needs {', '.join(lacking)}"
        return Check("mmpose", "warn", detail, f"pip install {' '.join(lacking)}")
    return Check("mmpose", "ok", f"{_version('mmpose')}, mmcv-lite {_version('mmcv-lite')}")


def _mediapipe() -> Check:
    version = _version("mediapipe")
    if version is not None and mediapipe.available():
        return Check("mediapipe", "ok", f"{version}, carries its own weights; one person only")
    if version is not None:
        detail = f"{version} does not carry its pose model: nothing to fall back on"
        return Check("mediapipe", "warn", detail, 'pip install "video2pose3d[mediapipe]"')
    if sys.version_info >= (3, 13):
        detail = "has no release with its pose model for Python 3.13 and later"
        return Check("mediapipe", "warn", detail, "make an environment with Python 3.11")
    detail = "not installed: nothing to fall back on without downloaded weights"
    return Check("mediapipe", "warn", detail, 'pip install "video2pose3d[mediapipe]"')


def _opencv() -> Check:
    """All four wheels unpack into the same folder cv2, so they must be of one version."""
    versions = {wheel: v for wheel in OPENCV_WHEELS if (v := _version(wheel))}
    if not versions:
        return Check("OpenCV", "missing", "not installed", "pip install opencv-python")
    detail = ", ".join(f"{wheel} {version}" for wheel, version in versions.items())
    if len(set(versions.values())) > 1:
        oldest = min(versions.values(), key=lambda v: [int(n) for n in v.split(".")])
        cure = "pip install --force-reinstall --no-deps " + " ".join(
            f"{wheel}=={oldest}" for wheel in versions
        )
        return Check("OpenCV", "warn", f"{detail}: one folder, several versions", cure)
    try:
        importlib.import_module("cv2")
    except Exception as problem:
        cure = "on Debian and Ubuntu: apt install libgl1 libglib2.0-0"
        return Check("OpenCV", "missing", f"{detail}: {_brief(problem)}", cure)
    return Check("OpenCV", "ok", detail)


def _pyav() -> Check:
    if (absent := _absent("PyAV", "av>=14", package="av")) is not None:
        return absent
    av = importlib.import_module("av")
    if "libx264" not in av.codecs_available:
        cure = "pip install --force-reinstall --only-binary av av"
        return Check("PyAV", "missing", f"{av.__version__} has no H.264 encoder (libx264)", cure)
    return Check("PyAV", "ok", f"{av.__version__} with libx264")


# ---- weights


def _store() -> Check:
    folder = weights.store()
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    free = shutil.disk_usage(existing).free
    detail = f"{folder}, {_gb(free)} free"
    if not os.access(existing, os.W_OK):
        cure = "set VIDEO2POSE3D_HOME to a folder that can be written"
        return Check("weights folder", "warn", f"{detail}, can't be written", cure)
    if free < ROOM:
        cure = "make room, or set VIDEO2POSE3D_HOME to another folder"
        return Check("weights folder", "warn", detail, cure)
    return Check("weights folder", "ok", detail)


def _detector() -> Check:
    default = Options.detector
    cure = f"video2pose3d weights download {default}"
    if weights.on_disk(default) is not None:
        return Check("detector", "ok", f"{default}{_others('detector', default)}")
    if others := _others("detector", default):
        return Check("detector", "warn", f"{default} is not on this machine{others}", cure)
    if _version("mediapipe") is not None:
        return Check("detector", "warn", "mediapipe, which sees one person only", cure)
    return Check("detector", "missing", f"{default} is not on this machine", cure)


def _keypoints() -> Check:
    """What `--keypoints auto` takes without a download, and what it would take with one."""
    usable: list[tuple[str, weights.Weight]] = []
    for name in discovery.names("keypoints"):
        try:
            backend = discovery.load("keypoints", name)
            if backend.DEFAULT_WEIGHTS and backend.available():
                usable.append((name, weights.named(backend.DEFAULT_WEIGHTS)))
        except Exception:  # a backend whose package is broken is no candidate
            continue
    usable.sort(key=lambda pair: -(pair[1].ap or 0))
    best = usable[0][1].name if usable else None
    cure = None if best is None else f"video2pose3d weights download {best}"
    for name, entry in usable:
        if weights.on_disk(entry.name) is not None:
            detail = f"{name} with {entry.name}, {100 * (entry.ap or 0):.1f} AP on COCO"
            return Check("keypoints", "ok", detail, None if entry.name == best else cure)
    if _version("mediapipe") is not None:
        return Check("keypoints", "warn", "mediapipe, which sees one person only", cure)
    detail = "no weights on this machine, and no mediapipe"
    return Check("keypoints", "missing", detail, cure or 'pip install "video2pose3d[mediapipe]"')


def _lifter() -> Check:
    default = Options.lifter
    if weights.on_disk(default) is not None:
        return Check("lifter", "ok", f"{default}{_others('lifter', default)}")
    folder = weights.packaged_folder()
    cure = "reinstall video2pose3d" if folder is None else f"put its file into {folder}"
    return Check("lifter", "missing", f"the weights of {default} are not on this machine", cure)


def _others(kind: weights.Kind, but: str) -> str:
    found = _on_disk(e for e in weights.entries().values() if e.kind == kind and e.name != but)
    return f"; also here: {', '.join(found)}" if found else ""


def _on_disk(entries: Iterable[weights.Weight]) -> list[str]:
    return [entry.name for entry in entries if weights.on_disk(entry.name) is not None]


def _network() -> Check:
    if weights.is_offline():
        return Check("network", "ok", "not asked: VIDEO2POSE3D_OFFLINE is set")
    urls = weights.entries()[Options.detector].urls
    if downloads.answers(urls):
        return Check("network", "ok", "weights can be downloaded")
    cure = f"download weights elsewhere and put them in {weights.store()}"
    return Check("network", "warn", "no mirror of the weights answers", cure)


# ---- small things


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _absent(name: str, requirement: str, package: str | None = None) -> Check | None:
    if _version(package or name) is not None:
        return None
    return Check(name, "missing", "not installed", f'pip install "{requirement}"')


def _brief(problem: Exception) -> str:
    """An error in one short line."""
    lines = str(problem).strip().splitlines()
    return f"{type(problem).__name__}: {lines[0][:120]}" if lines else type(problem).__name__


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
