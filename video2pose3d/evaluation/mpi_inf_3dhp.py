"""MPI-INF-3DHP: MPJPE, PCK and AUC of its six test sequences and of all, with exact 2D.

As in P-STMO, whose files these are: every valid frame counts; MPJPE in mm relative to the pelvis,
over all 17 joints; PCK at 150 mm and AUC (the mean PCK of 31 thresholds, 0 to 150 mm) in percent,
over the 14 joints of the data set's own evaluation, which leaves out pelvis, spine and head (head
top and neck are in). The last row is over all frames, not over the sequences.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from video2pose3d import metrics
from video2pose3d.datasets import mpi_inf_3dhp
from video2pose3d.errors import UserError
from video2pose3d.evaluation import lifting
from video2pose3d.evaluation.scores import Table
from video2pose3d.lifters import Lifter
from video2pose3d.skeletons import MPI_INF_3DHP17

_LEFT_OUT = MPI_INF_3DHP17.indices("pelvis", "spine", "head")
COUNTED = [j for j in range(len(MPI_INF_3DHP17)) if j not in _LEFT_OUT]


def evaluate(lifter: Lifter, data: Path) -> Table:
    """data: P-STMO's data_test_3dhp.npz, or the folder of it."""
    sequences = mpi_inf_3dhp.read(data, "test")
    pairs = {
        s.subject: (lifting.in_mm(joints, s)[s.valid], s.truth[s.valid])
        for joints, s in zip(lifting.lift(lifter, sequences), sequences, strict=True)
        if s.valid.any()
    }
    if not pairs:
        raise UserError("marks no frame as valid", path=data, cure=mpi_inf_3dhp.WHERE)
    together = tuple(np.concatenate(part) for part in zip(*pairs.values(), strict=True))
    rows = {name: _row(*pair) for name, pair in {**pairs, "All": together}.items()}
    return Table(
        f"MPI-INF-3DHP, exact 2D; {lifter.name}, T = {lifter.frames}, flip averaging",
        ("frames", "MPJPE mm", "PCK %", "AUC %"),
        rows,
    )


def _row(found: np.ndarray, truth: np.ndarray) -> tuple[float, ...]:
    """found, truth: (N, 17, 3) mm."""
    limbs = found[:, COUNTED] / 1000, truth[:, COUNTED] / 1000
    shares = metrics.pck(*limbs), metrics.auc(*limbs)
    return len(truth), metrics.mpjpe(found, truth), *(100 * share for share in shares)
