"""CSV: one row for each person and frame in which they are there, for spreadsheets and pandas.

Columns are named for the keys of poses.npz and say the same: `person`, `frame`, `timestamp`,
`valid`, `foot_contact_right`, `root_camera_x`, `joints_world_RKnee_y`, `keypoints_2d_Head_x`, ...
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np

from video2pose3d.exporters._fields import PER_FRAME
from video2pose3d.files import replacing
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Scene

suffix = ".csv"

# What the entries of each field are called, axis by axis.
_AXES: dict[str, tuple[tuple[str, ...], ...]] = {
    "valid": (),
    "foot_contact": (("right", "left"),),
    "root_camera": (("x", "y", "z"),),
    "joints_world": (H36M17.labels, ("x", "y", "z")),
    "joints_3d": (H36M17.labels, ("x", "y", "z")),
    "scores_3d": (H36M17.labels,),
    "keypoints_2d": (H36M17.labels, ("x", "y")),
    "scores_2d": (H36M17.labels,),
}


def write(scene: Scene, folder: Path) -> list[Path]:
    """Write poses.csv: people in the scene's order, each one's frames in time."""
    path = folder / f"poses{suffix}"
    columns = ["person", "frame", "timestamp"]
    formats = ["%d", "%d", "%.6f"]
    for key, axes in _AXES.items():
        names = ["_".join((key, *entry)) for entry in product(*axes)]
        columns += names
        formats += ["%d" if key in ("valid", "foot_contact") else "%.5f"] * len(names)
    line = ",".join(formats) + "\n"
    with replacing(path) as beside, beside.open("w", encoding="utf-8", newline="\n") as file:
        file.write(",".join(columns) + "\n")
        for person in scene.people:
            n, frames = len(person.frames), person.frames
            if not n:
                continue  # never seen
            parts = [np.full(n, person.id), frames, scene.timestamps[frames]]
            parts += [PER_FRAME[key](person) for key in _AXES]
            table = np.concatenate([part.reshape(n, -1) for part in parts], axis=1)
            file.writelines(line % tuple(row) for row in table.tolist())
    return [path]
