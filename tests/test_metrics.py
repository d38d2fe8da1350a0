"""Claims about the metrics."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from video2pose3d import metrics


def joints(seed: int, frames: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=0.5, size=(frames, 17, 3))


@given(
    seed=st.integers(0, 999),
    scale=st.floats(0.2, 5),
    turn=st.tuples(*[st.floats(-3, 3)] * 3),
    shift=st.tuples(*[st.floats(-9, 9)] * 3),
)
@settings(max_examples=40, deadline=None)
def test_p_mpjpe_ignores_similarity_transforms(seed, scale, turn, shift):
    truth = joints(seed)
    estimate = truth + np.random.default_rng(seed + 1).normal(scale=0.05, size=truth.shape)
    moved = scale * Rotation.from_rotvec(turn).apply(estimate.reshape(-1, 3)) + shift
    moved = moved.reshape(truth.shape)
    assert metrics.p_mpjpe(truth, truth) < 1e-9
    assert metrics.p_mpjpe(moved, truth) == pytest.approx(metrics.p_mpjpe(estimate, truth))


def test_p_mpjpe_does_not_forgive_a_mirror_image():
    truth = joints(0)
    assert metrics.p_mpjpe(truth * [-1, 1, 1], truth) > 0.1


def test_p_mpjpe_is_never_worse_than_the_unaligned_root_mean_square():
    truth, estimate = joints(0), joints(1)
    aligned = metrics.procrustes(estimate, truth)
    assert ((aligned - truth) ** 2).sum() <= ((estimate - truth) ** 2).sum()


@given(scale=st.floats(0.1, 10))
@settings(max_examples=20, deadline=None)
def test_n_mpjpe_ignores_scale(scale):
    truth, estimate = joints(2), joints(3)
    error = metrics.n_mpjpe(estimate, truth)
    assert metrics.n_mpjpe(scale * estimate, truth) == pytest.approx(error)


def test_mpjpe_is_the_length_of_a_shift():
    truth = joints(4)
    assert metrics.mpjpe(truth + np.array([0.03, 0, 0.04]), truth) == pytest.approx(0.05)


def test_velocity_error_ignores_a_shift_and_counts_in_seconds_when_told_the_rate():
    truth = joints(5)
    assert metrics.mpjve(truth + 1.0, truth) == pytest.approx(0)
    drift = truth + 0.01 * np.arange(len(truth))[:, None, None] * [1, 0, 0]
    assert metrics.mpjve(drift, truth) == pytest.approx(0.01)
    assert metrics.mpjve(drift, truth, fps=50) == pytest.approx(0.5)


def test_pck_and_auc_of_known_errors():
    truth = np.zeros((1, 4, 3))
    estimate = truth.copy()
    estimate[0, :, 0] = [0.0, 0.075, 0.149, 0.2]
    assert metrics.pck(estimate, truth) == 0.75
    # 31 limits of 5 mm: the four joints are within 31, 16, 1 and 0 of them.
    assert metrics.auc(estimate, truth) == pytest.approx((31 + 16 + 1) / 31 / 4)
    assert metrics.auc(truth, truth) == metrics.pck(truth, truth) == 1


@pytest.mark.parametrize("metric", ["mpjpe", "p_mpjpe", "n_mpjpe", "mpjve", "pck", "auc"])
def test_arrays_that_mean_nothing_are_refused(metric):
    measure = getattr(metrics, metric)
    with pytest.raises(ValueError, match="shape"):
        measure(joints(0), joints(0)[:, :16])
    with pytest.raises(ValueError, match="finite"):
        measure(np.full((2, 17, 3), np.nan), joints(0, 2))
    with pytest.raises(ValueError, match="at least one"):
        measure(np.zeros((0, 17, 3)), np.zeros((0, 17, 3)))
