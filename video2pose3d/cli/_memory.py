"""Memory that does not grow with the clip: glibc is told when to give back what is free."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

# malloc.h's parameters of mallopt
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


def keep_flat() -> None:
    """Let the heap keep what networks free from layer to layer, until `give_back`.

    By default glibc either maps a large block anew each time, and a third of a batch's time goes
    into page faults, or leaves it in a heap that small blocks which live on break up: the peak of a
    10 times longer clip was half as high again. So blocks under 16 MiB come from the heap, which
    keeps its end as well, and `give_back` empties its holes every few frames. A process's own
    choice, so the command line makes it and the library does not. Nothing happens elsewhere than on
    glibc.
    """
    if mallopt := _glibc("mallopt"):
        mallopt(_M_TRIM_THRESHOLD, 2**26)
        mallopt(_M_MMAP_THRESHOLD, 2**24)
        mallopt(_M_ARENA_MAX, 2)


def give_back() -> None:
    """Give the pages of the heap that hold nothing back to the system."""
    if malloc_trim := _glibc("malloc_trim"):
        malloc_trim(ctypes.c_size_t(0))


def _glibc(name: str) -> Any:
    """One of its functions; None on another system or with another C library."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
