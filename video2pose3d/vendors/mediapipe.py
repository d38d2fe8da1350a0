"""MediaPipe's pose network, silent and offline: the only file that imports mediapipe.

BlazePose (Bazarevsky et al., 2020), complexity 1, the one whose files lie in the package.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from video2pose3d.errors import UserError

# BlazePose's 33 landmarks by the names of our joints where they are the same point.
LANDMARKS = {
    "nose": 0,
    "left_eye": 2,
    "right_eye": 5,
    "left_ear": 7,
    "right_ear": 8,
    "left_shoulder": 11,
    "right_shoulder": 12,
    "left_elbow": 13,
    "right_elbow": 14,
    "left_wrist": 15,
    "right_wrist": 16,
    "left_hip": 23,
    "right_hip": 24,
    "left_knee": 25,
    "right_knee": 26,
    "left_ankle": 27,
    "right_ankle": 28,
}


def available() -> bool:
    """Whether a mediapipe is installed that carries its pose network (0.10.21 is the last)."""
    spec = importlib.util.find_spec("mediapipe")
    folders = (spec.submodule_search_locations or []) if spec else []
    model = os.path.join("modules", "pose_landmark", "pose_landmark_full.tflite")
    return any(os.path.exists(os.path.join(folder, model)) for folder in folders)


class Pose:
    """The landmarks of the most prominent person in a picture.

    min_confidence: how sure the network must be that there is a person, 0..1. follow: the pictures
    are those of a video, and the person is looked for where they were in the one before; else each
    picture is taken for itself.
    """

    def __init__(self, *, min_confidence: float, follow: bool = False) -> None:
        if not available():
            raise UserError(
                "mediapipe is not installed, or is one without its pose network",
                cure='pip install "video2pose3d[mediapipe]" (Python 3.12 or older)',
            )
        with _silence():
            from mediapipe.python.solutions.pose import Pose as Solution

            self._solution: Any = Solution(
                static_image_mode=not follow,
                model_complexity=1,
                smooth_landmarks=False,  # it counts on 30 fps and lags; motion/ smooths
                min_detection_confidence=min_confidence,
            )
            # Its parts start on other threads and greet: wait here until they have.
            self._solution.process(_NOTHING)
        self._found_someone = False
        self._following = False
        self._follow = follow

    def __call__(self, image: np.ndarray) -> np.ndarray | None:
        """RGB uint8 (H, W, 3) to (33, 3) float32 x, y px and visibility 0..1; None for nobody."""
        image = np.ascontiguousarray(image)
        # Its last parts greet when it first finds someone.
        with contextlib.nullcontext() if self._found_someone else _silence():
            found = self._solution.process(image).pose_landmarks
            if found is None and self._following:
                # Lost where they were: only now does it look at the whole picture again.
                found = self._solution.process(image).pose_landmarks
        self._following = self._follow and found is not None
        if found is None:
            return None
        self._found_someone = True
        height, width = image.shape[:2]
        return np.array(
            [(p.x * width, p.y * height, p.visibility) for p in found.landmark], dtype=np.float32
        )

    def forget(self) -> None:
        """Another video begins: nobody is followed into it."""
        if self._following:
            self._solution.process(_NOTHING)
            self._following = False


_NOTHING = np.zeros((64, 64, 3), dtype=np.uint8)  # a picture in which it loses whom it follows


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Nothing reaches the process's stderr: MediaPipe's C++ writes there whatever it is told.

    None of GLOG_minloglevel, TF_CPP_MIN_LOG_LEVEL and ABSL_MIN_LOG_LEVEL reaches its absl.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)
