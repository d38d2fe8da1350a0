"""Online tracks to people: cut where they may have been swapped, joined where they were lost.

When two people overlap, an online tracker may follow the wrong one or lose one. After the clip both
sides of every meeting and of every gap are known: tracks are cut at meetings, and pieces joined so
that the sum of what speaks against it (motion, size, colours of clothes) is least over the whole
clip. What is left of ghosts is dropped.

A chain is the rows (see Seen) of one person, in order of frames; it has no frame twice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import min_weight_full_bipartite_matching


@dataclass(frozen=True)
class Settings:
    """Lengths of time are seconds, distances are in heights of the person's box."""

    # ByteTrack's own, its names in brackets.
    sure_score: float = 0.25  # boxes at least this sure are matched first (track_high_thresh)
    new_score: float = 0.3  # a new track begins with a box at least this sure (new_track_thresh)
    lost_s: float = 1.0  # a lost track is remembered for this long (track_buffer)
    match_cost: float = (
        0.8  # 1 - IoU * score at which a box is no longer the track's (match_thresh)
    )
    # Linking.
    overlap: float = 0.3  # tracks whose boxes' IoU is above this may have exchanged their people
    sure_s: float = 0.2  # a piece is told by its looks when its person is alone for this long
    max_gap_s: float = 6.0  # nobody is recognised after a longer absence
    insert_iou: float = 0.4  # a box this much where a gap's line passes belongs there
    max_cost: float = 1.0  # two pieces that differ more (see _link_cost) are two people
    # Who counts.
    min_seen_s: float = 0.25  # shorter tracks are ghosts, unless the clip is hardly longer
    min_score: float = 0.4  # as are tracks whose better half of boxes is not this sure
    duplicate: float = 0.8  # as are tracks with this share of their boxes inside another's


@dataclass(frozen=True)
class Seen:
    """Every box that was given an id, in order of frames: R rows.

    colours: square roots of a histogram whose sum is 1: unit vectors, whose products say how alike
    two people are dressed.
    """

    frames: np.ndarray  # (R,) int64
    ids: np.ndarray  # (R,) int64, the online tracker's
    boxes: np.ndarray  # (R, 4) float32
    scores: np.ndarray  # (R,) float32
    colours: np.ndarray  # (R, C) float16


def link(seen: Seen, clip_s: float, fps: float, settings: Settings) -> list[np.ndarray]:
    """The people: one chain each, by first appearance, larger first in the same frame.

    clip_s: seconds of the clip, in which a short one may be all there is of a person.
    """
    people = _people(_chains(seen, fps, settings), seen, clip_s, fps, settings)
    areas = _areas(seen.boxes)
    return sorted(people, key=lambda chain: (seen.frames[chain[0]], -areas[chain[0]]))


def _chains(seen: Seen, fps: float, settings: Settings) -> list[np.ndarray]:
    """Every row in the chain of one person: first the sure pieces, then what lies between them."""
    enough = settings.sure_s * fps
    lasting = _lasting(seen, enough)
    clean = _clean(seen, lasting)
    pieces = _without_doubles(_pieces(seen, lasting, settings), seen)
    sure = [piece for piece in pieces if clean[piece].sum() >= enough]
    rest = [piece for piece in pieces if clean[piece].sum() < enough]
    for max_gap_s in (settings.lost_s, settings.max_gap_s):
        sure = _link(sure, seen, clean, fps, max_gap_s, settings)
    chains, rest = _insert(rest, sure, seen, settings)
    return _link(chains + rest, seen, clean, fps, settings.lost_s, settings)


def _pieces(seen: Seen, lasting: np.ndarray, settings: Settings) -> list[np.ndarray]:
    """The online tracks, cut wherever two of them overlapped most: there they may have swapped."""
    cuts: dict[int, list[int]] = {}  # online id → frames after which it is cut
    meetings: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for rows in _by_frame(seen, lasting):
        iou = _iou(seen.boxes[rows], seen.boxes[rows])
        for a, b in zip(*np.nonzero(np.triu(iou > settings.overlap, k=1)), strict=True):
            pair = (int(seen.ids[rows[a]]), int(seen.ids[rows[b]]))
            meeting = (int(seen.frames[rows[0]]), float(iou[a, b]))
            meetings.setdefault((min(pair), max(pair)), []).append(meeting)
    for pair, times in meetings.items():
        frames = np.array([frame for frame, _ in times])
        for meeting in np.split(np.arange(len(times)), np.flatnonzero(np.diff(frames) > 5) + 1):
            closest = max(meeting, key=lambda i: times[i][1])
            for online in pair:
                cuts.setdefault(online, []).append(int(frames[closest]))
    pieces = []
    by_id = np.argsort(seen.ids, kind="stable")
    for rows in np.split(by_id, np.flatnonzero(np.diff(seen.ids[by_id])) + 1):
        cut = sorted(cuts.get(int(seen.ids[rows[0]]), [])) if len(rows) else []
        at = np.searchsorted(seen.frames[rows], cut, side="right")
        pieces += [piece for piece in np.split(rows, at) if len(piece)]
    return pieces


def _without_doubles(pieces: list[np.ndarray], seen: Seen) -> list[np.ndarray]:
    """Pieces without the rows that are a second box on a person whom a longer piece has.

    When a detector changes its mind about a person's extent, the new track begins before the old
    one ends; what they share is taken from the shorter, so that the two can be joined.
    """
    kept: list[np.ndarray] = []
    holders: dict[int, list[int]] = {}  # frame → those of `kept` that are in it
    for piece in sorted(pieces, key=len, reverse=True):
        rivals = {k for frame in seen.frames[piece].tolist() for k in holders.get(frame, ())}
        for other in (kept[k] for k in rivals):
            _, mine, theirs = np.intersect1d(
                seen.frames[piece], seen.frames[other], assume_unique=True, return_indices=True
            )
            ours, others = seen.boxes[piece[mine]], seen.boxes[other[theirs]]
            inside = np.maximum(_inside_each(ours, others), _inside_each(others, ours))
            if len(inside) and inside.min() > 0.7:
                piece = np.delete(piece, mine)
        if len(piece):
            for frame in seen.frames[piece].tolist():
                holders.setdefault(frame, []).append(len(kept))
            kept.append(piece)
    return kept


def _link(
    chains: list[np.ndarray],
    seen: Seen,
    clean: np.ndarray,
    fps: float,
    max_gap_s: float,
    settings: Settings,
) -> list[np.ndarray]:
    """Chains joined end to beginning so that the sum of costs over all joints is least."""
    chains = sorted(chains, key=lambda chain: seen.frames[chain[0]])
    tails = [_end(chain, seen, clean, fps, last=True) for chain in chains]
    heads = [_end(chain, seen, clean, fps, last=False) for chain in chains]
    starts = np.array([head.frame for head in heads])
    n = len(chains)
    # Each chain takes a successor (columns 0..n-1) or, at max_cost, none (its own column n + i).
    rows, columns, costs = list(range(n)), list(range(n, 2 * n)), [settings.max_cost + 1.0] * n
    for i, tail in enumerate(tails):
        last = tail.frame + 1 + int(max_gap_s * fps)
        for j in range(*np.searchsorted(starts, [tail.frame, last], side="right")):
            cost = _link_cost(tail, heads[j], fps)
            if cost < settings.max_cost:
                rows.append(i)
                columns.append(j)
                costs.append(cost + 1.0)  # + 1: a sparse matrix has no entry of cost 0
    if len(rows) == n:
        return chains
    matched = min_weight_full_bipartite_matching(csr_matrix((costs, (rows, columns)), (n, 2 * n)))
    successor = dict(zip(*(side.tolist() for side in matched), strict=True))
    led = {j for j in successor.values() if j < n}
    joined = []
    for first in (i for i in range(n) if i not in led):
        chain, i = [chains[first]], successor[first]
        while i < n:
            chain.append(chains[i])
            i = successor[i]
        joined.append(np.concatenate(chain))
    return joined


@dataclass(frozen=True)
class _End:
    """The end of a chain that is to be joined, the last or the first."""

    frame: int
    online: int  # ByteTrack's id there
    centre: np.ndarray  # (2,) px
    velocity: np.ndarray  # (2,) px/s
    height: float  # px, of the box
    colours: np.ndarray  # (C,) of length 1


def _end(chain: np.ndarray, seen: Seen, clean: np.ndarray, fps: float, *, last: bool) -> _End:
    """Where a chain ends or begins, over half a second; what it wears, over two seconds."""
    at = chain[-1 if last else 0]
    away = np.abs(seen.frames[chain] - seen.frames[at]) / fps
    near = chain[away <= 0.5]
    seconds = (seen.frames[near] - seen.frames[at]) / fps
    centres = _centres(seen.boxes[near])
    velocity, centre = np.zeros(2), _centres(seen.boxes[at][None])[0]
    if len(near) >= 4:
        velocity, centre = np.polyfit(seconds, centres, 1)
    worn = chain[(away <= 2.0) & clean[chain]]
    worn = worn if len(worn) else chain[clean[chain]] if clean[chain].any() else near
    colours = np.square(seen.colours[worn].astype(np.float64)).mean(axis=0)
    return _End(
        frame=int(seen.frames[at]),
        online=int(seen.ids[at]),
        centre=centre,
        velocity=velocity,
        height=float(np.median(seen.boxes[near, 3] - seen.boxes[near, 1])),
        colours=np.sqrt(colours / colours.sum()),
    )


def _link_cost(tail: _End, head: _End, fps: float) -> float:
    """How unlike one person an end and a beginning are: 0 the same, 1 hardly, inf impossible."""
    gap = (head.frame - tail.frame) / fps
    height = (tail.height + head.height) / 2
    # Nobody is extrapolated for long: who walks on behind a tree may turn there.
    reach = min(gap, 0.75)
    forward = tail.centre + tail.velocity * reach - head.centre
    backward = head.centre - head.velocity * reach - tail.centre
    miss = (np.linalg.norm(forward) + np.linalg.norm(backward)) / 2 / height
    motion = miss / min(0.4 + 1.0 * gap, 3.0)
    # Hellinger distance: about 0.15 between looks at one person, 0.4 and more between people.
    colours = np.sqrt(max(0.0, 1.0 - float(tail.colours @ head.colours))) / 0.4
    size = abs(np.log(tail.height / head.height)) / np.log(2)
    if motion > 1 or colours > 1.25 or size > 1:
        return np.inf
    same = 0.1 if tail.online == head.online else 0.0
    return max(0.0, 0.45 * motion + 0.45 * colours + 0.3 * size + 0.03 * gap - same)


def _insert(
    pieces: list[np.ndarray], chains: list[np.ndarray], seen: Seen, settings: Settings
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pieces laid into the gaps of chains that pass through them: chains, and pieces left over.

    In a crowd a box may show either of two people; it goes to the one who was about there.
    """
    chains, left = list(chains), []
    for piece in sorted(pieces, key=len, reverse=True):
        best, best_rows, best_iou = -1, piece, settings.insert_iou
        for number, chain in enumerate(chains):
            frames = seen.frames[chain]
            rows = piece[(seen.frames[piece] > frames[0]) & (seen.frames[piece] < frames[-1])]
            taken = frames[np.searchsorted(frames, seen.frames[rows])] == seen.frames[rows]
            rows = rows[~taken]
            if not len(rows):
                continue
            columns = [np.interp(seen.frames[rows], frames, x) for x in seen.boxes[chain].T]
            expected = np.stack(columns, axis=1)
            shared = _shared(expected, seen.boxes[rows])
            iou = shared / (_areas(expected) + _areas(seen.boxes[rows]) - shared)
            if iou.mean() > best_iou:
                best, best_rows, best_iou = number, rows, float(iou.mean())
        if best < 0:
            left.append(piece)
        else:
            together = np.concatenate([chains[best], best_rows])
            chains[best] = together[np.argsort(seen.frames[together])]
    return chains, left


def _clean(seen: Seen, lasting: np.ndarray) -> np.ndarray:
    """(R,) whether a box shows its person alone: less than a tenth of it is inside another."""
    clean = np.ones(len(seen.frames), dtype=bool)
    for rows in _by_frame(seen, lasting):
        inside = _inside(seen.boxes[rows], seen.boxes[rows])
        np.fill_diagonal(inside, 0)
        clean[rows] = inside.max(axis=1) < 0.1
    return clean


def _lasting(seen: Seen, min_rows: float) -> np.ndarray:
    """(R,) whether a row's online track is long enough to be somebody, not a second box on one."""
    _, track, lengths = np.unique(seen.ids, return_inverse=True, return_counts=True)
    return lengths[track] >= min_rows


def _by_frame(seen: Seen, which: np.ndarray) -> list[np.ndarray]:
    """The chosen rows of each frame that has at least two of them."""
    chosen = np.flatnonzero(which)
    frames = np.split(chosen, np.flatnonzero(np.diff(seen.frames[chosen])) + 1)
    return [rows for rows in frames if len(rows) > 1]


def _people(
    chains: list[np.ndarray], seen: Seen, clip_s: float, fps: float, settings: Settings
) -> list[np.ndarray]:
    """Without ghosts: what is too short or too unsure, and parts of people seen apart."""
    min_seen = min(settings.min_seen_s, clip_s / 2) * fps

    def surely(chain: np.ndarray) -> float:
        return float(np.quantile(seen.scores[chain], 0.75))

    real = [c for c in chains if len(c) >= min_seen and surely(c) >= settings.min_score]
    real.sort(key=lambda chain: -float(_areas(seen.boxes[chain]).sum()))
    kept: list[np.ndarray] = []
    for chain in real:
        frames = seen.frames[chain]
        covered = np.zeros(len(chain))
        for other in kept:
            if seen.frames[other[0]] > frames[-1] or seen.frames[other[-1]] < frames[0]:
                continue
            _, mine, theirs = np.intersect1d(
                frames, seen.frames[other], assume_unique=True, return_indices=True
            )
            share = _inside_each(seen.boxes[chain[mine]], seen.boxes[other[theirs]])
            covered[mine] = np.maximum(covered[mine], share)
        if (covered > 0.85).mean() < settings.duplicate:
            kept.append(chain)
    return kept


# Boxes, (N, 4) px x1 y1 x2 y2 ---------------------------------------------------------------------


def _centres(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _shared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Area that boxes share; a and b broadcast, (..., 4) to (...)."""
    corner = np.maximum(a[..., :2], b[..., :2])
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - corner, 0, None)
    return sides[..., 0] * sides[..., 1]


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, 4), (M, 4) to (N, M) intersection over union."""
    shared = _shared(a[:, None], b[None])
    return shared / np.maximum(_areas(a)[:, None] + _areas(b)[None] - shared, 1e-6)


def _inside(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, 4), (M, 4) to (N, M): the share of each a that lies in each b."""
    return _inside_each(a[:, None], b[None])


def _inside_each(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The same for pairs of boxes: a and b broadcast."""
    return _shared(a, b) / np.maximum(_areas(a), 1e-6)
