"""2D keypoint backends: where a person's joints are in the picture. One public file each.

A backend has

    DEFAULT_WEIGHTS: str            the name in weights.toml; "" when its package brings them, or
                                    when there are none but what the user gives
    available() -> bool             whether the packages it needs are installed
    build(weights, device)          weights: Path | None, device: "cpu", "cuda:0", ...

and what `build` gives has `skeleton` (COCO17 or H36M17) and

    predict(images, boxes) -> xy (N, J, 2), scores (N, J)

images: N pictures, each RGB uint8 (H, W, 3); boxes: (N, 4) float32 px, x1 y1 x2 y2, the person in
images[i]. A picture of several people is given several times: the same array, no copies. xy:
float32 px in the picture, whose top-left corner is the origin (pixel centres at +0.5); scores:
float32 0..1, 0 for all joints of a person who was not found in the box, or whose box is empty.

The backend that relates a person's pictures to each other (`relation`) can't tell before it has
seen them: its `predict` gives other arrays of N rows, of which

    relate(frames, *arrays) -> xy (T, J, 2), scores (T, J)

takes one person's, over frames (T,) of the video, when that has ended.

Nothing is printed and nothing is downloaded; what the user can mend is a UserError.
"""
