"""Cameras: pixels to rays and back, the turn to a person, and files of lenses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from video2pose3d import geometry
from video2pose3d.errors import UserError
from video2pose3d.structures import Camera

SIZE = (1280, 720)
PLAIN = geometry.camera_from_fov(SIZE, 60, "test")
BENT = Camera(PLAIN.K, SIZE, np.array([-0.2, 0.05, 0.001, -0.001, 0.0]), "test")
direction = st.floats(-2.0, 2.0)


def test_the_field_of_view_lies_along_the_longer_side():
    for size in ((1280, 720), (720, 1280)):
        camera = geometry.camera_from_fov(size, 90, "test")
        assert camera.K[0, 0] == camera.K[1, 1] == pytest.approx(640)
        assert tuple(camera.K[:2, 2]) == (size[0] / 2, size[1] / 2)


@pytest.mark.parametrize("camera", [PLAIN, BENT])
def test_rays_and_projection_are_inverse(camera):
    xy = np.random.default_rng(0).uniform((100, 100), (1180, 620), (5, 7, 2))
    rays = geometry.pixels_to_rays(xy, camera)
    points = np.concatenate([rays, np.ones((5, 7, 1))], axis=-1) * 3.0
    np.testing.assert_allclose(geometry.project(points, camera), xy, atol=0.05)


@given(direction, direction)
def test_the_turn_to_a_ray_is_a_rotation_onto_the_axis_without_roll(x, y):
    R = geometry.rotation_to_ray(np.array([x, y]))
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(R) == pytest.approx(1)
    turned = R @ np.array([x, y, 1.0])
    np.testing.assert_allclose(turned[:2], 0, atol=1e-12)
    assert turned[2] > 0
    assert R[0, 1] == 0  # the new x axis has no part of the old y: no roll


def test_a_camera_file_is_scaled_to_the_picture(tmp_path):
    path = tmp_path / "lens.npz"
    np.savez(path, K=PLAIN.K[None] * 1.0, dist=np.zeros((1, 5)), size=np.array([SIZE]))
    camera = geometry.read_camera(path, (640, 360))
    np.testing.assert_allclose(camera.K[:2], PLAIN.K[:2] / 2)
    assert "lens.npz" in camera.source


def test_camera_files_that_do_not_fit_are_told(tmp_path):
    path = tmp_path / "lens.npz"
    with pytest.raises(UserError, match="no such file"):
        geometry.read_camera(path, SIZE)
    path.write_text("not an archive")
    with pytest.raises(UserError, match="not an npz file"):
        geometry.read_camera(path, SIZE)
    np.savez(path, dist=np.zeros(5))
    with pytest.raises(UserError, match="not a camera file"):
        geometry.read_camera(path, SIZE)
    np.savez(path, K=PLAIN.K, size=np.array([720, 1280]))
    with pytest.raises(UserError, match="made for 720x1280 pictures, these are 1280x720"):
        geometry.read_camera(path, SIZE)
    np.savez(path, K=PLAIN.K, dist=[0, np.nan, 0, 0, 0])
    with pytest.raises(UserError, match="the distortion is not a number"):
        geometry.read_camera(path, SIZE)
    np.savez(path, K=np.array({"code": 1}, dtype=object))
    with pytest.raises(UserError, match="may run code"):
        geometry.read_camera(path, SIZE)


def test_a_camera_file_has_one_lens_for_all_or_one_each(tmp_path):
    path, sizes = tmp_path / "lenses.npz", [SIZE, (640, 360), SIZE]
    np.savez(path, K=np.stack([PLAIN.K * [[v], [v], [1]] for v in (1, 2, 3)]), size=[SIZE] * 3)
    for v, camera in enumerate(geometry.read_cameras(path, sizes)):
        assert camera.size == sizes[v]
        np.testing.assert_allclose(camera.K[:2], (v + 1) * PLAIN.K[:2] * (0.5 if v == 1 else 1))
    np.savez(path, K=PLAIN.K, size=SIZE)
    for camera, size in zip(geometry.read_cameras(path, sizes), sizes, strict=True):
        np.testing.assert_allclose(camera.K[:2], PLAIN.K[:2] * size[0] / SIZE[0])
    for K, dist, wanted, message in (
        (3, 3, sizes[:1], r"holds 3 K.*give those of one camera$"),
        (2, 2, sizes, r"holds 2 K.*give those of one camera or of each"),
        (3, 1, sizes, "holds 3 K, 1 dist"),
    ):
        np.savez(path, K=[PLAIN.K] * K, dist=np.zeros((dist, 5)))
        with pytest.raises(UserError, match=message):
            geometry.read_cameras(path, wanted)
