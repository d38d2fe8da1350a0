"""Media files opened safely: one file, read by us and handed to FFmpeg as bytes.

FFmpeg sees no name and may use no protocol, and only containers on an allow-list are opened: no
playlist, script or data reference reaches another file or the network.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition, Stream

from video2pose3d.errors import UserError

# Missing on purpose: hls, dash, concat, sdp, imf, image2, svg_pipe, all that name further files.
CONTAINERS = (
    "mov,matroska,avi,flv,mpegts,mpeg,mpegvideo,m4v,ogg,asf,mxf,dv,rm,nut,dhav,ivf,obu,av1,h264,"
    "hevc,vvc,mjpeg,yuv4mpegpipe,gif,apng,png_pipe,jpeg_pipe,bmp_pipe,tiff_pipe,webp_pipe"
)
MAX_SIDE = 16384  # px
MAX_PIXELS = 2**27
MAX_LOST_IN_A_ROW = 1000  # unreadable packets; then the rest of the file is given up
MAX_DECODED_BYTES = 2**29  # what the threads of a decoder or encoder may hold, about


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open one media file for reading. Raises UserError for what isn't one."""
    if path.is_symlink() and not path.exists():
        raise UserError("the link points to nothing", path=path)
    if path.is_dir():
        raise UserError("is a directory", path=path)
    if path.exists() and not path.is_file():
        raise UserError("is not a file", path=path)  # to open a pipe would block
    try:
        file = io.FileIO(path)
    except FileNotFoundError:
        raise UserError("no such file", path=path) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", error)
        raise UserError(f"can't be opened: {reason}", path=path) from None
    with file:
        head = file.read(12)
        file.seek(0)
        if not head:
            raise UserError("the file is empty", path=path)
        file.name = "input"
        try:
            container = av.open(
                file,
                mode="r",
                options={
                    "format_whitelist": CONTAINERS,
                    "protocol_whitelist": "none",
                    "enable_drefs": "0",
                    "max_pixels": str(MAX_PIXELS),  # FFmpeg decodes a little as it opens
                },
                metadata_errors="ignore",
                buffer_size=2**18,
            )
        except (FFmpegError, ValueError):
            if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
                raise UserError(
                    "the file is incomplete: it has no readable index (moov atom)",
                    path=path,
                    cure="copy or download it again; a recording must be ended properly",
                ) from None
            raise UserError(
                "not a video",
                path=path,
                cure="give a media file (mp4, mov, mkv, webm, avi); playlists are not followed",
            ) from None
        with container:
            yield container


def video_stream(container: InputContainer, path: Path) -> av.VideoStream:
    """The first video of a container, ready to decode. Raises UserError (about `path`)."""
    covers = Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & covers]
    if not streams:
        raise UserError("no video stream", path=path, cure="give a file with pictures in it")
    stream = streams[0]
    context = stream.codec_context
    if context is None:
        raise UserError("its video codec is not supported", path=path, cure="convert it to H.264")
    width, height = context.width, context.height
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise UserError(
            f"claims pictures of {width}x{height}",
            path=path,
            cure=f"at most {MAX_SIDE} pixels a side and {MAX_PIXELS} in all are read",
        )
    context.options = {"max_pixels": str(MAX_PIXELS)}  # also when the size changes on the way
    context.thread_type = "AUTO"
    context.thread_count = threads_for(width, height)
    return stream


def decode(container: InputContainer, stream: Stream, lose: Callable[[], None]) -> Iterator:
    """A stream's frames to its end; lose() is called for each packet that can't be decoded."""
    lost_in_a_row = 0
    packets = container.demux(stream)
    while lost_in_a_row < MAX_LOST_IN_A_ROW:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            frames = packet.decode()
        except EOFError:
            return
        except (FFmpegError, ValueError):
            lose()
            lost_in_a_row += 1
            packets = container.demux(stream)  # the error ended the generator, not the file
            continue
        if frames:
            lost_in_a_row = 0
        yield from frames


def tick(stream: Stream) -> Fraction:
    """The unit of a stream's times, in seconds."""
    return stream.time_base or Fraction(1, 1000)


def threads_for(width: int, height: int) -> int:
    """Threads for a codec: each holds a few pictures, so fewer for large ones."""
    each = 4 * 3 * max(width * height, 1) // 2
    return max(1, min(os.cpu_count() or 1, 16, MAX_DECODED_BYTES // each))
