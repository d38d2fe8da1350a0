"""Small scenes with different numbers everywhere, for what is written to files."""

import dataclasses

import numpy as np
from scipy.spatial.transform import Rotation

from video2pose3d import kinematics
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Camera, Keypoints2D, Person, Poses3D, Scene, Track

T = 40
# fmt: off
RIG_NAMES = {  # Human3.6M's joints in the files that hold a rig
    "pelvis": "Hips", "spine": "Chest", "thorax": "Neck", "neck": "Head", "head": "HeadEnd",
    "left_shoulder": "LeftArm", "left_elbow": "LeftForeArm", "left_wrist": "LeftHand",
    "right_shoulder": "RightArm", "right_elbow": "RightForeArm", "right_wrist": "RightHand",
    "left_hip": "LeftUpLeg", "left_knee": "LeftLeg", "left_ankle": "LeftFoot",
    "right_hip": "RightUpLeg", "right_knee": "RightLeg", "right_ankle": "RightFoot",
}
# fmt: on


def joints(frames: int = T) -> np.ndarray:
    """(frames, 17, 3) metres, WORLD: a body whose every joint turns, and which walks away."""
    # fmt: off
    rest = np.array([
        (0, .95, 0), (-.13, .95, 0), (-.13, .5, 0), (-.13, .08, 0),
        (.13, .95, 0), (.13, .5, 0), (.13, .08, 0),
        (0, 1.19, 0), (0, 1.45, 0), (0, 1.54, .03), (0, 1.64, .02),
        (.15, 1.42, 0), (.43, 1.42, 0), (.68, 1.42, 0),
        (-.15, 1.42, 0), (-.43, 1.42, 0), (-.68, 1.42, 0),
    ], dtype=np.float32)
    # fmt: on
    motion = kinematics.solve(rest[None], 30.0)
    time = np.arange(frames)[:, None, None] / 20
    angles = 20 * np.sin(time + np.arange(motion.offsets.size).reshape(-1, 3))  # (T, J, 3) degrees
    turns = Rotation.from_euler("ZXY", angles.reshape(-1, 3), degrees=True)
    rotations = turns.as_quat()[:, [3, 0, 1, 2]].reshape(frames, -1, 4)
    root = motion.root + time[:, 0] * [0.1, 0, 1.0]
    moving = dataclasses.replace(
        motion, rotations=rotations.astype(np.float32), root=root.astype(np.float32)
    )
    return kinematics.forward(moving)[:, kinematics.H36M_IN_RIG]


def person(id: int, frames: np.ndarray, fps: float = 30.0) -> Person:
    """Somebody seen in these frames of a clip, with different numbers everywhere."""
    rng, n = np.random.default_rng(id), len(frames)

    def some(*shape: int) -> np.ndarray:
        return rng.random((n, *shape), dtype=np.float32)

    world = joints(int(frames[-1]) + 1)[frames] if n else some(17, 3)
    valid = rng.random(n) < 0.8
    return Person(
        track=Track(id, frames[valid], 100 * some(4)[valid], some()[valid]),
        frames=frames,
        valid=valid,
        keypoints=Keypoints2D(frames, 500 * some(17, 2), some(17), H36M17, (1280, 720), fps),
        poses=Poses3D(frames, world - world[:, :1], some(17), H36M17, "CAMERA_ROOT", fps),
        root_camera=some(3),
        joints_world=world,
        foot_contact=rng.random((n, 2)) < 0.5,
    )


def scene(
    *people: Person, timestamps: np.ndarray | None = None, fps: float = 30.0, frames: int = T
) -> Scene:
    K = np.array([[1200.5, 0, 640], [0, 1200.5, 360], [0, 0, 1]])
    return Scene(
        people=people,
        timestamps=np.arange(frames) / fps if timestamps is None else timestamps,
        fps=fps,
        image_size=(1280, 720),
        camera=Camera(K, (1280, 720), np.array([0.1, 0, 0, 0.01, 0]), "assumed: 55 degrees"),
        world_from_camera=np.diag([1.0, -1, -1, 1]),
        scale_source="from --height 1.77",
    )


def two_people() -> Scene:
    """One always there, one with a gap who comes late and leaves early."""
    return scene(person(3, np.arange(T)), person(12, np.r_[5:12, 20:33]))
