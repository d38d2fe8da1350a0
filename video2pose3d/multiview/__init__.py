"""Several calibrated cameras of one scene: people matched across views and triangulated.

    clips → pipeline.watch, one after another → matching → triangulation → refinement → world

Detectors see joints, not joint centres: apart from the head, which `skull` moves, what comes out is
the place that the views' keypoints agree on (hips, say, where the detector means them).
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
