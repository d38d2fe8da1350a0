"""What is known of a person in each frame, under the names that every file uses for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from video2pose3d.structures import Person

SCHEMA_VERSION = 1

# (T, ...) over the person's frames.
PER_FRAME: dict[str, Callable[[Person], np.ndarray]] = {
    "valid": lambda person: person.valid,
    "foot_contact": lambda person: person.foot_contact,
    "root_camera": lambda person: person.root_camera,
    "joints_world": lambda person: person.joints_world,
    "joints_3d": lambda person: person.poses.joints,
    "scores_3d": lambda person: person.poses.scores,
    "keypoints_2d": lambda person: person.keypoints.xy,
    "scores_2d": lambda person: person.keypoints.scores,
}

UNITS = "metres; pixels for keypoints_2d, boxes, camera_K and image_size; seconds for timestamps"
COORDINATE_SYSTEM = (
    "joints_3d: camera axes (x right, y down, z forward), pelvis at 0; "
    "root_camera: the same axes, optical centre at 0; "
    "joints_world: y up, floor at y = 0, right-handed, a person who faces the camera faces +z; "
    "keypoints_2d: x right, y down, in the upright image, pixel centres at +0.5"
)
