"""What makes a calibration doubtful: cameras that were moved since, bodies of another size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from video2pose3d.multiview.calibrations import View

_MOVED = 0.008  # of the focal length, half a degree: nearer may be the detector's
_STEADY = 0.7  # share of a camera's error that always points one way
_STATURE = 0.12  # relative: bodies as detectors see them are up to 8 % smaller than they are


def moved(views: Sequence[View], beside: Sequence[np.ndarray]) -> list[str]:
    """Warnings of cameras that see everybody beside where the others do, always the same way.

    beside: (N, 2) px of each camera, by which keypoints lie beside the joints projected. The worst
    only, since one camera that was moved draws the joints away from the others, too.
    """
    shifts = np.array([np.median(b, axis=0) if len(b) else (0.0, 0.0) for b in beside])
    sizes = [float(np.linalg.norm(shift)) for shift in shifts]
    angles = [size / view.camera.K[0, 0] for size, view in zip(sizes, views, strict=True)]
    worst = int(np.argmax(angles))
    error = np.linalg.norm(beside[worst], axis=-1)
    if angles[worst] < _MOVED or sizes[worst] < _STEADY * np.median(error):
        return []
    x, y = shifts[worst]
    return [
        f"camera {views[worst].name} sees everybody {sizes[worst]:.0f} px ({x:+.0f}, {y:+.0f}) "
        "beside where the other cameras do: it was moved, its picture cropped or its clip is out "
        "of time"
    ]


def other_size(stature: float, height: float | None) -> list[str]:
    """A warning where somebody of `height` metres came out as `stature`; None is any height."""
    if height is None or abs(stature / height - 1) <= _STATURE:
        return []
    return [
        f"--height {height:g}, but the calibration makes the person {stature:.2f} m high: "
        "check its unit, and the size of the board's squares"
    ]
