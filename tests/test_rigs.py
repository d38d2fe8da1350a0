"""Claims about the benchmark of calibrated rigs."""

import json

import mocap as files
import numpy as np
import pytest
from click.testing import CliRunner

from video2pose3d import kinematics
from video2pose3d.cli import video2pose3d
from video2pose3d.datasets.mocap import Mocap
from video2pose3d.evaluation import filming, rigs
from video2pose3d.exporters import bvh
from video2pose3d.multiview.triangulation import Sights, triangulate


@pytest.fixture
def folder(tmp_path):
    files.write(tmp_path, ["test"], [files.walk(40)])
    return tmp_path


@pytest.mark.parametrize(("count", "degrees"), [(2, 90), (3, 120), (4, 90), (8, 45)])
def test_cameras_stand_round_the_path_and_nobody_leaves_a_picture(folder, count, degrees):
    mocap = Mocap.read(folder / "test.npz")
    (shoot,) = rigs.film(mocap, count)
    middle = [*filming.middle(shoot.joints), filming.HEIGHT]
    away = np.stack([camera.view.centre for camera in shoot.cameras["clean"]]) - middle
    turned = np.degrees(np.arctan2(away[:, 1], away[:, 0]))
    np.testing.assert_allclose((turned - turned[0]) % 360, np.arange(count) * degrees, atol=1e-6)
    for camera in shoot.cameras["clean"]:
        xy = camera.people[0].keypoints.xy
        assert ((xy > 0) & (xy < filming.CAMERA.size)).all()


def test_a_rig_s_first_camera_is_the_benchmark_s_and_each_errs_in_its_own_way(folder):
    mocap = Mocap.read(folder / "test.npz")
    (shoot,), (again,), (sequence,) = rigs.film(mocap, 3), rigs.film(mocap, 3), filming.film(mocap)
    seen = {kind: [c.people[0].keypoints.xy for c in shoot.cameras[kind]] for kind in filming.KINDS}
    np.testing.assert_array_equal(seen["clean"][0], sequence.keypoints["clean"].xy)
    errors = [noisy - clean for noisy, clean in zip(seen["noisy"], seen["clean"], strict=True)]
    assert abs(np.corrcoef(errors[0].ravel(), errors[1].ravel())[0, 1]) < 0.3
    for one, other in zip(seen["noisy"], again.cameras["noisy"], strict=True):
        np.testing.assert_array_equal(one, other.people[0].keypoints.xy)


def test_clean_keypoints_meet_where_the_detector_points(folder):
    (shoot,) = rigs.film(Mocap.read(folder / "test.npz"), 2)
    cameras = shoot.cameras["clean"]
    xy = np.stack([camera.people[0].keypoints.xy for camera in cameras])
    sights = Sights.through([camera.view for camera in cameras], xy, np.ones(xy.shape[:-1]))
    points = filming.detector.points(shoot.joints)
    np.testing.assert_allclose(triangulate(sights), points, atol=1e-3)


def test_the_command_prints_the_tables_of_a_rig(folder):
    (folder / "test.npz").unlink()
    (folder / "test").mkdir()  # a folder of clips is as good as one file
    y_up = files.walk(40)[..., [0, 2, 1]] * [1, 1, -1]
    (folder / "test" / "walk.bvh").write_text(bvh.text(kinematics.solve(y_up, 50.0)))
    arguments = ["evaluate", "rigs", "--data", str(folder), "--cameras", "3", "--json"]
    done = CliRunner().invoke(video2pose3d, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    triangulated, refined, world, by_joint = json.loads(done.stdout)
    for table in (triangulated, refined, world):
        assert list(table["rows"]) == ["3 cameras, noisy 2D", "3 cameras, clean 2D"]
    noisy = "3 cameras, noisy 2D"
    assert refined["rows"][noisy]["absolute"] < triangulated["rows"][noisy]["absolute"]
    assert refined["rows"][noisy]["frames"] == 40
    assert next(iter(by_joint["rows"])) == "pelvis"
