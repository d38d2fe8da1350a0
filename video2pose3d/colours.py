"""The colours of the body's sides, in every picture and every file. RGB 0..255, sRGB."""

from __future__ import annotations

Colour = tuple[int, int, int]

# Blue against orange keeps the sides apart in all common kinds of colour blindness.
SIDES: dict[str, Colour] = {
    "left": (36, 144, 255),
    "right": (255, 130, 20),
    "centre": (240, 240, 236),
}
