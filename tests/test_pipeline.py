"""One video, the whole way through, with mock networks for the pixels and all else real."""

import json
import os
import pickle
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import figures
import numpy as np
import pytest

import video2pose3d
from video2pose3d import pipeline
from video2pose3d.errors import UserError
from video2pose3d.files import alone_in
from video2pose3d.options import Options
from video2pose3d.render import animation
from video2pose3d.report import content_hash, read_report
from video2pose3d.skeletons import H36M17


@pytest.fixture(scope="module")
def networks():
    return figures.networks()


@pytest.fixture(scope="module")
def two_people(networks, tmp_path_factory):
    path = figures.write_clip(tmp_path_factory.mktemp("two") / "two.mp4", people=2)
    options = Options(height=1.8)
    return pipeline.process(pipeline.open_clip(path, options), networks, options)


def test_everybody_is_found_and_a_short_gap_is_bridged_but_not_valid(two_people):
    assert [person.id for person in two_people.people] == [1, 2]
    first, second = two_people.people
    assert first.valid.all()
    assert len(first.frames) == len(second.frames) == len(two_people.timestamps) == 20
    assert second.frames[~second.valid].tolist() == [8, 9, 10, 11, 12]
    assert (second.keypoints.scores[~second.valid] == 0).all()
    assert np.isfinite(second.poses.joints).all()


def test_the_lifted_person_is_upright_and_their_left_is_left(two_people):
    joints = two_people.people[0].poses.joints.mean(axis=0)
    at = {name: joints[H36M17.index(name)] for name in H36M17.joints}
    np.testing.assert_allclose(at["pelvis"], 0, atol=1e-6)
    assert at["head"][1] < at["thorax"][1] < -0.2 < 0.5 < at["left_ankle"][1]  # y down
    # They face the camera: their left is on the picture's right.
    assert at["left_shoulder"][0] > 0 > at["right_shoulder"][0]


def test_in_the_world_they_stand_on_the_floor_and_face_plus_z(two_people):
    for person in two_people.people:
        joints = person.joints_world.mean(axis=0)
        ankles = joints[H36M17.indices("left_ankle", "right_ankle"), 1]
        assert ankles == pytest.approx(0.08, abs=0.12)
        assert 1.3 < joints[H36M17.index("head"), 1] < 2.0
        left, right = joints[H36M17.indices("left_hip", "right_hip")]
        assert left[0] > right[0]  # facing +z with y up, the left is at +x


def test_the_height_sets_the_scale_and_is_named(two_people):
    assert "1.8" in two_people.scale_source


def test_person_chooses_by_id_or_size(networks, tmp_path):
    path = figures.write_clip(tmp_path / "two.mp4", people=2)
    for person, expected in (("2", [2]), ("largest", [1])):
        options = Options(person=person)
        result = pipeline.process(pipeline.open_clip(path, options), networks, options)
        assert [one.id for one in result.people] == expected
    options = Options(person="7")
    with pytest.raises(UserError, match="no person 7"):
        pipeline.process(pipeline.open_clip(path, options), networks, options)


class Sighted(figures.Detector):
    """Finds one person, and sees their keypoints as it finds them."""

    finds_one = True

    def __init__(self) -> None:
        self.clips = 0

    def reset(self) -> None:
        self.clips += 1

    def detect(self, images):
        found = super().detect(images)
        seen = [figures.Keypoints().predict([], one.boxes) for one in found]
        return [
            replace(one, keypoints=np.concatenate([xy, scores[..., None]], axis=-1))
            for one, (xy, scores) in zip(found, seen, strict=True)
        ]


def test_keypoints_that_the_detector_sees_are_those_of_a_second_pass(networks, tmp_path):
    path = figures.write_clip(tmp_path / "one.mp4", frames=9)
    sighted = replace(networks, detector=Sighted(), keypoints=None)
    one, two = (
        pipeline.process(pipeline.open_clip(path, Options()), made, Options()).people[0].keypoints
        for made in (networks, sighted)
    )
    np.testing.assert_array_equal(one.xy, two.xy)
    np.testing.assert_array_equal(one.scores, two.scores)


def test_of_a_detector_that_finds_one_person_only_the_largest_track_is_kept(networks, tmp_path):
    path = figures.write_clip(tmp_path / "two.mp4", people=2)
    detector = Sighted()
    for clip in (1, 2):
        made = replace(networks, detector=detector, keypoints=None)
        result = pipeline.process(pipeline.open_clip(path, Options()), made, Options())
        assert [person.id for person in result.people] == [1]
        assert detector.clips == clip
    options = Options(person=7)
    with pytest.raises(UserError, match="no person 7"):
        pipeline.process(pipeline.open_clip(path, options), made, options)


def test_words_that_mean_nothing_are_told_before_anything_is_done():
    with pytest.raises(UserError, match="--smooth foo: choose from none, one_euro, gaussian"):
        Options(smooth="foo")
    with pytest.raises(UserError, match="--foot-lock on: choose from auto, off"):
        Options(foot_lock="on")


def test_what_is_saved_is_what_the_contract_lists(two_people, tmp_path):
    files = two_people.save(tmp_path)
    assert {file.name for file in files} == {
        "poses.npz", "person-1.bvh", "person-2.bvh", "overlay.mp4", "animation.mp4", "report.json",
    }  # fmt: skip
    assert files[-1].name == "report.json"
    assert {file.name for file in (tmp_path / "two").iterdir()} == {file.name for file in files}
    for name in ("overlay.mp4", "animation.mp4"):
        with av.open(str(tmp_path / "two" / name)) as container:
            frames = list(container.decode(video=0))
            assert len(frames) == 20
            assert container.streams.video[0].average_rate == Fraction(25)

    with np.load(tmp_path / "two" / "poses.npz", allow_pickle=False) as poses:
        assert poses["joints_3d"].shape == (2, 20, 17, 3)
        assert poses["valid"].sum(axis=1).tolist() == [20, 15]
        assert poses["fps"] == 25

    report = json.loads((tmp_path / "two" / "report.json").read_text())
    assert report["input"]["frames_decoded"] == 20
    assert len(report["input"]["sha256"]) == 64
    assert report["weights"][0]["name"] == "ssr_stf"
    assert {"decode", "detect", "keypoints", "lift", "motion", "overlay"} <= report["stages"].keys()
    second = report["people"][1]
    assert (second["frames_seen"], second["longest_gap_frames"]) == (15, 5)
    assert second["bone_length_variation_percent"]["after"] < 0.01
    assert second["stature_m"] > 1.2


@pytest.mark.parametrize("odd", [None, 3, {"sha256": [3]}])
def test_a_result_of_no_known_clip_is_another_clip_s(two_people, tmp_path, odd):
    bare = {"overlay": False, "animation": False}
    unknown = replace(two_people, report={**two_people.report, "input": odd})
    unknown.save(tmp_path, **bare)
    for result in (two_people, unknown):
        with pytest.raises(UserError, match="holds results already"):
            result.save(tmp_path, **bare)
    two_people.save(tmp_path, overwrite=True, **bare)
    two_people.save(tmp_path, **bare)


def test_files_of_an_earlier_result_do_not_stay_beside_those_of_a_new_one(two_people, tmp_path):
    two_people.save(tmp_path, exports=["bvh", "csv"], overlay=False)
    (tmp_path / "two" / "notes.txt").write_text("mine")
    alone = replace(two_people, people=two_people.people[:1])
    files = alone.save(tmp_path, overlay=False, animation=False)
    names = {file.name for file in files}
    assert names == {"poses.npz", "person-1.bvh", "report.json"}
    assert {file.name for file in (tmp_path / "two").iterdir()} == {*names, "notes.txt"}


def test_an_interrupted_result_leaves_the_earlier_one_whole_and_nothing_behind(
    two_people, tmp_path, monkeypatch
):
    bare = {"overlay": False, "animation": False}
    two_people.save(tmp_path, exports=["bvh", "csv"], **bare)
    folder = tmp_path / "two"
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    alone = replace(two_people, people=two_people.people[:1])

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(animation, "write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            alone.save(tmp_path, overlay=False)
    assert {f.name: f.read_bytes() for f in folder.iterdir() if f.is_file()} == before
    assert len(video2pose3d.load(folder / "unfinished" / "poses.npz").people) == 1
    files = alone.save(tmp_path, **bare)
    assert set(folder.iterdir()) == set(files)
    assert {file.name for file in files} == {"poses.npz", "person-1.bvh", "report.json"}


@pytest.mark.parametrize("at", ["poses.npz", "person-2.bvh", "report.json"])
def test_a_result_killed_as_it_moved_in_is_not_finished_and_makes_room(
    two_people, tmp_path, monkeypatch, at
):
    bare = {"overlay": False, "animation": False}
    two_people.save(tmp_path, exports=["csv"], **bare)
    folder, move = tmp_path / "two", Path.replace

    def killed(source, target):
        if target == folder / at:
            raise KeyboardInterrupt
        return move(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            two_people.save(tmp_path, exports=["bvh", "trc"], **bare)
    assert read_report(folder) is None
    alone = replace(two_people, people=two_people.people[:1])
    with pytest.raises(UserError, match="'nope' is not an exporter"):
        alone.save(tmp_path, exports=["nope"])
    files = alone.save(tmp_path, **bare)
    assert set(folder.iterdir()) == set(files)


def test_a_result_without_its_clip_leaves_the_pictures_of_it(two_people, tmp_path):
    folder = two_people.save(tmp_path, animation=False)[0].parent
    drawn = (folder / "overlay.mp4").read_bytes()
    loaded = video2pose3d.load(folder / "poses.npz")
    for _ in range(2):
        loaded.save(tmp_path, animation=False)
        assert (folder / "overlay.mp4").read_bytes() == drawn
        assert "overlay.mp4" in json.loads((folder / "report.json").read_text())["files"]
    other = replace(loaded, report={**loaded.report, "input": {"sha256": "another's"}})
    other.save(tmp_path, animation=False, overwrite=True)
    assert not (folder / "overlay.mp4").exists()
    two_people.save(tmp_path, animation=False, overwrite=True)
    loaded.save(tmp_path, overlay=False, animation=False)
    assert not (folder / "overlay.mp4").exists()


def test_saving_again_replaces_the_same_clip_s_result_and_nothing_else(two_people, tmp_path):
    bare = {"overlay": False, "animation": False}
    folder = two_people.save(tmp_path, **bare)[0].parent
    two_people.save(tmp_path, **bare)
    (folder / "poses.csv").write_text("mine")
    with pytest.raises(UserError, match=r"poses.csv: is there already"):
        two_people.save(tmp_path, exports=["csv"], **bare)
    assert (folder / "poses.csv").read_text() == "mine"
    other = replace(two_people, report={**two_people.report, "input": {"sha256": "another's"}})
    with pytest.raises(UserError, match="holds results already"):
        other.save(tmp_path, **bare)
    with alone_in(folder), pytest.raises(UserError, match="another run is at work there"):
        other.save(tmp_path, overwrite=True, **bare)
    other.save(tmp_path, exports=["csv"], overwrite=True, **bare)
    assert (folder / "poses.csv").read_text() != "mine"


def test_an_unknown_format_leaves_an_earlier_result_as_it_was(two_people, tmp_path):
    folder = two_people.save(tmp_path, overlay=False, animation=False)[0].parent
    before = sorted(folder.iterdir())
    with pytest.raises(UserError, match="'nope' is not an exporter"):
        two_people.save(tmp_path, exports=["nope"])
    assert sorted(folder.iterdir()) == before


def test_what_a_killed_run_left_half_written_goes_with_the_next_one(two_people, tmp_path):
    for name in (".0a1b2c3d4e5f.mp4.part", ".poses.npz.0a1b2c3d.part"):
        (tmp_path / "two").mkdir(exist_ok=True)
        (tmp_path / "two" / name).touch()
    files = two_people.save(tmp_path, overlay=False, animation=False)
    assert set((tmp_path / "two").iterdir()) == set(files)


def test_a_result_can_be_sent_to_another_process(two_people, tmp_path):
    received = pickle.loads(pickle.dumps(two_people))
    files = received.save(tmp_path, animation=False)
    assert tmp_path / "two" / "overlay.mp4" in files


def test_a_loaded_result_has_its_report_and_keeps_it_when_saved_again(two_people, tmp_path):
    path = two_people.save(tmp_path, overlay=False, animation=False)[0]
    report = json.loads((path.parent / "report.json").read_text())
    loaded = video2pose3d.load(path)
    assert loaded.report == report
    loaded.save(tmp_path, exports=["csv"], animation=False)
    again = json.loads((path.parent / "report.json").read_text())
    assert again["input"] == report["input"]
    assert again["people"] == report["people"]
    assert again["stages"].keys() == report["stages"].keys()
    other = path.with_name("other.npz")  # by lift, say: the report is not about it
    path.rename(other)
    assert video2pose3d.load(other).report == {}


def test_saved_poses_load_again(two_people, tmp_path):
    two_people.save(tmp_path, exports=(), overlay=False, animation=False)
    again = video2pose3d.load(tmp_path / "two" / "poses.npz")
    for ours, theirs in zip(two_people.people, again.people, strict=True):
        np.testing.assert_array_equal(ours.joints_world, theirs.joints_world)
        np.testing.assert_array_equal(ours.poses.joints, theirs.poses.joints)
    np.testing.assert_array_equal(two_people.timestamps, again.timestamps)


def test_nobody_there_gives_empty_poses_and_says_so(networks, tmp_path):
    path = figures.write_clip(tmp_path / "empty.mp4", people=0, frames=5)
    result = pipeline.process(pipeline.open_clip(path, Options()), networks, Options())
    files = result.save(tmp_path)
    assert [file.name for file in files] == ["poses.npz", "report.json"]
    assert "no person found" in result.report["warnings"]
    assert len(video2pose3d.load(tmp_path / "empty" / "poses.npz").people) == 0


def test_a_folder_of_images_whose_names_are_no_text_has_a_hash(tmp_path):
    image = tmp_path / os.fsdecode(b"caf\xe9_1.png")
    try:
        image.write_bytes(b"some")
    except OSError:
        pytest.skip("this disk takes no such name")
    first = content_hash(tmp_path)
    image.write_bytes(b"other")
    assert content_hash(tmp_path) != first


def test_a_part_of_the_clip(networks, tmp_path):
    path = figures.write_clip(tmp_path / "one.mp4", frames=25)
    options = Options(start=0.2, end=0.6)
    result = pipeline.process(pipeline.open_clip(path, options), networks, options)
    assert len(result.timestamps) == 10
    assert result.timestamps[0] == 0


def test_one_frame(networks, tmp_path):
    path = figures.write_clip(tmp_path / "one.mp4", frames=1)
    result = pipeline.process(pipeline.open_clip(path, Options()), networks, Options())
    assert result.people[0].joints_world.shape == (1, 17, 3)
    assert np.isfinite(result.people[0].joints_world).all()
    assert len(result.save(tmp_path)) == 5
