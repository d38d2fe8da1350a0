"""Joints become rotations of a rig that puts the joints back, whichever way the body faces."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from video2pose3d.kinematics import H36M_IN_RIG, RIG, euler_zxy, forward, resample, solve
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Motion

FPS = 30.0

# Metres: facing +z, y up, arms straight out to the sides, legs straight down.
T_POSE = {
    "pelvis": (0, 0.95, 0),
    "right_hip": (-0.13, 0.95, 0),
    "right_knee": (-0.13, 0.5, 0),
    "right_ankle": (-0.13, 0.08, 0),
    "left_hip": (0.13, 0.95, 0),
    "left_knee": (0.13, 0.5, 0),
    "left_ankle": (0.13, 0.08, 0),
    "spine": (0, 1.19, 0),
    "thorax": (0, 1.45, 0),
    "neck": (0, 1.544, 0.034),
    "head": (0, 1.6425, 0.017),
    "left_shoulder": (0.15, 1.41615, 0),
    "left_elbow": (0.43, 1.41615, 0),
    "left_wrist": (0.68, 1.41615, 0),
    "right_shoulder": (-0.15, 1.41615, 0),
    "right_elbow": (-0.43, 1.41615, 0),
    "right_wrist": (-0.68, 1.41615, 0),
}


def t_pose(frames: int = 1) -> np.ndarray:
    """(frames, 17, 3) metres."""
    pose = np.array([T_POSE[joint] for joint in H36M17.joints], dtype=np.float32)
    return np.repeat(pose[None], frames, axis=0)


def played(frames: int, **turns: tuple) -> np.ndarray:
    """The T-pose with some rig joints turned: name=(axes, degrees (frames,) or (frames, axes))."""
    rest = solve(t_pose(), FPS)
    rotations = np.zeros((frames, len(RIG), 4), dtype=np.float32)
    rotations[..., 0] = 1
    for joint, (axes, degrees) in turns.items():
        turn = Rotation.from_euler(axes, np.reshape(degrees, (frames, -1)), degrees=True)
        rotations[:, RIG.index(joint)] = turn.as_quat()[:, [3, 0, 1, 2]]
    root = np.repeat(rest.root, frames, axis=0)
    return forward(Motion(RIG, rest.offsets, rotations, root, FPS))[:, H36M_IN_RIG]


def walk(frames: int = 60) -> np.ndarray:
    """(frames, 17, 3) metres: arms and legs swing, knees and elbows bend, facing +z."""
    phase = np.linspace(0, 4 * np.pi, frames)
    swing = 30 * np.sin(phase)
    still = np.zeros(frames)
    return played(
        frames,
        spine=("YX", np.stack([swing / 4, still + 5], axis=1)),
        left_hip=("X", -swing),
        right_hip=("X", swing),
        left_knee=("X", 35 - swing),
        right_knee=("X", 35 + swing),
        left_shoulder=("ZY", np.stack([still - 80, -swing], axis=1)),
        right_shoulder=("ZY", np.stack([still + 80, -swing], axis=1)),
        left_elbow=("Y", -40 + swing),
        right_elbow=("Y", 40 + swing),
    )


def moved(joints: np.ndarray, axis: str, degrees) -> np.ndarray:
    """The whole body turned about a point at hip height."""
    turn = Rotation.from_euler(axis, np.broadcast_to(degrees, len(joints))[:, None], degrees=True)
    centre = np.array([0, 0.9, 0])
    turned = np.einsum("tij,tkj->tki", turn.as_matrix(), joints - centre) + centre
    return turned.astype(np.float32)


def errors_mm(joints: np.ndarray, motion: Motion) -> np.ndarray:
    """(T, 17) how far the rig's joints are from those it follows."""
    rig = forward(motion)[:, H36M_IN_RIG]
    return 1000 * np.linalg.norm(rig - joints, axis=-1)


def steps(motion: Motion) -> np.ndarray:
    """(T-1, J) degrees by which each rotation changes from frame to frame."""
    dot = np.sum(motion.rotations[1:] * motion.rotations[:-1], axis=-1, dtype=np.float64)
    assert (dot > 0).all(), "neighbouring quaternions lie on one side"
    return np.degrees(2 * np.arccos(np.minimum(dot, 1)))


CLIPS = {
    "walk": walk(),
    "faces away": moved(walk(), "y", 180),
    "turns three times": moved(walk(180), "y", np.linspace(0, 1080, 180)),
    "lies on the back": moved(walk(), "x", -90),
    "lies on the side": moved(walk(), "z", 90),
    "cartwheel": moved(walk(), "z", np.linspace(0, 360, 60)),
    "somersault": moved(walk(), "x", np.linspace(0, 360, 60)),
    "upside down": moved(walk(), "x", 180),
    "T-pose": t_pose(5),
    "one frame": walk(7)[3:4],
}


@pytest.mark.parametrize("clip", CLIPS)
def test_the_rig_puts_the_joints_back(clip):
    assert errors_mm(CLIPS[clip], solve(CLIPS[clip], FPS)).max() < 0.01


@pytest.mark.parametrize("clip", CLIPS)
def test_rotations_change_no_faster_than_the_body(clip):
    assert steps(solve(CLIPS[clip], FPS)).max(initial=0) < 25


def test_a_t_pose_has_no_rotation():
    angles = euler_zxy(solve(t_pose(), FPS).rotations)
    assert np.abs(angles).max() < 0.1


def test_the_root_faces_where_the_person_does():
    for heading in (0, 90, 180, -60):
        root = solve(moved(walk(), "y", heading), FPS).rotations[0, 0]
        facing = Rotation.from_quat(root[[1, 2, 3, 0]]).apply([0, 0, 1])
        expected = [np.sin(np.radians(heading)), 0, np.cos(np.radians(heading))]
        np.testing.assert_allclose(facing, expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_turning_the_world_turns_the_root_alone(seed):
    rng = np.random.default_rng(seed)
    turn, shift = Rotation.random(random_state=seed).as_matrix(), rng.normal(size=3)
    still = solve(walk(), FPS)
    turned = solve((walk() @ turn.T + shift).astype(np.float32), FPS)
    same = np.abs(np.sum(still.rotations[:, 1:] * turned.rotations[:, 1:], axis=-1))
    np.testing.assert_allclose(same, 1, atol=1e-5)


def test_a_mirrored_body_has_mirrored_rotations():
    mirrored = walk()[:, H36M17.mirror] * np.float32([-1, 1, 1])
    here, there = solve(walk(), FPS).rotations, solve(mirrored, FPS).rotations
    back = there[:, RIG.mirror] * np.float32([1, 1, -1, -1])
    np.testing.assert_allclose(np.abs(np.sum(here * back, axis=-1)), 1, atol=1e-5)


@pytest.mark.parametrize("twist", [-120, -60, 0, 60, 120, 180])
def test_a_bent_elbow_shows_how_the_arm_is_turned(twist):
    n = 20
    turns = np.stack([np.full(n, -40.0), np.full(n, float(twist))], axis=1)
    bent = played(n, left_shoulder=("ZX", turns), left_elbow=("Y", np.full(n, -50.0)))
    found = solve(bent, FPS).rotations[:, RIG.index("left_shoulder"), [1, 2, 3, 0]]
    apart = Rotation.from_quat(found).inv() * Rotation.from_euler("ZX", turns, degrees=True)
    assert np.degrees(apart.magnitude()).max() < 0.1


def test_a_knee_is_a_hinge_that_bends_past_a_right_angle_without_a_jump():
    n = 60
    bend = np.linspace(20, 140, n)
    squat = played(
        n, left_hip=("XZ", np.linspace([-20, 5], [-80, 25], n)), left_knee=("X", bend)
    )  # fmt: skip
    angles = euler_zxy(solve(squat, FPS).rotations)[:, RIG.index("left_knee")]
    np.testing.assert_allclose(angles[30:, 1], bend[30:], atol=0.1)
    np.testing.assert_allclose(angles[30:, [0, 2]], 0, atol=0.1)


def test_a_straight_limb_that_trembles_keeps_its_twist():
    tremble = np.random.default_rng(0).normal(0, 0.004, (60, 17, 3)).astype(np.float32)
    motion = solve(t_pose(60) + gaussian_filter1d(tremble, 1, axis=0), FPS)
    limbs = RIG.indices("left_hip", "right_hip", "left_shoulder", "right_shoulder")
    assert steps(motion)[:, limbs].max() < 10


def test_an_arm_that_turns_half_round_while_straight_takes_its_time():
    bend = np.abs(np.linspace(-60, 60, 60))  # bent, straight in the middle, bent the other way
    twist = np.where(np.arange(60) < 30, 0.0, 170.0)
    arms = np.stack([np.full(60, 20.0), twist], axis=1)
    motion = solve(played(60, left_shoulder=("ZX", arms), left_elbow=("Y", -bend)), FPS)
    assert steps(motion).max() < 60


def test_a_foot_on_the_ground_is_level():
    squat = played(
        20, right_hip=("X", np.full(20, -60.0)), right_knee=("X", np.full(20, 100.0))
    )  # fmt: skip
    down = np.tile([True, False], (20, 1))
    toe, ankle = RIG.index("right_toe"), RIG.index("right_ankle")

    def drop(motion: Motion) -> float:
        joints = forward(motion)
        return float((joints[:, ankle, 1] - joints[:, toe, 1]).mean())

    rest = solve(t_pose(), FPS)
    assert drop(solve(squat, FPS)) > 2 * drop(rest)
    assert drop(solve(squat, FPS, down)) == pytest.approx(drop(rest), abs=1e-4)


def test_joints_in_one_place_give_finite_rotations():
    motion = solve(np.zeros((3, 17, 3), dtype=np.float32), FPS)
    assert np.isfinite(motion.rotations).all()
    assert np.isfinite(forward(motion)).all()


def test_hips_out_of_line_leave_the_limbs_right():
    joints = walk()
    joints[:, H36M17.index("pelvis"), 1] += 0.01
    error = errors_mm(joints, solve(joints, FPS)).mean(axis=0)
    assert error.mean() < 5
    assert error[H36M17.indices("left_ankle", "right_ankle", "left_wrist", "head")].max() < 2


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"\(T, 17, 3\)"):
        solve(np.zeros((4, 16, 3), dtype=np.float32), FPS)
    with pytest.raises(ValueError, match="frames"):
        solve(np.zeros((0, 17, 3), dtype=np.float32), FPS)


# Euler angles


def as_quaternions(turns: Rotation) -> np.ndarray:
    """(T, 1, 4) wxyz float32."""
    return turns.as_quat()[:, None, [3, 0, 1, 2]].astype(np.float32)


def test_angles_are_the_rotations():
    turns = Rotation.random(500, random_state=1)
    angles = euler_zxy(as_quaternions(turns))[:, 0]
    apart = Rotation.from_euler("ZXY", angles, degrees=True).inv() * turns
    assert np.degrees(apart.magnitude()).max() < 1e-3


@pytest.mark.parametrize("axis", "ZXY")
def test_angles_run_on_through_full_turns(axis):
    degrees = np.linspace(0, 1080, 120)
    angles = euler_zxy(as_quaternions(Rotation.from_euler(axis, degrees[:, None], degrees=True)))[
        :, 0
    ]
    expected = np.zeros((120, 3))
    expected[:, "ZXY".index(axis)] = degrees
    np.testing.assert_allclose(angles, expected, atol=0.02)


def test_gimbal_lock_holds_the_angles():
    degrees = np.stack([np.full(20, 30.0), np.linspace(80, 100, 20), np.full(20, 40.0)], axis=1)
    degrees[5:15, 1] = 90  # lies still, and only z - y is defined
    angles = euler_zxy(as_quaternions(Rotation.from_euler("ZXY", degrees, degrees=True)))[:, 0]
    np.testing.assert_allclose(angles, degrees, atol=0.1)


# Resampling


def test_halfway_in_time_is_halfway_in_angle():
    motion = solve(moved(t_pose(2), "y", [0, 90]), FPS)
    middle = resample(motion, np.array([0.0, 1.0]), np.array([-1, 0, 0.5, 1, 3]), 2.0)
    heading = euler_zxy(middle.rotations)[:, 0, 2]
    np.testing.assert_allclose(heading, [0, 0, 45, 90, 90], atol=1e-3)
    assert middle.fps == 2.0


def test_resampling_at_the_same_times_changes_nothing():
    motion, times = solve(walk(), FPS), np.arange(60) / FPS
    again = resample(motion, times, times, FPS)
    np.testing.assert_allclose(again.rotations, motion.rotations, atol=1e-6)
    np.testing.assert_array_equal(again.root, motion.root)


# Recorded motion


def constant_bones(joints: np.ndarray) -> np.ndarray:
    """The same directions with each bone at its median length."""
    out = joints.astype(np.float64)
    for parent, child in H36M17.bones:
        bone = joints[:, child] - joints[:, parent]
        length = np.linalg.norm(bone, axis=-1, keepdims=True)
        out[:, child] = out[:, parent] + bone / length * np.median(length)
    return out.astype(np.float32)


def test_rendered_walk(data):
    truth = np.load(data / "examples" / "walk_truth.npz")["world"]
    joints = constant_bones(truth)
    motion = solve(joints, FPS)
    assert errors_mm(joints, motion).mean() < 0.1
    assert steps(motion).max() < 20


def test_recorded_clips(data):
    mocap = np.load(data / "mocap" / "val.npz")
    y_up = mocap["positions"][..., [0, 2, 1]] * np.float32([1, 1, -1])
    for start, length in zip(mocap["clip_start"], mocap["clip_length"], strict=True):
        joints = constant_bones(y_up[start : start + length])
        motion = solve(joints, float(mocap["fps"]))
        assert errors_mm(joints, motion).mean() < 0.1
        assert steps(motion).max() < 45
