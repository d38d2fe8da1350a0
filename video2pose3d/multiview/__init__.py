"""Several cameras of one scene: people matched across views and triangulated.

    clips → pipeline.watch, one after another → matching → triangulation → refinement → world

Where no calibration is given, `self_calibration` finds the cameras from the people, and where
nobody says when the clips began, their clocks; what follows is the same.

Detectors see points of the body's surface, not joint centres; `centres` moves hips, shoulders,
trunk and head from the one to the other by what they differ on average. Limbs stay as seen.
"""

from video2pose3d.multiview.calibrations import View
from video2pose3d.multiview.clips import process, run
from video2pose3d.multiview.people import Sighted
from video2pose3d.multiview.reconstruction import Reconstruction, reconstruct
from video2pose3d.multiview.result import MultiviewResult

__all__ = [
    "MultiviewResult",
    "Reconstruction",
    "Sighted",
    "View",
    "process",
    "reconstruct",
    "run",
]
