"""The types that pass between stages: frozen dataclasses of NumPy arrays, checked when made.

T frames, J joints, P people; keypoints are 2D pixels in the upright image (pixel centres at +0.5),
joints are 3D metres. Three right-handed frames of reference, always named:

- CAMERA_ROOT: OpenCV axes (x right, y down, z forward), origin at the pelvis.
- CAMERA: the same axes, origin at the optical centre.
- WORLD: y up, floor at y = 0; a person who faces the camera faces +z.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from video2pose3d.skeletons import COCO17, Skeleton

Space = Literal["CAMERA_ROOT", "CAMERA", "WORLD"]


def _check(name: str, array: np.ndarray, shape: tuple[int | None, ...], dtype: type) -> None:
    """Hold an array to its shape (None: any length) and type, or say expected and actual."""
    if not isinstance(array, np.ndarray) or array.dtype != np.dtype(dtype):
        actual = getattr(array, "dtype", type(array).__name__)
        raise TypeError(f"{name}: expected an array of {np.dtype(dtype)}, got {actual}")
    if array.ndim != len(shape) or any(
        want is not None and have != want for have, want in zip(array.shape, shape, strict=True)
    ):
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")


def _check_frames(frames: np.ndarray) -> int:
    _check("frames", frames, (None,), np.int64)
    if len(frames) and (frames[0] < 0 or (np.diff(frames) <= 0).any()):
        raise ValueError("frames: expected increasing indices of video frames from 0")
    return len(frames)


@dataclass(frozen=True)
class Detections:
    """People found in one frame. boxes: (N, 4) px, x1 y1 x2 y2; scores: (N,) 0..1.

    keypoints: (N, 17, 3) x, y px and score of COCO's, where the detector sees them as it finds the
    people; else None.
    """

    boxes: np.ndarray
    scores: np.ndarray
    keypoints: np.ndarray | None = None

    def __post_init__(self) -> None:
        _check("boxes", self.boxes, (None, 4), np.float32)
        _check("scores", self.scores, (len(self.boxes),), np.float32)
        if self.keypoints is not None:
            _check("keypoints", self.keypoints, (len(self.boxes), len(COCO17), 3), np.float32)

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, rows: np.ndarray) -> Detections:
        """Some of the people, by their rows (M,) int64."""
        keypoints = None if self.keypoints is None else self.keypoints[rows]
        return Detections(self.boxes[rows], self.scores[rows], keypoints)


@dataclass(frozen=True)
class Track:
    """One person through the clip, in the frames where they were seen.

    frames: (T,) int64 increasing; boxes: (T, 4) px xyxy; scores: (T,).
    """

    id: int
    frames: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        n = _check_frames(self.frames)
        _check("boxes", self.boxes, (n, 4), np.float32)
        _check("scores", self.scores, (n,), np.float32)


@dataclass(frozen=True)
class Keypoints2D:
    """One person's keypoints.

    frames: (T,) int64 increasing indices of video frames; xy: (T, J, 2) px in the upright image;
    scores: (T, J) 0..1, 0 = not seen; image_size: W, H; fps: mean rate of the video.
    """

    frames: np.ndarray
    xy: np.ndarray
    scores: np.ndarray
    skeleton: Skeleton
    image_size: tuple[int, int]
    fps: float

    def __post_init__(self) -> None:
        n = _check_frames(self.frames)
        _check("xy", self.xy, (n, len(self.skeleton), 2), np.float32)
        _check("scores", self.scores, (n, len(self.skeleton)), np.float32)


@dataclass(frozen=True)
class Poses3D:
    """One person's joints. joints: (T, J, 3) metres in `space`; scores: (T, J) 0..1."""

    frames: np.ndarray
    joints: np.ndarray
    scores: np.ndarray
    skeleton: Skeleton
    space: Space
    fps: float

    def __post_init__(self) -> None:
        n = _check_frames(self.frames)
        _check("joints", self.joints, (n, len(self.skeleton), 3), np.float32)
        _check("scores", self.scores, (n, len(self.skeleton)), np.float32)


@dataclass(frozen=True)
class Motion:
    """One person's movement as a rig plays it: a rest pose and rotations over time, in WORLD.

    offsets: (J, 3) metres, each joint from its parent in the rest pose (T-pose, facing +z, y up);
    rotations: (T, J, 4) wxyz, each joint's rotation relative to its parent's (the root's to WORLD);
    root: (T, 3) metres, the root joint in WORLD; times are those of the frames at a mean `fps`.
    """

    skeleton: Skeleton
    offsets: np.ndarray
    rotations: np.ndarray
    root: np.ndarray
    fps: float

    def __post_init__(self) -> None:
        j = len(self.skeleton)
        _check("offsets", self.offsets, (j, 3), np.float32)
        _check("root", self.root, (None, 3), np.float32)
        _check("rotations", self.rotations, (len(self.root), j, 4), np.float32)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera. K: (3, 3) float64 px; size: W, H px; dist: (5,) OpenCV's k1 k2 p1 p2 k3.

    source says in words where the focal length came from ("assumed: ...", "given by --fov", ...).
    """

    K: np.ndarray
    size: tuple[int, int]
    dist: np.ndarray
    source: str

    def __post_init__(self) -> None:
        _check("K", self.K, (3, 3), np.float64)
        _check("dist", self.dist, (5,), np.float64)


@dataclass(frozen=True)
class Person:
    """Everything known of one person; every array is over the same `frames`.

    frames: (T,) int64 increasing; those seen and those bridged over short gaps;
    valid: (T,) bool, seen in this frame (False: bridged);
    track: the boxes, in the frames seen; keypoints, poses (CAMERA_ROOT, as lifted): over frames;
    root_camera: (T, 3) float32 metres, the pelvis in CAMERA;
    joints_world: (T, J, 3) float32 metres, WORLD, smoothed, constant bone lengths;
    foot_contact: (T, 2) bool, right then left foot on the ground.
    """

    track: Track
    frames: np.ndarray
    valid: np.ndarray
    keypoints: Keypoints2D
    poses: Poses3D
    root_camera: np.ndarray
    joints_world: np.ndarray
    foot_contact: np.ndarray

    def __post_init__(self) -> None:
        n = _check_frames(self.frames)
        _check("valid", self.valid, (n,), np.bool_)
        _check("root_camera", self.root_camera, (n, 3), np.float32)
        _check("joints_world", self.joints_world, (n, len(self.poses.skeleton), 3), np.float32)
        _check("foot_contact", self.foot_contact, (n, 2), np.bool_)
        for part in (self.keypoints, self.poses):
            if not np.array_equal(part.frames, self.frames):
                raise ValueError(f"{type(part).__name__}.frames differ from the person's frames")

    @property
    def id(self) -> int:
        return self.track.id


@dataclass(frozen=True)
class Rig:
    """Cameras that filmed one scene together: V cameras, P people, T frames of the first one's.

    names: (V,); cameras: (V,); world_from_cameras: (V, 4, 4) float64; time_offsets: (V,) seconds
    that each clip began after the first; keypoints: (V, P, T, 17, 2) float32 px, NaN where a
    person is unseen; scores: (V, P, T, 17) float32; reprojection_px: (V, P) medians, NaN where a
    camera never saw the person; world_from_calibration: (4, 4), from the rig's own world, where
    it had one.
    """

    names: tuple[str, ...]
    cameras: tuple[Camera, ...]
    world_from_cameras: np.ndarray
    time_offsets: np.ndarray
    keypoints: np.ndarray
    scores: np.ndarray
    reprojection_px: np.ndarray
    world_from_calibration: np.ndarray | None

    def __post_init__(self) -> None:
        v = len(self.cameras)
        _check("world_from_cameras", self.world_from_cameras, (v, 4, 4), np.float64)
        _check("time_offsets", self.time_offsets, (v,), np.float64)
        _check("keypoints", self.keypoints, (v, None, None, 17, 2), np.float32)
        _check("scores", self.scores, (v, *self.keypoints.shape[1:3], 17), np.float32)
        _check("reprojection_px", self.reprojection_px, (v, self.keypoints.shape[1]), np.float64)
        if self.world_from_calibration is not None:
            _check("world_from_calibration", self.world_from_calibration, (4, 4), np.float64)


@dataclass(frozen=True)
class Scene:
    """What a clip showed: its people, its camera, its clock. Exporters and renderers take this.

    timestamps: (T,) float64 seconds of all video frames in order, first at 0; fps: exact mean rate;
    image_size: W, H upright; world_from_camera: (4, 4) float64, x_world = M @ [x_camera, 1];
    scale_source: in words, where metres came from ("assumed: ...", "from --height 1.77");
    rig: all the cameras, where there were several; then `camera` is the first.
    """

    people: tuple[Person, ...]
    timestamps: np.ndarray
    fps: float
    image_size: tuple[int, int]
    camera: Camera
    world_from_camera: np.ndarray
    scale_source: str
    rig: Rig | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _check("timestamps", self.timestamps, (None,), np.float64)
        _check("world_from_camera", self.world_from_camera, (4, 4), np.float64)
        for person in self.people:
            if len(person.frames) and person.frames[-1] >= len(self.timestamps):
                raise ValueError(f"person {person.id} has frames beyond the clip's last")
