"""Shared fixtures: the data folder, and tiny clips made on the spot."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of development data (clips, mocap, hostile inputs); skips where it is not set."""
    folder = os.environ.get("VIDEO2POSE3D_DATA")
    if not folder:
        pytest.skip("VIDEO2POSE3D_DATA is not set: it names the folder of development data")
    return Path(folder)


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Path]:
    """Make a tiny clip: `clip("a.mp4", frames=10, ...)`, see make_clip; gives its path."""

    def make(name: str = "clip.mp4", **options: object) -> Path:
        return make_clip(tmp_path / name, **options)

    return make


def picture(index: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """RGB uint8 (H, W, 3): top left red, top right black; below two greys that say the index."""
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = (220, 20, 20)
    image[height // 2 :, : width // 2] = 30 + 12 * (index // 16 % 16)
    image[height // 2 :, width // 2 :] = 30 + 12 * (index % 16)
    return image


def number_of(image: np.ndarray) -> int:
    """The index of a picture, read from its two greys."""
    height, width = image.shape[:2]
    below = image[height // 2 + height // 8 : -height // 8].mean(axis=(0, 2))
    left, right = below[width // 8 : 3 * width // 8], below[5 * width // 8 : -width // 8]
    return 16 * round((left.mean() - 30) / 12) + round((right.mean() - 30) / 12)


def make_clip(
    path: Path,
    *,
    frames: int = 10,
    size: tuple[int, int] = (64, 48),
    rate: Fraction | int = 30,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    aspect: Fraction | None = None,
    matrix: Sequence[int] | None = None,
    sound: str | None = None,
    sound_at: float = 0.0,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write `picture(0)`, `picture(1)`, ... to a video.

    times: seconds of each frame, else at the rate; matrix: display matrix, 9 integers;
    sound: an audio codec; the sound is silence, with a tone from 0.5 to 0.6 s, and is as long as
    the pictures; sound_at: seconds by which it comes later.
    """
    tick = Fraction(1, 90000)
    with av.open(str(path), "w", container_options=container_options or {}) as output:
        stream = output.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        if path.suffix != ".avi" and codec in ("libx264", "mpeg4"):
            stream.codec_context.time_base = tick if codec == "libx264" else 1 / Fraction(rate)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if matrix is not None:
            stream.set_display_matrix(matrix)
        audio = output.add_stream(sound, rate=48000, layout="mono") if sound else None
        times = [float(i / Fraction(rate)) for i in range(frames)] if times is None else times
        for index, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(index, size), "rgb24")
            base = stream.codec_context.time_base or 1 / Fraction(rate)
            frame.time_base, frame.pts = base, round(time / base)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if audio is not None:
            t = np.arange(round(48000 * (times[-1] + float(1 / Fraction(rate))))) / 48000
            wave = np.where((t >= 0.5) & (t < 0.6), np.sin(2 * np.pi * 1000 * t), 0) * 20000
            frame = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], "s16", "mono")
            frame.sample_rate, frame.time_base = 48000, Fraction(1, 48000)
            frame.pts = round(sound_at * 48000)
            output.mux(audio.encode(frame))
            output.mux(audio.encode(None))
    return path
