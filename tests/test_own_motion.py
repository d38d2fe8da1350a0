"""Claims about motion that people add: BVH of any rig, AMASS, and collections of them."""

import json
import logging

import bodies
import mocap
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from mocap import walk
from scipy.spatial.transform import Rotation

from video2pose3d import kinematics, lifters
from video2pose3d.cli import video2pose3d
from video2pose3d.datasets import amass, bvh
from video2pose3d.datasets.collection import gather, read, read_both
from video2pose3d.datasets.mocap import ANKLE, Clip, Mocap
from video2pose3d.errors import UserError
from video2pose3d.exporters.bvh import text
from video2pose3d.lifters import ssr_stf
from video2pose3d.skeletons import H36M17
from video2pose3d.training import validation
from video2pose3d.training.config import TrainingConfig

SIDES = ("left", "right")

# A figure with its arms stretched: joint → (its parent, offset in metres; y up, the left side).
TRUNK = {
    "hips": ("", (0, 0.95, 0)), "low": ("hips", (0, 0.1, 0)), "high": ("low", (0, 0.2, 0)),
    "thorax": ("high", (0, 0.2, 0)), "neck": ("thorax", (0, 0.1, 0.02)),
    "head": ("neck", (0, 0.15, 0)), "clavicle": ("high", (0.05, 0.15, 0)),
    "shoulder": ("clavicle", (0.12, 0, 0)), "elbow": ("shoulder", (0.28, 0, 0)),
    "wrist": ("elbow", (0.25, 0, 0)),
    "hip": ("hips", (0.1, -0.05, 0)), "knee": ("hip", (0, -0.42, 0)),
    "ankle": ("knee", (0, -0.4, 0)),
}  # fmt: skip

RIGS = {
    "motionbuilder": {
        "hips": "Hips", "low": "Spine", "high": "Spine1", "thorax": "Neck", "neck": "Head",
        "head": "HeadEnd", "clavicle": "{Side}Shoulder", "shoulder": "{Side}Arm",
        "elbow": "{Side}ForeArm", "wrist": "{Side}Hand", "hip": "{Side}UpLeg", "knee": "{Side}Leg",
        "ankle": "{Side}Foot",
    },
    "mixamo": {
        "hips": "mixamorig:Hips", "low": "mixamorig:Spine", "high": "mixamorig:Spine1",
        "thorax": "mixamorig:Neck", "neck": "mixamorig:Head", "head": "mixamorig:HeadTop_End",
        "clavicle": "mixamorig:{Side}Shoulder", "shoulder": "mixamorig:{Side}Arm",
        "elbow": "mixamorig:{Side}ForeArm", "wrist": "mixamorig:{Side}Hand",
        "hip": "mixamorig:{Side}UpLeg", "knee": "mixamorig:{Side}Leg",
        "ankle": "mixamorig:{Side}Foot",
    },
    "biovision": {
        "hips": "Hips", "low": "Chest", "high": "Chest2", "thorax": "Neck", "neck": "Head",
        "head": None, "clavicle": "{Side}Collar", "shoulder": "{Side}Shoulder",
        "elbow": "{Side}Elbow", "wrist": "{Side}Wrist", "hip": "{Side}Hip", "knee": "{Side}Knee",
        "ankle": "{Side}Ankle",
    },
    "unreal": {
        "hips": "pelvis", "low": "spine_01", "high": "spine_02", "thorax": "neck_01",
        "neck": "head", "head": None, "clavicle": "clavicle_{s}", "shoulder": "upperarm_{s}",
        "elbow": "lowerarm_{s}", "wrist": "hand_{s}", "hip": "thigh_{s}", "knee": "calf_{s}",
        "ankle": "foot_{s}",
    },
    "biped": {
        "hips": "Bip01", "low": "Bip01 Spine", "high": "Bip01 Spine1", "thorax": "Bip01 Neck",
        "neck": "Bip01 Head", "head": "Bip01 HeadNub", "clavicle": "Bip01 {S} Clavicle",
        "shoulder": "Bip01 {S} UpperArm", "elbow": "Bip01 {S} Forearm", "wrist": "Bip01 {S} Hand",
        "hip": "Bip01 {S} Thigh", "knee": "Bip01 {S} Calf", "ankle": "Bip01 {S} Foot",
    },
}  # fmt: skip


def rig(names: dict, *, unit=100.0, order="ZXY", zup=False, positions_last=False):
    """A file of two frames at rest, and where its joints are: "left_knee" → (3,) metres, y up."""
    lines, places, width = ["HIERARCHY"], {}, 0

    def visit(joint, side, above):
        nonlocal width
        parent, offset = TRUNK[joint]
        x, y, z = offset
        offset = np.array([-x if side == "right" else x, y, z])
        place = above + offset
        places[f"{side}_{joint}" if side else joint] = place
        file = offset[[0, 2, 1]] * [1, -1, 1] if zup else offset
        name = names[joint] and names[joint].format(
            Side=side.title(), s=side[:1], S=side[:1].upper()
        )
        lines.append("End Site" if name is None else f"{'JOINT' if parent else 'ROOT'} {name}")
        lines.append("{")
        file = file * unit if parent else np.zeros(3)
        lines.append("OFFSET " + " ".join(f"{v:.6f}" for v in file))
        children = [c for c, (p, _) in TRUNK.items() if p == joint]
        if name is not None:
            turns = " ".join(f"{axis}rotation" for axis in order)
            moves = "Xposition Yposition Zposition"
            whole = f"{turns} {moves}" if positions_last else f"{moves} {turns}"
            lines.append(f"CHANNELS 3 {turns}" if parent else f"CHANNELS 6 {whole}")
            width += 3 if parent else 6
            for child in children:
                sides = [side] if side or child not in ("clavicle", "hip") else SIDES
                for one in sides:
                    visit(child, one, place)
            if not children:
                lines.extend(["End Site", "{", "OFFSET 0 0 0", "}"])
        lines.append("}")

    visit("hips", "", np.zeros(3))
    root = np.array(TRUNK["hips"][1])
    root = (root[[0, 2, 1]] if zup else root) * unit
    first = [0, 0, 0, *root] if positions_last else [*root, 0, 0, 0]
    rows = [first + [0] * (width - 6)] * 2
    lines += ["MOTION", "Frames: 2", "Frame Time: 0.02"]
    lines += [" ".join(map(str, row)) for row in rows]
    places["pelvis"] = (places["left_hip"] + places["right_hip"]) / 2
    return "\n".join(lines), places


@pytest.fixture
def heard(caplog, monkeypatch):
    """What the program's log says; the command line, where a test ran it, keeps that to itself."""
    monkeypatch.setattr(logging.getLogger("video2pose3d"), "propagate", True)
    return caplog


def upright(y_up):
    return np.asarray(y_up)[..., [0, 2, 1]] * [1, -1, 1]


# ------------------------------------------------------------------ BVH


def test_our_own_export_comes_back(tmp_path):
    joints = walk(40)
    y_up = joints[..., [0, 2, 1]] * [1, 1, -1]
    motion = kinematics.solve(y_up, 50.0)
    (tmp_path / "walk.bvh").write_text(text(motion))
    clip = bvh.read(tmp_path / "walk.bvh")
    expected = kinematics.forward(motion)[:, kinematics.H36M_IN_RIG]
    np.testing.assert_allclose(clip.joints, upright(expected), atol=1e-4)
    assert clip.fps == pytest.approx(50)
    assert np.linalg.norm(clip.joints - joints, axis=-1).mean() < 0.03  # the rig's constant bones


@pytest.mark.parametrize("name", RIGS)
def test_joints_of_common_rigs_are_found_by_name(tmp_path, name):
    content, expected = rig(RIGS[name])
    (tmp_path / "a.bvh").write_text(content)
    clip = bvh.read(tmp_path / "a.bvh")
    for joint in set(H36M17.joints) - {"spine"}:
        place = clip.joints[0, H36M17.index(joint)]
        np.testing.assert_allclose(place, upright(expected[joint]), atol=1e-5, err_msg=joint)
    pelvis, thorax = (clip.joints[0, H36M17.index(j)] for j in ("pelvis", "thorax"))
    spine = clip.joints[0, H36M17.index("spine")]
    np.testing.assert_allclose(spine, (pelvis + thorax) / 2, atol=0.03)


@pytest.mark.parametrize(("unit", "said"), [(1.0, "metres"), (100.0, "centimetres"),
                                           (1000.0, "millimetres"), (1 / 0.0254, "inches"),
                                           (0.45 / 0.0254, "CMU's units")])  # fmt: skip
def test_the_unit_is_guessed_from_the_stature_and_said(tmp_path, heard, unit, said):
    content, expected = rig(RIGS["motionbuilder"], unit=unit)
    (tmp_path / "a.bvh").write_text(content)
    with heard.at_level(logging.INFO, "video2pose3d"):
        clip = bvh.read(tmp_path / "a.bvh")
    knee = clip.joints[0, H36M17.index("left_knee")]
    np.testing.assert_allclose(knee, upright(expected["left_knee"]), atol=1e-3)
    assert said in heard.text


def test_a_file_with_z_up_is_read_as_one_with_y_up(tmp_path):
    for zup in (False, True):
        (tmp_path / f"{zup}.bvh").write_text(rig(RIGS["mixamo"], zup=zup)[0])
    np.testing.assert_allclose(
        bvh.read(tmp_path / "True.bvh").joints, bvh.read(tmp_path / "False.bvh").joints, atol=1e-5
    )


@given(st.permutations("XYZ"), st.booleans(), st.tuples(*[st.floats(-180, 180)] * 3))
@settings(max_examples=20, deadline=None)
def test_channels_may_come_in_any_order(tmp_path_factory, order, last, angles):
    path = tmp_path_factory.mktemp("order") / "a.bvh"
    content, _ = rig(RIGS["motionbuilder"], order=order, positions_last=last)
    *rest, row = content.split("\n")
    values = row.split()
    at = 0 if last else 3
    values[at : at + 3] = [str(angle) for angle in angles]
    path.write_text("\n".join([*rest, " ".join(values)]))
    still, turned = bvh.parse(path).places
    R = Rotation.from_euler("".join(order), angles, degrees=True)  # intrinsic: as written
    np.testing.assert_allclose(R.apply(still - still[0]), turned - turned[0], atol=1e-6)


def test_a_rig_without_some_joints_is_refused_in_one_line(tmp_path):
    names = {**RIGS["motionbuilder"], "ankle": "{Side}Peg", "thorax": "Nck"}
    (tmp_path / "a.bvh").write_text(rig(names)[0])
    with pytest.raises(UserError, match="no joint for thorax, left_ankle, right_ankle") as caught:
        bvh.read(tmp_path / "a.bvh")
    assert "\n" not in str(caught.value)


def test_a_head_without_a_length_is_made_as_long_as_heads_are(tmp_path):
    content, expected = rig(RIGS["biovision"])
    end = content.index("End Site", content.index("JOINT Head"))
    at = content.index("OFFSET", end)
    content = content[:at] + "OFFSET 0 0 0" + content[content.index("\n", at) :]
    (tmp_path / "a.bvh").write_text(content)
    head = bvh.read(tmp_path / "a.bvh").joints[0, H36M17.index("head")]
    neck, thorax = expected["neck"], expected["thorax"]
    np.testing.assert_allclose(head, upright(neck + 0.7 * (neck - thorax)), atol=1e-5)


def test_positions_of_joints_stand_in_for_their_offsets(tmp_path):
    content, _ = rig(RIGS["motionbuilder"])
    (tmp_path / "a.bvh").write_text(content.replace("OFFSET 0.000000", "OFFSET 7.000000", 1))
    (tmp_path / "b.bvh").write_text(content)
    moved, plain = bvh.parse(tmp_path / "a.bvh"), bvh.parse(tmp_path / "b.bvh")
    np.testing.assert_allclose(moved.places, plain.places)


@pytest.mark.parametrize("damage", [
    lambda s: "", lambda s: s[: len(s) // 2], lambda s: s.replace("Frames: 2", "Frames: 3"),
    lambda s: s.replace("Zrotation", "Wrotation"), lambda s: s.replace("0.02", "0"),
    lambda s: s.replace("Frame Time: 0.02\n", "Frame Time: 0.02\nnan "), lambda s: s + "\n1",
    lambda s: s.replace("OFFSET", "OFFSET x"), lambda s: s.replace("}", "", 1),
])  # fmt: skip
def test_damaged_files_are_one_clear_error(tmp_path, damage):
    (tmp_path / "a.bvh").write_text(damage(rig(RIGS["mixamo"])[0]))
    with pytest.raises(UserError, match=r"a\.bvh: is not a BVH file"):
        bvh.read(tmp_path / "a.bvh")


def test_a_body_of_no_known_unit_is_refused(tmp_path):
    (tmp_path / "a.bvh").write_text(rig(RIGS["mixamo"], unit=1e-3)[0])
    with pytest.raises(UserError, match="in no unit known"):
        bvh.read(tmp_path / "a.bvh")
    assert bvh.read(tmp_path / "a.bvh", metres_per_unit=1000).joints.std() > 0.1


# ------------------------------------------------------------------ AMASS


def body(pose, shape, trans):
    """A stand-in for SMPL: its joints in a row above trans, moved by the first number of each."""
    joints = np.zeros((len(pose), 24, 3))
    joints[:, :, 2] = np.arange(24) / 10
    joints[:, :, 0] = pose.reshape(-1, 24, 3)[..., 0]
    joints[:, :, 1] = shape[0]
    return joints + trans[:, None]


def write_amass(path, poses, trans, betas=(0.5,) * 16, rate=120.0, key="mocap_framerate"):
    np.savez(
        path, poses=poses, trans=trans, betas=np.array(betas), gender=np.array("female"),
        dmpls=np.zeros((len(poses), 8)), **{key: np.array(rate)},
    )  # fmt: skip


def test_amass_gives_smpls_joints_by_name(tmp_path):
    poses, trans = np.zeros((6, 156)), np.arange(18.0).reshape(6, 3)
    poses[:, 3 * 18] = 0.25  # left elbow
    poses[:, 66:] = 7  # fingers, which are left out
    write_amass(tmp_path / "a.npz", poses, trans)
    clip = amass.read(tmp_path / "a.npz", body)
    own = body(np.where(np.arange(72) < 66, poses[:, :72], 0), np.array([0.5] * 10), trans)
    for joint in (
        "left_hip",
        "right_knee",
        "left_ankle",
        "right_shoulder",
        "left_elbow",
        "left_wrist",
    ):
        j = amass.SMPL24.index(joint)
        np.testing.assert_allclose(clip.joints[:, H36M17.index(joint)], own[:, j])
    ours = {name: clip.joints[:, j] for j, name in enumerate(H36M17.joints)}
    np.testing.assert_allclose(ours["pelvis"], (ours["left_hip"] + ours["right_hip"]) / 2)
    np.testing.assert_allclose(ours["spine"], (ours["pelvis"] + ours["thorax"]) / 2)
    np.testing.assert_allclose(ours["neck"], (ours["head"] + ours["thorax"]) / 2)
    assert (clip.fps, clip.source) == (120, "AMASS")


def test_smpls_own_poses_are_read_with_their_hands(tmp_path):
    poses = np.zeros((3, 72))
    poses[:, 3 * 23] = 0.5
    write_amass(tmp_path / "a.npz", poses, np.zeros((3, 3)), key="mocap_frame_rate")
    seen = []
    amass.read(tmp_path / "a.npz", lambda *given: seen.append(given) or body(*given))
    np.testing.assert_array_equal(seen[0][0], poses)
    assert seen[0][1].shape == (10,)


def test_other_npz_files_are_no_amass(tmp_path):
    np.savez(tmp_path / "shape.npz", betas=np.zeros(10), trans=np.zeros((2, 3)))
    with pytest.raises(UserError, match="no poses"):
        amass.read(tmp_path / "shape.npz", body)
    write_amass(tmp_path / "b.npz", np.zeros((3, 10)), np.zeros((3, 3)))
    with pytest.raises(UserError, match=r"poses \(3, 10\)"):
        amass.read(tmp_path / "b.npz", body)
    write_amass(
        tmp_path / "b.npz", np.zeros((3, 72)), np.array([[0, 0, 0], [0, np.nan, 0], [0, 0, 0]])
    )
    with pytest.raises(UserError, match="frame 1 has a joint that is no number"):
        amass.read(tmp_path / "b.npz", body)
    for rate in (0.0, "fast"):
        np.savez(
            tmp_path / "b.npz",
            poses=np.zeros((3, 72)),
            trans=np.zeros((3, 3)),
            betas=np.zeros(10),
            mocap_framerate=rate,
        )
        with pytest.raises(UserError, match="rate"):
            amass.read(tmp_path / "b.npz", body)


# ------------------------------------------------------------------ collections


def test_a_folder_of_both_kinds_is_one_collection(tmp_path):
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna" / "turn.BVH").write_text(rig(RIGS["mixamo"])[0])
    write_amass(tmp_path / "run.npz", np.zeros((121, 156)), np.zeros((121, 3)))
    np.savez(tmp_path / "shape.npz", betas=np.zeros(10))
    (tmp_path / "notes.txt").write_text("not motion")
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **bodies.arrays())
    clips = gather(tmp_path, body=tmp_path / "SMPL_NEUTRAL.npz")
    assert list(clips.name) == ["turn", "run"]
    assert list(clips.source) == ["BVH", "AMASS"]
    assert clips.subject[0] == "anna"
    assert list(clips.length) == [2, 51]  # 120 frames a second became 50
    assert len(clips.positions) == 53


def test_files_that_cannot_be_used_are_left_out_and_named(tmp_path, heard):
    (tmp_path / "good.bvh").write_text(rig(RIGS["biped"])[0])
    (tmp_path / "bad.bvh").write_text("HIERARCHY")
    write_amass(tmp_path / "no_body.npz", np.zeros((3, 156)), np.zeros((3, 3)))
    with heard.at_level(logging.WARNING, "video2pose3d"):
        clips = gather(tmp_path)
    assert list(clips.name) == ["good"]
    assert "bad.bvh: is not a BVH file" in heard.text
    assert "needs a body model" in heard.text


CONFIG = """
lifter = "ssr_stf"
val_windows = 2
[model]
N = 1
C = 16
Ch = 8
heads = 2
[data]
body = "SMPL_NEUTRAL.npz"
[optimiser]
lr = 1e-3
[loss]
position = 1.0
[schedule]
steps = 2
[[stage]]
frames = 5
windows = 4
"""


def test_a_lifter_is_trained_on_folders_of_motion(tmp_path):
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "turn.bvh").write_text(rig(RIGS["mixamo"])[0])
    poses = np.zeros((30, 156))
    poses[:, 0] = np.pi / 2  # upright, z up
    write_amass(tmp_path / "train" / "run.npz", poses, np.zeros((30, 3)))
    (tmp_path / "config.toml").write_text(CONFIG)
    words = f"train {tmp_path}/config.toml --data {tmp_path} -o {tmp_path}/run --device cpu".split()
    done = CliRunner().invoke(video2pose3d, words)
    assert done.exit_code == 1
    assert "SMPL_NEUTRAL.npz: no such file" in done.stderr
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **bodies.arrays())
    done = CliRunner().invoke(video2pose3d, words)
    assert done.exit_code == 0, done.output
    assert "step 2" in done.stderr
    (tmp_path / "config.toml").write_text(CONFIG.replace('body = "SMPL_NEUTRAL.npz"', ""))
    (tmp_path / "train" / "turn.bvh").unlink()
    done = CliRunner().invoke(video2pose3d, words)
    assert done.exit_code == 1
    assert "needs a body model's file" in done.stderr.splitlines()[-1]


def test_a_lifter_is_measured_on_a_folder_of_motion(tmp_path):
    for split, seed in (("train", 0), ("test", 1)):
        (tmp_path / split).mkdir()
        y_up = walk(80, seed)[..., [0, 2, 1]] * [1, 1, -1]
        (tmp_path / split / "a.bvh").write_text(text(kinematics.solve(y_up, 50.0)))
        (tmp_path / split / "b.bvh").write_text(rig(RIGS["mixamo"])[0])  # two frames: too short
    poses = np.zeros((121, 156))  # 120 frames a second
    poses[:, 0] = np.pi / 2
    write_amass(tmp_path / "test" / "stand.npz", poses, np.zeros((121, 3)))
    np.savez(tmp_path / "SMPL_NEUTRAL.npz", **bodies.arrays())
    model = ssr_stf.Model(ssr_stf.Config(N=1, C=16, Ch=8, heads=2))
    lifters.save(tmp_path / "a.safetensors", "ssr_stf", model, frames=9, about={})
    words = f"evaluate mocap --data {tmp_path} --weights {tmp_path}/a.safetensors --device cpu"
    words += " --body SMPL_NEUTRAL.npz"
    done = CliRunner().invoke(video2pose3d, [*words.split(), "--json"])
    assert done.exit_code == 0, done.output
    score, *_, by_source, _, _, _, _ = json.loads(done.stdout)
    assert score["frames"] == 80 + 51
    assert {k: row["frames"] for k, row in by_source["rows"].items()} == {"AMASS": 51, "BVH": 80}
    for name in ("a.bvh", "stand.npz"):
        (tmp_path / "test" / name).unlink()
    done = CliRunner().invoke(video2pose3d, words.split())
    assert done.exit_code == 1
    assert "no clip of its test has 27 frames" in done.stderr


def clips_of(mocap: Mocap) -> list[bytes]:
    return sorted(
        mocap.positions[at : at + length].tobytes()
        for at, length in zip(mocap.start, mocap.length, strict=True)
    )


@pytest.mark.parametrize("form", ["npz", "folder"])
def test_without_a_val_some_of_train_are_held_out(tmp_path, form, heard):
    if form == "npz":
        mocap.write(tmp_path, ["train"], [walk(30, seed=k) for k in range(3)])
        place, N = tmp_path / "train.npz", 3
    else:
        place, N = tmp_path / "train", 25
        place.mkdir()
        for k in range(N):
            (place / f"{k}.bvh").write_text(rig(RIGS["mixamo"], unit=100 + k)[0])
    with heard.at_level(logging.INFO, "video2pose3d"):
        train, val = read_both(tmp_path)
    assert heard.text.count("there is no val") == 1
    assert f"{len(val.length)} of the {N} clips of {place}" in heard.text
    assert len(val.length) == max(1, round(0.1 * N))
    everything = gather(place)
    assert sorted(clips_of(train) + clips_of(val)) == clips_of(everything)
    assert clips_of(read(tmp_path, "train")) == clips_of(train)
    assert clips_of(read(tmp_path, "val")) == clips_of(val)
    mocap.write(tmp_path, ["val"], [walk(20)])
    assert clips_of(read(tmp_path, "train")) == clips_of(everything)


def test_a_run_reads_train_once_where_val_is_a_part_of_it(tmp_path, heard):
    mocap.write(tmp_path, ["train"], [walk(60, seed=k) for k in range(3)])
    (tmp_path / "a.toml").write_text(CONFIG)
    with heard.at_level(logging.INFO, "video2pose3d"):
        validation.read(TrainingConfig.read(tmp_path / "a.toml"), tmp_path, 1)
    assert heard.text.count("there is no val") == 1


def test_of_a_single_clip_nothing_can_be_held_out(tmp_path):
    mocap.write(tmp_path, ["train"], [walk(30)])
    with pytest.raises(UserError, match=r"give a second one, or .*val\.npz"):
        read(tmp_path, "train")


def test_a_data_folder_without_a_split_and_a_body_for_a_benchmark_are_refused(tmp_path):
    with pytest.raises(UserError, match="no such file") as caught:
        read(tmp_path, "train")
    assert "a folder train" in str(caught.value.cure)
    (tmp_path / "a.toml").write_text(CONFIG.replace("[data]", '[data]\nname = "h36m"'))
    with pytest.raises(UserError, match="for mocap"):
        TrainingConfig.read(tmp_path / "a.toml")


def test_nothing_to_gather_is_one_clear_error(tmp_path):
    with pytest.raises(UserError, match="no BVH or AMASS file"):
        gather(tmp_path)
    (tmp_path / "bad.bvh").write_text("")
    with pytest.raises(UserError, match="is not a BVH file"):
        gather(tmp_path / "bad.bvh")
    with pytest.raises(UserError, match="no BVH or AMASS file"):
        gather(tmp_path / "missing")


def test_our_own_layout_is_read_as_it_is_with_the_clips_names(tmp_path):
    mocap.write(tmp_path, ["train"], [walk(30), walk(40)])
    clips = gather(tmp_path / "train.npz")
    assert list(clips.length) == [30, 40]
    assert list(clips.name) == ["", ""]  # not told
    with np.load(tmp_path / "train.npz") as z:
        np.savez(tmp_path / "named.npz", **z, clip_name=np.array(["a", "b"]))
    assert list(Mocap.read(tmp_path / "named.npz").name) == ["a", "b"]


def test_a_collection_that_was_written_is_read_as_it_was(tmp_path):
    first = Clip("a", walk(30), 50, "BVH", "anna", "walking")
    clips = Mocap.join([first, Clip("b", walk(9), 30, "X")])
    clips.write(tmp_path / "train.npz")
    again = gather(tmp_path / "train.npz")
    for key in ("positions", "start", "length", "source", "fps", "name", "subject", "action"):
        np.testing.assert_array_equal(getattr(again, key), getattr(clips, key))


LOST = walk(30).astype(np.float32)
LOST[7, 3] = np.nan


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"clip_length": np.array([31])}, "beyond its end"),
        ({"clip_length": np.array([-3])}, "beyond its end"),
        ({"clip_length": np.array([0])}, "without frames"),
        ({"clip_length": np.array([3, 4])}, "not the same of each clip"),
        ({"clip_start": np.array([[0]])}, "not the same of each clip"),
        ({"clip_name": np.array(["a", "b"])}, "not the same of each clip"),
        ({"clip_start": np.array([0.5])}, "clip_start is of type float64"),
        ({"fps": np.array([50.0, 50.0])}, "without frames or a rate"),
        ({"fps": "fast"}, "fps is of type"),
        ({"positions": LOST}, "frame 7 has a joint that is no number"),
    ],
)
def test_an_npz_that_is_no_motion_is_one_clear_error(tmp_path, change, says):
    mocap.write(tmp_path, ["train"], [walk(30)])
    with np.load(tmp_path / "train.npz") as z:
        np.savez(tmp_path / "bad.npz", **{**z, **change})
    with pytest.raises(UserError, match=says):
        Mocap.read(tmp_path / "bad.npz")


@pytest.mark.parametrize("fps", [24, 25, 50, 100, 120])
def test_resampling_keeps_the_motion_and_its_length(fps):
    seconds = np.arange(2 * fps + 1) / fps
    joints = np.repeat(walk(2)[:1], len(seconds), axis=0)
    joints = joints + 0.3 * np.sin(2 * np.pi * seconds)[:, None, None] * [1, 0, 0] + [5, 7, 2]
    clips = Mocap.join([Clip("a", joints, fps, "BVH")])
    assert list(clips.length) == [101]
    t = np.arange(101) / 50
    expected = 0.3 * np.sin(2 * np.pi * t)
    np.testing.assert_allclose(
        clips.positions[:, 3, 0] - clips.positions[0, 3, 0], expected, atol=2e-3
    )
    assert not clips.positions[0, 0, :2].any()
    ankles = clips.positions[:, H36M17.indices("left_ankle", "right_ankle"), 2]
    assert ankles.min() == pytest.approx(ANKLE, abs=1e-5)
