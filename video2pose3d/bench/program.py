"""The program's speed and memory, stage by stage, as ratios that hold when the machine drifts.

Each figure comes from processes of its own, so that one measurement does not warm another up.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from video2pose3d import results, video
from video2pose3d.errors import UserError
from video2pose3d.render import animation, overlay
from video2pose3d.report import Clock

NETWORKS = ("detect", "keypoints", "lift")


@dataclass(frozen=True)
class Figure:
    """One measured ratio. aim: what it must not exceed; detail: the two numbers behind it."""

    name: str
    value: float
    aim: float
    unit: str
    detail: str


@dataclass(frozen=True)
class Bench:
    """What was measured. report: the report.json of the run behind the stages, where one was."""

    figures: list[Figure]
    report: dict[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        stages = None if self.report is None else self.report["stages"]
        return {"figures": [dataclasses.asdict(f) for f in self.figures], "stages": stages}


def measure(clip: Path, flags: Sequence[str], what: Sequence[str]) -> Bench:
    """Measure some of stages, memory, startup and drawing on one clip; flags are those of `run`."""
    figures, report = [], None
    with tempfile.TemporaryDirectory() as folder:
        if "stages" in what or "drawing" in what:
            _run([str(clip), "-o", folder, "-q", *flags])
            result = next(Path(folder).iterdir())
            report = json.loads((result / "report.json").read_text())
            if "stages" in what:
                figures.append(_wall_time(report))
            if "drawing" in what:
                figures.append(drawing(clip, result / "poses.npz"))
    if "memory" in what:
        figures.append(memory(clip, flags))
    if "startup" in what:
        figures.append(startup())
    return Bench(figures, report)


def example_clip() -> Path:
    """The shipped clip of a person who walks, squats and lifts."""
    package = Path(__file__).parents[1]
    places = [package / "share" / "examples", package.parent / "examples"]  # a wheel, a checkout
    return next(place for place in places if place.is_dir()) / "walk.mp4"


def _wall_time(report: dict[str, Any]) -> Figure:
    """Wall time of a whole run, video to files, against that inside the networks."""
    seconds = {name: stage["seconds"] for name, stage in report["stages"].items()}
    wall, inside = sum(seconds.values()), sum(seconds.get(name, 0.0) for name in NETWORKS)
    return Figure(
        "wall time / time inside the networks", wall / inside, 1.2, "x",
        f"{wall:.1f} s / {inside:.1f} s",
    )  # fmt: skip


def memory(clip: Path, flags: Sequence[str], times: int = 10) -> Figure:
    """Peak memory of a clip repeated `times` over against that of the clip itself."""
    with tempfile.TemporaryDirectory() as folder:
        longer = Path(folder, "longer.mp4")
        _repeat(clip, longer, times)
        short, long = (
            _run([str(c), "-o", str(Path(folder, c.stem)), "-q", *flags]) for c in (clip, longer)
        )
    return Figure(
        f"peak memory, {times} times longer clip", long / short, 1.05, "x",
        f"{long / 2**20:.0f} MiB / {short / 2**20:.0f} MiB",
    )  # fmt: skip


def startup(runs: int = 7) -> Figure:
    """`video2pose3d --help` against an interpreter that does nothing: the median difference."""

    def seconds(arguments: list[str]) -> float:
        begun = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - begun

    pairs = [(seconds(["-m", "video2pose3d", "--help"]), seconds(["-c", ""])) for _ in range(runs)]
    ours, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    return Figure(
        "--help, more than bare Python", ours - bare, 0.3, "s", f"{ours:.2f} s - {bare:.2f} s"
    )


def drawing(clip: Path, poses: Path) -> Figure:
    """Drawing overlay and animation against encoding the frames that were drawn."""
    scene = results.load(poses)
    view, over = animation.Animation(scene), overlay.Overlay(scene)
    frames = len(scene.timestamps)
    pictures = {
        "animation": (view.draw(t) for t in range(frames)),
        "overlay": (over.draw(image, t) for t, image in enumerate(video.open_video(clip))),
    }
    decoding = _seconds(lambda: deque(video.open_video(clip), maxlen=0))
    draw, encode = -decoding, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, drawn in pictures.items():
            clock = Clock()
            drawn = clock.each("draw", drawn)
            first = next(drawn)
            size = (first.shape[1], first.shape[0])
            with (
                clock.stage("encode"),
                video.write_video(Path(folder, f"{name}.mp4"), size, fps=scene.fps) as out,
            ):
                for t, image in enumerate(itertools.chain([first], drawn)):
                    out.write(image, float(scene.timestamps[t]))
            draw += clock.seconds["draw"]
            encode += clock.seconds["encode"] - clock.seconds["draw"]
    return Figure(
        "drawing / encoding, overlay and animation", draw / encode, 1.0, "x",
        f"{1e3 * draw / frames:.1f} ms / {1e3 * encode / frames:.1f} ms a frame",
    )  # fmt: skip


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _repeat(clip: Path, path: Path, times: int) -> None:
    """The clip `times` over, in one file."""
    source = video.open_video(clip)
    begin = 0.0
    with video.write_video(path, source.size, fps=source.fps) as writer:
        for _ in range(times):
            for t, image in enumerate(source):
                writer.write(image, begin + float(source.timestamps[t]))
            begin += float(source.timestamps[-1]) + 1 / source.fps


def _run(arguments: list[str]) -> int:
    """Run the program in a process of its own; its peak memory in bytes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "video2pose3d", "run", *arguments], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise UserError("the run that was to be measured failed", path=arguments[0])
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def plot(report: dict[str, Any], path: Path) -> None:
    """Milliseconds a frame of each stage, as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    frames = report["input"]["frames_decoded"]
    names = list(report["stages"])
    values = np.array([report["stages"][name]["seconds"] for name in names]) * 1e3 / frames
    colours = ["tab:blue" if name in NETWORKS else "tab:gray" for name in names]
    figure, axes = pyplot.subplots(figsize=(8, 0.5 * len(names) + 1.2), layout="constrained")
    bars = axes.barh(names, values, color=colours)
    axes.bar_label(bars, fmt=" %.1f")
    axes.invert_yaxis()
    axes.set_xlabel("ms a frame (blue: inside a network)")
    name = Path(report["input"]["path"]).name
    axes.set_title(f"{name}, {frames} frames, {report['device']}", parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
