"""Training the lifters."""

from video2pose3d.training.loop import train

__all__ = ["train"]
