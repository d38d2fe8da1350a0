"""Person detectors, one public file each.

A detector has

    DEFAULT_WEIGHTS: str            the name in weights.toml; "" when its package brings them
    build(weights, device)          weights: Path | None, device: "cpu", "cuda:0", ...

and what `build` gives has

    finds_one: bool                 whether it finds one person at most
    reset() -> None                 another clip begins: what was seen before tells nothing
    detect(images) -> list[Detections]

images: the clip's next pictures, in order, each RGB uint8 (H, W, 3).
"""
