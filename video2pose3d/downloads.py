"""Fetch one file from several mirrors: resumed, verified, whole or not at all.

All mirrors are asked at once and the first that sends bytes is read, so a dead mirror costs
nothing and a dead network costs `ANSWER_WITHIN` seconds, whatever it is that hangs: the name
server, the connection, or a server that accepts and stays silent.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import ipaddress
import logging
import os
import queue
import re
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock

from video2pose3d.errors import UserError

log = logging.getLogger("video2pose3d")

Progress = Callable[[int, "int | None"], None]  # (bytes done, bytes in all where known)

ANSWER_WITHIN = 4.5  # seconds until some mirror's first bytes; also the longest stall after that
REMEMBER_SILENCE = 60.0  # seconds in which a silent host is not asked again
CHUNK = 1 << 18  # bytes

_silent_since: dict[str, float] = {}  # host → time.monotonic() of its last silence


class _Broken(Exception):
    """One mirror failed: why, in a few words."""


@dataclass
class _Answer:
    """A mirror that has begun to send: its first bytes, where they belong, the file's size."""

    url: str
    response: http.client.HTTPResponse
    first: bytes
    start: int
    total: int | None


def fetch(
    urls: Sequence[str],
    target: Path,
    *,
    digest: str = "",
    size: int | None = None,
    progress: Progress | None = None,
    loopback: bool = False,
) -> Path:
    """Download `target` from one of `urls`; what lies there already is left alone and returned.

    digest: the SHA-256 the file must have, or its first digits; with none of them known nothing
    is resumed, since half of one file could be continued with half of another. size: bytes.
    loopback: allow http:// on this machine, for tests. A second process that wants the same file
    waits for the first. Raises UserError when no mirror gave the file, or it can't be written.
    """
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f"{target.name}.lock")):
            if not target.exists():
                if not digest:
                    part.unlink(missing_ok=True)
                _fill(part, list(urls), digest, size, progress, loopback)
                os.replace(part, target)
    except OSError as problem:
        raise UserError(
            f"can't be written: {problem.strerror or problem}",
            path=target,
            cure="make room or rights there, or set VIDEO2POSE3D_HOME to another folder",
        ) from problem
    return target


def answers(urls: Sequence[str], *, loopback: bool = False) -> bool:
    """Whether one of the mirrors sends anything: at most ANSWER_WITHIN seconds."""
    answer = _ask(list(urls), 0, {}, loopback)
    if answer is not None:
        answer.response.close()
    return answer is not None


def forget_silence() -> None:
    """Ask hosts again that gave no answer a moment ago: for a user who says so."""
    _silent_since.clear()


def _fill(
    part: Path,
    urls: list[str],
    digest: str,
    size: int | None,
    progress: Progress | None,
    loopback: bool,
) -> None:
    """Make `part` the whole, right file; UserError when every mirror has failed."""
    failed: dict[str, str] = {}
    furthest = _length(part)
    left_over = furthest > 0  # by an earlier run, from whatever was offered then
    while mirrors := [u for u in urls if u not in failed]:
        answer = _ask(mirrors, _length(part), failed, loopback)
        if answer is None:
            break
        with contextlib.closing(answer.response):
            try:
                _read(answer, part, size, progress)
            except _Broken as problem:
                if _length(part) > furthest:  # it got on: ask again for the rest
                    furthest = _length(part)
                else:
                    failed[answer.url] = str(problem)
                continue
        if file_sha256(part).startswith(digest):
            return
        if left_over:  # that may have been the wrong part: once more from the start
            left_over = False
        else:
            failed[answer.url] = "sent another file than the manifest describes (SHA-256 differs)"
        part.unlink()
        furthest = 0
    reasons = ", ".join(f"{_host(url)}: {why}" for url, why in failed.items())
    raise UserError(f"not downloaded: {reasons or 'no mirror is known'}", path=part.stem)


def _read(answer: _Answer, part: Path, size: int | None, progress: Progress | None) -> None:
    """Write what the mirror sends; _Broken when it ends early, stalls or sends too much."""
    total = answer.total if answer.total is not None else size
    if size is not None and total != size:
        raise _Broken(f"offers {total} bytes instead of {size}")
    room = shutil.disk_usage(part.parent).free
    if total is not None and total - answer.start > room:
        raise UserError(
            f"needs {(total - answer.start) / 1e6:.0f} MB, {room / 1e6:.0f} MB are free",
            path=part.parent,
            cure="make room, or set VIDEO2POSE3D_HOME to another folder",
        )
    with open(part, "r+b" if answer.start else "wb") as out:
        out.seek(answer.start)
        out.truncate()
        done, chunk = answer.start, answer.first
        while chunk:
            out.write(chunk)
            done += len(chunk)
            if total is not None and done > total:
                raise _Broken(f"sent more than {total} bytes")
            if progress is not None:
                progress(done, total)
            try:
                chunk = answer.response.read1(CHUNK)
            except (OSError, http.client.HTTPException) as problem:
                raise _Broken(f"broke off at {done} bytes: {_reason(problem)}") from problem
    if total is not None and done < total:
        raise _Broken(f"broke off at {done} of {total} bytes")


def _ask(urls: list[str], start: int, failed: dict[str, str], loopback: bool) -> _Answer | None:
    """The first mirror that sends bytes from `start` on; the reasons of others go to `failed`.

    Each is asked in a thread of its own: a hanging name server can't be interrupted, only left.
    """
    now = time.monotonic()
    if len({h for h, t in _silent_since.items() if now - t < REMEMBER_SILENCE}) > 1:
        failed.update(dict.fromkeys(urls, "was not asked: the network gives no answer"))
        return None
    waiting = set()
    for url in urls:
        if now - _silent_since.get(_host(url), -REMEMBER_SILENCE) < REMEMBER_SILENCE:
            failed[url] = "gave no answer"
        else:
            waiting.add(url)
    results: queue.SimpleQueue[tuple[str, _Answer | Exception]] = queue.SimpleQueue()

    def ask(url: str) -> None:
        try:
            results.put((url, _open(url, start, loopback)))
        except Exception as problem:  # told to the one who waits
            results.put((url, problem))

    for url in waiting:
        threading.Thread(target=ask, args=(url,), daemon=True).start()
    while waiting:
        try:
            url, result = results.get(timeout=max(0.0, now + ANSWER_WITHIN - time.monotonic()))
        except queue.Empty:
            for url in waiting:
                failed[url] = f"gave no answer in {ANSWER_WITHIN:g} s"
                _silent_since[_host(url)] = time.monotonic()
            return None
        waiting.discard(url)
        if isinstance(result, _Answer):
            _silent_since.clear()  # there is a network
            return result
        failed[url] = _reason(result)
    return None


def _open(url: str, start: int, loopback: bool) -> _Answer:
    """Ask one mirror for the bytes from `start` on and wait for the first of them."""
    _check_scheme(url, loopback)
    headers = {"User-Agent": "video2pose3d", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    opener = urllib.request.build_opener(_Redirects(loopback))
    request = urllib.request.Request(url, headers=headers)
    try:
        response = opener.open(request, timeout=ANSWER_WITHIN)
    except urllib.error.HTTPError as problem:
        problem.close()
        if problem.code == 416 and start:  # what we have is not shorter than the file: start anew
            return _open(url, 0, loopback)
        raise
    length = response.headers.get("Content-Length")
    total = int(length) if length else None
    if response.status == 206:
        matched = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if matched is None or int(matched[1]) != start:
            raise _Broken("answered with another part of the file than was asked for")
        total = int(matched[2])
    else:
        start = 0  # it sends everything from the start
    first = response.read1(CHUNK)
    if not first:
        raise _Broken("sent nothing")
    return _Answer(url, response, first, start, total)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never out of https."""

    def __init__(self, loopback: bool) -> None:
        self.loopback = loopback

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        _check_scheme(newurl, self.loopback)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str, loopback: bool) -> None:
    scheme = urlsplit(url).scheme
    if scheme == "https" or (scheme == "http" and loopback and _is_loopback(_host(url))):
        return
    raise _Broken(f"leads to {scheme}://{_host(url)}, which is not https")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _reason(problem: Exception) -> str:
    """Why a mirror failed, in a few words."""
    if isinstance(problem, urllib.error.HTTPError):
        return f"answered HTTP {problem.code}"
    if isinstance(problem, urllib.error.URLError):
        problem = problem.reason if isinstance(problem.reason, Exception) else problem
    if isinstance(problem, TimeoutError):
        return f"gave no answer in {ANSWER_WITHIN:g} s"
    words = problem.strerror if isinstance(problem, OSError) else None
    return words or str(problem) or type(problem).__name__


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
