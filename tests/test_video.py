"""Reading tells the truth about frames and times, opens nothing else, and writing keeps both."""

from __future__ import annotations

import csv
import gc
import os
import random
import signal
import struct
import zlib
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from conftest import number_of, picture
from hypothesis import example, given
from hypothesis import strategies as st

from video2pose3d.errors import UserError
from video2pose3d.video import open_video, write_video
from video2pose3d.video.clock import mean_rate, mend

NTSC = Fraction(30000, 1001)


def numbers(video) -> list[int]:
    return [number_of(image) for image in video]


def copy_video(source: Path, target: Path, **cut: float):
    """What the overlay does: read once, read again, write each frame at its time."""
    video = open_video(source, **cut)
    for _ in video:
        pass
    with write_video(target, video.size, fps=video.fps, audio_from=video) as output:
        for image, time in zip(video, video.timestamps, strict=True):
            output.write(image, time)
    return video, output


def tone(path: Path) -> tuple[float, float]:
    """Seconds, on the file's clock, at which the loud part of its sound begins and ends."""
    wave, times = [], []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            wave.append(frame.to_ndarray().astype(float).reshape(-1))
            times.append(frame.time + np.arange(frame.samples) / frame.sample_rate)
    loud = np.concatenate(times)[
        np.abs(np.concatenate(wave)) > 0.3 * np.abs(np.concatenate(wave)).max()
    ]
    return loud[0], loud[-1]


# Frames and times.


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.avi", "libx264"),  # no presentation times, and reordered frames
        ("a.avi", "mpeg4"),
        ("a.ts", "libx264"),
        ("a.mpg", "mpeg2video"),
        ("a.mkv", "ffv1"),
        ("a.webm", "libvpx-vp9"),
    ],
)
def test_every_frame_comes_in_order_at_its_time(clip, name, codec):
    video = open_video(clip(name, codec=codec, frames=40))
    assert video.size == (64, 48)
    assert numbers(video) == list(range(40))
    assert video.fps == 30
    np.testing.assert_allclose(video.timestamps, np.arange(40) / 30, atol=0.0006)
    assert (video.lost, video.warnings) == (0, [])


def test_a_second_reading_gives_the_same(clip):
    video = open_video(clip())
    first, times = [image.copy() for image in video], video.timestamps
    assert all(map(np.array_equal, first, video))
    assert np.array_equal(times, video.timestamps)


def test_a_frame_is_gone_when_its_picture_has_been_made(clip):
    """Not only when the garbage collector comes by: some hundred frames would be in memory."""

    def alive() -> int:
        return sum(type(thing) is av.VideoFrame for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = alive()
        for _ in open_video(clip("a.mp4", frames=40)):
            pass
        left = alive() - before
    finally:
        gc.enable()
    assert left <= 2  # the first of a stream is asked how its stream is turned


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_the_mean_rate_is_exact(clip, name):
    video = open_video(clip(name, rate=NTSC, frames=50))
    numbers(video)
    assert video.fps == 30000 / 1001


def test_variable_times_are_kept(clip):
    times = [0, 0.04, 0.1, 0.5, 0.51, 2.0]
    video = open_video(clip(times=times))
    assert numbers(video) == list(range(6))
    np.testing.assert_allclose(video.timestamps, times, atol=1e-4)
    assert video.fps == pytest.approx(5 / 2)


def test_the_clock_begins_with_the_first_frame(clip):
    video = open_video(clip("late.mkv", times=[3600, 3600.5, 3601]))
    numbers(video)
    np.testing.assert_allclose(video.timestamps, [0, 0.5, 1])


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.h264"])
def test_a_cut_gives_the_frames_between(clip, name):
    path = clip(name, frames=90, rate=25, options={"g": "12"})
    video = open_video(path, start=1.0, end=2.0)
    assert numbers(video) == list(range(25, 50))
    np.testing.assert_allclose(video.timestamps, np.arange(25) / 25, atol=0.0006)
    assert numbers(open_video(path, start=3.0)) == list(range(75, 90))
    assert numbers(open_video(path, start=1.01, end=1.97)) == list(range(26, 50))
    assert numbers(open_video(path, end=0.01)) == [0]


@pytest.mark.parametrize("start", [0, 0.4])
def test_one_time_far_in_the_future_does_not_end_a_cut(clip, tmp_path, start):
    path, whole = tmp_path / "wrong.mkv", clip(frames=50, rate=25, options={"bf": "0"})
    with av.open(str(whole)) as source, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.pts is not None:
                packet.pts += round((number == 20) * 5000 / packet.time_base)
                packet.stream = stream
                output.mux(packet)
    video = open_video(path, start=start, end=1.2)
    first = round(start * 25)
    assert numbers(video) == list(range(first, 30))
    np.testing.assert_allclose(video.timestamps, np.arange(30 - first) / 25, atol=0.001)


@pytest.mark.parametrize(("start", "end"), [(99, None), (2, 1), (-1, None)])
def test_an_empty_cut_is_an_error(clip, start, end):
    with pytest.raises(UserError):
        open_video(clip(), start=start, end=end)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50))
@example([0.0, 0.0, 1.2450715342317813e-18])
def test_mended_times_are_a_clock(times):
    mended, warnings = mend(np.array(times, np.float64), 30.0)
    assert mended[0] == 0
    assert len(mended) == len(times)
    assert (np.diff(mended) > 0).all()
    assert np.array_equal(mend(mended, 30.0)[0], mended)
    if not warnings:
        np.testing.assert_array_equal(mended, np.array(times) - times[0])


def test_one_wrong_time_leaves_the_others():
    times = np.arange(20) / 25
    times[7] = 9.0
    mended, warnings = mend(times, 25.0)
    np.testing.assert_allclose(mended, np.arange(20) / 25)
    assert len(warnings) == 1


def test_a_cut_by_times_that_were_mended_is_told(clip):
    fast = [i / 90000 for i in range(60)]
    whole, part = (open_video(clip(times=fast), end=end) for end in (None, 1.0))
    for video in (whole, part):
        assert len([*video]) == 60
    told = "--start and --end went by the times as stored, before they were mended"
    assert told in part.warnings
    assert told not in whole.warnings


def test_absurd_rates_are_not_believed():
    for rate in (90000, 1 / 512):
        mended, warnings = mend(np.arange(60) / rate, 30.0)
        np.testing.assert_allclose(mended, np.arange(60) / 30)
        assert len(warnings) == 1


def test_a_gap_makes_the_rate_a_mean():
    times = np.delete(np.arange(31) / 30, 7)
    assert mean_rate(times, Fraction(30), 1 / 30) == pytest.approx(29)


# Pixels.


@pytest.mark.skipif(not hasattr(av.VideoStream, "set_display_matrix"), reason="this PyAV can't tag")
@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_display_matrix_is_applied(clip, turn, mirrored):
    # A display matrix sends (x, y) to (a x + c y, b x + d y), y down.
    a, b, c, d = [(1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0)][turn]
    if mirrored:
        a, c = -a, -c  # after the turn, x changes sign
    one = 1 << 16
    path = clip(matrix=[a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30])
    expected = np.rot90(picture(0), turn)
    expected = expected[:, ::-1] if mirrored else expected
    video = open_video(path)
    image = next(iter(video))
    assert video.size == image.shape[1::-1] == expected.shape[1::-1]
    assert np.abs(image.astype(int) - expected).mean() < 6


@pytest.mark.parametrize(
    ("aspect", "size"), [(Fraction(16, 11), (94, 48)), (Fraction(8, 9), (64, 54))]
)
def test_pixels_become_square(clip, aspect, size):
    video = open_video(clip(aspect=aspect))
    assert video.size == size
    assert numbers(video) == list(range(10))


@pytest.mark.parametrize(
    "pixels", ["yuv420p", "yuvj420p", "yuv444p", "yuv420p10le", "rgb24", "argb"]
)
def test_colours_are_right(clip, pixels):
    if pixels in ("rgb24", "argb"):
        path = clip("a.mov", codec="qtrle", pixels=pixels)
    else:
        path = clip("a.mkv", codec="ffv1" if pixels != "yuvj420p" else "mjpeg", pixels=pixels)
    image = next(iter(open_video(path)))
    np.testing.assert_allclose(image[12, 16], (220, 20, 20), atol=6)
    np.testing.assert_allclose(image[12, 48], 0, atol=6)


# Images.


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_upright_as_its_exif_says(tmp_path, orientation):
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32] = 255
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    tags = struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + tags
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:])
    (upright,) = open_video(path)
    np.testing.assert_allclose(upright, cv2.imread(str(path)), atol=3)


def test_a_folder_of_images_is_a_clip_in_natural_order(tmp_path):
    for index in range(12):
        cv2.imwrite(str(tmp_path / f"frame_{index}.png"), picture(index)[..., ::-1])
    (tmp_path / "notes.txt").write_text("not an image")
    video = open_video(tmp_path, sequence_fps=12)
    assert numbers(video) == list(range(12))
    assert (video.fps, video.timestamps[-1]) == (12, pytest.approx(11 / 12))
    assert video.warnings == []
    assert open_video(tmp_path).fps == 30
    assert open_video(tmp_path).warnings
    assert numbers(open_video(tmp_path, sequence_fps=4, start=1, end=2)) == [4, 5, 6, 7]


def test_images_of_two_sizes_are_an_error(tmp_path):
    for index, size in enumerate([(64, 48), (32, 32)]):
        cv2.imwrite(str(tmp_path / f"{index}.png"), picture(index, size))
    with pytest.raises(UserError, match=r"1\.png: is 32x32, the images before it 64x48"):
        numbers(open_video(tmp_path, sequence_fps=30))


def test_a_broken_image_is_a_gap(tmp_path):
    for index in range(4):
        cv2.imwrite(str(tmp_path / f"{index}.png"), picture(index)[..., ::-1])
    (tmp_path / "2.png").write_bytes(b"")
    video = open_video(tmp_path, sequence_fps=10)
    assert numbers(video) == [0, 1, 3]
    assert video.lost == 1
    np.testing.assert_allclose(video.timestamps, [0, 0.1, 0.3])


def test_an_image_is_a_clip_of_one_frame(tmp_path):
    cv2.imwrite(str(tmp_path / "a.jpg"), picture(3))
    video = open_video(tmp_path / "a.jpg")
    assert numbers(video) == [3]
    assert video.timestamps.tolist() == [0]


# A webcam.


class Camera:
    """Stands in for cv2.VideoCapture; Ctrl-C is pressed before its fifth picture."""

    def __init__(self, index: int) -> None:
        self.seen, self.there = 0, index == 0

    def read(self):
        if self.seen == 4:
            os.kill(os.getpid(), signal.SIGINT)
        self.seen += 1
        return self.there, picture(self.seen - 1)[..., ::-1].copy() if self.there else None

    def release(self) -> None:
        pass


def test_a_webcam_ends_with_ctrl_c_and_plays_once(monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    usual = signal.getsignal(signal.SIGINT)
    video = open_video("0")
    assert numbers(video) == [0, 1, 2, 3, 4]
    assert not video.replayable
    assert (np.diff(video.timestamps) > 0).all()
    assert signal.getsignal(signal.SIGINT) is usual
    with pytest.raises(RuntimeError):
        next(iter(video))
    with pytest.raises(UserError, match="camera"):
        open_video(1)


# What is broken, hostile or not a video.


def test_corrupt_packets_are_dropped_and_counted(clip):
    path = clip("a.mp4", frames=60, size=(320, 240), codec="libvpx-vp9", options={"g": "5"})
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        where = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for position, size in where[20:23]:
        content[position : position + size] = random.Random(0).randbytes(size)
    path.write_bytes(content)
    video = open_video(path)
    kept = numbers(video)
    assert video.lost >= 1
    assert kept[:20] == list(range(20))
    assert kept[-30:] == list(range(30, 60))
    np.testing.assert_allclose(video.timestamps[-30:], np.arange(30, 60) / 30)  # gaps stay gaps
    assert any("corrupt" in text for text in video.warnings)
    lost = video.lost
    assert len(numbers(video)) == len(kept)
    assert video.lost == lost


def test_a_file_that_breaks_off_gives_what_it_holds(clip):
    path = clip(frames=200, container_options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    video = open_video(path)
    kept = numbers(video)
    assert 50 < len(kept) < 150
    assert kept == list(range(len(kept)))


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(9)))


@pytest.mark.parametrize("size", [(65535, 65535), (20000, 8000), (16384, 16384)])
def test_pictures_that_claim_to_be_huge_are_refused(tmp_path, size):
    (tmp_path / "bomb.png").write_bytes(png_header(*size))
    with pytest.raises(UserError, match=r"bomb\.png: (claims|no frame)"):
        open_video(tmp_path / "bomb.png")


def test_errors_say_what_is_wrong(clip, tmp_path):
    whole = clip(frames=30).read_bytes()
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("hello\n" * 1000)
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "link.mp4").symlink_to("nowhere.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    cases = {
        "absent.mp4": "no such file",
        "empty.mp4": "empty",
        "text.mp4": "not a video",
        "cut.mp4": "incomplete",
        "folder.mp4": "directory without images",
        "link.mp4": "link points to nothing",
        "pipe.mp4": "not a file",
    }
    for name, reason in cases.items():
        with pytest.raises(UserError, match=reason) as error:
            open_video(tmp_path / name)
        assert name in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["list.mp4", "list.ffconcat", "list.m3u8"])
def test_playlists_and_scripts_are_not_followed(clip, tmp_path, name):
    clip("part.ts")
    concat = "ffconcat version 1.0\nfile part.ts\n"
    hls = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\npart.ts\n#EXT-X-ENDLIST\n"
    (tmp_path / name).write_text(hls if name == "list.m3u8" else concat)
    with av.open(str(tmp_path / name)) as container:  # FFmpeg by itself does follow
        assert container.streams.video
    with pytest.raises(UserError, match="not a video"):
        open_video(tmp_path / name)


def refer_to(clip: bytes, name: bytes) -> bytes:
    """An MP4 whose samples lie in another file: its data reference is an alias of that."""
    path = struct.pack(">hH", 2, len(name)) + name + bytes(len(name) % 2)
    alias = struct.pack(">HHH27s", 150, 2, 0, b"\4root") + bytes(13)
    alias += struct.pack("B63s", len(name), name) + bytes(36) + path + struct.pack(">hH", -1, 0)
    alias = struct.pack(">I4sII", 16 + len(alias), b"alis", 0, 0) + alias
    start = clip.index(b"dref") - 4
    end = start + int.from_bytes(clip[start : start + 4], "big")
    box = struct.pack(">I4sII", 16 + len(alias), b"dref", 0, 1) + alias
    grown = bytearray(clip[:start] + box + clip[end:])
    for kind in (b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        at = grown.rindex(kind, 0, start) - 4
        size = int.from_bytes(grown[at : at + 4], "big") + len(box) - (end - start)
        grown[at : at + 4] = size.to_bytes(4, "big")
    return bytes(grown)


def test_data_references_are_not_followed(clip, tmp_path):
    target = clip("target.mp4")
    (tmp_path / "reference.mov").write_bytes(refer_to(target.read_bytes(), bytes(target)))
    follow = {"enable_drefs": "1", "use_absolute_path": "1"}
    with av.open(str(tmp_path / "reference.mov"), options=follow) as container:
        assert sum(1 for _ in container.decode(video=0)) == 10  # FFmpeg would, if it were let
    with pytest.raises(UserError, match="no frame"):
        open_video(tmp_path / "reference.mov")


@pytest.mark.parametrize(
    "name", ["-i.mp4", "file:x.mp4", "concat:a|b.mp4", "http:x.mp4", "%03d.mp4", "a 'b\";$(c).mp4"]
)
def test_any_name_is_a_plain_file(clip, tmp_path, monkeypatch, name):
    clip("plain.mp4").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert numbers(open_video(name)) == list(range(10))
    copy_video(Path(name), Path("out" + name))
    copy_video(Path(name), Path(name))
    assert sorted(os.listdir()) == sorted([name, "out" + name])


def test_ffmpeg_says_nothing_on_stderr(clip, capfd):
    path = clip(frames=30, sound="aac")
    path.write_bytes(path.read_bytes().replace(b"mdat", b"mdat\xff\xff", 1))
    for _ in range(2):
        with suppress(UserError):
            copy_video(path, path.with_name("out.mp4"))
    assert capfd.readouterr().err == ""


# Writing.


def test_what_is_written_has_the_same_frames_at_the_same_times(clip, tmp_path):
    for name, options in {
        "steady.mp4": {"rate": NTSC},
        "variable.mp4": {"times": [0, 0.033, 0.1, 0.5, 0.51, 2.0]},
        "one.mp4": {"frames": 1},
    }.items():
        video, _ = copy_video(clip(name, **options), tmp_path / "out.mp4")
        copy = open_video(tmp_path / "out.mp4")
        assert numbers(copy) == numbers(video)
        assert copy.size == video.size
        np.testing.assert_allclose(copy.timestamps, video.timestamps, atol=1e-5)
        assert copy.fps == pytest.approx(video.fps, rel=1e-4)
        with av.open(str(tmp_path / "out.mp4")) as container:
            expected = video.timestamps[-1] + 1 / video.fps  # the last frame stays, too
            assert container.duration / 1e6 == pytest.approx(expected, abs=0.002)


def test_colours_survive(tmp_path):
    image = np.zeros((720, 1280, 3), np.uint8)
    colours = [(250, 10, 10), (10, 250, 10), (10, 10, 250), (250, 250, 250), (128, 128, 128)]
    for i, colour in enumerate(colours):
        image[:, 256 * i : 256 * (i + 1)] = colour
    with write_video(tmp_path / "a.mp4", (1280, 720), fps=30) as output:
        output.write(image, 0)
    seen = next(iter(open_video(tmp_path / "a.mp4")))
    for i, colour in enumerate(colours):
        np.testing.assert_allclose(seen[360, 256 * i + 128], colour, atol=4)


def test_odd_sizes_are_padded_by_one(clip, tmp_path):
    video, _ = copy_video(clip(size=(65, 47), pixels="yuv444p"), tmp_path / "out.mp4")
    copy = open_video(tmp_path / "out.mp4")
    assert video.size == (65, 47)
    assert copy.size == (66, 48)
    assert numbers(copy) == numbers(video)


@pytest.mark.parametrize("cut", [{}, {"start": 0.3, "end": 0.8}])
@pytest.mark.parametrize(
    ("name", "sound", "written"),
    [
        ("a.mp4", "aac", "aac"),
        ("a.ts", "aac", "aac"),  # without the header that MP4 wants
        ("a.mkv", "libopus", "opus"),
        ("a.avi", "libmp3lame", "mp3"),
        ("a.mov", "pcm_s16le", "aac"),
    ],
)
def test_sound_stays_with_its_pictures(clip, tmp_path, name, sound, written, cut):
    path = clip(name, frames=45, sound=sound)
    video, output = copy_video(path, tmp_path / "out.mp4", **cut)
    assert output.warnings == []
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.audio[0].codec_context.codec.canonical_name == written
    np.testing.assert_allclose(
        tone(tmp_path / "out.mp4"), np.array(tone(path)) - video.clock_offset, atol=0.02
    )
    assert open_video(tmp_path / "out.mp4").clock_offset == 0


def test_late_sound_stays_late(clip, tmp_path):
    path = clip(frames=45, sound="aac", sound_at=0.4)
    copy_video(path, tmp_path / "out.mp4")
    assert tone(tmp_path / "out.mp4")[0] == pytest.approx(0.9, abs=0.01)


def test_broken_sound_does_not_cost_the_video(clip, tmp_path):
    for name, sound in [("a.mp4", "aac"), ("a.mp4", "ac3"), ("a.mov", "alac")]:
        path = clip(name, frames=45, sound=sound)
        content = bytearray(path.read_bytes())
        with av.open(str(path)) as container:
            where = [(p.pos, p.size) for p in container.demux(audio=0) if p.size]
        for position, size in where:
            content[position : position + size] = random.Random(0).randbytes(size)
        path.write_bytes(content)
        copy_video(path, tmp_path / "out.mp4")
        assert numbers(open_video(tmp_path / "out.mp4")) == list(range(45))


def test_a_silent_clip_stays_silent(clip, tmp_path):
    copy_video(clip(), tmp_path / "out.mp4")
    assert not open_video(tmp_path / "out.mp4").has_audio


def test_a_failure_leaves_no_file_and_keeps_the_old_one(tmp_path):
    (tmp_path / "out.mp4").write_bytes(b"old")
    with suppress(KeyboardInterrupt), write_video(tmp_path / "out.mp4", (64, 48), fps=30) as output:
        output.write(picture(0), 0)
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_bytes() == b"old"
    with pytest.raises(UserError, match="can't be written"):
        write_video(tmp_path / "absent" / "out.mp4", (64, 48), fps=30)


# The collection of hostile and odd inputs: frames, size, fps and whether it warns; or the error.

NASTY = {
    "-18_leading_dash.mp4": (60, (480, 272), 30, False),
    "01_truncated_no_moov.mp4": "incomplete",
    "02_zero_bytes.mp4": "empty",
    "03_text_renamed.mp4": "not a video",
    "04_audio_only.mp4": "no video stream",
    "07_8k_3frames.mp4": (3, (7680, 4320), 30, False),
    "08_variable_frame_rate.mp4": (34, (480, 272), 33 / 1.933333, False),
    "09_rotation_180.mp4": (60, (480, 272), 30, False),
    "09_rotation_90.mp4": (60, (272, 480), 30, False),
    "11_av1.mp4": (30, (480, 272), 30, False),
    "12_vp9.webm": (30, (480, 272), 30, False),
    "14_mjpeg.avi": (30, (480, 272), 30, False),
    "15_animated.gif": (10, (240, 136), 10, False),
    "16_image_sequence": (8, (480, 272), 30, True),
    "17_名前 émoji 🏃 with space & 'quote';$(touch pwned).mp4": (60, (480, 272), 30, False),
    "19_odd_321x181_444.mp4": (30, (321, 181), 30, False),
    "20_no_people_testsrc.mp4": (50, (320, 180), 25, False),
    "21_all_black.mp4": (50, (320, 180), 25, False),
    "24_timescale_zero_fps_bad.mp4": (1, (480, 272), 30, True),
    "27_fps_90000.mp4": (3059, (480, 272), 30, True),
    "28_alpha_qtrle.mov": (15, (240, 136), 30, False),
    "29_hls_local_file.m3u8": "not a video",
    "29b_hls_local_file_renamed.mp4": "not a video",
    "30_concat_script_renamed.mp4": "not a video",
    "35_start_pts_3600s.mkv": (60, (480, 272), 30, False),
    "36_dangling_symlink.mp4": "link|not a video",  # a copy may have made a text of the link
    "37_directory_named.mp4": "directory without images",
    "38_still.png": (1, (480, 272), 25, False),
    "38b_png_renamed.mp4": (1, (480, 272), 25, False),
    "39_fullrange_with_audio.mp4": (30, (480, 272), 30, False),
    "43_person_appears_after_1s.mp4": (90, (480, 272), 30, False),
}


def test_the_collection_is_covered(data):
    with open(data / "nasty" / "manifest.csv", encoding="utf-8") as file:
        assert {row["file"] for row in csv.DictReader(file)} == set(NASTY)


@pytest.mark.parametrize("name", NASTY)
def test_nasty(data, name):
    expected = NASTY[name]
    if isinstance(expected, str):
        with pytest.raises(UserError, match=expected):
            open_video(data / "nasty" / name)
        return
    count, size, fps, warns = expected
    with open_video(data / "nasty" / name) as video:
        assert video.size == size
        assert sum(1 for _ in video) == count
    assert (video.fps, bool(video.warnings)) == (pytest.approx(fps), warns)
    times = video.timestamps
    assert len(times) == count
    assert times[0] == 0
    assert (np.diff(times) > 0).all()
    assert times[-1] < 120


@pytest.mark.parametrize("name", ["24_timescale_zero_fps_bad.mp4", "39_fullrange_with_audio.mp4"])
def test_nasty_can_be_written(data, tmp_path, name):
    video, _ = copy_video(data / "nasty" / name, tmp_path / "out.mp4")
    copy = open_video(tmp_path / "out.mp4")
    for _ in copy:
        pass
    np.testing.assert_allclose(copy.timestamps, video.timestamps, atol=1e-5)
    assert copy.has_audio == video.has_audio
