"""Video to 3D human motion.

import video2pose3d as v2p
result = v2p.run("clip.mp4")         # writes nothing
result.people[0].poses.joints        # (T, 17, 3) metres
result.save("out/")                  # what the command writes
v2p.load("out/clip/poses.npz")
"""

from video2pose3d.version import __version__

__all__ = ["__version__", "load", "run"]


def __getattr__(name: str):
    # `import video2pose3d` and `video2pose3d --help` stay instant: torch loads with the pipeline.
    if name == "run":
        from video2pose3d.pipeline import run

        return run
    if name == "load":
        from video2pose3d.results import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
