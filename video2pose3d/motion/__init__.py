"""After the lifter: place, scale, smoothness, ground and feet."""

from video2pose3d.motion.reconstruction import (
    PersonMotion,
    Reconstruction,
    Settings,
    reconstruct,
)

__all__ = ["PersonMotion", "Reconstruction", "Settings", "reconstruct"]
