"""Files: whole or not at all, read back as they were written, and as other programs read them."""

import csv
import dataclasses
import errno
import gc
import io
import json
import os
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scenes import RIG_NAMES, T, joints, person, scene, two_people
from scipy.spatial.transform import Rotation

from video2pose3d import archives, discovery, files
from video2pose3d.errors import UserError
from video2pose3d.exporters import bvh, npz
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Camera, Rig, Scene

EXPORTERS = discovery.names("exporters")


def same(a: object, b: object) -> None:
    """Hold two scenes, or parts of them, to be equal to the last bit."""
    assert type(a) is type(b)
    if dataclasses.is_dataclass(a):
        for field in dataclasses.fields(a):
            same(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    elif isinstance(a, tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    else:
        assert a == b


# Every exporter


@pytest.mark.parametrize("name", EXPORTERS)
def test_writes_what_it_says(name, tmp_path):
    exporter = discovery.load("exporters", name)
    files = exporter.write(two_people(), tmp_path / "new" / "folder")
    assert files
    assert sorted(files) == sorted((tmp_path / "new" / "folder").iterdir())
    assert all(file.name.endswith(exporter.suffix) for file in files)
    assert {file.stem for file in files} in ({"poses"}, {"person-3", "person-12"})


@pytest.mark.parametrize("name", EXPORTERS)
def test_nobody_in_the_clip_is_no_error(name, tmp_path):
    files = discovery.load("exporters", name).write(scene(), tmp_path)
    assert [file.stem for file in files] in ([], ["poses"])


@pytest.mark.parametrize("name", EXPORTERS)
def test_somebody_who_is_never_seen_costs_nobody_else(name, tmp_path):
    nobody = np.zeros(0, np.int64)
    files = discovery.load("exporters", name).write(
        scene(person(1, nobody), person(2, np.arange(3))), tmp_path
    )
    assert [file.stem for file in files] in (["person-2"], ["poses"])


@pytest.mark.parametrize("name", EXPORTERS)
def test_writing_again_replaces(name, tmp_path):
    exporter = discovery.load("exporters", name)
    for file in exporter.write(two_people(), tmp_path):
        file.write_bytes(b"old")
    for file in exporter.write(two_people(), tmp_path):
        assert file.read_bytes() != b"old"


@pytest.mark.parametrize("name", EXPORTERS)
def test_a_folder_that_is_a_file_is_the_users_to_mend(name, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("")
    with pytest.raises(UserError, match="can't be written"):
        discovery.load("exporters", name).write(two_people(), taken)


def test_a_broken_off_file_leaves_the_old_one(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def break_off(error: BaseException) -> None:
        with files.replacing(path) as beside:
            beside.write_text("new, half")
            raise error

    with pytest.raises(KeyboardInterrupt):
        break_off(KeyboardInterrupt())
    with pytest.raises(UserError, match="No space left"):
        break_off(OSError(errno.ENOSPC, "No space left on device"))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has one")
def test_a_full_disk_is_told_once(monkeypatch):
    afterwards = []
    monkeypatch.setattr(sys, "unraisablehook", afterwards.append)
    with pytest.raises(OSError, match="No space left"), open("/dev/full", "wb") as full:
        archives.write_into(full, {"noise": np.random.default_rng(0).normal(size=100_000)})
    gc.collect()
    assert afterwards == []


# poses.npz

CONTRACT = {
    "joints_3d": ("P T 17 3", "float32"),
    "root_camera": ("P T 3", "float32"),
    "joints_world": ("P T 17 3", "float32"),
    "keypoints_2d": ("P T 17 2", "float32"),
    "scores_2d": ("P T 17", "float32"),
    "valid": ("P T", "bool"),
    "foot_contact": ("P T 2", "bool"),
    "track_ids": ("P", "int64"),
    "timestamps": ("T", "float64"),
    "fps": ("", "float64"),
    "image_size": ("2", "int64"),
    "camera_K": ("3 3", "float64"),
    "world_from_camera": ("4 4", "float64"),
    "joint_names": ("17", "str"),
    "parents": ("17", "int64"),
    "units": ("", "str"),
    "coordinate_system": ("", "str"),
    "camera_source": ("", "str"),
    "scale_source": ("", "str"),
    "schema_version": ("", "int64"),
}


@pytest.mark.parametrize("people", [0, 2])
def test_npz_holds_the_contract(people, tmp_path):
    (path,) = npz.write(two_people() if people else scene(), tmp_path)
    with np.load(path, allow_pickle=False) as file:
        for key, (shape, dtype) in CONTRACT.items():
            sizes = [{"P": people, "T": T}.get(n) or int(n) for n in shape.split() if n != "P"]
            assert file[key].shape == tuple([people, *sizes] if "P" in shape else sizes), key
            assert dtype in (file[key].dtype.name, file[key].dtype.name[:3]), key
        assert file["schema_version"] == 1
        assert file["joint_names"].tolist()[:4] == ["Hip", "RHip", "RKnee", "RFoot"]


def test_npz_says_where_people_are_absent(tmp_path):
    (path,) = npz.write(two_people(), tmp_path)
    with np.load(path) as file:
        absent = np.ones(T, dtype=bool)
        absent[[*range(5, 12), *range(20, 33)]] = False
        for key in ("joints_3d", "joints_world", "root_camera", "keypoints_2d", "scores_2d"):
            gone = np.isnan(file[key][1]).reshape(T, -1)
            np.testing.assert_array_equal(gone, np.repeat(absent[:, None], gone.shape[1], axis=1))
        assert not file["valid"][1, absent].any()
        assert not file["foot_contact"][1, absent].any()


@pytest.mark.parametrize("frames", [[0], [7], list(range(T)), [0, 1, 5, 39]])
def test_npz_reads_back_what_it_wrote(frames, tmp_path):
    fps = 30000 / 1001
    people = person(5, np.array(frames), fps), person(1, np.arange(3), fps)
    written = scene(*people, fps=fps)
    (path,) = npz.write(written, tmp_path)
    same(npz.read(path), written)


def test_npz_without_people_reads_back(tmp_path):
    (path,) = npz.write(scene(), tmp_path)
    same(npz.read(path), scene())


def two_cameras() -> Scene:
    """The two people, filmed by two cameras of different sizes."""
    clip, rng = two_people(), np.random.default_rng(2)
    seen = rng.random((2, 2, T, 17, 3), dtype=np.float32)
    seen[1, 0] = np.nan
    other = Camera(np.diag([900.0, 900, 1]), (640, 480), np.zeros(5), clip.camera.source)
    other.K[:2, 2] = 319, 241
    rig = Rig(
        names=("north", "süd"),
        cameras=(clip.camera, other),
        world_from_cameras=np.stack([clip.world_from_camera, rng.random((4, 4))]),
        time_offsets=np.array([0, -0.25]),
        keypoints=seen[..., :2].copy(),
        scores=seen[..., 2].copy(),
        reprojection_px=np.array([[1.5, 2], [np.nan, 3]]),
        world_from_calibration=rng.random((4, 4)),
    )
    return dataclasses.replace(clip, rig=rig)


def test_npz_of_several_cameras_reads_back(tmp_path):
    written = two_cameras()
    (path,) = npz.write(written, tmp_path)
    same(npz.read(path), written)
    assert written.rig is not None
    found = dataclasses.replace(written.rig, world_from_calibration=None)
    written = dataclasses.replace(written, rig=found)
    (path,) = npz.write(written, tmp_path)
    same(npz.read(path), written)


def test_npz_that_does_not_say_how_large_pictures_are_has_lenses_look_at_their_middle(tmp_path):
    rig = npz.read(changed(tmp_path, two_cameras(), cameras_size=None)).rig
    assert rig is not None
    assert [camera.size for camera in rig.cameras] == [(1280, 720), (638, 482)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"camera_names": None}, "has no camera_names"),
        ({"cameras_K": np.zeros((3, 3, 3))}, "cameras_K has shape"),
        ({"cameras_dist": np.full((2, 5), np.nan)}, "cameras_dist is not finite"),
        ({"cameras_size": np.zeros((2, 2), int)}, "cameras_size is not a size"),
        ({"keypoints_2d_views": np.zeros((2, 1, T, 17, 2))}, "keypoints_2d_views has shape"),
        ({"world_from_calibration": np.eye(3)}, "world_from_calibration has shape"),
    ],
)
def test_npz_of_several_cameras_that_is_wrong_says_what_is(changes, message, tmp_path):
    with pytest.raises(UserError, match=message):
        npz.read(changed(tmp_path, two_cameras(), **changes))


def changed(folder: Path, clip: Scene | None = None, **changes: object) -> Path:
    """A poses.npz with some keys changed, or left out (None)."""
    (path,) = npz.write(clip or two_people(), folder)
    with np.load(path) as file:
        arrays = {**dict(file), **changes}
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


def test_npz_of_the_contract_alone_is_read(tmp_path):
    path = changed(tmp_path, boxes=None, box_scores=None, scores_3d=None, camera_dist=None)
    people = npz.read(path).people
    assert [p.id for p in people] == [3, 12]
    for p in people:
        np.testing.assert_array_equal(p.track.frames, p.frames[p.valid])
        np.testing.assert_array_equal(p.track.boxes[:, :2], p.keypoints.xy.min(axis=1)[p.valid])


def test_npz_with_more_keys_is_read(tmp_path):
    same(npz.read(changed(tmp_path, camera_names=np.array(["left", "right"]))), two_people())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints_world": None}, "has no joints_world"),
        ({"schema_version": None}, "has no schema_version"),
        ({"schema_version": np.int64(2)}, "schema_version 2.*update"),
        ({"schema_version": np.array("1")}, "type"),
        ({"joints_3d": np.zeros((2, T, 16, 3))}, "joints_3d has shape"),
        ({"valid": np.ones((2, T + 1), bool)}, "valid has shape"),
        ({"valid": np.ones((2, T), np.float32)}, "valid is of type"),
        ({"joint_names": np.array(["nose"] * 17)}, "joint_names"),
        ({"track_ids": np.array([3, 3])}, "two people of one id"),
        ({"joints_world": np.full((2, T, 17, 3), np.nan)}, "joints_world of person 3"),
        ({"timestamps": np.arange(T)[::-1] / 30}, "timestamps"),
        ({"timestamps": np.repeat(np.arange(T // 2 + 1), 2)[:T] / 15}, "timestamps"),
        ({"timestamps": np.full(T, np.nan)}, "timestamps"),
        ({"fps": np.float64(0)}, "fps is not a rate"),
        ({"fps": np.float64(1e300)}, "fps is not a rate"),
        ({"fps": np.float64(900)}, "fps does not fit the timestamps"),
        ({"fps": np.float64(3)}, "fps does not fit the timestamps"),
        ({"timestamps": np.arange(T) * 1e9}, "fps does not fit the timestamps"),
        ({"camera_dist": np.full(5, np.nan)}, "camera_dist is not finite"),
        ({"image_size": np.array([0, 720])}, "image_size"),
        ({"camera_K": np.full((3, 3), np.inf)}, "camera_K"),
        ({"units": None, "parents": None}, None),
        ({"camera_source": np.array({"an": "object"}, dtype=object)}, "Python objects"),
    ],
)
def test_npz_that_is_wrong_says_what_is(changes, message, tmp_path):
    path = changed(tmp_path, **changes)
    if message is None:
        return same(npz.read(path), two_people())
    with pytest.raises(UserError, match=message):
        npz.read(path)


def test_npz_of_no_frames_says_so(tmp_path):
    (path,) = npz.write(scene(frames=0), tmp_path)
    with pytest.raises(UserError, match="holds no frames"):
        npz.read(path)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 and no more"])
def test_npz_that_is_none(content, tmp_path):
    path = tmp_path / "poses.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"poses\.npz: is not an npz file"):
        npz.read(path)
    with pytest.raises(UserError, match="no such file"):
        npz.read(tmp_path / "nowhere.npz")


def test_npz_damaged_anywhere_is_an_error_or_the_scene(tmp_path):
    (path,) = npz.write(two_people(), tmp_path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for cut in rng.integers(len(whole), size=60):
        path.write_bytes(whole[:cut] + bytes([whole[cut] ^ 255]) + whole[cut + 1 :])
        try:
            npz.read(path)
        except UserError:
            continue
    path.write_bytes(whole[:-200])
    with pytest.raises(UserError, match="damaged"):
        npz.read(path)


def bomb(path: Path, header: bytes, length: int) -> Path:
    """A poses.npz whose timestamps are `header` and `length` zeros."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("timestamps.npy", header + bytes(length))
    return path


def header(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    about = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, about)
    return file.getvalue()


@pytest.mark.parametrize("shape", [(10**15,), (-1,), (2**20, 2**20, 2**20)])
def test_npz_whose_header_asks_for_more_than_there_is(shape, tmp_path):
    path = bomb(changed(tmp_path, timestamps=None), header(shape), 2**20)
    with pytest.raises(UserError, match="damaged"):
        npz.read(path)


def test_npz_that_unpacks_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_BYTES", 2**23)
    path = bomb(changed(tmp_path, timestamps=None), header((2**20,)), 2**23)
    with pytest.raises(UserError, match="unpacks to more"):
        npz.read(path)


def test_npz_takes_memory_for_the_frames_in_which_people_are_there(tmp_path, monkeypatch):
    people = [person(id, np.arange(100 * id, 100 * id + 50)) for id in range(1, 21)]
    passing = scene(*people, frames=2500)  # 36 MB of (P, T, ...)
    monkeypatch.setattr(archives, "MOST_BYTES", 5 * 2**20)
    tracemalloc.start()
    (path,) = npz.write(passing, tmp_path)
    read = npz.read(path)
    assert tracemalloc.get_traced_memory()[1] < 12 * 2**20
    tracemalloc.stop()
    assert [p.id for p in read.people] == [p.id for p in people]
    for one, other in zip(people, read.people, strict=True):
        np.testing.assert_array_equal(other.frames, one.frames)
        np.testing.assert_array_equal(other.joints_world, one.joints_world)
        np.testing.assert_array_equal(other.track.boxes, one.track.boxes)
    monkeypatch.setattr(archives, "MOST_BYTES", 2**19)  # of people who are there: 0.7 MB
    with pytest.raises(UserError, match="unpacks to more"):
        npz.read(path)


def test_npz_in_another_order_is_read_all_the_same(tmp_path):
    (path,) = npz.write(two_people(), tmp_path)
    with np.load(path) as file:
        arrays = {key: np.array(file[key], order="F") for key in file}
    np.savez(path, **arrays)
    for one, other in zip(two_people().people, npz.read(path).people, strict=True):
        np.testing.assert_array_equal(other.poses.joints, one.poses.joints)


# CSV and JSON


def test_csv_has_a_row_for_each_person_and_frame(tmp_path):
    (path,) = discovery.load("exporters", "csv").write(two_people(), tmp_path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    one, other = two_people().people
    frames = [*one.frames, *other.frames]
    assert [int(row["frame"]) for row in rows] == frames
    assert [int(row["person"]) for row in rows] == [3] * T + [12] * 20
    assert float(rows[1]["timestamp"]) == pytest.approx(1 / 30, abs=1e-6)
    for p, part in ((one, rows[:T]), (other, rows[T:])):
        knee = H36M17.index("right_knee")
        found = [[float(row[f"joints_world_RKnee_{axis}"]) for axis in "xyz"] for row in part]
        np.testing.assert_allclose(found, p.joints_world[:, knee], atol=1e-5)
        found = [float(row["scores_2d_RKnee"]) for row in part]
        np.testing.assert_allclose(found, p.keypoints.scores[:, knee], atol=1e-5)
        assert [row["valid"] == "1" for row in part] == p.valid.tolist()
        assert [row["foot_contact_left"] == "1" for row in part] == p.foot_contact[:, 1].tolist()


def test_json_says_what_the_npz_says(tmp_path):
    (path,) = discovery.load("exporters", "json").write(two_people(), tmp_path)
    (arrays,) = npz.write(two_people(), tmp_path)
    found = json.loads(path.read_text(encoding="utf-8"))
    with np.load(arrays) as file:
        for key in ("schema_version", "units", "joint_names", "fps", "image_size", "camera_K"):
            assert found[key] == file[key].tolist(), key
        for p, id in enumerate(file["track_ids"].tolist()):
            assert found["people"][p]["id"] == id
            for row in found["people"][p]["frames"]:
                assert row["timestamp"] == round(file["timestamps"][row["frame"]], 6)
                for key in ("joints_world", "joints_3d", "keypoints_2d", "scores_2d", "valid"):
                    there = file[key][p, row["frame"]]
                    np.testing.assert_allclose(row[key], there, atol=1e-5)


# BVH, by a reader of its own: nothing of the writer's arithmetic is used below


def read_bvh(path: Path) -> tuple[dict[str, np.ndarray], np.ndarray, float]:
    """Joints' places by name (T, 3) as in the file, the rows (T, channels), and the frame time.

    End sites are called <parent>End.
    """
    words = iter(path.read_text().replace(":", " ").split())
    assert next(words) == "HIERARCHY"
    joints, stack, column = [], [], 0  # (name, parent, offset, channels, first column)
    for word in words:
        if word in ("ROOT", "JOINT", "End"):
            name = next(words)
            parent = stack[-1] if stack else None
            joints.append({"name": f"{parent}End" if word == "End" else name, "parent": parent})
            joints[-1] |= {"channels": [], "column": column}
        elif word == "{":
            stack.append(joints[-1]["name"])
        elif word == "}":
            stack.pop()
        elif word == "OFFSET":
            joints[-1]["offset"] = np.array([float(next(words)) for _ in range(3)])
        elif word == "CHANNELS":
            joints[-1]["channels"] = [next(words) for _ in range(int(next(words)))]
            column += len(joints[-1]["channels"])
        elif word == "MOTION":
            break
    assert not stack
    assert next(words) == "Frames"
    frames = int(next(words))
    assert [next(words), next(words)] == ["Frame", "Time"]
    seconds = float(next(words))
    rows = np.array([float(word) for word in words]).reshape(frames, column)

    places, turns = {}, {}
    for joint in joints:
        part = rows[:, joint["column"] :][:, : len(joint["channels"])]
        moves = [i for i, channel in enumerate(joint["channels"]) if "position" in channel]
        axes = "".join(c[0] for c in joint["channels"] if "rotation" in c)
        turn = Rotation.identity(frames)
        if axes:
            turn = Rotation.from_euler(axes, part[:, len(moves) :], degrees=True)
        if joint["parent"] is None:
            places[joint["name"]], turns[joint["name"]] = joint["offset"] + part[:, moves], turn
        else:
            up = turns[joint["parent"]]
            places[joint["name"]] = places[joint["parent"]] + up.apply(joint["offset"])
            turns[joint["name"]] = up * turn
    return places, rows, seconds


def bvh_joints(path: Path) -> np.ndarray:
    """(T, 17, 3) metres."""
    places = read_bvh(path)[0]
    return np.stack([places[RIG_NAMES[joint]] for joint in H36M17.joints], axis=1) / 100


def test_bvh_read_back_gives_the_joints(tmp_path):
    clip = two_people()
    for file, p in zip(bvh.write(clip, tmp_path), clip.people, strict=True):
        found = bvh_joints(file)
        assert len(found) == T
        np.testing.assert_allclose(found[p.frames], p.joints_world, atol=1e-5)


def test_bvh_holds_the_nearest_pose_while_a_person_is_absent(tmp_path):
    found = bvh_joints(bvh.write(two_people(), tmp_path)[1])  # seen in 5 to 11 and 20 to 32
    for absent, shown in ((0, 5), (4, 5), (13, 11), (15, 11), (17, 20), (39, 32)):
        np.testing.assert_array_equal(found[absent], found[shown])


def test_bvh_is_laid_out_as_others_expect(tmp_path):
    (file,) = bvh.write(scene(person(1, np.arange(T))), tmp_path)
    lines = [line.strip() for line in file.read_text().splitlines()]
    assert lines[:2] == ["HIERARCHY", "ROOT Hips"]
    assert "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation" in lines
    channels = {line for line in lines if line.startswith("CHANNELS 3")}
    assert channels == {"CHANNELS 3 Zrotation Xrotation Yrotation"}
    assert lines.count("End Site") == 5
    assert b"\r" not in file.read_bytes()
    names = {line.split()[1] for line in lines if line.startswith(("ROOT", "JOINT"))}
    assert {"Hips", "Spine", "Neck", "Head", "LeftShoulder", "RightHand", "LeftFoot"} <= names


def test_bvh_rests_in_a_t_pose(tmp_path):
    (file,) = bvh.write(scene(person(1, np.arange(T))), tmp_path)
    text = file.read_text()
    head, rows = text[: text.index("Frames")], read_bvh(file)[1]
    file.write_text(f"{head}Frames: 1\nFrame Time: 1\n{' '.join(['0'] * rows.shape[1])}\n")
    rest = read_bvh(file)[0]
    for side, left in (("Left", 1), ("Right", -1)):
        arm = rest[f"{side}Hand"] - rest[f"{side}Arm"]
        leg = rest[f"{side}Foot"] - rest[f"{side}UpLeg"]
        toes = rest[f"{side}FootEnd"] - rest[f"{side}Foot"]
        assert arm[0, 0] * left > 40
        assert np.abs(arm[0, 1:]).max() < 1e-6
        assert leg[0, 1] < -70
        assert np.abs(leg[0, ::2]).max() < 1e-6
        assert toes[0, 2] > 10
    assert (rest["HeadEnd"] - rest["Neck"])[0, 1] > 15


@pytest.mark.parametrize(
    ("fps", "time"), [(30000 / 1001, "0.0333667"), (25, "0.0400000"), (60, "0.0166667")]
)
def test_bvh_keeps_the_rate(fps, time, tmp_path):
    rounded = np.round(np.arange(T) / fps, 3)  # as Matroska does
    (file,) = bvh.write(scene(person(1, np.arange(T)), timestamps=rounded, fps=fps), tmp_path)
    assert f"Frames: {T}\nFrame Time: {time}\n" in file.read_text()
    np.testing.assert_allclose(bvh_joints(file), joints(), atol=1e-5)


@pytest.mark.parametrize(
    ("steps", "rate"),
    [
        (np.resize([2, 2, 2, 2, 2, 3], T - 1), 27.7),  # the mean
        (np.resize([1, 1, 3, 1], T - 1), 60),  # the usual rate: the mean is far below
        ([2] * (T // 2) + [300] + [2] * (T - T // 2 - 2), 30),  # the clip stood still for 5 s
        ([2] * (T // 2) + [36_000_000] + [2] * (T - T // 2 - 2), None),  # for a week: no such file
    ],
)
def test_bvh_resamples_a_rate_that_varies(steps, rate, tmp_path):
    times = np.concatenate([[0], np.cumsum(steps) / 60])
    fps = (T - 1) / times[-1]
    world = joints()
    world[:, :, 0] += times[:, None] - world[:, :1, 0]  # walks to its left at 1 m/s
    walker = dataclasses.replace(person(1, np.arange(T)), joints_world=world)
    (file,) = bvh.write(scene(walker, timestamps=times, fps=fps), tmp_path)
    places, rows, seconds = read_bvh(file)
    assert len(rows) <= 16 * T
    assert len(rows) * seconds == pytest.approx(times[-1] + seconds, rel=1e-4, abs=0.6 / fps)
    if rate is not None:
        assert 1 / seconds == pytest.approx(rate, rel=0.02)
        walked = np.minimum(np.arange(len(rows)) * seconds, times[-1])
        np.testing.assert_allclose(places["Hips"][:, 0] / 100, walked, atol=2e-3)


def test_bvh_of_one_frame(tmp_path):
    (file,) = bvh.write(scene(person(1, np.array([0])), frames=1), tmp_path)
    np.testing.assert_allclose(bvh_joints(file), joints(1), atol=1e-5)


def test_bvh_of_somebody_never_seen_is_not_written(tmp_path):
    assert bvh.write(scene(person(1, np.array([], dtype=np.int64))), tmp_path) == []


def test_bvh_angles_run_on_through_a_turn(tmp_path):
    turn = Rotation.from_euler("y", np.linspace(0, 720, T)[:, None], degrees=True)
    world = np.einsum("tij,tkj->tki", turn.as_matrix(), np.repeat(joints(1), T, axis=0))
    dancer = dataclasses.replace(person(1, np.arange(T)), joints_world=world.astype(np.float32))
    (file,) = bvh.write(scene(dancer), tmp_path)
    rows = read_bvh(file)[1]
    assert np.ptp(rows[:, 5]) == pytest.approx(720, abs=5)
    assert np.abs(np.diff(rows[:, 3:], axis=0)).max() < 40


def test_bvh_opens_in_blender_upright_and_in_place(tmp_path):
    bpy = pytest.importorskip("bpy", reason="Blender as a module: pip install bpy")
    (file,) = bvh.write(scene(person(1, np.arange(T))), tmp_path)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_anim.bvh(filepath=str(file))  # its defaults: -Z forward, Y up
    armature = bpy.context.object
    places = np.zeros((T, len(H36M17), 3))
    for frame in range(T):
        bpy.context.scene.frame_set(frame + 1)
        for j, joint in enumerate(H36M17.joints):
            bone = armature.pose.bones["Head" if joint == "head" else RIG_NAMES[joint]]
            places[frame, j] = armature.matrix_world @ (bone.tail if joint == "head" else bone.head)
    # Blender is Z up; who faced +z now faces -y, the view from the front.
    expected = joints()[..., [0, 2, 1]] * [1, -1, 1]
    np.testing.assert_allclose(places / 100, expected, atol=1e-4)
