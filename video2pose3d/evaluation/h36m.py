"""Human3.6M, protocols 1 and 2: 15 actions and their average, as the papers print it.

Errors are averaged over the frames of an action (both subjects, all cameras), then over the
actions, so that a long action counts no more than a short one. P1 is MPJPE relative to the pelvis,
P2 the same after the best similarity transform of each frame, both in mm; MPJVE is P1 of the
differences between neighbouring frames, in mm a frame.

`h36m` is MotionBERT's protocol: labels in pixels, brought to mm by a factor a frame, three
sequences with wrong labels left out. `h36m_gt` is the same with the labels' own x, y as 2D.
(MotionBERT's script then puts these in the place of the estimated x, y, so that only depths can be
wrong; MotionAGFormer's, as here, leaves the estimate. SSR-STF doesn't say which.)
`h36m_metres` is VideoPose3D's: metres in CAMERA, nothing left out. The two are not comparable: a
label in pixels is the person seen without perspective, so its x, y are the exact 2D itself, and
only the depth is left to find; metres must be found through the perspective, all three.
"""

from __future__ import annotations

from pathlib import Path

from video2pose3d.datasets import Sequence, h36m, h36m_motionbert
from video2pose3d.evaluation import lifting
from video2pose3d.evaluation.scores import Errors, Table, mean
from video2pose3d.lifters import Lifter

ACTIONS = {
    "Directions": "Dir.", "Discussion": "Disc.", "Eating": "Eat", "Greeting": "Greet",
    "Phoning": "Phone", "Photo": "Photo", "Posing": "Pose", "Purchases": "Pur.", "Sitting": "Sit",
    "SittingDown": "SitD.", "Smoking": "Smoke", "Waiting": "Wait", "WalkDog": "WalkD.",
    "Walking": "Walk", "WalkTogether": "WalkT.",
}  # fmt: skip


def evaluate(lifter: Lifter, data: Path, *, truth_2d: bool = False) -> Table:
    """MotionBERT's protocol. data: its file, or the folder of it; truth_2d: the labels' own 2D."""
    sequences = h36m_motionbert.read(data, "test", truth_2d=truth_2d)
    points = "2D from the labels" if truth_2d else "detected 2D"
    return table(lifter, sequences, f"Human3.6M, MotionBERT's protocol, {points}")


def evaluate_metres(lifter: Lifter, data: Path, *, keypoints: str = "cpn_ft_h36m_dbb") -> Table:
    """VideoPose3D's protocol. data: the folder of its files; keypoints: which 2D, or "gt"."""
    sequences = h36m.read(data, "test", keypoints=keypoints)
    return table(lifter, sequences, f"Human3.6M, VideoPose3D's protocol (metres), 2D {keypoints}")


def table(lifter: Lifter, sequences: list[Sequence], title: str) -> Table:
    """A lifter on the test half: a column an action, and their average; the rows P1, P2, MPJVE."""
    found: dict[str, list[Errors]] = {}
    for joints, s in zip(lifting.lift(lifter, sequences), sequences, strict=True):
        errors = Errors.of(lifting.in_mm(joints, s), s.truth, s.valid)
        found.setdefault(s.action.split(" ")[0], []).append(errors)  # "Walking 1" is Walking
    order = [*(a for a in ACTIONS if a in found), *sorted(a for a in found if a not in ACTIONS)]
    joined = [Errors.join(found[action]) for action in order]
    rows = {}
    for name, kind in (("P1", "p1"), ("P2", "p2"), ("MPJVE", "velocity")):
        values = [mean(getattr(errors, kind)) for errors in joined]
        rows[name] = (*values, sum(values) / len(values))
    frames = sum(len(errors.p1) for errors in joined)
    return Table(
        f"{title}, mm; {lifter.name}, T = {lifter.frames}, flip averaging, {frames} frames",
        (*(ACTIONS.get(action, action) for action in order), "Avg."),
        rows,
    )
