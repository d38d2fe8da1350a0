"""`python -m video2pose3d` and the `video2pose3d` command."""

import sys


def main() -> None:
    from video2pose3d.cli import video2pose3d

    sys.exit(video2pose3d())


if __name__ == "__main__":
    main()
