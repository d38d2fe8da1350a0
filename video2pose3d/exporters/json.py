"""JSON: the people, the first camera and the clock of poses.npz, for programs in other languages.

{"schema_version", "units", "coordinate_system", ..., "people": [{"id", "frames": [{"frame",
"timestamp", "valid", "joints_world", ...}]}]}, keys as in poses.npz. A person's frames are those
where they are there, one a line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from video2pose3d.exporters._fields import COORDINATE_SYSTEM, PER_FRAME, SCHEMA_VERSION, UNITS
from video2pose3d.files import replacing
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Person, Scene

suffix = ".json"


def write(scene: Scene, folder: Path) -> list[Path]:
    """Write poses.json."""
    path = folder / f"poses{suffix}"
    with replacing(path) as beside, beside.open("w", encoding="utf-8", newline="\n") as file:
        # A clip may be long: frame by frame, not as one object in memory.
        file.write(f'{json.dumps(_about(scene), indent=1)[:-2]},\n "people": [')
        for p, person in enumerate(scene.people):
            file.write(f'{"," if p else ""}\n{{"id": {int(person.id)}, "frames": [')
            for f, row in enumerate(_rows(person, scene)):
                file.write(f"{',' if f else ''}\n{json.dumps(row, allow_nan=False)}")
            file.write("]}")
        file.write("]\n}\n")
    return [path]


def _about(scene: Scene) -> dict[str, Any]:
    """What is true of the whole clip."""
    return {
        "schema_version": SCHEMA_VERSION,
        "units": UNITS,
        "coordinate_system": COORDINATE_SYSTEM,
        "joint_names": H36M17.labels,
        "parents": H36M17.parents,
        "fps": scene.fps,
        "frames": len(scene.timestamps),
        "image_size": scene.image_size,
        "camera_K": scene.camera.K.tolist(),
        "camera_dist": scene.camera.dist.tolist(),
        "camera_source": scene.camera.source,
        "world_from_camera": scene.world_from_camera.tolist(),
        "scale_source": scene.scale_source,
    }


def _rows(person: Person, scene: Scene) -> Iterator[dict[str, Any]]:
    """One object for each frame in which the person is there."""
    fields = {key: field(person) for key, field in PER_FRAME.items()}
    for i, frame in enumerate(person.frames.tolist()):
        values = {key: _plain(array[i]) for key, array in fields.items()}
        yield {"frame": frame, "timestamp": round(float(scene.timestamps[frame]), 6), **values}


def _plain(array: np.ndarray) -> Any:
    """Lists and numbers, to 0.01 mm or px."""
    return array.tolist() if array.dtype == bool else array.astype(np.float64).round(5).tolist()
