"""Detections to people: who is who from frame to frame, and which of them matter.

While the pixels stream through, ultralytics' ByteTrack (Zhang et al., ECCV 2022) names the boxes of
each frame, and of each a colour histogram is kept (80 bytes). When the clip has ended, linking.py
decides from all of them who was who.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Literal

import cv2
import numpy as np

from video2pose3d import linking
from video2pose3d.errors import UserError
from video2pose3d.linking import Seen, Settings
from video2pose3d.structures import Detections, Track
from video2pose3d.vendors import ultralytics


@dataclass(frozen=True)
class Linking:
    """The people of a clip.

    tracks: in order of id: 1, 2, ... by first appearance, larger first in the same frame.
    rows: track id → (T,) int64, where its frames lie in the sequence of all people that
    `Tracker.update` gave out: what was measured box by box becomes one person's with `x[rows]`.
    """

    tracks: list[Track]
    rows: dict[int, np.ndarray]


# For a detector that follows the one person it finds: it follows its mistakes, too, for a while.
FOLLOWED = Settings(min_seen_s=1.0)


class Tracker:
    """Names people while a clip streams through, and settles who they were at its end.

    `update` once a frame, in order, also for frames without people; then `finish`. The boxes given
    out are those of the detector: a Kalman filter's lag behind fast people and cut their hands off.
    """

    def __init__(self, fps: float, settings: Settings | None = None) -> None:
        self._fps = fps
        self._settings = settings or Settings()
        self._byte_track = ultralytics.load_module("ultralytics.trackers.byte_tracker").BYTETracker(
            SimpleNamespace(
                track_high_thresh=self._settings.sure_score,
                track_low_thresh=0.0,  # the detector has already dropped what is too unsure
                new_track_thresh=self._settings.new_score,
                track_buffer=max(1, round(self._settings.lost_s * fps)),
                match_thresh=self._settings.match_cost,
                fuse_score=True,
            )
        )
        self._frame = 0
        self._seen: list[Seen] = []

    def update(self, detections: Detections, image: np.ndarray) -> tuple[np.ndarray, Detections]:
        """The people of the next frame: ids (N,) int64, and those of the detections that they are.

        image: RGB uint8 (H, W, 3). The ids are provisional: `finish` may join or cut them.
        """
        self._byte_track.update(_Boxes(detections.boxes, detections.scores))
        # Also tracks that began in this frame, which ByteTrack itself holds back until the next.
        now = [t for t in self._byte_track.tracked_stracks if t.frame_id == self._frame + 1]
        index = np.array([t.idx for t in now], dtype=np.int64)
        ids = np.array([t.track_id for t in now], dtype=np.int64)
        people = detections.take(index)
        self._seen.append(
            Seen(
                frames=np.full(len(ids), self._frame, dtype=np.int64),
                ids=ids,
                boxes=people.boxes,
                scores=people.scores,
                colours=np.array(
                    [_colours(image, box) for box in people.boxes], dtype=np.float16
                ).reshape(len(ids), _COLOURS),
            )
        )
        self._frame += 1
        return ids, people

    def finish(self) -> Linking:
        """Who was who. No person is in one frame twice."""
        if not self._seen:
            return Linking([], {})
        seen = Seen(
            **{
                field.name: np.concatenate([getattr(part, field.name) for part in self._seen])
                for field in dataclasses.fields(Seen)
            }
        )
        tracks, rows = [], {}
        chains = linking.link(seen, self._frame / self._fps, self._fps, self._settings)
        for number, chain in enumerate(chains, start=1):
            tracks.append(Track(number, seen.frames[chain], seen.boxes[chain], seen.scores[chain]))
            rows[number] = chain
        return Linking(tracks, rows)


def select(tracks: Iterable[Track], person: Literal["largest", "all"] | int) -> list[Track]:
    """The tracks that are asked for: all, the one that fills most of the clip, or one by its id.

    "largest" is the greatest sum of box areas over the frames: near and long. UserError when there
    is no such id; an empty list when nobody was seen.
    """
    tracks = list(tracks)
    if person == "all" or (person == "largest" and not tracks):
        return tracks
    if person == "largest":
        return [max(tracks, key=_size)]
    chosen = [track for track in tracks if track.id == person]
    if not chosen:
        known = ", ".join(str(track.id) for track in tracks) or "none"
        raise UserError(f"there is no person {person}", cure=f"people seen: {known}")
    return chosen


def bridge(
    frames: np.ndarray, *, fps: float, max_gap_s: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Frames with the short gaps between them filled: frames (T,) int64, valid (T,) bool.

    valid: seen; False where bridged. A person absent for longer than max_gap_s stays absent.
    """
    if not len(frames):
        return frames.copy(), np.zeros(0, dtype=bool)
    steps = np.diff(frames)
    short = np.flatnonzero((steps > 1) & ((steps - 1) / fps <= max_gap_s))
    bridged = [np.arange(frames[i] + 1, frames[i + 1]) for i in short]
    together = np.sort(np.concatenate([frames, *bridged]))
    return together, np.isin(together, frames)


def fill(values: np.ndarray, frames: np.ndarray, bridged: np.ndarray) -> np.ndarray:
    """Values at `frames` (T, ...) as values at `bridged` (T', ...): lines across the gaps."""
    flat = values.reshape(len(frames), -1)
    lines = [np.interp(bridged, frames, column) for column in flat.T]
    filled = np.stack(lines, axis=1) if lines else np.zeros((len(bridged), 0))
    return filled.reshape(len(bridged), *values.shape[1:]).astype(values.dtype)


def _size(track: Track) -> float:
    """Sum of box areas over the frames, px²."""
    return float((track.boxes[:, 2:] - track.boxes[:, :2]).prod(axis=1).sum())


# What ByteTrack reads and what linking needs -----------------------------------------------------


class _Boxes:
    """Detections as ByteTrack takes them: what it reads of ultralytics' Boxes."""

    def __init__(self, boxes: np.ndarray, scores: np.ndarray) -> None:
        self._boxes = boxes
        self.conf = scores
        self.cls = np.zeros(len(scores), dtype=np.float32)

    @property
    def xywh(self) -> np.ndarray:
        """(N, 4) centre and size."""
        low, high = self._boxes[:, :2], self._boxes[:, 2:]
        return np.concatenate([(low + high) / 2, high - low], axis=1)

    def __len__(self) -> int:
        return len(self.conf)

    def __getitem__(self, which: np.ndarray) -> _Boxes:
        return _Boxes(self._boxes[which], self.conf[which])


_HUES, _GREYS = 12, 8
_COLOURS = 2 * (_HUES + _GREYS)


def _colours(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """What a person wears: (_COLOURS,) square roots of two histograms, chest and thighs.

    A histogram has a bin for each hue, and one for each grey where there is no hue to speak of.
    """
    x1, y1, x2, y2 = box
    w, h = x2 - x1, y2 - y1
    parts = []
    for top, bottom in ((0.18, 0.45), (0.5, 0.75)):
        left, right = int(x1 + 0.3 * w), int(np.ceil(x1 + 0.7 * w))
        patch = image[int(y1 + top * h) : int(np.ceil(y1 + bottom * h)), max(left, 0) : right]
        if not patch.size:
            parts.append(np.full(_HUES + _GREYS, 1 / (_HUES + _GREYS)))
            continue
        small = cv2.resize(patch, (12, 12), interpolation=cv2.INTER_AREA).reshape(1, -1, 3)
        hue, saturation, value = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)[0].T.astype(np.int64)
        grey = _HUES + value * _GREYS // 256
        bins = np.where((saturation > 50) & (value > 40), hue * _HUES // 180, grey)
        parts.append(np.bincount(bins, minlength=_HUES + _GREYS) / len(bins))
    return np.sqrt(np.concatenate(parts) / len(parts))
