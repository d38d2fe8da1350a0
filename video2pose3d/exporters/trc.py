"""TRC: tracks of markers for OpenSim.

Metres, Y up, as in WORLD; frames come at a constant rate, and are counted and timed as the clip's.
One person a file. Frames from which the person is absent have no row: OpenSim's inverse kinematics
gives up at one without markers. The markers are the 17 joints, under the names that Pose2Sim's
OpenSim model of HALPE_26 has for them (`_markers.NAMES`).

The format: Motion Analysis', as in OpenSim's documentation, "Marker (.trc) Files".
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from video2pose3d.exporters import _people
from video2pose3d.exporters._markers import NAMES
from video2pose3d.structures import Person, Scene

suffix = ".trc"

_FIELDS = (
    "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\t"
    "OrigDataRate\tOrigDataStartFrame\tOrigNumFrames"
)


def write(scene: Scene, folder: Path) -> list[Path]:
    """Write person-<id>.trc for every person of the scene."""
    return _people.write(scene, folder, suffix, content)


def content(person: Person, scene: Scene) -> bytes:
    joints, fps = _people.joints(person, scene)
    rows = joints.reshape(len(joints), -1).round(5) + 0.0  # no -0.00000
    there = np.flatnonzero(~np.isnan(rows).any(axis=1))
    rate, first, many = f"{fps:.10g}", there[0] + 1, len(NAMES)
    axes = "\t".join(f"X{m}\tY{m}\tZ{m}" for m in range(1, many + 1))
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\tperson-{int(person.id)}{suffix}",
        _FIELDS,
        f"{rate}\t{rate}\t{len(there)}\t{many}\tm\t{rate}\t{first}\t{len(there)}",
        "Frame#\tTime\t" + "\t\t\t".join(NAMES) + "\t\t",
        f"\t\t{axes}",
        "",
    ]
    line = "%d\t%.7f" + "\t%.5f" * rows.shape[1]
    lines += [line % (k + 1, k / fps, *rows[k].tolist()) for k in there.tolist()]
    return "\n".join([*lines, ""]).encode("ascii")
