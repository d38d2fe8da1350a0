"""Training the lifters."""

from video2pose3d.training.loop import publish, train

__all__ = ["publish", "train"]
