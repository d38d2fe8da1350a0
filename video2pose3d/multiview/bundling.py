"""What bundle adjustment takes of people: some instants of each, spread over the clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from video2pose3d.multiview.adjustment import BONES, JOINTS, KINDS, Adjusted, Bundle, Estimate
from video2pose3d.multiview.movement import Mover
from video2pose3d.multiview.people import Group, Sighted
from video2pose3d.multiview.triangulation import Sights
from video2pose3d.skeletons import H36M17

_INSTANTS = 90  # of all people together: time and memory don't grow with the clip
_SEEN, _ENOUGH = 0.3, 8  # score and number of joints by which a view sees somebody


@dataclass(frozen=True)
class Bodies:
    """People as they were adjusted. groups: largest first; bundle: what was taken of them."""

    groups: Sequence[Group]
    bundle: Bundle
    adjusted: Adjusted


def bundle(
    cameras: Sequence[Sighted],
    movers: Sequence[Mover],
    groups: Sequence[Group],
    R: np.ndarray,
    t: np.ndarray,
) -> tuple[Bundle, Estimate]:
    """What the groups' cameras saw, and a start from where lifted bodies were.

    movers: whom the groups are made of; R: (V, 3, 3), t: (V, 3) metres, where the cameras are, or
    about. Groups that two cameras never saw well at once have no instants.
    """
    times = cameras[0].times
    views = [camera.view for camera in cameras]
    of = {id(one.sighting): one for one in movers}
    most = max(_INSTANTS // max(len(groups), 1), len(cameras))
    parts = []
    for p, group in enumerate(groups):
        rows = _instants(group, most)
        sights = Sights.through(views, group.xy, group.scores)
        scores = sights.scores[:, rows]
        scores = scores * ((scores > 0).sum(axis=0) > 1)
        mine = [of[id(sighting)] for _, sighting in group.sightings]
        parts.append(
            (
                sights.rays[:, rows][:, :, JOINTS],
                _drift(sights, times)[:, rows][:, :, JOINTS],
                scores[:, :, JOINTS],
                np.full(len(rows), p),
                _lengths(mine),
                _places(mine, cameras, times[rows], R, t)[:, JOINTS],
            )
        )
    rays, drift, scores, person, lengths, points = zip(*parts, strict=True)
    seen = Bundle(
        rays=np.concatenate(rays, axis=1),
        drift=np.concatenate(drift, axis=1),
        scores=np.concatenate(scores, axis=1),
        person=np.concatenate(person),
        expected=np.stack(lengths),
    )
    one = np.ones(len(cameras))
    return seen, Estimate(R, t, one, 0 * one, np.concatenate(points), seen.expected)


def _instants(group: Group, most: int) -> np.ndarray:
    """Frames where several views see the person, each view getting its share of them."""
    sees = (group.scores > _SEEN).sum(axis=-1) >= _ENOUGH  # (V, T)
    shared = sees & (sees.sum(axis=0) > 1)
    views = np.flatnonzero(shared.any(axis=1))
    rows = [np.zeros(0, np.int64)]
    for v in views:
        frames = np.flatnonzero(shared[v])
        share = min(len(frames), -(-most // len(views)))
        # Not the same frames for all.
        at = np.linspace(0, len(frames) - 1, share, endpoint=False) + v / len(group.xy)
        rows.append(frames[np.minimum(at.astype(int), len(frames) - 1)])
    return np.unique(np.concatenate(rows))


def _drift(sights: Sights, times: np.ndarray) -> np.ndarray:
    """(V, T, J, 2) change of rays a second; 0 where the keypoint wasn't seen before and after."""
    drift = np.zeros_like(sights.rays)
    if len(times) > 2:
        span = (times[2:] - times[:-2])[:, None, None]
        both = (sights.scores[:, 2:] > 0) & (sights.scores[:, :-2] > 0)
        drift[:, 1:-1] = (sights.rays[:, 2:] - sights.rays[:, :-2]) / span * both[..., None]
    return drift


def _lengths(mine: Sequence[Mover]) -> np.ndarray:
    """(K,) metres of bones of each of KINDS, as lifted."""
    ends = np.concatenate([one.joints[:, JOINTS] for one in mine])[:, BONES]  # (T, B, 2, 3)
    lengths = np.median(np.linalg.norm(ends[:, :, 1] - ends[:, :, 0], axis=-1), axis=0)
    return np.array([lengths[kind == KINDS].mean() for kind in range(KINDS.max() + 1)])


def _places(
    mine: Sequence[Mover], cameras: Sequence[Sighted], times: np.ndarray,
    R: np.ndarray, t: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """(N, J, 3) metres where lifted bodies are, on average over the views that have them."""
    total, amount = np.zeros((len(times), len(H36M17), 3)), np.full((len(times), 1, 1), 1e-9)
    for one in mine:
        joints, there = one.at(times - cameras[one.view].offset)
        total += there[:, None, None] * ((joints - t[one.view]) @ R[one.view])
        amount += there[:, None, None]
    return total / amount
