"""Everybody on one clock: the tracks of all views gathered into people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from video2pose3d.errors import UserError
from video2pose3d.multiview.calibrations import View
from video2pose3d.multiview.matching import match
from video2pose3d.multiview.timing import at_times
from video2pose3d.multiview.triangulation import Sights
from video2pose3d.pipeline import Sighting
from video2pose3d.structures import Track


@dataclass(frozen=True)
class Sighted:
    """What one camera saw. times: seconds of all frames of its clip, on the first camera's clock.

    offset: seconds that the clip began after the first.
    """

    view: View
    people: Sequence[Sighting]
    times: np.ndarray
    offset: float


@dataclass(frozen=True)
class Group:
    """One person's sightings, on the first camera's clock.

    sightings: (view, sighting) pairs; xy: (V, T, J, 2) px; scores: (V, T, J); T all frames.
    """

    sightings: list[tuple[int, Sighting]]
    xy: np.ndarray
    scores: np.ndarray

    @property
    def size(self) -> float:
        """px² of picture filled, over all views and frames."""
        boxes = np.concatenate([one.track.boxes for _, one in self.sightings]).astype(np.float64)
        return float(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).sum())

    def track(self, number: int, view: int) -> Track:
        """The boxes in one view, over that clip's own frames; of several tracks together."""
        tracks = [one.track for v, one in self.sightings if v == view]
        if not tracks:
            none = np.zeros(0, np.float32)
            return Track(number, np.zeros(0, np.int64), none.reshape(0, 4), none)
        frames = np.concatenate([track.frames for track in tracks])
        frames, rows = np.unique(frames, return_index=True)
        boxes = np.concatenate([track.boxes for track in tracks])[rows]
        return Track(
            number, frames, boxes, np.concatenate([track.scores for track in tracks])[rows]
        )


def match_people(cameras: Sequence[Sighted]) -> tuple[list[Group], int]:
    """Who is who, largest first, and how many tracks are nobody's that a second camera saw."""
    views = [camera.view for camera in cameras]
    times = cameras[0].times
    tracks = [(v, one) for v, camera in enumerate(cameras) for one in camera.people]
    if not tracks:
        return [], 0
    seen = [at_times(one.keypoints, cameras[v].times, times) for v, one in tracks]
    of = np.array([v for v, _ in tracks])
    lines, centres = [], np.stack([view.centre for view in views])
    for v, (xy, scores) in zip(of, seen, strict=True):
        sights = Sights.through([views[v]], xy[None], scores[None])
        lines.append(sights.directions()[1][0])
    all_scores = np.stack([scores for _, scores in seen])
    groups = gather(len(views), tracks, seen, match(of, centres, np.stack(lines), all_scores))
    if not groups and len(set(of)) > 1:
        raise UserError(
            "nobody's keypoints in one view meet those in another",
            cure="check that clips and cameras are in one order, clips in time (--offset), "
            "and the calibration in metres",
        )
    in_groups = sum(len(group.sightings) for group in groups)
    return groups, len(tracks) - in_groups


def gather(
    views: int,
    tracks: Sequence[tuple[int, Sighting]],
    seen: Sequence[tuple[np.ndarray, np.ndarray]],
    together: Sequence[Sequence[int]],
) -> list[Group]:
    """The people whom at least two of the views saw, largest first.

    tracks: (view, sighting) each; seen: (T, J, 2) px and (T, J) scores of each track; together:
    which tracks are one person's.
    """
    of = np.array([v for v, _ in tracks])
    groups = []
    for rows in together:
        if len(set(of[rows])) < 2:
            continue
        xy = np.zeros((views, *seen[0][0].shape))
        scores = np.zeros(xy.shape[:-1])
        for row in rows:
            here = seen[row][1] > 0
            xy[of[row]][here], scores[of[row]][here] = seen[row][0][here], seen[row][1][here]
        groups.append(Group([tracks[row] for row in rows], xy, scores))
    return sorted(groups, key=lambda group: -group.size)
