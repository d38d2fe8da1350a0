"""How the training windows are varied: the numbers of a recipe."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How the windows are varied; every range is drawn anew for each window."""

    fps: tuple[float, float] = (24, 60)
    speed: tuple[float, float] = (0.75, 1.35)
    splice: float = 0.25  # share of windows with the upper body of another clip
    bend: float = 0.35  # share of windows with legs, trunk or arms bent further: squats, sitting
    tilt: float = 0.08  # share of windows turned over: lying, hanging, rolling
    size: tuple[float, float] = (0.94, 1.06)  # of the body, times that of the performer
    bones: tuple[float, float] = (0.88, 1.12)  # each bone's length by itself, left as right
    hips: tuple[float, float] = (0.8, 1.3)  # how far apart they are
    distance: tuple[float, float] = (1.8, 12.0)
    from_above: float = 0.12  # share of cameras that look down steeply
    focal_error: tuple[float, float] = (0.75, 1.33)  # true over assumed focal length
    noise: tuple[float, float] = (0.003, 0.035)  # level of the detector's errors, metres
    clean: float = 0.06  # share of windows without noise
    faults: float = 1.0  # how often joints, limbs and frames are lost, swapped or cut off
    mended: float = 0.0  # share of windows whose keypoints --relate's network has mended
