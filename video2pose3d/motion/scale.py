"""Scale: how large people are, in metres.

One camera sees shapes, not sizes: a lifter gives every body the size of those it learned from. A
height given for one person fixes the scene's scale; standing on the same floor tells the others'.
"""

from __future__ import annotations

import numpy as np

from video2pose3d.skeletons import H36M17

# What the bones below leave out: under the ankle, and above the "head" joint, which is inside the
# skull. So rigs of 1.77 and 1.66 m come out as 1.76 and 1.67.
_WHOLE = 1.07
_COLUMN = ("right_ankle", "right_knee", "spine", "thorax", "neck", "head")
_PLAUSIBLE = (0.8, 1.25)  # by what factor people may differ from the lifter's size, unless told
_SIZE_SPREAD = 0.06  # how much people differ in size, relative
_FOOT_ERROR = 0.05  # metres, of the floor's height as one person's feet tell it


def stature(bone_lengths: np.ndarray) -> float:
    """Standing height in metres from (J,) bone lengths in H36M17 order."""
    return _WHOLE * float(bone_lengths[H36M17.indices(*_COLUMN)].sum())


def share_floor(heights: np.ndarray, fixed: int | None) -> np.ndarray:
    """(P,) factors on each person's size and distance that put all of them on one floor.

    heights: (P,) metres of the camera above the floor as each person's feet tell it, before;
    fixed: the person whose size is known. As a camera near the floor makes this unsure, and people
    do stand on steps, factors keep to what sizes and errors make likely.
    """
    if len(heights) < 2 or (heights <= _FOOT_ERROR).any():
        return np.ones(len(heights))
    reference = np.exp(np.log(heights).mean()) if fixed is None else heights[fixed]
    trust = _SIZE_SPREAD**2 / (_SIZE_SPREAD**2 + (_FOOT_ERROR / heights) ** 2)
    factors = np.clip((reference / heights) ** trust, *_PLAUSIBLE)
    if fixed is not None:
        factors[fixed] = 1.0
    return factors
