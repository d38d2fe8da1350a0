"""Weights are found by name, known by their SHA-256, and downloaded only when they may be."""

from __future__ import annotations

import hashlib
import http.server
import logging
import pickle
import re
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from video2pose3d import downloads, weights
from video2pose3d.errors import UserError

BODY = b"\x80\x02" + bytes(range(256)) * 4000  # begins like a pickle, 1 MB
DIGEST = hashlib.sha256(BODY).hexdigest()
SAFE = (2).to_bytes(8, "little") + b"{}" + b"tensors"


class Server(http.server.ThreadingHTTPServer):
    """A mirror on this machine that can misbehave in the ways that real ones do."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = BODY
        self.break_at: int | None = None  # stop the next answer after so many bytes
        self.stall: float = 0.0  # seconds of silence before it stops
        self.ranges = True
        self.redirect: str | None = None
        self.silent = False
        self.asked: list[str | None] = []  # the Range header of every request

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/yolo11n.pt"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.0"

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if self.server.silent:
            time.sleep(2)
            return
        if self.server.redirect is not None:
            self.send_response(302)
            self.send_header("Location", self.server.redirect)
            self.end_headers()
            return
        body = self.server.body
        start = 0
        if asked and self.server.ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end, self.server.break_at = self.server.break_at, None
        self.wfile.write(body[start:end])
        if end is not None:
            time.sleep(self.server.stall)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for every test, and a process that remembers nothing."""
    monkeypatch.setenv("VIDEO2POSE3D_HOME", str(tmp_path / "home"))
    for name in ("VIDEO2POSE3D_OFFLINE", "VIDEO2POSE3D_WEIGHTS", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(weights, "packaged_folder", lambda: None)
    monkeypatch.setattr(downloads, "_silent_since", {})
    monkeypatch.setattr(downloads, "fetch", partial(downloads.fetch, loopback=True))
    monkeypatch.setattr(downloads, "answers", partial(downloads.answers, loopback=True))
    weights._answers.cache_clear()
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return tmp_path / "home" / "weights"


@pytest.fixture
def mirror() -> Iterator[Server]:
    yield from _serve()


@pytest.fixture
def mirror2() -> Iterator[Server]:
    yield from _serve()


def _serve() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def manifest(monkeypatch: pytest.MonkeyPatch):
    """manifest(url, ..., sha256=...) → the program now knows one detector, yolo11n."""

    def make(*urls: str, **fields: object) -> weights.Weight:
        fields = {"sha256": DIGEST, "licence": "AGPL-3.0", **fields}
        entry = weights.Weight("yolo11n", "detector", "yolo", "yolo11n.pt", urls=urls, **fields)
        monkeypatch.setattr(weights, "entries", lambda: {"yolo11n": entry})
        return entry

    return make


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def put(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


# ---- the manifest


@pytest.mark.parametrize("entry", weights.entries().values(), ids=lambda e: e.name)
def test_every_entry_can_be_had_and_known(entry: weights.Weight) -> None:
    assert entry.kind in ("detector", "keypoints", "relation", "lifter", "backbone")
    assert all(url.startswith("https://") and url.endswith(entry.file) for url in entry.urls)
    assert bool(entry.urls) != bool(entry.packaged)
    assert entry.packaged in (None, f"weights/{entry.file}")
    assert entry.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    if entry.sha256_prefix:
        assert re.search(f"-{entry.sha256_prefix}[_.]", entry.file)
    assert entry.sha256 or (entry.urls and entry.sha256_prefix)
    if entry.urls:
        assert entry.sha256_source
    if entry.urls and entry.kind != "backbone":  # a backbone finds nothing by itself
        assert entry.ap
        assert entry.scores_source
    assert entry.licence


def test_no_two_entries_share_a_file_or_a_digest() -> None:
    entries = weights.entries().values()
    assert len({e.file for e in entries}) == len(entries)
    digests = [e.sha256 for e in entries if e.sha256]
    assert len(set(digests)) == len(digests)


# ---- files on this machine


def test_a_weight_is_found_in_every_folder_that_is_promised(
    home: Path, tmp_path: Path, manifest, monkeypatch: pytest.MonkeyPatch, no_network: None
) -> None:
    manifest()
    monkeypatch.setenv("VIDEO2POSE3D_WEIGHTS", str(tmp_path / "shared"))
    monkeypatch.setattr(weights, "packaged_folder", lambda: tmp_path / "share")
    folders = [tmp_path / "own", tmp_path / "shared", tmp_path / "share", Path("weights"), home]
    for folder in reversed(folders):  # each goes before the ones after it
        path = put(folder, "yolo11n.pt", BODY)
        assert weights.find("yolo11n", folder=tmp_path / "own") == path.absolute()
    assert weights.path("yolo11n.pt", folder=tmp_path / "own") == folders[0] / "yolo11n.pt"


def test_a_file_with_the_right_name_and_the_wrong_digest_is_passed_over(
    home: Path, manifest
) -> None:
    manifest()
    put(Path("weights"), "yolo11n.pt", b"\x80 something else")
    assert weights.on_disk("yolo11n") is None
    with pytest.raises(UserError, match="not the manifest's yolo11n"):
        weights.find("yolo11n", offline=True)
    right = put(home, "yolo11n.pt", BODY)
    assert weights.find("yolo11n") == right
    assert [v.known for v in weights.verify("yolo11n")] == ["no", "manifest"]


def test_a_changed_file_is_noticed(home: Path, manifest) -> None:
    manifest()
    path = put(home, "yolo11n.pt", BODY)
    assert weights.on_disk("yolo11n") == path
    put(home, "yolo11n.pt", BODY + b"!")
    assert weights.on_disk("yolo11n") is None


def test_names_take_hyphens_for_underscores(home: Path, manifest) -> None:
    manifest()
    path = put(home, "yolo11n.pt", BODY)
    assert weights.find("YOLO11n") == path
    with pytest.raises(UserError, match="choose from yolo11n"):
        weights.find("yolo12n", kind="detector")
    with pytest.raises(UserError, match="detector weights, not keypoints weights"):
        weights.find("yolo11n", kind="keypoints")


def test_an_unpublished_digest_is_kept_at_first_use_and_checked_ever_after(
    home: Path, manifest
) -> None:
    manifest(sha256=None, sha256_prefix=DIGEST[:8])
    path = put(home, "yolo11n.pt", BODY)
    assert weights.find("yolo11n") == path
    (verdict,) = weights.verify("yolo11n")
    assert verdict.ok
    assert verdict.known == "first use"
    manifest(sha256=None)  # even without a prefix
    put(home, "yolo11n.pt", BODY + b"!")
    assert not weights.verify("yolo11n")[0].ok
    assert weights.on_disk("yolo11n") is None


def test_a_packaged_weight_comes_with_the_program(
    tmp_path: Path, manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest(packaged="weights/yolo11n.pt")
    monkeypatch.setattr(weights, "packaged_folder", lambda: tmp_path)
    with pytest.raises(UserError, match="reinstall"):
        weights.find("yolo11n")
    put(tmp_path, "yolo11n.pt", BODY)
    assert weights.find("yolo11n") == tmp_path / "yolo11n.pt"
    assert weights.verify("yolo11n")[0].known == "manifest"
    put(tmp_path, "yolo11n.pt", BODY + b"other")
    with pytest.raises(UserError, match="reinstall"):
        weights.find("yolo11n")


# ---- files of the user's own


def test_a_pickle_needs_trust_unless_the_manifest_knows_it(tmp_path: Path, manifest) -> None:
    manifest()
    known = put(tmp_path, "renamed.pt", BODY)
    assert weights.find(str(known), kind="detector") == known
    with pytest.raises(UserError, match="not keypoints weights"):
        weights.find(known, kind="keypoints")
    for head in (pickle.dumps({"a": 1}), b"PK\x03\x04 a zip, as torch.save writes it"):
        own = put(tmp_path, "own.pt", head)
        with pytest.raises(UserError, match="--trust-weights"):
            weights.find(own)
        assert weights.find(own, trust=True) == own


def test_safetensors_are_taken_and_their_name_alone_is_not_believed(tmp_path: Path) -> None:
    own = put(tmp_path, "own.safetensors", SAFE)
    assert weights.find(own) == own
    with pytest.raises(UserError, match="--trust-weights"):
        weights.find(put(tmp_path, "disguised.safetensors", BODY))


@pytest.mark.parametrize(
    "content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"<html>"]
)
def test_what_is_no_checkpoint_is_refused_even_when_trusted(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UserError, match="no file of weights"):
        weights.find(put(tmp_path, "own.pt", content), trust=True)


def test_a_path_that_is_not_there_is_said_in_one_line() -> None:
    with pytest.raises(UserError, match="neither a file nor a name"):
        weights.find("nowhere/own.pt")


# ---- downloads


def test_a_missing_weight_is_downloaded_once_and_reports_progress(
    home: Path, manifest, mirror: Server
) -> None:
    manifest(mirror.url, size=len(BODY))
    steps: list[tuple[int, int | None]] = []
    path = weights.download("yolo11n", progress=lambda done, total: steps.append((done, total)))
    assert path == home / "yolo11n.pt"
    assert path.read_bytes() == BODY
    assert steps[-1] == (len(BODY), len(BODY))
    assert weights.find("yolo11n") == path
    assert len(mirror.asked) == 1
    assert sorted(p.name for p in home.iterdir()) == ["yolo11n.pt", "yolo11n.pt.lock"]


def test_a_broken_download_goes_on_where_it_stopped(home: Path, manifest, mirror: Server) -> None:
    manifest(mirror.url)
    mirror.break_at = 300_000
    assert weights.find("yolo11n").read_bytes() == BODY
    assert mirror.asked == [None, "bytes=300000-"]


def test_a_download_that_stalls_goes_on_elsewhere(
    home: Path, manifest, mirror: Server, mirror2: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "ANSWER_WITHIN", 1.0)
    manifest(mirror.url, mirror2.url)
    mirror.break_at = mirror2.break_at = 300_000
    mirror.stall = mirror2.stall = 6.0
    began = time.monotonic()
    assert weights.find("yolo11n").read_bytes() == BODY
    assert time.monotonic() - began < 5.0


def test_a_later_run_resumes_what_an_earlier_one_left(home: Path, manifest, mirror: Server) -> None:
    manifest(mirror.url)
    put(home, "yolo11n.pt.part", BODY[:1000])
    assert weights.find("yolo11n").read_bytes() == BODY
    assert mirror.asked == ["bytes=1000-"]


@pytest.mark.parametrize("left_over", [b"another file", b"\0" * (len(BODY) + 1)])
def test_a_left_over_of_another_file_costs_a_second_try(
    home: Path, manifest, mirror: Server, left_over: bytes
) -> None:
    manifest(mirror.url)
    put(home, "yolo11n.pt.part", left_over)
    assert weights.find("yolo11n").read_bytes() == BODY


def test_a_server_without_ranges_starts_again(home: Path, manifest, mirror: Server) -> None:
    manifest(mirror.url)
    mirror.break_at, mirror.ranges = 300_000, False
    assert weights.find("yolo11n").read_bytes() == BODY


def test_without_any_known_digest_nothing_is_resumed(home: Path, manifest, mirror: Server) -> None:
    manifest(mirror.url, sha256=None)
    put(home, "yolo11n.pt.part", BODY[:1000])
    assert weights.find("yolo11n").read_bytes() == BODY
    assert mirror.asked == [None]
    assert weights.verify("yolo11n")[0].known == "first use"


def test_a_mirror_that_keeps_breaking_off_is_given_up(home: Path, manifest, mirror: Server) -> None:
    manifest(mirror.url, size=len(BODY))
    mirror.body = BODY[:1000]
    with pytest.raises(UserError, match=f"offers 1000 bytes instead of {len(BODY)}"):
        weights.find("yolo11n")


def test_a_wrong_file_is_refused_and_the_next_mirror_taken(
    home: Path, manifest, mirror: Server, mirror2: Server
) -> None:
    manifest(mirror.url)
    mirror.body = b"\x80" + b"evil" * 1000
    with pytest.raises(UserError, match=r"SHA-256 differs.*put a copy of yolo11n.pt"):
        weights.find("yolo11n")
    assert not (home / "yolo11n.pt").exists()
    assert not (home / "yolo11n.pt.part").exists()
    manifest(mirror.url, mirror2.url)
    assert weights.find("yolo11n").read_bytes() == BODY


def test_a_dead_mirror_costs_nothing(home: Path, manifest, mirror: Server) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}/yolo11n.pt"
    manifest(dead, mirror.url)
    began = time.monotonic()
    assert weights.find("yolo11n").read_bytes() == BODY
    assert time.monotonic() - began < 2


def test_silence_is_borne_once(
    home: Path, manifest, mirror: Server, mirror2: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "ANSWER_WITHIN", 1.0)
    mirror.silent = mirror2.silent = True
    other = mirror2.url.replace("127.0.0.1", "127.0.0.2")  # hangs or refuses, as the system likes
    manifest(mirror.url, other, mirror2.url)
    began = time.monotonic()
    with pytest.raises(UserError, match=r"gave no answer in 1 s"):
        weights.find("yolo11n")
    assert not weights.available("yolo11n")
    with pytest.raises(UserError, match="no answer"):
        weights.find("yolo11n")
    assert time.monotonic() - began < 3.0
    mirror2.silent = False
    assert weights.download("yolo11n").read_bytes() == BODY  # who asks by name, asks anew


def test_a_hanging_name_server_is_left_behind(
    home: Path, manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "ANSWER_WITHIN", 0.3)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: time.sleep(3))
    manifest("https://one.example/yolo11n.pt", "https://two.example/yolo11n.pt")
    began = time.monotonic()
    with pytest.raises(UserError, match=r"one\.example: gave no answer"):
        weights.find("yolo11n")
    manifest("https://three.example/yolo11n.pt")
    with pytest.raises(UserError, match="the network gives no answer"):
        weights.find("yolo11n")
    assert time.monotonic() - began < 1


def test_the_patience_is_below_five_seconds() -> None:
    assert downloads.ANSWER_WITHIN < 5


def test_redirects_are_followed_but_never_out_of_https(
    home: Path, manifest, mirror: Server, mirror2: Server
) -> None:
    manifest(mirror.url)
    mirror.redirect = "http://example.com/yolo11n.pt"
    with pytest.raises(UserError, match=r"leads to http://example\.com, which is not https"):
        weights.find("yolo11n")
    mirror.redirect = mirror2.url
    put(home, "yolo11n.pt.part", BODY[:1000])
    assert weights.find("yolo11n").read_bytes() == BODY
    assert mirror2.asked == ["bytes=1000-"]


def test_plain_http_is_refused(tmp_path: Path, mirror: Server) -> None:
    fetch = downloads.fetch.func  # type: ignore[attr-defined]  # without the tests' loopback
    with pytest.raises(UserError, match="not https"):
        fetch([mirror.url], tmp_path / "file", digest=DIGEST)
    assert mirror.asked == []


def test_two_downloads_at_once_give_one_file(home: Path, manifest, mirror: Server) -> None:
    manifest(mirror.url)
    paths: list[Path] = []
    threads = [
        threading.Thread(target=lambda: paths.append(weights.find("yolo11n"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paths == [home / "yolo11n.pt"] * 4
    assert len(mirror.asked) == 1


def test_a_full_disk_is_an_error_of_one_line(
    home: Path, manifest, mirror: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest(mirror.url)
    monkeypatch.setattr(
        downloads.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1000})
    )
    with pytest.raises(UserError, match=r"needs 1 MB, 0 MB are free.*make room"):
        weights.find("yolo11n")


def test_a_store_that_is_no_folder_is_an_error_of_one_line(
    home: Path, manifest, mirror: Server
) -> None:
    manifest(mirror.url)
    home.parent.write_text("in the way")
    with pytest.raises(UserError, match=r"can't be written.*VIDEO2POSE3D_HOME"):
        weights.find("yolo11n")


# ---- offline


@pytest.mark.parametrize("how", ["option", "environment", "no download"])
def test_offline_opens_no_connection_and_says_what_to_do(
    home: Path, manifest, mirror: Server, no_network: None, how: str, monkeypatch
) -> None:
    manifest(mirror.url)
    if how == "environment":
        monkeypatch.setenv("VIDEO2POSE3D_OFFLINE", "1")
    with pytest.raises(UserError, match="video2pose3d weights download yolo11n") as error:
        weights.find("yolo11n", offline=how == "option", download=how != "no download")
    assert str(home) in str(error.value)
    if how != "no download":
        assert not weights.available("yolo11n", offline=how == "option")
    assert mirror.asked == []


def test_available_asks_once(home: Path, manifest, mirror: Server) -> None:
    manifest(mirror.url)
    assert weights.available("yolo11n")
    assert weights.available("yolo11n")
    assert len(mirror.asked) == 1


# ---- the store


@pytest.mark.parametrize(
    ("system", "variable", "below"),
    [
        ("Linux", "XDG_CACHE_HOME", "video2pose3d/weights"),
        ("Windows", "LOCALAPPDATA", "video2pose3d/weights"),
        ("Darwin", "HOME", "Library/Caches/video2pose3d/weights"),
    ],
)
def test_the_store_is_where_the_platform_keeps_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, variable: str, below: str
) -> None:
    monkeypatch.delenv("VIDEO2POSE3D_HOME")
    monkeypatch.setattr(weights.platform, "system", lambda: system)
    monkeypatch.setenv(variable, str(tmp_path))
    assert weights.store() == tmp_path / below


def test_a_store_that_cannot_be_written_still_serves(
    home: Path, tmp_path: Path, manifest, caplog: pytest.LogCaptureFixture
) -> None:
    manifest(sha256=None, sha256_prefix=DIGEST[:8])
    home.parent.write_text("in the way")
    path = put(tmp_path / "own", "yolo11n.pt", BODY)
    with caplog.at_level(logging.WARNING):
        assert weights.find("yolo11n", folder=tmp_path / "own") == path
    assert "can't be kept" in caplog.text


def test_a_safetensors_whose_length_begins_like_a_pickle_is_none(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    header = b"{}".ljust(0x0280)
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert weights.find(path) == path
