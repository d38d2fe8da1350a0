"""Errors and tables of them, as all benchmarks give them: mm, and mm a frame for velocities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from video2pose3d import metrics
from video2pose3d.skeletons import H36M17


@dataclass(frozen=True)
class Score:
    """Errors in mm relative to the pelvis; mpjve in mm a frame. name: what was measured.

    What n_mpjpe leaves of mpjpe are wrong sizes, which one camera cannot see.
    """

    name: str
    frames: int
    mpjpe: float
    n_mpjpe: float
    p_mpjpe: float
    mpjve: float

    @classmethod
    def of(
        cls, name: str, found: np.ndarray, truth: np.ndarray, moves: tuple[np.ndarray, np.ndarray]
    ) -> Score:
        """found, truth: (N, J, 3) metres relative to the pelvis; moves: (M, J, 3) of both, each

        the difference of two neighbouring frames. NaN where there is nothing to measure.
        """
        nan = float("nan")
        p1, n, p2 = (
            1000 * measure(found, truth) if len(truth) else nan
            for measure in (metrics.mpjpe, metrics.n_mpjpe, metrics.p_mpjpe)
        )
        moved = 1000 * metrics.mpjpe(*moves) if len(moves[0]) else nan
        return cls(name, len(truth), p1, n, p2, moved)

    def __str__(self) -> str:
        p1, n, p2 = (f"{_cell(value):>6}" for value in (self.mpjpe, self.n_mpjpe, self.p_mpjpe))
        velocity = f"{self.mpjve:5.2f}".replace("nan", "–")
        return (
            f"{self.name:<32} MPJPE {p1}  N-MPJPE {n}  P-MPJPE {p2} mm   "
            f"velocity {velocity} mm/frame   ({self.frames} frames)"
        )


@dataclass(frozen=True)
class Errors:
    """Of one sequence or several, by frame and joint, in mm: joints (N, J) as they are, aligned

    (N, J) after the best similarity transform of the frame; velocity (M,) mm a frame, between
    neighbouring frames that both count.
    """

    joints: np.ndarray
    aligned: np.ndarray
    velocity: np.ndarray

    @property
    def p1(self) -> np.ndarray:
        """MPJPE by frame, (N,) mm."""
        return self.joints.mean(axis=-1)

    @property
    def p2(self) -> np.ndarray:
        """P-MPJPE by frame, (N,) mm."""
        return self.aligned.mean(axis=-1)

    @classmethod
    def of(cls, found: np.ndarray, truth: np.ndarray, valid: np.ndarray | None = None) -> Errors:
        """found, truth: (T, J, 3) mm relative to the root; valid: (T,) the frames that count."""
        valid = np.ones(len(truth), bool) if valid is None else valid
        both = valid[1:] & valid[:-1]
        moved = np.linalg.norm(np.diff(found - truth, axis=0)[both], axis=-1)
        found, truth = found[valid], truth[valid]
        aligned = metrics.procrustes(found, truth) if len(truth) else truth
        return cls(
            np.linalg.norm(found - truth, axis=-1),
            np.linalg.norm(aligned - truth, axis=-1),
            moved.mean(axis=-1),
        )

    @classmethod
    def join(cls, parts: Sequence[Errors]) -> Errors:
        names = ("joints", "aligned", "velocity")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def by_joint(self) -> dict[str, tuple[float, float]]:
        """MPJPE and P-MPJPE of each joint of Human3.6M, by its name."""
        return {
            name: (mean(self.joints[:, j]), mean(self.aligned[:, j]))
            for j, name in enumerate(H36M17.joints)
        }


@dataclass(frozen=True)
class Table:
    """rows: name → a number a column, NaN where there is none; counts stay integers."""

    title: str
    columns: tuple[str, ...]
    rows: dict[str, tuple[float, ...]]

    def __str__(self) -> str:
        cells = {name: [_cell(value) for value in row] for name, row in self.rows.items()}
        first = max([0, *map(len, cells)])
        widths = [
            max(len(name), *(len(row[c]) for row in cells.values()), 0)
            for c, name in enumerate(self.columns)
        ]
        lines = [self.title, _line("", self.columns, first, widths)]
        return "\n".join(
            [*lines, *(_line(name, row, first, widths) for name, row in cells.items())]
        )

    def as_json(self) -> dict[str, Any]:
        """Numbers as they were measured; null where there is none."""
        rows = {
            name: {
                column: None if value != value else value
                for column, value in zip(self.columns, row, strict=True)
            }
            for name, row in self.rows.items()
        }
        return {"title": self.title, "rows": rows}


def _cell(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return "–" if value != value else f"{value:.1f}"


def _line(name: str, cells: Sequence[str], first: int, widths: Sequence[int]) -> str:
    padded = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join([name.ljust(first), *padded]).rstrip()


def mean(values: np.ndarray) -> float:
    """Of the numbers there are; NaN of none, without a warning."""
    return float(values.mean()) if values.size else float("nan")
