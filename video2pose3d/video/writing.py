"""Frames to an H.264 MP4 that every player opens: exact times, sound kept, whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from video2pose3d.errors import UserError
from video2pose3d.video.clock import MAX_FPS, MIN_FPS
from video2pose3d.video.media import decode, open_media, threads_for, tick
from video2pose3d.video.reading import Video

TICK = Fraction(1, 90000)  # seconds; 24, 25, 30, 50, 60 and 30000/1001 fps are exact in it
# Without frames that refer forwards (bf), decoding and showing times are the same, so that the
# durations are right in MP4, which derives them from the former, also at a variable rate.
# subme 1 for the preset's 2: a seventh of the time for a tenth more bytes at the same quality.
X264 = {"preset": "veryfast", "crf": "20", "bf": "0", "x264-params": "subme=1"}
BT709 = 1  # primaries, transfer and matrix all have this number
COPIED = {"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"}  # sound that MP4 holds as it is
AAC_RATES = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000}
PREROLL = 0.05  # seconds of sound copied from before the first frame, not heard: decoders need it


class VideoWriter:
    """An MP4 of a size (W, H): `with VideoWriter(...) as out: out.write(image, time)`.

    It is written beside `path` and renamed when the `with` block ends; after an error nothing is
    left. H.264 needs even sides: an odd width or height is padded by repeating its last pixels.

    fps: mean rate; it sets how long the last frame stays. audio_from: the video whose sound goes
    with these frames, cut as it is cut; copied where MP4 can hold it, else encoded to AAC. Broken
    sound never costs the video. warnings: what happened, in words. Raises UserError.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        size: tuple[int, int],
        *,
        fps: float,
        audio_from: Video | None = None,
    ) -> None:
        self.path = Path(path)
        self.size = size
        self.warnings: list[str] = []
        self._fps = min(max(fps, MIN_FPS), MAX_FPS)
        self._pts = -1  # of the last frame, in ticks
        self._reformatter = VideoReformatter()
        self._beside = self.path.with_name(f".{uuid.uuid4().hex[:12]}.mp4.part")
        self._sound: Generator[tuple[float, av.Packet], None, None] | None = None
        self._next_sound: tuple[float, av.Packet] | None = None  # waits for its time

        has_audio = audio_from is not None and audio_from.has_audio
        for sound in ("copied", "encoded", None) if has_audio else (None,):
            try:
                self._open(audio_from, sound)
                return
            except (FFmpegError, OSError, ValueError, UserError) as error:
                self.discard()
                if sound is None:
                    raise self._failure(error) from None
                if sound == "encoded":
                    self._warn(f"the sound is left out: {error}")

    def _open(self, source: Video | None, sound: str | None) -> None:
        """Begin a file with a video stream and the source's sound: "copied", "encoded" or None."""
        # The prefix makes any name a plain file. With faststart players needn't load it whole.
        self._container = av.open(
            f"file:{self._beside.absolute()}",
            mode="w",
            format="mp4",
            options={"movflags": "+faststart", "video_track_timescale": str(TICK.denominator)},
        )
        width, height = (side + side % 2 for side in self.size)
        self._stream = stream = self._container.add_stream(
            "libx264",
            rate=Fraction(self._fps).limit_denominator(1001),
            options=X264,
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.time_base = TICK
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = ColorRange.MPEG
        context.thread_count = threads_for(width, height)
        if source is not None and sound is not None:
            with open_media(source.path) as container:
                track = _add_track(self._container, container, copy=sound == "copied")
            packets = _copied if sound == "copied" else _encoded
            self._sound = packets(source, track, self._warn)
        self._container.start_encoding()

    def write(self, image: np.ndarray, time: float) -> None:
        """Add a frame: RGB uint8 (H, W, 3), shown from `time` seconds on, later than the last."""
        width, height = self.size
        if image.shape != (height, width, 3) or image.dtype != np.uint8:
            expected = f"expected uint8 {(height, width, 3)}"
            raise ValueError(f"{expected}, got {image.dtype} {image.shape}")
        if width % 2 or height % 2:
            image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        frame = self._reformatter.reformat(
            av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), "rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )
        self._pts = max(round(time / TICK), self._pts + 1)
        frame.pts, frame.time_base = self._pts, TICK
        try:
            self._mux_sound(time)
            self._mux(frame)
        except (FFmpegError, OSError) as error:
            raise self._failure(error) from None

    def close(self) -> None:
        """Finish the file and give it its name."""
        try:
            self._mux(None)
            self._mux_sound(float(self._pts * TICK) + 1 / self._fps)
            self._container.close()
            os.replace(self._beside, self.path)
        except (FFmpegError, OSError) as error:
            self.discard()
            raise self._failure(error) from None
        self._close_sound()

    def discard(self) -> None:
        """Leave nothing behind."""
        self._close_sound()
        with suppress(FFmpegError, OSError, AttributeError):  # it may not even be open
            self._container.close()
        self._beside.unlink(missing_ok=True)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            self.close()
        else:
            self.discard()

    def _mux(self, frame: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            packet.duration = round(1 / (self._fps * TICK))  # MP4 uses that of the last one
            self._container.mux(packet)

    def _mux_sound(self, until: float) -> None:
        """Write the sound up to a time in seconds. What goes wrong ends the sound, not the file."""
        while self._sound is not None:
            try:
                self._next_sound = self._next_sound or next(self._sound, None)
                if self._next_sound is None:
                    self._close_sound()
                elif self._next_sound[0] >= until:
                    return
                else:
                    self._container.mux(self._next_sound[1])
                    self._next_sound = None
            except (FFmpegError, OSError, ValueError, UserError) as error:
                self._warn(f"the sound ends before {until:.2f} s: {error}")
                self._close_sound()

    def _close_sound(self) -> None:
        if self._sound is not None:
            self._sound.close()
        self._sound = self._next_sound = None

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)

    def _failure(self, error: Exception) -> UserError:
        reason = getattr(error, "strerror", None) or error
        return UserError(f"can't be written: {reason}", path=self.path)


# Sound: packets for the output, each with its time in seconds from the video's first frame.


def _stream(container: InputContainer) -> av.AudioStream:
    return next(s for s in container.streams.audio if s.codec_context is not None)


def _add_track(output: OutputContainer, source: InputContainer, *, copy: bool) -> av.AudioStream:
    stream = _stream(source)
    context = stream.codec_context
    if not copy:
        rate = context.sample_rate if context.sample_rate in AAC_RATES else 48000
        layout = "mono" if context.layout.nb_channels == 1 else "stereo"
        return output.add_stream("aac", rate=rate, layout=layout)
    if context.codec.canonical_name not in COPIED:
        raise ValueError(f"MP4 holds no {context.codec.canonical_name}")
    return output.add_stream_from_template(stream)


@contextmanager
def _from_first_frame(
    source: Video,
) -> Iterator[tuple[InputContainer, av.AudioStream, int]]:
    """The source's sound from about its first frame on, and that frame's time in its ticks."""
    with open_media(source.path) as container:
        stream = _stream(container)
        zero = round(source.clock_offset / tick(stream))
        early = zero - round(1 / tick(stream))
        if early > (stream.start_time or 0):
            with suppress(FFmpegError):  # then it is read from the beginning
                container.seek(early, stream=stream)
        yield container, stream, zero


def _copied(
    source: Video, track: av.AudioStream, warn: Callable[[str], None]
) -> Generator[tuple[float, av.Packet], None, None]:
    with _from_first_frame(source) as (container, stream, zero):
        for packet in container.demux(stream):
            if packet.pts is None or packet.dts is None:
                continue
            packet.pts, packet.dts = packet.pts - zero, packet.dts - zero
            seconds = float(packet.pts * tick(stream))
            if seconds + float((packet.duration or 0) * tick(stream)) > -PREROLL:
                packet.stream = track
                yield seconds, packet


def _encoded(
    source: Video, track: av.AudioStream, warn: Callable[[str], None]
) -> Generator[tuple[float, av.Packet], None, None]:
    with _from_first_frame(source) as (container, stream, zero):
        frames = decode(container, stream, lambda: warn("some of the sound was broken"))
        for frame in chain(frames, [None]):
            if frame is not None and frame.pts is not None:
                frame.pts -= zero
                if frame.pts * tick(stream) + Fraction(frame.samples, frame.sample_rate) <= 0:
                    continue
            for packet in track.encode(frame):
                yield float((packet.pts or 0) * packet.time_base), packet
