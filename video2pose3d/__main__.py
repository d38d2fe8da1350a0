"""`python -m video2pose3d` and the `video2pose3d` command."""

import os
import signal
import sys


def main() -> None:
    # OpenMP's threads spin while they wait, which on a machine that others use too costs several
    # times the work itself; what the user has set is left alone. It is read as torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Torch asks for huge pages (Linux only): what a network computes is mapped anew for every batch
    # (see cli/_memory.py), and clearing it page by page took a sixth to a quarter of its time.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

    # A file's name may hold what the terminal's encoding has not; stderr never minds.
    if getattr(sys.stdout, "errors", None) == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]

    # Who is asked to end, by a scheduler or `timeout`, tidies up as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    from video2pose3d.cli import video2pose3d

    sys.exit(video2pose3d())


if __name__ == "__main__":
    main()
