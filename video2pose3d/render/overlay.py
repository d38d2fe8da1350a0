"""The input video with everybody's skeleton, box and id drawn on it.

Left and right are the person's own, each in its colour; what is farther from the camera is drawn
first. Bridged frames, where nobody was seen and the pose is filled in, are thin and dashed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import median_filter

from video2pose3d.render import _style
from video2pose3d.render._style import Colour
from video2pose3d.structures import Person, Scene
from video2pose3d.video import Video, write_video

log = logging.getLogger("video2pose3d")


class Overlay:
    """Draws a scene's people on frames of the video that it was made from.

    min_score: keypoints less sure than this are not drawn, nor the bones that end in them.
    """

    def __init__(self, scene: Scene, min_score: float = 0.3) -> None:
        self.people = [
            _Figure(person, _style.person_colour(place), min_score, scene)
            for place, person in enumerate(scene.people)
        ]

    def draw(self, image: np.ndarray, frame: int) -> np.ndarray:
        """Draw everybody who is in this video frame into `image` itself, and return it.

        image: (H, W, 3) RGB uint8, contiguous and writable, of the scene's image_size.
        """
        here = [(figure, row) for figure in self.people if (row := figure.row(frame)) is not None]
        here.sort(key=lambda one: -one[0].person.root_camera[one[1], 2])
        for figure, row in here:
            figure.draw_box(image, frame, row)
        for figure, row in here:
            figure.draw_limbs(image, row)
        for figure, row in here:
            figure.draw_label(image, frame, row)
        return image


def write(
    scene: Scene,
    video: Video,
    path: Path,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Stream the video through the overlay: same size, timing, number of frames, and sound.

    progress is called with the number of frames done.
    """
    overlay = Overlay(scene)
    with write_video(path, video.size, fps=video.fps, audio_from=video) as out:
        images = iter(video)
        for frame, (time, image) in enumerate(zip(scene.timestamps, images, strict=False)):
            out.write(overlay.draw(image, frame), time)
            if progress is not None:
                progress(frame + 1)
        left = next(images, None) is not None
    if left:
        log.warning(
            "%s: the clip goes on after its %d frames with poses", path, len(scene.timestamps)
        )
    if len(video.timestamps) < len(scene.timestamps):
        what = "%s: the clip has %d frames only, of %d with poses"
        log.warning(what, path, len(video.timestamps), len(scene.timestamps))
    for warning in out.warnings:
        log.warning("%s: %s", path, warning)


@dataclass(frozen=True)
class _Figure:
    """One person, ready to be drawn in any frame. Rows are places in the person's arrays."""

    person: Person
    colour: Colour
    min_score: float
    scene: Scene

    def row(self, frame: int) -> int | None:
        return _style.row(self.person, frame)

    @cached_property
    def limbs(self) -> list[list[int]]:
        return _style.limbs(self.person.keypoints.skeleton)

    @cached_property
    def visible(self) -> np.ndarray:
        """(T, J) bool: keypoints sure enough to be drawn."""
        there = np.isfinite(self.person.keypoints.xy).all(axis=-1)
        return (_style.sureness(self.person) >= self.min_score) & there

    @cached_property
    def extents(self) -> np.ndarray:
        """(T, 4) px xyxy around the visible keypoints; the middle of the picture for none."""
        xy, seen = self.person.keypoints.xy, self.visible[..., None]
        low = np.where(seen, xy, np.inf).min(axis=1)
        high = np.where(seen, xy, -np.inf).max(axis=1)
        middle = np.tile(np.asarray(self.scene.image_size, np.float32) / 2, (len(xy), 2))
        return np.where(self.visible.any(axis=1, keepdims=True), np.hstack([low, high]), middle)

    @cached_property
    def picture(self) -> float:
        """px: the side of a square as large as the picture."""
        return math.sqrt(math.prod(self.scene.image_size))

    @cached_property
    def widths(self) -> np.ndarray:
        """(T,) px: how thick limbs are. Follows the person's size, but not from frame to frame."""
        size = (self.extents[:, 2:] - self.extents[:, :2]).max(axis=1)
        size = median_filter(size, size=int(self.scene.fps) | 1, mode="nearest")
        return np.clip(0.013 * size, 0.0018 * self.picture, 0.006 * self.picture)

    def draw_box(self, image: np.ndarray, frame: int, row: int) -> None:
        box = self._box(frame)
        if box is not None:
            thin = max(2, round(0.35 * self.widths[row]))
            # Upright lines are crisp on whole pixels.
            x1, y1, x2, y2 = np.clip(box, -(2**20), 2**20).round().astype(int).tolist()
            for colour, width in ((_style.INK, thin + 2), (self.colour, thin)):
                cv2.rectangle(image, (x1, y1), (x2, y2), colour, width)

    def draw_limbs(self, image: np.ndarray, row: int) -> None:
        """Farthest limb first, each with a dark rim that sets it off from what lies behind."""
        skeleton, valid = self.person.keypoints.skeleton, self.person.valid[row]
        points = _style.subpixel(self.person.keypoints.xy[row])
        visible, depth = self.visible[row], self.person.poses.joints[row, :, 2]
        width = self.widths[row] if valid else 0.5 * self.widths[row]
        line, rim = max(2, round(width)), max(2, round(0.7 * width))
        dot = width * (1 if valid else 0.6)
        for limb in sorted(self.limbs, key=lambda limb: -depth[limb].mean()):
            colour = _style.SIDES[skeleton.side(limb[-1])]
            bones = [points[[a, b]] for a, b in pairwise(limb) if visible[a] and visible[b]]
            if not valid:
                bones = [dash for bone in bones for dash in _dashes(bone, 4 * line)]
            for ink, thickness in ((_style.INK, line + rim), (colour, line)):
                cv2.polylines(image, bones, False, ink, thickness, cv2.LINE_AA, _style.SUBPIXEL)
            for joint in limb:
                if visible[joint]:
                    fill = _style.SIDES[skeleton.side(joint)]
                    _dot(image, points[joint], dot + 0.4 * rim, _style.INK)
                    _dot(image, points[joint], dot, _style.mix(fill, (255, 255, 255), 0.35))

    def draw_label(self, image: np.ndarray, frame: int, row: int) -> None:
        """The id, at the box's upper left corner."""
        valid = self.person.valid[row]
        height = max(12, round(max(5.5 * self.widths[row], 0.018 * self.picture)))
        text = str(self.person.id) if valid else f"{self.person.id} bridged"
        label = _style.pill(text, self.colour, height)
        box = self._box(frame)
        x, y = (self.extents[row] if box is None else box)[:2]
        _style.paste(image, label, x, y - height - 0.5 * self.widths[row])

    def _box(self, frame: int) -> np.ndarray | None:
        """(4,) px xyxy where the person was detected in this frame."""
        track = self.person.track
        place = int(np.searchsorted(track.frames, frame))
        if place < len(track.frames) and track.frames[place] == frame:
            return track.boxes[place]
        return None


def _dot(image: np.ndarray, at: np.ndarray, radius: float, colour: Colour) -> None:
    """at: (2,) subpixels; radius: px."""
    x, y = at.tolist()
    fixed = round(radius * (1 << _style.SUBPIXEL))
    cv2.circle(image, (x, y), fixed, colour, cv2.FILLED, cv2.LINE_AA, _style.SUBPIXEL)


def _dashes(bone: np.ndarray, length: float) -> list[np.ndarray]:
    """A line (2, 2) in subpixels as dashes of about `length` px with gaps as long."""
    span = np.linalg.norm(bone[1] - bone[0]) / (1 << _style.SUBPIXEL)
    # A bone that runs far out of the picture is not worth more dashes than can be seen.
    n = int(np.clip(span / length / 2, 1, 200))
    stops = np.linspace(bone[0], bone[1], 2 * n + 1).round().astype(np.int32)
    return [stops[i : i + 2] for i in range(0, 2 * n, 2)]
