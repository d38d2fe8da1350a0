"""Claims about how 2D keypoints are held against the truth: errors of known kinds are named so."""

import numpy as np
from mocap import walk

from video2pose3d.evaluation import detector, keypoints
from video2pose3d.skeletons import H36M17

K = np.array([[1000.0, 0, 500], [0, 1000, 500], [0, 0, 1]])
T, DEPTH = 400, 5.0
MM = 1000 * DEPTH / K[0, 0]  # a pixel at the person


def seen_from_the_front() -> tuple[np.ndarray, np.ndarray]:
    """Joints in CAMERA of somebody who faces it, and a perfect detector's keypoints."""
    joints = walk(T)[..., [0, 2, 1]] * [-1, -1, -1]  # +y, where they face, becomes -z
    joints = joints - joints[:, :1] + [0, 0, DEPTH]
    points = detector.points(joints) @ K.T
    return joints, points[..., :2] / points[..., 2:]


def column(table, name: str) -> np.ndarray:
    return np.array([row[table.columns.index(name)] for row in table.rows.values()])


def test_a_detector_that_points_where_it_should_has_no_error():
    joints, xy = seen_from_the_front()
    table = keypoints.table("", xy, np.ones((T, 17)), joints, K)
    assert list(table.rows) == list(H36M17.labels)
    for name in ("left", "up", "rms", "99th"):
        np.testing.assert_allclose(column(table, name), 0, atol=1e-6)
    assert np.isnan(column(table, "score~error %")).all()  # nothing varies


def test_a_constant_error_is_named_in_the_body_s_axes():
    joints, xy = seen_from_the_front()
    xy[..., 0] += 20 / MM  # their left is the picture's right
    xy[..., 1] -= 10 / MM
    table = keypoints.table("", xy, np.ones((T, 17)), joints, K)
    np.testing.assert_allclose(column(table, "left"), 20, atol=1)
    np.testing.assert_allclose(column(table, "up"), 10, atol=1)
    assert column(table, "rms").max() < 2


def test_the_rest_has_its_size_its_memory_and_its_score():
    joints, xy = seen_from_the_front()
    rng = np.random.default_rng(0)
    error = rng.standard_normal((T, 17, 2))
    for t in range(1, T):
        error[t] = 0.9 * error[t - 1] + np.sqrt(1 - 0.9**2) * error[t]
    error[:, 8:] = rng.standard_normal((T, 9, 2))
    scores = 1 / (1 + np.linalg.norm(error, axis=-1))
    table = keypoints.table("", xy + 30 / MM * error, scores, joints, K)
    assert np.abs(column(table, "rms") - 30).max() < 8
    assert column(table, "lasting %")[:8].min() > 75
    assert column(table, "lasting %")[8:].max() < 20
    assert column(table, "score~error %").max() < -70


def test_keypoints_that_were_not_seen_do_not_count():
    joints, xy = seen_from_the_front()
    scores = np.ones((T, 17))
    lost = H36M17.index("left_wrist")
    xy[::2, lost], scores[::2, lost] = 0, 0
    scores[:, H36M17.index("head")] = 0
    table = keypoints.table("", xy, scores, joints, K)
    assert "Head" not in table.rows
    np.testing.assert_allclose(table.rows["LWrist"][3], 0, atol=1e-6)
