"""The clip as a 3D view: mannequins on a floor, seen by one camera that never loses anybody.

A software renderer made of OpenCV's polygons: what stands still is painted once, and each frame
adds trails, shadows, limbs from far to near, and labels. What a frame costs does not depend on how
long the clip is. Left and right have the overlay's colours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from video2pose3d.render import _body, _floor, _style
from video2pose3d.render._style import Colour
from video2pose3d.render._view import View, fit, on_floor
from video2pose3d.structures import Person, Scene
from video2pose3d.video import write_video

SIZE = (960, 540)  # what it costs goes by its pixels, and it has no finer detail than these

_ARC = np.linspace(0, 1, 10)  # the corners of a limb's round end, from one side to the other
_COARSE = 4  # shadows are soft: they are painted on a picture this many times smaller


class Animation:
    """The 3D view of a scene. size: W, H px of the pictures that `draw` gives."""

    def __init__(self, scene: Scene, size: tuple[int, int] = SIZE) -> None:
        self.timestamps = scene.timestamps
        self.people = [
            _Mannequin(person, _style.person_colour(place), scene.fps)
            for place, person in enumerate(scene.people)
        ]
        self.view = fit(scene, size, room=max((one.scale for one in self.people), default=1.0))
        self.backdrop = _floor.paint(self.view, people=bool(scene.people))

    def draw(self, frame: int) -> np.ndarray:
        """The picture of one video frame: (H, W, 3) RGB uint8, a new array at each call."""
        image = self.backdrop.copy()
        here = [(one, row) for one in self.people if (row := one.row(frame)) is not None]
        for one, row in here:
            one.draw_floor(image, self.view, row)
        _draw_bones(image, self.view, [one.bones(row) for one, row in here])
        for one, row in here:
            one.draw_label(image, self.view, row)
        _floor.caption(image, f"{self.timestamps[frame]:.2f} s")
        return image


def write(
    scene: Scene,
    path: Path,
    size: tuple[int, int] = SIZE,
    progress: Callable[[int], None] | None = None,
) -> None:
    """The whole clip, a picture for each frame of the video, at the frame's own time.

    progress is called with the number of frames done.
    """
    animation = Animation(scene, size)
    with write_video(path, size, fps=scene.fps) as out:
        for frame, time in enumerate(scene.timestamps):
            out.write(animation.draw(frame), time)
            if progress is not None:
                progress(frame + 1)


@dataclass(frozen=True)
class _Mannequin:
    """One person, ready to be drawn in any frame. Rows are places in the person's arrays."""

    person: Person
    colour: Colour
    fps: float

    def row(self, frame: int) -> int | None:
        return _style.row(self.person, frame)

    @cached_property
    def scale(self) -> float:
        return _body.scale(self.person)

    @cached_property
    def radii(self) -> np.ndarray:
        return _body.radii(self.person)

    @cached_property
    def colours(self) -> np.ndarray:
        """(B, 3) RGB of each of the skeleton's bones."""
        skeleton = self.person.poses.skeleton
        return np.array([_style.SIDES[skeleton.side(stop)] for _, stop in skeleton.bones])

    def bones(self, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(B, 2, 3) metres in WORLD, (B, 2) metres, (B, 3) RGB; pale where the pose is bridged."""
        skeleton = self.person.poses.skeleton
        ends = self.person.joints_world[row].astype(np.float64)[list(skeleton.bones)]
        head = skeleton.bones.index((skeleton.index("neck"), skeleton.index("head")))
        mouth, crown = ends[head]
        ends[head] = [mouth + part * (crown - mouth) for part in _body.HEAD]
        colours = self.colours
        if not self.person.valid[row]:
            colours = (1 - _body.PALE) * colours + _body.PALE * np.asarray(_floor.FLOOR)
        return ends, self.radii, colours

    def draw_floor(self, image: np.ndarray, view: View, row: int) -> None:
        """What lies on the floor: the way the pelvis came, planted feet, the shadow over both."""
        self._draw_trail(image, view, row)
        self._draw_contacts(image, view, row)
        self._draw_shadow(image, view, row)

    def draw_label(self, image: np.ndarray, view: View, row: int) -> None:
        """The id, above the head."""
        joints = self.person.joints_world[row]
        top = joints[joints[:, 1].argmax()].astype(np.float64)
        top[1] += 0.17 * self.scale
        (x, y), _ = view.project(top)
        valid = self.person.valid[row]
        text = str(self.person.id) if valid else f"{self.person.id} bridged"
        label = _style.pill(text, self.colour, max(12, image.shape[0] // 30))
        _style.paste(image, label, x - label.shape[1] / 2, y - label.shape[0])

    def _draw_trail(self, image: np.ndarray, view: View, row: int) -> None:
        frames, pelvis = self.person.frames, self.person.poses.skeleton.index("pelvis")
        # Pieces begin at whole multiples, so that the trail stays put while time goes on.
        piece = max(1, round(self.fps * _body.TRAIL_SECONDS / _body.TRAIL_PIECES))
        rows = np.arange(row - row % piece, -1, -piece)[: _body.TRAIL_PIECES]
        if row % piece:
            rows = np.insert(rows, 0, row)
        xy, depth = view.project(on_floor(self.person.joints_world[rows, pelvis]))
        points = _style.subpixel(xy)
        width = max(1, round(0.03 * self.scale * view.focal / depth[0]))
        for k in range(len(rows) - 1, 0, -1):
            # Where the person was away between two rows, the way is not known.
            if frames[rows[k - 1]] - frames[rows[k]] > 2 * piece:
                continue
            age = (frames[row] - frames[rows[k]]) / (self.fps * _body.TRAIL_SECONDS)
            ink = _style.mix(self.colour, _floor.FLOOR, min(1.0, 0.15 + 0.85 * age))
            ends = (points[k].tolist(), points[k - 1].tolist())
            cv2.line(image, *ends, ink, width, cv2.LINE_AA, _style.SUBPIXEL)

    def _draw_contacts(self, image: np.ndarray, view: View, row: int) -> None:
        skeleton, angles = self.person.poses.skeleton, np.linspace(0, 2 * np.pi, 24, endpoint=False)
        ring = 0.10 * self.scale * np.stack([np.cos(angles), 0 * angles, np.sin(angles)], axis=-1)
        for side, down in zip(("right", "left"), self.person.foot_contact[row], strict=True):
            if down:
                ankle = self.person.joints_world[row, skeleton.index(f"{side}_ankle")]
                xy, _ = view.project(ring + on_floor(ankle))
                ink = _style.mix(_style.SIDES[side], _floor.FLOOR, 0.45)
                cv2.fillConvexPoly(image, _style.subpixel(xy), ink, cv2.LINE_AA, _style.SUBPIXEL)

    def _draw_shadow(self, image: np.ndarray, view: View, row: int) -> None:
        """Darken the floor where the body takes its light, less below what is far above it."""
        ends, radii, _ = self.bones(row)
        right = view.axes[0]
        away = np.cross([0.0, 1.0, 0.0], right)
        height = np.maximum(ends[..., 1], 0)
        fall = _body.LIGHT[0] * right + _body.LIGHT[1] * away
        ground = (ends + height[..., None] * fall)[..., [0, 2]]
        outline = _capsules(ground[:, 0], ground[:, 1], radii[:, 0], radii[:, 1])
        spots = np.stack([outline[..., 0], np.zeros(outline.shape[:-1]), outline[..., 1]], axis=-1)
        xy, depth = view.project(spots)
        xy /= _COARSE

        blur = max(0.8, 0.035 * self.scale * view.focal / float(np.median(depth)) / _COARSE)
        size = np.array([image.shape[1], image.shape[0]])
        edge = np.ceil(size / _COARSE)
        low = np.clip(np.floor(xy.min(axis=(0, 1)) - 3 * blur), 0, edge).astype(int)
        high = np.clip(np.ceil(xy.max(axis=(0, 1)) + 3 * blur), 0, edge).astype(int)
        if (high <= low).any():
            return
        light = np.full((high - low)[::-1], 255, np.uint8)
        lost = _body.SHADOW * np.clip(1 - height.mean(axis=1) / (2.4 * self.scale), 0.2, 1)
        for bone in np.argsort(lost):
            level = round(255 * (1 - lost[bone]))
            points = _style.subpixel(xy[bone] - low)
            cv2.fillConvexPoly(light, points, (level,), cv2.LINE_AA, _style.SUBPIXEL)
        light = cv2.GaussianBlur(light, (0, 0), blur)
        light = cv2.resize(light, None, fx=_COARSE, fy=_COARSE, interpolation=cv2.INTER_LINEAR)
        (left, top), (stop_x, stop_y) = low * _COARSE, np.minimum(high * _COARSE, size)
        under = image[top:stop_y, left:stop_x]
        light = cv2.cvtColor(light[: stop_y - top, : stop_x - left], cv2.COLOR_GRAY2BGR)
        cv2.multiply(under, light, dst=under, scale=1 / 255)


def _draw_bones(
    image: np.ndarray, view: View, people: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> None:
    """Everybody's bones (see _Mannequin.bones) as round limbs, from far to near."""
    if not people:
        return
    ends, radii, colours = (np.concatenate(parts) for parts in zip(*people, strict=True))
    xy, depth = view.project(ends)
    thick = radii * view.focal / depth  # px

    # S shades, B bones, 2 ends.
    parts, tints = np.array(_body.SHADES).T[..., None, None]  # (S, 1, 1)
    shift = 0.85 * (1 - parts) * thick  # (S, B, 2)
    centres, radii = xy + shift[..., None] * _body.TO_LIGHT, parts * thick
    outlines = _capsules(centres[..., 0, :], centres[..., 1, :], radii[..., 0], radii[..., 1])
    outlines = _style.subpixel(outlines)  # (S, B, 20, 2)
    inks = np.where(tints < 0, colours * (1 + tints), colours + (255 - colours) * tints)
    inks = inks.round().astype(int).tolist()  # (S, B, 3)
    for bone in np.argsort(-depth.mean(axis=1)):
        for outline, ink in zip(outlines, inks, strict=True):
            cv2.fillConvexPoly(image, outline[bone], ink[bone], cv2.LINE_AA, _style.SUBPIXEL)


def _capsules(a: np.ndarray, b: np.ndarray, ra: np.ndarray, rb: np.ndarray) -> np.ndarray:
    """(..., 20, 2) outlines around two circles each: centres a, b (..., 2), radii ra, rb (...)."""
    along = b - a
    heading = np.arctan2(along[..., 1], along[..., 0])[..., None]
    # The outline touches each circle this far from the heading; one circle may hold the other.
    length = np.maximum(np.hypot(along[..., 0], along[..., 1]), 1e-9)
    touch = np.arccos(np.clip((ra - rb) / length, -1, 1))[..., None]
    angles_a = heading + touch + (2 * np.pi - 2 * touch) * _ARC
    angles_b = heading - touch + 2 * touch * _ARC
    angles = np.concatenate([angles_a, angles_b], axis=-1)
    around = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    centres = np.repeat(np.stack([a, b], axis=-2), len(_ARC), axis=-2)
    radii = np.repeat(np.stack([ra, rb], axis=-1), len(_ARC), axis=-1)
    return centres + radii[..., None] * around
