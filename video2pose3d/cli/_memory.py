"""Memory that does not grow with the clip: glibc is told to give frames back to the system."""

from __future__ import annotations

import ctypes
import sys

# malloc.h's parameters of mallopt
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8


def keep_flat() -> None:
    """Let blocks of 1 MiB and more, such as video frames, be mapped and unmapped one by one.

    By default glibc soon takes them from its heap instead, where small blocks that live on break
    the room between them up: the peak of a 10 times longer clip was half as high again. A process's
    own choice, so the command line makes it and the library does not. Nothing happens elsewhere
    than on glibc.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 2**20)
        mallopt(_M_ARENA_MAX, 2)
