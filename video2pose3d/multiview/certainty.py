"""How sure cameras are that were found from people: numbers, doubts, and when to refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from video2pose3d.errors import UserError
from video2pose3d.geometry import unit
from video2pose3d.multiview.adjustment import BONES, KINDS, Adjusted
from video2pose3d.multiview.bundling import Bodies

_AGREES = 0.015  # of the focal length, about 15 px: keypoints nearer to the joints agree
_CLOCK = 3.0  # clocks are so much less sure: slow movement and errors that change go together
_SEEN = 0.3  # score of keypoints that count
# From when on to doubt, and from when on to refuse.
_AGREEING = 0.7, 0.4  # share of keypoints, at least
_BONES = 0.08, 0.10  # relative, by which all bones but one in twenty change, at most
_ANGLE = 12.0, 4.0  # degrees between the sights of two cameras, at least
_TURN = 5.0, 15.0  # degrees of uncertainty, at most


def refuse(names: Sequence[str], bodies: Bodies) -> None:
    """UserError where what was found is not to be trusted."""
    angles, agreeing = _angles(bodies), _agreeing(bodies)
    turns, bones = _deviations(bodies.adjusted)[0], _bones(bodies)
    check = (
        "check that the clips show the same seconds of one scene (--offset) and that no camera "
        "moves or zooms, or give --calibration"
    )
    if bones > _BONES[1]:
        raise UserError(f"bones come out of changing lengths, by {bones:.0%}", cure=check)
    for name, angle, share, turn in zip(names, angles, agreeing, turns, strict=True):
        if share < _AGREEING[1]:
            raise UserError(
                f"only {share:.0%} of what {name} sees agrees with the other cameras", cure=check
            )
        if angle < _ANGLE[1]:
            raise UserError(
                f"{name} sees people from where another camera does ({angle:.1f} degrees apart), "
                "which says nothing of depth",
                cure="set the cameras further apart, or give one of the clips alone to run",
            )
        if turn > _TURN[1]:
            raise UserError(
                f"which way {name} looks is known to {turn:.0f} degrees only",
                cure="film people who move about, all of them in view, or give --calibration",
            )


def describe(
    names: Sequence[str], bodies: Bodies, factor: float
) -> tuple[list[dict[str, Any]], list[str]]:
    """For the report, what is known of each camera; and doubts, in words.

    factor: on the adjustment's lengths.
    """
    adjusted = bodies.adjusted
    turns, places, lenses = _deviations(adjusted)
    angles, agreeing = _angles(bodies), _agreeing(bodies)
    cameras, doubts = [], []
    if (change := _bones(bodies)) > _BONES[0]:
        doubts.append(
            f"bones change their lengths by {change:.0%}: does a camera move, or a clip lag?"
        )
    for v, name in enumerate(names):
        cameras.append(
            {
                "found_from": "people",
                "agreeing_keypoints": float(agreeing[v]),
                "angle_to_others_degrees": float(angles[v]),
                "rotation_deviation_degrees": float(turns[v]),
                "position_deviation_m": float(places[v] * factor),
                "focal_deviation_percent": float(100 * lenses[v]),
            }
        )
        if agreeing[v] < _AGREEING[0]:
            doubts.append(f"{agreeing[v]:.0%} of what {name} sees agrees with the other cameras")
        if angles[v] < _ANGLE[0]:
            doubts.append(f"{name} stands only {angles[v]:.0f} degrees from another camera")
        if turns[v] > _TURN[0]:
            doubts.append(f"which way {name} looks is known to {turns[v]:.0f} degrees only")
    for camera, clock in zip(cameras, clocks(adjusted), strict=True):
        camera.update(clock)
    return cameras, doubts


def clocks(adjusted: Adjusted) -> list[dict[str, Any]]:
    """For the report, how surely each clip's beginning was found; 0 seconds where it wasn't."""
    return [{"time_offset_deviation": float(d)} for d in clock_deviations(adjusted)]


def clock_deviations(adjusted: Adjusted) -> np.ndarray:
    """(V,) seconds."""
    return np.sqrt(adjusted.covariance[:, 7, 7]) * _CLOCK


def _deviations(adjusted: Adjusted) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(V,) each: standard deviations of rotation in degrees, of where the camera stands in the
    adjustment's metres, and of the focal length, relative."""
    R, t = adjusted.estimate.R, adjusted.estimate.t
    covariance = adjusted.covariance
    turns = np.degrees(np.sqrt(np.einsum("vii->v", covariance[:, :3, :3])))
    # centre = -R^T t: a turn by w in CAMERA moves it by R^T (w x t).
    cross = np.cross(np.eye(3)[None], t[:, None], axis=-1)  # (V, 3, 3) rows e_i x t
    by = np.concatenate([np.swapaxes(cross, 1, 2), -np.broadcast_to(np.eye(3), (len(t), 3, 3))], -1)
    by = np.swapaxes(R, 1, 2) @ by  # (V, 3, 6)
    centres = by @ covariance[:, :6, :6] @ np.swapaxes(by, 1, 2)
    places = np.sqrt(np.einsum("vii->v", centres))
    return turns, places, np.sqrt(covariance[:, 6, 6])


def _agreeing(bodies: Bodies) -> np.ndarray:
    """(V,) share of keypoints that lie where the joints are; 0 for a camera with none."""
    seen = bodies.bundle.scores > _SEEN
    near = seen & (bodies.adjusted.residuals < _AGREES)
    return near.sum(axis=(1, 2)) / np.maximum(seen.sum(axis=(1, 2)), 1)


def _bones(bodies: Bodies) -> float:
    """By how much of their length bones change, if one in twenty may change more.

    Of joints that two cameras see: no one knows where others are.
    """
    estimate = bodies.adjusted.estimate
    along = estimate.points[:, BONES[:, 1]] - estimate.points[:, BONES[:, 0]]
    lengths = estimate.lengths[bodies.bundle.person][:, KINDS]
    twice = (bodies.bundle.scores > _SEEN).sum(axis=0) > 1
    change = np.abs(np.linalg.norm(along, axis=-1) / lengths - 1)[twice[:, BONES].all(axis=-1)]
    return float(np.percentile(change, 95)) if len(change) else 0.0


def _angles(bodies: Bodies) -> np.ndarray:
    """(V,) degrees, 0 to 90, between a camera's sights and those of whom they cross best."""
    estimate, seen = bodies.adjusted.estimate, bodies.bundle.scores > _SEEN
    centres = -np.einsum("vji,vj->vi", estimate.R, estimate.t)
    sights = unit(estimate.points[None] - centres[:, None, None])  # (V, N, J, 3)
    best = np.zeros(len(centres))
    for v in range(len(centres)):
        for w in range(len(centres)):
            both = seen[v] & seen[w]
            if v != w and both.any():
                cosine = np.abs((sights[v] * sights[w]).sum(axis=-1)[both])
                angle = np.degrees(np.arccos(np.clip(np.median(cosine), 0, 1)))
                best[v] = max(best[v], angle)
    return best
