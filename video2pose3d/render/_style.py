"""How people look in every picture: the colours of sides and persons, limbs, labels.

Pictures are RGB uint8 (H, W, 3); colours are RGB 0..255.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from video2pose3d.colours import SIDES as SIDES
from video2pose3d.colours import Colour
from video2pose3d.skeletons import Skeleton
from video2pose3d.structures import Person

# Labels, boxes and trails; none is close to a side's colour.
PEOPLE: tuple[Colour, ...] = (
    (38, 188, 112),
    (226, 72, 160),
    (244, 204, 48),
    (146, 106, 240),
    (22, 184, 188),
    (228, 66, 66),
    (160, 200, 60),
    (170, 120, 84),
)
INK: Colour = (18, 20, 26)

# OpenCV draws at fractions of a pixel when coordinates come as integers with binary places.
SUBPIXEL = 4


def person_colour(place: int) -> Colour:
    """The colour of the person at this place in a scene's people."""
    return PEOPLE[place % len(PEOPLE)]


def row(person: Person, frame: int) -> int | None:
    """Where a video frame lies in the person's arrays; None when they are absent from it."""
    place = int(np.searchsorted(person.frames, frame))
    return place if place < len(person.frames) and person.frames[place] == frame else None


def sureness(person: Person) -> np.ndarray:
    """(T, J) 0..1, which keypoints to draw: their scores, in bridged frames those on both sides."""
    scores, rows = person.keypoints.scores, np.arange(len(person.valid))
    before = np.maximum.accumulate(np.where(person.valid, rows, 0))
    after = np.minimum.accumulate(np.where(person.valid, rows, len(rows) - 1)[::-1])[::-1]
    return np.maximum(scores, np.minimum(scores[before], scores[after]))


def limbs(skeleton: Skeleton) -> list[list[int]]:
    """The skeleton as chains of joints from a fork (or the root) to the next fork or tip.

    Every bone is in one chain, and a chain has one colour: the side of its last joint.
    """
    children = np.bincount([p for p in skeleton.parents if p >= 0], minlength=len(skeleton))
    chains = []
    for joint, parent in enumerate(skeleton.parents):
        if parent < 0 or children[joint] == 1:
            continue
        chain = [joint, parent]
        while skeleton.parents[parent] >= 0 and children[parent] == 1:
            parent = skeleton.parents[parent]
            chain.append(parent)
        chains.append(chain[::-1])
    return chains


def subpixel(xy: np.ndarray) -> np.ndarray:
    """(..., 2) px with pixel centres at +0.5 to OpenCV's int32 with SUBPIXEL binary places."""
    return np.clip((xy - 0.5) * (1 << SUBPIXEL), -(2**28), 2**28).round().astype(np.int32)


def mix(a: Colour, b: Colour, part: float) -> Colour:
    """From a (part 0) to b (part 1)."""
    red, green, blue = (round(x + (y - x) * part) for x, y in zip(a, b, strict=True))
    return red, green, blue


@lru_cache(maxsize=256)
def pill(text: str, colour: Colour, height: int) -> np.ndarray:
    """A label on a rounded plate: (height, w, 4) uint8 RGBA, drawn large, then shrunk.

    text: ASCII, as OpenCV's font has nothing else.
    """
    big = 4 * max(height, 8)
    font, scale, thick = cv2.FONT_HERSHEY_DUPLEX, big / 42, max(1, big // 22)
    (text_width, text_height), _ = cv2.getTextSize(text, font, scale, thick)
    width = max(big, text_width + round(big * 0.6))
    red, green, blue = colour
    ink = INK if 0.3 * red + 0.59 * green + 0.11 * blue > 110 else (255, 255, 255)
    plate = np.empty((big, width, 3), np.uint8)
    plate[:] = colour
    origin = ((width - text_width) // 2, (big + text_height) // 2)
    cv2.putText(plate, text, origin, font, scale, ink, thick, cv2.LINE_AA)
    alpha = np.zeros((big, width, 1), np.uint8)
    half = big // 2
    cv2.line(alpha, (half, half), (width - half - 1, half), (235,), big - 4, cv2.LINE_AA)
    size = (max(1, round(width * height / big)), height)
    return cv2.resize(np.concatenate([plate, alpha], axis=-1), size, interpolation=cv2.INTER_AREA)


def paste(image: np.ndarray, sprite: np.ndarray, x: float, y: float) -> None:
    """Lay an RGBA sprite into the image, its top left at x, y px, moved so that it stays inside."""
    h, w = (min(a, b) for a, b in zip(sprite.shape[:2], image.shape[:2], strict=True))
    left = int(np.clip(x, 0, image.shape[1] - w))
    top = int(np.clip(y, 0, image.shape[0] - h))
    under = image[top : top + h, left : left + w]
    colour, alpha = sprite[:h, :w, :3], sprite[:h, :w, 3:].astype(np.uint16)
    under[:] = (under * (255 - alpha) + colour * alpha + 127) // 255
