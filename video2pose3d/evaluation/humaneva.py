"""HumanEva-I: errors by action and subject on the validation half, exact 2D.

As in VideoPose3D: 15 joints in metres in CAMERA, all three cameras, P1 (MPJPE relative to the
pelvis) and P2 (after the best similarity transform of each frame), mm, over the frames of an action
and a subject. The average is over Walk and Jog of the three subjects, as the papers print it; other
actions stand after it.
"""

from __future__ import annotations

from pathlib import Path

from video2pose3d.datasets import humaneva
from video2pose3d.evaluation import lifting
from video2pose3d.evaluation.scores import Errors, Table, mean
from video2pose3d.lifters import Lifter

ACTIONS = {"Walking": "Walk", "Jog": "Jog"}  # of the average
OTHERS = {"Box": "Box", "Gestures": "Gestures", "ThrowCatch": "Throw"}


def evaluate(lifter: Lifter, data: Path) -> Table:
    """data: the folder of VideoPose3D's data_3d_humaneva15.npz and data_2d_humaneva15_gt.npz."""
    sequences = humaneva.read(data, "test")
    found: dict[tuple[str, str], list[Errors]] = {}
    for joints, s in zip(lifting.lift(lifter, sequences), sequences, strict=True):
        key = s.action.split(" ")[0], s.subject  # "Walking 1 chunk0" is Walking
        found.setdefault(key, []).append(Errors.of(lifting.in_mm(joints, s), s.truth, s.valid))
    joined = {key: Errors.join(parts) for key, parts in found.items()}

    def columns(actions: dict[str, str]) -> list[tuple[str, str]]:
        return [key for action in actions for key in sorted(joined) if key[0] == action]

    first, rest = columns(ACTIONS), columns(OTHERS)
    rows = {}
    for name, kind in (("P1", "p1"), ("P2", "p2")):
        values = [mean(getattr(joined[key], kind)) for key in (*first, *rest)]
        shown = values[: len(first)]
        average = sum(shown) / len(shown) if shown else float("nan")
        rows[name] = (*shown, average, *values[len(first) :])
    names = ACTIONS | OTHERS
    labels = [f"{names[action]} {subject}" for action, subject in (*first, *rest)]
    return Table(
        f"HumanEva-I, exact 2D, mm; {lifter.name}, T = {lifter.frames}, flip averaging",
        (*labels[: len(first)], "Avg.", *labels[len(first) :]),
        rows,
    )
