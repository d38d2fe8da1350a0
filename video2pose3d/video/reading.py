"""Frames of a clip: a file, an image, a folder of images or a webcam, as upright RGB.

Nothing that a header says is trusted. Times are the stream's own, mended with a warning where they
are nonsense; what is corrupt is dropped and counted.
"""

from __future__ import annotations

import math
import os
import re
import signal
import struct
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import Flags, InputContainer
from av.error import FFmpegError
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import Colorspace, VideoReformatter

from video2pose3d.errors import UserError
from video2pose3d.video.clock import MAX_FPS, MIN_FPS, USUAL_FPS, mean_rate, mend
from video2pose3d.video.media import MAX_SIDE, decode, open_media, tick, video_stream

IMAGES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
Source = Generator[tuple[float, av.VideoFrame], None, None]  # seconds, frame as decoded


class Video:
    """A media file, an image, a folder of images (in natural order), or a webcam, 0 to 9.

    Iterate it for the frames: RGB uint8 (H, W, 3), upright, in square pixels. They stream: memory
    doesn't grow with the clip. Iterating again gives the same frames at the same times, unless
    `replayable` is False (a webcam, which ends with Ctrl-C). Only how a decoder conceals damage
    inside a picture may differ.

    start, end: seconds from the clip's first frame; frames with start <= time < end are given.
    sequence_fps: the rate of a folder of images. Raises UserError for what can't be read.

    size: W, H; codec: its name; has_audio; replayable;
    lost: corrupt packets dropped; warnings: in words, what was odd and how it was mended;
    frame_count_hint: for progress bars only, often wrong, or None;
    began: seconds from the clip's first frame to the first one given;
    clock_offset: seconds on the file's own clock at the first frame given, for its sound.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | int,
        *,
        start: float | None = None,
        end: float | None = None,
        sequence_fps: float | None = None,
    ) -> None:
        if not str(path):  # a script's unset variable: Path("") would be the current folder
            raise UserError("an empty name is no video", cure="give a file or a folder")
        self.path = Path(str(path))
        self.start, self.end = start or 0.0, math.inf if end is None else end
        if not 0 <= self.start < self.end:
            raise UserError(f"no time lies from {self.start:g} s to {self.end:g} s", path=path)
        if sequence_fps is not None and not MIN_FPS <= sequence_fps <= MAX_FPS:
            raise UserError(f"{sequence_fps:g} frames per second", cure="give 0.1 to 1000")

        self.codec = ""
        self.has_audio = False
        self.replayable = True
        self.lost = self._damaged = 0
        self.warnings: list[str] = []
        self.frame_count_hint: int | None = None
        self._rate, self._tick = Fraction(int(USUAL_FPS)), 0.0  # as declared; unit of the times, s
        self._origin = 0.0  # seconds on the file's own clock at time 0
        self._declared_frames = 0
        self._aspect = Fraction(1)  # of a pixel, width / height
        self._times: list[float] = []  # as stored; mended in `timestamps`
        self._final: np.ndarray | None = None  # timestamps, once the clip has been read
        self._turned: dict[int, tuple[bool, bool, bool]] = {}  # of this stream; see `_turns`

        if isinstance(path, int) or (re.fullmatch("[0-9]", str(path)) and not self.path.exists()):
            self.codec, self.replayable, self._source = "webcam", False, self._webcam
        elif self.path.is_dir():
            self._images = _images_in(self.path)
            self.codec, self._source = "images", self._folder
            self.frame_count_hint = len(self._images)
            if sequence_fps is None:
                self._warn(f"the rate of the images is not known: {USUAL_FPS:g} fps assumed")
            self._rate = Fraction(sequence_fps or USUAL_FPS).limit_denominator(1001)
        else:
            self._source = self._file

        # The first frame tells the upright size. The reading that was begun for it goes on in the
        # first iteration, so that nothing is decoded twice.
        frames = self._cut()
        first = next(frames, None)
        if first is None and self.start > 0:
            raise UserError(f"no frame from {self.start:g} s on", path=path)
        if first is None:
            cure = "the file is damaged, or its codec or its size is not supported"
            raise UserError("no frame could be decoded", path=path, cure=cure)
        self.size = self._upright_size(first[1])
        self.began = first[0]
        self.clock_offset = self._origin + first[0]
        self._begun: tuple | None = (first, frames)

    def __iter__(self) -> Iterator[np.ndarray]:
        """The frames: RGB uint8 (H, W, 3)."""
        if self._begun is None and not self.replayable:
            raise RuntimeError("a webcam can't be played again")
        first, frames = self._begun or (None, self._cut())
        self._begun = None
        self._times = times = []
        reformatter = VideoReformatter()  # not kept: a video that was read can be pickled
        try:
            for seconds, frame in chain([first] if first else [], frames):
                times.append(seconds)
                yield self._upright(frame, reformatter)
        finally:
            frames.close()
        if self._final is None:
            self._finish()

    @property
    def timestamps(self) -> np.ndarray:
        """(T,) float64 seconds, the first 0, strictly increasing; of the frames given so far.

        Complete after an iteration. Where times had to be mended, earlier values can still change
        until then.
        """
        if self._final is not None:
            return self._final
        return mend(np.array(self._times, np.float64), float(self._rate))[0]

    @property
    def fps(self) -> float:
        """Exact mean rate of the frames; until the clip has been read, what its header says."""
        if self._final is None or len(self._final) < 2:
            return float(self._rate)
        return mean_rate(self._final, self._rate, self._tick)

    def close(self) -> None:
        """Let go of the file or camera. What is replayable can still be iterated."""
        if self._begun is not None:
            self._begun[1].close()
            self._begun = None

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Sources of (seconds from the clip's start, frame as decoded).

    def _cut(self) -> Source:
        """The source's frames from start to end."""
        self.lost = self._damaged = 0
        source = self._source()
        beyond = None  # a frame whose time is beyond the end, or wrong, as the next one shows
        try:
            for seconds, frame in source:
                # Times may be half a tick off, but not where a tick is a whole frame, as in AVI.
                off = min(self._tick / 2, 0.2 / float(self._rate))
                if seconds >= self.end - off:
                    if beyond is not None:
                        return
                    beyond = seconds, frame
                    continue
                if seconds >= self.start - off:
                    if beyond is not None:
                        yield beyond
                    yield seconds, frame
                beyond = None
        finally:
            source.close()

    def _file(self) -> Source:
        if self.start > 0:
            frames = self._decoded(seek=True)
            first = next(frames, None)
            if first is not None and first[0] <= self.start:
                yield first
                yield from frames
                return
            frames.close()  # this container can't seek, or not rightly: read it all
        yield from self._decoded()

    def _decoded(self, *, seek: bool = False) -> Source:
        with open_media(self.path) as container:
            stream = video_stream(container, self.path)
            self._turned.clear()
            self._describe(container, stream)
            unit = tick(stream)
            # AVI stores no presentation times, and those FFmpeg generates are wrong where frames
            # are reordered: there frames come at their decoding times, which are in order.
            avi = container.format.name == "avi"
            if avi:
                container.flags &= ~Flags.gen_pts.value
            origin = None if avi else stream.start_time
            if seek:
                if origin is None:
                    return
                # A second early, because an index may go by decoding time.
                target = origin + int(max(self.start - 1, 0) / unit)
                try:
                    container.seek(target, stream=stream)
                except FFmpegError:
                    return
            seconds = -1 / float(self._rate)
            for frame in decode(container, stream, self._lose):
                self._damaged += frame.is_corrupt
                stamp = frame.dts if frame.pts is None else frame.pts
                if stamp is None:
                    seconds += 1 / float(self._rate)
                    if not avi:
                        self._warn("frames without a time follow at the declared rate")
                else:
                    origin = stamp if origin is None else origin
                    self._origin = 0.0 if avi else float(origin * unit)
                    seconds = float((stamp - origin) * unit)
                yield seconds, frame

    def _describe(self, container: InputContainer, stream: av.VideoStream) -> None:
        """What the headers of a file say."""
        self.codec = stream.codec_context.codec.canonical_name
        self.has_audio = any(s.codec_context is not None for s in container.streams.audio)
        self._tick = float(tick(stream))
        self._declared_frames = stream.frames
        self._aspect = stream.sample_aspect_ratio or Fraction(1)
        if not Fraction(1, 8) <= self._aspect <= 8:
            self._warn(f"pixels {float(self._aspect):g} as wide as high: taken as square")
            self._aspect = Fraction(1)
        rate = stream.average_rate or stream.guessed_rate
        if rate and MIN_FPS <= rate <= MAX_FPS:
            self._rate = rate
        else:
            self._warn(f"declares {rate} frames per second: {USUAL_FPS:g} assumed")
        if stream.duration:
            seconds = min(stream.duration * self._tick, self.end) - self.start
            if 0 < seconds < 1e6:
                self.frame_count_hint = max(1, round(seconds * self._rate))

    def _folder(self) -> Source:
        size = None
        for index, path in enumerate(self._images):
            frame = None
            self._turned.clear()
            try:
                with open_media(path) as container:
                    frame = next(decode(container, video_stream(container, path), lambda: None))
            except (UserError, StopIteration):
                self._warn(f"{path.name} could not be read")
                self._lose()
                continue
            size = size or self._upright_size(frame)
            if self._upright_size(frame) != size:
                what = "is {}x{}, the images before it {}x{}"
                raise UserError(what.format(*self._upright_size(frame), *size), path=path)
            yield float(index / self._rate), frame

    def _webcam(self) -> Source:
        camera = cv2.VideoCapture(int(str(self.path)))
        try:
            begun = None
            with _first_interrupt() as interrupted:
                while not interrupted:
                    seen, image = camera.read()
                    if not seen:
                        break
                    now = time.monotonic()
                    begun = now if begun is None else begun
                    frame = av.VideoFrame.from_ndarray(np.asarray(image, np.uint8), "bgr24")
                    yield now - begun, frame
        finally:
            camera.release()
        if begun is None:
            raise UserError(f"no picture from camera {self.path}", cure="is it there, and free?")

    # Pixels.

    def _upright_size(self, frame: av.VideoFrame) -> tuple[int, int]:
        width, height = frame.width, frame.height
        if self._aspect > 1:  # square pixels, never fewer of them; even, as encoders want
            width = 2 * round(width * self._aspect / 2)
        elif self._aspect < 1:
            height = 2 * round(height / self._aspect / 2)
        if max(width, height) > MAX_SIDE:
            width, height = frame.width, frame.height
        return (height, width) if self._turns(frame)[0] else (width, height)

    def _upright(self, frame: av.VideoFrame, reformatter: VideoReformatter) -> np.ndarray:
        """RGB uint8 (H, W, 3) as a player shows it."""
        if self._upright_size(frame) != self.size:
            self._warn("pictures change size on the way: brought to that of the first")
        swap, mirror, flip = self._turns(frame)
        width, height = self.size[::-1] if swap else self.size
        # As players do, take untagged HD for BT.709; untagged SD stays BT.601, FFmpeg's default.
        untagged_hd = frame.colorspace == 2 and (frame.width >= 1280 or frame.height > 576)
        image = reformatter.reformat(
            frame,
            width,
            height,
            "rgb24",
            src_colorspace=Colorspace.ITU709 if untagged_hd else None,
        ).to_ndarray()
        if swap:
            image = cv2.transpose(image)
        if mirror or flip:
            image = cv2.flip(image, -1 if mirror and flip else int(mirror))
        return image

    def _turns(self, frame: av.VideoFrame) -> tuple[bool, bool, bool]:
        """How to make it upright: asked of the first frame of a stream with its rotation.

        PyAV's side data hold on to their frame and it to them, so that a frame that was asked stays
        in memory until Python's garbage collector comes by, some hundred frames later.
        """
        if frame.rotation not in self._turned:
            self._turned[frame.rotation] = _turns_of(frame)
        return self._turned[frame.rotation]

    # Bookkeeping.

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def _lose(self) -> None:
        self.lost += 1

    def _finish(self) -> None:
        """The clip has been read: fix its times, and say what was mended and what is missing."""
        stored = np.array(self._times, np.float64)
        self._final, warnings = mend(stored, float(self._rate))
        if self.lost:
            warnings.append(f"corrupt packets dropped: {self.lost}")
        if self._damaged:
            warnings.append(f"damaged pictures: {self._damaged}")
        uncut = self.start == 0 and self.end == math.inf
        if uncut and len(stored) < self._declared_frames / 2:  # edit lists hide some rightly
            warnings.append(f"frames: {self._declared_frames} declared, {len(stored)} there")
        if self.has_audio and abs(self._final[-1] - (stored[-1] - stored[0])) > 0.5:
            self.has_audio = False
            warnings.append("the sound does not fit the mended times: left out")
        if not uncut and not np.allclose(self._final, stored - stored[0], atol=0.1):
            warnings.append(
                "--start and --end went by the times as stored, before they were mended"
            )
        for text in warnings:
            self._warn(text)


def _unnamed(kind: type[SideDataType], value: object) -> SideDataType:
    """A member for a kind of side data that PyAV has no name for."""
    member = object.__new__(kind)
    member._name_, member._value_ = f"UNNAMED_{value}", value
    return member


# For one kind that it cannot name, such as a photograph's EXIF, PyAV refuses a frame's matrix, too.
SideDataType._missing_ = classmethod(_unnamed)  # pyright: ignore[reportAttributeAccessIssue]


def _turns_of(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """How to make a frame upright by its display matrix: transpose, then mirror x, then flip y.

    The matrix sends (x, y) to (a x + c y, b x + d y). Turns other than by 90 degrees are left out.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False, False, False
    a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])
    if abs(b) > abs(a):
        return True, c < 0, b < 0
    return False, a < 0, d < 0


def _images_in(folder: Path) -> list[Path]:
    """The images of a folder, frame_9 before frame_10. Raises UserError where there are none."""
    images = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGES and not path.name.startswith(".")
    ]
    if not images:
        cure = "give a video file, or a folder of images"
        raise UserError("is a directory without images", path=folder, cure=cure)

    def natural(path: Path) -> list[str | int]:  # text and numbers take turns
        return [int(p) if p.isdecimal() else p for p in re.split(r"(\d+)", path.name.casefold())]

    return sorted(images, key=natural)


@contextmanager
def _first_interrupt() -> Iterator[list[bool]]:
    """A list that is empty until the first Ctrl-C; the second interrupts as always."""
    interrupted: list[bool] = []
    try:
        usual = signal.getsignal(signal.SIGINT)

        def note(*_: object) -> None:
            interrupted.append(True)
            signal.signal(signal.SIGINT, usual)

        signal.signal(signal.SIGINT, note)
    except ValueError:  # only the main thread hears signals
        yield interrupted
        return
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, usual)
