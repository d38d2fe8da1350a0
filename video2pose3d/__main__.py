"""`python -m video2pose3d` and the `video2pose3d` command."""

import os
import sys


def main() -> None:
    # OpenMP's threads spin while they wait, which on a machine that others use too costs several
    # times the work itself; what the user has set is left alone. It is read as torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # torch takes its big tensors in huge pages (Linux only): a sixth of a network's time on a CPU
    # went into the faults of small ones.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

    from video2pose3d.cli import video2pose3d

    sys.exit(video2pose3d())


if __name__ == "__main__":
    main()
