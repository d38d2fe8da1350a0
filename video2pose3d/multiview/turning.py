"""Calibrated cameras that were turned a little since: their rotations found anew from the people.

A camera is held against where the others see joints. If it sees them all beside, the same way
through the clip and well beyond what detectors err, all cameras are turned about their centres
until they agree best: rotations and joints in turn, as in bundle adjustment by resection and
intersection. Of whether a camera moved, too, people at a distance say next to nothing. It takes a
majority, so three cameras.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from video2pose3d.multiview.calibrations import View
from video2pose3d.multiview.triangulation import NEAREST, Sights, triangulate

_MAJORITY = 3  # cameras that see a joint, for it to say which of them is in the wrong
_BESIDE = 0.008  # of the focal length, half a degree: nearer may be the detector's
_STEADY = 0.5  # share of a camera's error that always points one way
_CLEARLY = 0.85  # of the error before: turned cameras that agree no better stay as they were
_SURE = 0.3  # score of keypoints that count
_LEAST = 100  # of them
_MOST = 150  # instants of each person, spread over the clip
_ROUNDS = 25


def settle(views: Sequence[View], people: Sequence[Sights]) -> tuple[list[View], list[str]]:
    """The views, turned where they have to be; and what was done, in words."""
    if len(views) < _MAJORITY or not people:
        return list(views), []
    sights = _spread(people)
    if _apart(sights) < _BESIDE / 3:  # a camera far beside the others is beside all of them, too
        return list(views), []
    shifts = np.stack([_shift(sights, v) for v in range(len(views))])  # (V, 3)
    sizes = np.linalg.norm(shifts[:, :2], axis=-1)
    worst = int(sizes.argmax())
    if sizes[worst] < _BESIDE or sizes[worst] < _STEADY * shifts[worst, 2]:
        return list(views), []
    turned = _turned(sights)
    if _error(turned) > _CLEARLY * _error(sights):
        return list(views), []
    turns = [cv2.Rodrigues(R @ view.R.T)[0] for R, view in zip(turned.R, views, strict=True)]
    x, y = shifts[worst, :2] * views[worst].camera.K[[0, 1], [0, 1]]
    warning = (
        f"camera {views[worst].name} sees everybody {np.hypot(x, y):.0f} px ({x:+.0f}, {y:+.0f}) "
        "beside where the other cameras do: it was moved, its picture cropped or its clip is out "
        "of time; so that they agree, cameras were turned by up to "
        f"{np.degrees(np.linalg.norm(turns, axis=1).max()):.1f} degrees"
    )
    settled = zip(views, turned.R, turned.t, strict=True)
    return [replace(view, R=R, t=t) for view, R, t in settled], [warning]


def _spread(people: Sequence[Sights]) -> Sights:
    """Some instants of everybody, as if of one person; only joints that enough cameras see."""
    rays, scores = [], []
    for sights in people:
        many = (sights.scores > _SURE).sum(axis=0) >= _MAJORITY
        rows = np.flatnonzero(many.any(axis=-1))
        rows = rows[:: max(1, len(rows) // _MOST)]
        rays.append(sights.rays[:, rows])
        scores.append((sights.scores * many)[:, rows])
    return replace(
        people[0], rays=np.concatenate(rays, axis=1), scores=np.concatenate(scores, axis=1)
    )


def _shift(sights: Sights, v: int) -> tuple[float, float, float]:
    """By how much camera v's keypoints lie beside where the others see the joints, in focal
    lengths: the median (x, y), and the median of lengths; 0 where there are too few."""
    others = np.arange(len(sights.R)) != v
    rest = Sights(sights.rays[others], sights.scores[others], sights.R[others], sights.t[others])
    joints = triangulate(rest)
    sure = (np.minimum(sights.scores[v], rest.twice) > _SURE) & np.isfinite(joints).all(axis=-1)
    if sure.sum() < _LEAST:
        return 0.0, 0.0, 0.0
    beside = -sights.residuals(np.nan_to_num(joints))[v][sure]
    x, y = np.median(beside, axis=0)
    return float(x), float(y), float(np.median(np.linalg.norm(beside, axis=-1)))


def _apart(sights: Sights) -> float:
    """By how much one camera sees everybody beside where all of them do, at most."""
    beside = sights.residuals(np.nan_to_num(triangulate(sights)))
    sure = sights.scores > _SURE
    medians = [np.median(b[s], axis=0) for b, s in zip(beside, sure, strict=True) if s.any()]
    return float(np.linalg.norm(medians, axis=-1).max(initial=0.0)) if medians else 0.0


def _error(sights: Sights) -> float:
    """Median length of residuals, in focal lengths."""
    length = np.linalg.norm(sights.residuals(np.nan_to_num(triangulate(sights))), axis=-1)
    return float(np.median(length[sights.scores > _SURE]))


def _turned(sights: Sights) -> Sights:
    """The sights with R and t of cameras turned about their centres until they agree best."""
    for _ in range(_ROUNDS):
        joints = triangulate(sights)
        sure = (sights.scores > _SURE) & np.isfinite(joints).all(axis=-1)
        there = sights.in_cameras(joints)
        turns = np.stack(
            [_turn(there[v][sure[v]], sights.rays[v][sure[v]]) for v in range(len(sure))]
        )
        sights = replace(sights, R=turns @ sights.R, t=np.einsum("vij,vj->vi", turns, sights.t))
    return sights


def _turn(there: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """The rotation (3, 3) that leads joints (N, 3) in CAMERA best onto the rays (N, 2) that see
    them: a step of Gauss and Newton's with Geman and McClure's weights (1987)."""
    if len(there) < _LEAST:
        return np.eye(3)
    x, y = (there[:, :2] / np.maximum(there[:, 2:], NEAREST)).T
    beside = rays - np.stack([x, y], axis=-1)
    length = np.linalg.norm(beside, axis=-1)
    weight = 1 / (1 + (length / (3 * np.median(length))) ** 2) ** 2
    # How x/z and y/z change with w, where p becomes p + w x p.
    rows = np.stack(
        [np.stack([-x * y, 1 + x**2, -y], axis=-1), np.stack([-1 - y**2, x * y, x], axis=-1)],
        axis=1,
    )
    normal = np.einsum("n,nai,nak->ik", weight, rows, rows)
    return cv2.Rodrigues(np.linalg.solve(normal, np.einsum("n,nai,na->i", weight, rows, beside)))[0]
