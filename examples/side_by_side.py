"""One instant as a picture: the overlay on the video beside the 3D view.

python examples/side_by_side.py OUT/walk/poses.npz examples/walk.mp4 5.0 picture.jpg
"""

import sys
from itertools import islice

import cv2
import numpy as np

from video2pose3d.render.animation import Animation
from video2pose3d.render.overlay import Overlay
from video2pose3d.structures import Scene

HALF = (800, 600)  # W, H px


def side_by_side(scene: Scene, image: np.ndarray, frame: int) -> np.ndarray:
    """A frame of the video, RGB uint8 (H, W, 3), with its overlay, and the same instant in 3D."""
    seen = Overlay(scene).draw(image.copy(), frame)
    # The left half is cut around the people who are in the frame.
    people = [person for person in scene.people if frame in person.frames]
    xy = np.concatenate([p.keypoints.xy[np.searchsorted(p.frames, frame)] for p in people])
    height, width = seen.shape[:2]
    wide = min(width, height * HALF[0] // HALF[1])
    left = int(np.clip(xy[:, 0].mean() - wide / 2, 0, width - wide))
    model = Animation(scene, (2 * HALF[0], 2 * HALF[1])).draw(frame)
    halves = (seen[:, left : left + wide], model)
    return np.hstack([cv2.resize(half, HALF, interpolation=cv2.INTER_AREA) for half in halves])


if __name__ == "__main__":
    import video2pose3d as v2p
    from video2pose3d.video import open_video

    poses, clip, seconds, picture = sys.argv[1:]
    scene = v2p.load(poses)
    frame = int(np.abs(scene.timestamps - float(seconds)).argmin())
    image = next(islice(open_video(clip), frame, None))
    cv2.imwrite(picture, side_by_side(scene, image, frame)[..., ::-1])
