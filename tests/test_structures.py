"""The types that pass between stages hold their shapes, and skeletons their order."""

import numpy as np
import pytest

from video2pose3d import skeletons
from video2pose3d.errors import UserError
from video2pose3d.skeletons import COCO17, H36M17
from video2pose3d.structures import Detections, Keypoints2D, Track


@pytest.mark.parametrize("skeleton", [H36M17, COCO17])
def test_a_mirror_twice_is_the_identity_and_swaps_sides(skeleton):
    mirror = np.array(skeleton.mirror)
    assert (mirror[mirror] == np.arange(len(skeleton))).all()
    for j, other in enumerate(mirror):
        sides = {skeleton.side(j), skeleton.side(other)}
        assert sides in ({"left", "right"}, {"centre"})


@pytest.mark.parametrize("skeleton", [H36M17, COCO17])
def test_every_joint_hangs_from_one_before_it_down_to_a_root(skeleton):
    assert skeleton.parents[0] == -1
    assert all(p < j for j, p in enumerate(skeleton.parents))
    assert len(skeleton.bones) == len(skeleton) - 1


def test_h36m_labels_are_the_contract_s():
    assert " ".join(H36M17.labels) == (
        "Hip RHip RKnee RFoot LHip LKnee LFoot Spine Thorax Neck Head "
        "LShoulder LElbow LWrist RShoulder RElbow RWrist"
    )


def test_coco_to_h36m_takes_means_of_places_and_the_least_of_scores():
    xy = np.random.default_rng(0).uniform(0, 500, (4, 17, 2)).astype(np.float32)
    scores = np.ones((4, 17), np.float32)
    scores[:, COCO17.index("left_hip")] = 0.25
    out, sure = skeletons.h36m_from_coco(xy, scores)
    hips = xy[:, COCO17.indices("left_hip", "right_hip")]
    np.testing.assert_allclose(out[:, H36M17.index("pelvis")], hips.mean(1), rtol=1e-5)
    left = COCO17.index("left_wrist")
    np.testing.assert_array_equal(out[:, H36M17.index("left_wrist")], xy[:, left])
    assert (sure[:, H36M17.index("pelvis")] == 0.25).all()
    assert (sure[:, H36M17.index("right_hip")] == 1).all()


def test_converting_a_mirrored_person_mirrors_the_conversion():
    xy = np.random.default_rng(1).uniform(0, 500, (3, 17, 2)).astype(np.float32)
    scores = np.random.default_rng(2).uniform(0, 1, (3, 17)).astype(np.float32)
    flip = np.array([-1, 1], np.float32)
    out, sure = skeletons.h36m_from_coco(xy, scores)
    coco, h36m = list(COCO17.mirror), list(H36M17.mirror)
    flipped, flipped_sure = skeletons.h36m_from_coco(xy[:, coco] * flip, scores[:, coco])
    np.testing.assert_allclose(flipped, out[:, h36m] * flip, rtol=1e-5)
    np.testing.assert_array_equal(flipped_sure, sure[:, h36m])


def test_an_unknown_skeleton_says_which_there_are():
    with pytest.raises(
        UserError, match=r"'openpose' is not a skeleton: choose from h36m17, coco17"
    ):
        skeletons.named("openpose")


def test_a_wrong_shape_or_type_is_told_when_made():
    with pytest.raises(ValueError, match=r"boxes: expected shape \(None, 4\), got \(3, 5\)"):
        Detections(np.zeros((3, 5), np.float32), np.zeros(3, np.float32))
    with pytest.raises(TypeError, match="scores: expected an array of float32, got float64"):
        Detections(np.zeros((3, 4), np.float32), np.zeros(3))


@pytest.mark.parametrize("frames", [[3, 3], [2, 1], [-1, 0]])
def test_frames_must_increase_from_zero(frames):
    n = len(frames)
    with pytest.raises(ValueError, match="increasing"):
        Track(1, np.array(frames), np.zeros((n, 4), np.float32), np.zeros(n, np.float32))


def test_keypoints_hold_to_their_skeleton():
    with pytest.raises(ValueError, match="xy"):
        Keypoints2D(
            np.arange(2),
            np.zeros((2, 16, 2), np.float32),
            np.zeros((2, 16), np.float32),
            H36M17,
            (64, 48),
            30.0,
        )
