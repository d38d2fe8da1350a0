"""Claims about the losses."""

import pytest
import torch

from video2pose3d.skeletons import H36M17
from video2pose3d.training import losses

W = losses.joint_weights(H36M17)


def test_losses_are_nought_for_the_truth_and_know_their_blind_spots():
    truth, weight = torch.randn(2, 6, 17, 3), torch.ones(2, 6)
    for loss in (losses.position, losses.scaled_position, losses.velocity):
        assert loss(truth, truth, weight) < 1e-5
    assert losses.weighted_position(truth, truth, weight, W) < 1e-5
    assert losses.scaled_position(3 * truth, truth, weight) < 1e-5
    assert losses.velocity(truth + 1, truth, weight) < 1e-5
    assert losses.position(truth + torch.tensor([0.3, 0, 0.4]), truth, weight) == pytest.approx(0.5)
    still = truth[:, :1].expand(truth.shape)
    assert losses.temporal_consistency(still, weight, W) == 0


def test_limbs_weigh_more_the_further_out_they_are():
    truth, weight = torch.zeros(1, 1, 17, 3), torch.ones(1, 1)
    found = {}
    for joint in ("left_hip", "right_shoulder", "head", "left_knee", "right_elbow", "left_ankle"):
        estimate = truth.clone()
        estimate[:, :, H36M17.index(joint)] = torch.tensor([0, 0, 17.0])
        found[joint] = float(losses.weighted_position(estimate, truth, weight, W))
    assert list(found.values()) == [1, 1, 1.5, 2.5, 2.5, 4]


def test_temporal_consistency_is_the_mean_square_of_the_weighted_motion():
    estimate = torch.zeros(1, 2, 17, 3)
    estimate[:, 1, H36M17.index("left_wrist"), 0] = 3.0
    found = losses.temporal_consistency(estimate, torch.ones(1, 2), W)
    assert found == pytest.approx(4 * 9 / (17 * 3))


def test_frames_beyond_the_clip_do_not_count():
    truth, weight = torch.randn(1, 6, 17, 3), torch.ones(1, 6)
    truth[:, :4] = truth[:, :1]
    estimate = truth.clone()
    estimate[:, 4:] += 9
    weight[:, 4:] = 0
    factors = dict.fromkeys(losses.TERMS, 1.0)
    for name, value in losses.terms(estimate, truth, weight, W, factors).items():
        assert value < 1e-5, name


def test_a_batch_without_frames_that_count_has_no_loss():
    truth = torch.randn(1, 6, 17, 3)
    factors = dict.fromkeys(losses.TERMS, 1.0)
    found = losses.terms(truth + 1, truth, torch.zeros(1, 6), W, factors)
    assert sum(found.values()) == 0


def test_terms_are_the_ones_that_are_asked_for_times_their_factors():
    truth, weight = torch.randn(1, 6, 17, 3), torch.ones(1, 6)
    found = losses.terms(truth + 1, truth, weight, W, {"position": 2.0, "velocity": 20.0})
    assert set(found) == {"position", "velocity"}
    assert found["position"] == pytest.approx(2 * 3**0.5)
