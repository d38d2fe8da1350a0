"""How cameras stand to each other, roughly, from lifted people: where bundle adjustment starts.

One person lifted in two views gives the rotation between the cameras by Procrustes' way, and the
two paths the translation. With several people, each pair of tracks is taken for one person in turn,
and the cameras that follow are those that most other tracks agree with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from video2pose3d.errors import UserError
from video2pose3d.multiview.matching import join
from video2pose3d.multiview.movement import RATE, Mover
from video2pose3d.skeletons import H36M17

ALIKE = 0.35  # agreement of movements from which two tracks may be one person's
_LEAST = 0.7  # seconds that two tracks are there together
_POSE = 0.2  # metres that lifted joints may differ after the rotation, in the median
_PLACE = 0.3  # of the distance from the camera, that paths may differ
_MOST = 20000  # moments compared


@dataclass(frozen=True)
class Arrangement:
    """R: (V, 3, 3), t: (V, 3) metres, x_camera = R x + t, the first camera's CAMERA being x's;
    together: which movers are one person's."""

    R: np.ndarray
    t: np.ndarray
    together: list[list[int]]


@dataclass(frozen=True)
class _Here:
    """A mover on everybody's clock: there (N,), joints (N, J, 3) CAMERA, velocities, scores."""

    view: int
    there: np.ndarray
    joints: np.ndarray
    velocities: np.ndarray
    scores: np.ndarray

    @property
    def poses(self) -> np.ndarray:
        return self.joints - self.joints[:, [H36M17.root]]


def arrange(movers: Sequence[Mover], offsets: Sequence[float], names: Sequence[str]) -> Arrangement:
    """offsets: (V,) seconds that each clip began after the first. UserError for cameras that no
    person ties to the others."""
    here = _on_one_clock(movers, offsets)
    views, n = len(names), len(here)
    alike = np.zeros((n, n))
    for a, b in combinations(range(n), 2):
        if here[a].view != here[b].view:
            alike[a, b] = alike[b, a] = _alike(here[a], here[b])
    R, t = np.zeros((views, views, 3, 3)), np.zeros((views, views, 3))
    support = np.zeros((views, views))
    for a, b in combinations(range(views), 2):
        R[a, b], t[a, b], support[a, b] = _relate(here, alike, a, b)
        R[b, a], t[b, a] = R[a, b].T, -R[a, b].T @ t[a, b]
    R_all, t_all = np.tile(np.eye(3), (views, 1, 1)), np.zeros((views, 3))
    reached = {0}
    for parent, child in chain(support):
        reached.add(child)
        R_all[child] = R[parent, child] @ R_all[parent]
        t_all[child] = R[parent, child] @ t_all[parent] + t[parent, child]
    lost = [name for v, name in enumerate(names) if v not in reached]
    if lost:
        raise UserError(
            f"nobody in {', '.join(lost)} moves like somebody in {names[0]}",
            cure="give clips of one scene in which the same people move, say by --offset when each "
            "began, or give --calibration",
        )
    gain = np.zeros((n, n))
    for a, b in combinations(range(n), 2):
        v, w = here[a].view, here[b].view
        if v == w:
            gain[a, b] = -np.inf if (here[a].there & here[b].there).any() else 0
        else:
            relative = R_all[w] @ R_all[v].T
            gain[a, b] = _gain(
                here[a], here[b], alike[a, b], relative, t_all[w] - relative @ t_all[v]
            )
        gain[b, a] = gain[a, b]
    return Arrangement(R_all, t_all, join(gain))


def chain(support: np.ndarray) -> list[tuple[int, int]]:
    """The links (parent, child) by which cameras hang together best, from the first one outwards.

    support: (V, V), above 0 where two cameras can be tied.
    """
    strength = np.maximum(support, support.T)
    cost = np.where(strength > 0, 1 + strength.max() - strength, 0)
    tree = minimum_spanning_tree(cost)
    order, parents = breadth_first_order(tree, 0, directed=False)
    return [(int(parents[child]), int(child)) for child in order[1:]]


def _on_one_clock(movers: Sequence[Mover], offsets: Sequence[float]) -> list[_Here]:
    spans = [one.times[[0, -1]] + offsets[one.view] for one in movers]
    first, last = min(s[0] for s in spans), max(s[1] for s in spans)
    grid = first + np.arange(min(int((last - first) * RATE) + 1, _MOST)) / RATE
    out = []
    for one in movers:
        own = grid - offsets[one.view]
        joints, there = one.at(own)
        scores = np.stack([np.interp(own, one.times, column) for column in one.scores.T], axis=1)
        out.append(_Here(one.view, there, joints, one.velocities(own), scores))
    return out


def _alike(a: _Here, b: _Here) -> float:
    """Seconds together, times by how much movements agree more than two people's would."""
    both = a.there & b.there
    if both.sum() < _LEAST * RATE:
        return 0.0
    x, y = a.velocities[both], b.velocities[both]
    matrix = np.einsum("tji,tjk->ik", y, x)
    size = np.linalg.svd(matrix, compute_uv=False)
    agrees = size[0] + size[1] + np.sign(np.linalg.det(matrix)) * size[2]
    agrees /= max(np.sqrt((x**2).sum() * (y**2).sum()), 1e-9)
    return float(max(agrees - ALIKE, 0) * both.sum() / RATE)


def _relate(
    here: Sequence[_Here], alike: np.ndarray, a: int, b: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """R, t from camera a to b that most of what both saw agrees with, and how much that is."""
    ours = [i for i, one in enumerate(here) if one.view == a]
    theirs = [i for i, one in enumerate(here) if one.view == b]
    best = np.eye(3), np.zeros(3), 0.0
    for i, j in product(ours, theirs):
        if alike[i, j] <= 0:
            continue
        R, t = _pose([(here[i], here[j])])
        gains = np.array(
            [[max(_gain(here[k], here[m], alike[k, m], R, t), 0) for m in theirs] for k in ours]
        )
        rows, columns = linear_sum_assignment(-gains)
        total = gains[rows, columns].sum()
        if total > best[2]:
            pairs = [(here[ours[r]], here[theirs[c]])
                     for r, c in zip(rows, columns, strict=True) if gains[r, c] > 0]  # fmt: skip
            best = *_pose(pairs), float(total)
    return best


def _gain(a: _Here, b: _Here, alike: float, R: np.ndarray, t: np.ndarray) -> float:
    """What speaks for two tracks being one person's if R, t lead from camera to camera."""
    both = a.there & b.there
    if alike <= 0 or not both.any():
        return 0.0
    pose = np.linalg.norm(a.poses[both] @ R.T - b.poses[both], axis=-1)
    x, y = a.joints[both, H36M17.root], b.joints[both, H36M17.root]
    far = (np.linalg.norm(x, axis=-1) + np.linalg.norm(y, axis=-1)) / 2
    place = np.linalg.norm(x @ R.T + t - y, axis=-1) / far
    wrong = np.median(pose) > _POSE or np.median(place) > _PLACE
    return -alike if wrong else alike


def _pose(pairs: Sequence[tuple[_Here, _Here]]) -> tuple[np.ndarray, np.ndarray]:
    """R, t from the first camera of the pairs to the second, by the people in them."""
    moments = [a.there & b.there for a, b in pairs]
    x, y, weight, root_x, root_y = (
        np.concatenate(parts)
        for parts in zip(
            *(
                (a.poses[m], b.poses[m], a.scores[m] * b.scores[m],
                 a.joints[m, H36M17.root], b.joints[m, H36M17.root])
                for (a, b), m in zip(pairs, moments, strict=True)
            ),
            strict=True,
        )
    )  # fmt: skip
    trust = np.ones_like(weight)
    for _ in range(8):
        u, _, vh = np.linalg.svd(np.einsum("tj,tji,tjk->ik", weight * trust, y, x))
        R = u @ np.diag([1, 1, np.linalg.det(u @ vh)]) @ vh
        beside = np.linalg.norm(x @ R.T - y, axis=-1)
        trust = 1 / (1 + (beside / (3 * max(np.median(beside), 1e-3))) ** 2) ** 2
    return R, np.median(root_y - root_x @ R.T, axis=0)
