"""TRC and C3D: the joints as marker tracks, read as OpenSim, ezc3d and their users read them."""

import dataclasses
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scenes import T, joints, person, scene, two_people

from video2pose3d.exporters import c3d, trc
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Scene

# Those of Pose2Sim's HALPE_26 markers that the 17 joints have.
HALPE = {"Hip", "Neck", "Head"} | {
    side + joint
    for side in "LR"
    for joint in ("Hip", "Knee", "Ankle", "Shoulder", "Elbow", "Wrist")
}


# Clips whose rate varies: steps in sixtieths of a second, and what becomes of them.
UNEVEN = [([2, 2, 2, 2, 2, 3], 27.7), ([1, 1, 3, 1], 60)]  # their mean; their usual rate


def uneven(steps: list[int]) -> Scene:
    """Somebody who walks to their left at 1 m/s before a camera whose rate varies."""
    times = np.concatenate([[0], np.cumsum(np.resize(steps, T - 1) / 60)])
    world = joints()
    world[:, :, 0] += times[:, None] - world[:, :1, 0]
    walker = dataclasses.replace(person(1, np.arange(T)), joints_world=world)
    return scene(walker, timestamps=times, fps=(T - 1) / times[-1])


def burst(seen: int) -> Scene:
    """Somebody seen in one frame alone, where some frames come faster than the mean rate."""
    times = np.concatenate([np.arange(30) / 100, 0.3 + np.arange(10) / 5])
    return scene(person(1, np.array([seen])), timestamps=times, fps=39 / times[-1])


# TRC, as OpenSim's adapter goes about it: by lines and tabs


def read_trc(path: Path) -> tuple[dict[str, str], list[str], np.ndarray, np.ndarray]:
    """The header's fields, names, rows' frame and time (N, 2), places (N, markers, 3)."""
    lines = path.read_text(encoding="ascii").split("\n")
    assert lines[0].split("\t") == ["PathFileType", "4", "(X/Y/Z)", path.name]
    fields = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    many = int(fields["NumMarkers"])
    names = lines[3].split("\t")
    assert names[:2] == ["Frame#", "Time"]
    assert names[2:] == [n for name in names[2::3] for n in (name, "", "")]
    assert lines[4].split("\t") == ["", "", *(f"{a}{m + 1}" for m in range(many) for a in "XYZ")]
    assert lines[5] == lines[-1] == ""
    rows = np.array([[float(cell) for cell in line.split("\t")] for line in lines[6:-1]])
    assert len(rows) == int(fields["NumFrames"])
    return fields, names[2::3], rows[:, :2], rows[:, 2:].reshape(-1, many, 3)


def test_trc_read_back_gives_the_joints(tmp_path):
    clip = two_people()
    for file, p in zip(trc.write(clip, tmp_path), clip.people, strict=True):
        fields, names, clock, places = read_trc(file)
        assert set(names) >= HALPE
        assert len(set(names)) == 17
        assert (fields["Units"], fields["DataRate"]) == ("m", "30")
        assert int(fields["OrigDataStartFrame"]) == p.frames[0] + 1
        np.testing.assert_array_equal(clock[:, 0], p.frames + 1)  # none where they are absent
        np.testing.assert_allclose(clock[:, 1], p.frames / 30, atol=1e-6)
        np.testing.assert_allclose(places, p.joints_world, atol=1e-5)


def test_trc_names_the_joints_as_opensim_has_them(tmp_path):
    _, names, _, places = read_trc(trc.write(two_people(), tmp_path)[0])
    for name, joint in (
        ("RAnkle", "right_ankle"), ("LShoulder", "left_shoulder"), ("Hip", "pelvis"),
        ("Neck", "thorax"), ("Head", "head"),
    ):  # fmt: skip
        expected = joints()[:, H36M17.index(joint)]
        np.testing.assert_allclose(places[:, names.index(name)], expected, atol=1e-5)


def test_trc_keeps_the_rate(tmp_path):
    rounded = np.round(np.arange(T) * 1001 / 30000, 3)  # as Matroska does
    clip = scene(person(1, np.arange(T)), timestamps=rounded, fps=30000 / 1001)
    fields, _, clock, places = read_trc(trc.write(clip, tmp_path)[0])
    assert float(fields["DataRate"]) == pytest.approx(30000 / 1001, abs=1e-7)
    np.testing.assert_allclose(clock[:, 1], np.arange(T) * 1001 / 30000, atol=1e-6)
    np.testing.assert_allclose(places, joints(), atol=1e-5)


@pytest.mark.parametrize(("steps", "rate"), UNEVEN)
def test_trc_resamples_a_rate_that_varies(steps, rate, tmp_path):
    clip = uneven(steps)
    fields, names, clock, places = read_trc(trc.write(clip, tmp_path)[0])
    assert float(fields["DataRate"]) == pytest.approx(rate, rel=0.02)
    assert clock[-1, 1] == pytest.approx(clip.timestamps[-1], abs=0.5 / rate)
    np.testing.assert_allclose(np.diff(clock[:, 1]), 1 / float(fields["DataRate"]), atol=1e-6)
    np.testing.assert_allclose(places[:, names.index("Hip"), 0], clock[:, 1], atol=1e-4)


@pytest.mark.parametrize("seen", [0, 7, 29, 39])
def test_trc_of_one_frame_has_it(seen, tmp_path):
    clip = burst(seen)
    _, _, clock, places = read_trc(trc.write(clip, tmp_path)[0])
    assert len(places)
    np.testing.assert_allclose(places - clip.people[0].joints_world, 0, atol=1e-5)
    assert np.abs(clock[:, 1] - clip.timestamps[seen]).min() <= 0.5 / clip.fps + 1e-6


def test_trc_opens_in_opensim(tmp_path):
    opensim = pytest.importorskip("opensim", reason="OpenSim: pip install opensim")
    clip = two_people()
    for file, p in zip(trc.write(clip, tmp_path), clip.people, strict=True):
        table = opensim.TimeSeriesTableVec3(str(file))
        assert set(table.getColumnLabels()) >= HALPE
        assert table.getTableMetaDataString("Units") == "m"
        np.testing.assert_allclose(table.getIndependentColumn(), p.frames / 30, atol=1e-6)
        flat = table.flatten()
        found = flat.getMatrix().to_numpy().reshape(len(p.frames), -1, 3)
        np.testing.assert_allclose(found, p.joints_world, atol=1e-5)


# C3D, by ezc3d


@pytest.fixture
def ezc3d() -> ModuleType:
    return pytest.importorskip("ezc3d", reason="a reader of C3D: pip install ezc3d")


def test_c3d_read_back_gives_the_joints(ezc3d, tmp_path):
    clip = two_people()
    for file, p in zip(c3d.write(clip, tmp_path), clip.people, strict=True):
        found = ezc3d.c3d(str(file))
        about = {
            key: entry["value"] for key, entry in list(found["parameters"]["POINT"].items())[1:]
        }
        assert set(about["LABELS"]) >= HALPE
        assert about["UNITS"] == ["mm"]
        assert (about["X_SCREEN"], about["Y_SCREEN"]) == (["+X"], ["+Z"])
        assert (about["USED"][0], about["FRAMES"][0], about["RATE"][0]) == (17, T, 30)
        assert found["header"]["points"]["frame_rate"] == 30
        places = found["data"]["points"][:3].T  # (T, 17, 3)
        # Z is up; who faced +z now faces -y, and left is still left.
        expected = p.joints_world[..., [0, 2, 1]] * [1000, -1000, 1000]
        np.testing.assert_allclose(places[p.frames], expected, atol=1e-3)
        absent = ~np.isin(np.arange(T), p.frames)
        assert np.isnan(places[absent]).all()
        residuals = found["data"]["meta_points"]["residuals"][0].T
        np.testing.assert_array_equal(residuals, np.where(absent, -1, 0)[:, None].repeat(17, 1))


@pytest.mark.parametrize(("steps", "expected"), UNEVEN)
def test_c3d_resamples_a_rate_that_varies(steps, expected, ezc3d, tmp_path):
    clip = uneven(steps)
    found = ezc3d.c3d(str(c3d.write(clip, tmp_path)[0]))
    hip = found["parameters"]["POINT"]["LABELS"]["value"].index("Hip")
    rate = found["parameters"]["POINT"]["RATE"]["value"][0]
    assert rate == pytest.approx(expected, rel=0.02)
    walked = found["data"]["points"][0, hip]
    assert len(walked) == round(clip.timestamps[-1] * rate) + 1
    np.testing.assert_allclose(walked[:-1], 1000 * np.arange(len(walked) - 1) / rate, atol=0.1)


def test_c3d_of_more_frames_than_16_bits_hold(ezc3d, tmp_path):
    file = c3d.write(scene(person(1, np.array([3])), frames=70_000), tmp_path)[0]
    found = ezc3d.c3d(str(file))
    assert found["data"]["points"].shape == (4, 17, 70_000)
    seen = ~np.isnan(found["data"]["points"][0, 0])
    assert np.flatnonzero(seen).tolist() == [3]


@pytest.mark.parametrize("exporter", [trc, c3d])
def test_markers_of_somebody_never_seen_are_not_written(exporter, tmp_path):
    assert exporter.write(scene(person(1, np.array([], dtype=np.int64))), tmp_path) == []
