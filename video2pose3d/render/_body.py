"""The body that the animation and the viewer draw: round limbs, lit from the upper left."""

from __future__ import annotations

import math

import numpy as np

from video2pose3d.structures import Person

# Radii in metres at both ends of the bone that ends in a joint, for a person of usual size.
_RADII = {
    "hip": (0.085, 0.085),
    "knee": (0.083, 0.055),
    "ankle": (0.055, 0.036),
    "spine": (0.110, 0.105),
    "thorax": (0.105, 0.095),
    "neck": (0.058, 0.050),
    "head": (0.080, 0.092),
    "shoulder": (0.068, 0.058),
    "elbow": (0.054, 0.041),
    "wrist": (0.041, 0.030),
}
_USUAL_LENGTH = 4.0  # metres, all bones of a person of usual size, end to end
HEAD = (0.3, 0.75)  # parts of the bone from mouth to crown between which the head is that thick

# A limb is painted as ever slimmer shapes, ever nearer to the light, which makes it look round:
# part of the radius, and tint from black (-1) over the limb's colour to white (1).
SHADES = [(1 - 0.85 * x, -0.42 + 0.7 * math.sin(x * math.pi / 2)) for x in np.linspace(0, 1, 7)]
TO_LIGHT = np.array([-0.55, -0.83])  # in the picture, x right and y down
LIGHT = (0.28, 0.12)  # metres to the right and away that a shadow lies per metre of height
SHADOW = 0.36  # part of the floor's light that is lost right below a body
PALE = 0.55  # part of the floor's colour in a limb of a bridged pose
TRAIL_SECONDS, TRAIL_PIECES = 4.0, 40


def scale(person: Person) -> float:
    """How large the person is: 1 is usual."""
    starts, stops = np.array(person.poses.skeleton.bones).T
    joints = person.joints_world[:: max(1, len(person.frames) // 100)]
    lengths = np.linalg.norm(joints[:, stops] - joints[:, starts], axis=-1).sum(axis=1)
    return max(float(np.median(lengths)) / _USUAL_LENGTH, 1e-3) if len(lengths) else 1.0


def radii(person: Person) -> np.ndarray:
    """(B, 2) metres at both ends of each of the skeleton's bones."""
    skeleton = person.poses.skeleton
    names = [skeleton.joints[stop].rpartition("_")[2] for _, stop in skeleton.bones]
    return scale(person) * np.array([_RADII[name] for name in names])
