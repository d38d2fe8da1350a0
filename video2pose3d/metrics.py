"""How far estimated joints are from the truth.

Conventions, for every function here:
- `estimate` and `truth` are (T, J, 3) metres, in the same order of joints and the same axes; any
  number of axes may stand before J in the place of T.
- Errors come back in metres, never in millimetres; PCK and AUC as fractions in 0..1.
- The mean is over all joints (the pelvis too) and frames. Root alignment is the caller's: give
  joints relative to the pelvis for the usual "protocol 1".
- Every frame counts: leave out frames without truth or estimate before calling. NaN is an error.
"""

import numpy as np

PCK_THRESHOLD = (
    0.150  # metres; Mehta et al., "Monocular 3D Human Pose Estimation In The Wild", 2017
)


def _validated(estimate: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64, or a ValueError that says expected and actual."""
    estimate, truth = np.asarray(estimate, np.float64), np.asarray(truth, np.float64)
    if estimate.shape != truth.shape or truth.ndim < 2 or truth.shape[-1] != 3:
        raise ValueError(
            f"expected two arrays of one shape (T, J, 3), got {estimate.shape} and {truth.shape}"
        )
    if truth.size == 0:
        raise ValueError("expected at least one frame and one joint, got none")
    if not (np.isfinite(estimate).all() and np.isfinite(truth).all()):
        raise ValueError("expected finite joints: leave out frames without estimate or truth")
    return estimate, truth


def mpjpe(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Mean per joint position error, metres: the mean of |estimate - truth|.

    Protocol 1 (P1) when both are relative to the pelvis.
    """
    estimate, truth = _validated(estimate, truth)
    return float(np.linalg.norm(estimate - truth, axis=-1).mean())


def p_mpjpe(estimate: np.ndarray, truth: np.ndarray) -> float:
    """MPJPE after the best similarity transform of every frame, metres (protocol 2, PA-MPJPE)."""
    estimate, truth = _validated(estimate, truth)
    return mpjpe(procrustes(estimate, truth), truth)


def procrustes(estimate: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Each frame of `estimate` moved onto `truth` by the least-squares similarity, (T, J, 3).

    Umeyama 1991: rotation from the SVD of the covariance, reflections excluded, then scale and
    translation.
    """
    estimate, truth = _validated(estimate, truth)
    centre_e = estimate.mean(axis=-2, keepdims=True)
    centre_t = truth.mean(axis=-2, keepdims=True)
    e, t = estimate - centre_e, truth - centre_t
    u, s, vh = np.linalg.svd(np.swapaxes(t, -1, -2) @ e)  # t ~ R e, (..., 3, 3)
    sign = np.ones_like(s)
    sign[..., 2] = np.sign(np.linalg.det(u @ vh))
    rotation = (u * sign[..., None, :]) @ vh
    spread = np.maximum((e**2).sum(axis=(-2, -1)), np.finfo(float).tiny)
    scale = (s * sign).sum(axis=-1) / spread
    return scale[..., None, None] * (e @ np.swapaxes(rotation, -1, -2)) + centre_t


def n_mpjpe(estimate: np.ndarray, truth: np.ndarray) -> float:
    """MPJPE after the best scale of every frame about the origin (the pelvis), metres.

    Rhodin et al. 2018: the scale that minimises the squared error, sum(e * t) / sum(e * e).
    """
    estimate, truth = _validated(estimate, truth)
    spread = np.maximum((estimate**2).sum(axis=(-2, -1), keepdims=True), np.finfo(float).tiny)
    scale = (estimate * truth).sum(axis=(-2, -1), keepdims=True) / spread
    return mpjpe(scale * estimate, truth)


def mpjve(estimate: np.ndarray, truth: np.ndarray, fps: float | None = None) -> float:
    """Mean per joint velocity error: the MPJPE of the differences between neighbouring frames.

    The first axis must be consecutive frames. Metres per frame, as in VideoPose3D (Pavllo et al.
    2019), or metres per second where `fps` is given. One frame has no velocity: ValueError.
    """
    estimate, truth = _validated(estimate, truth)
    if len(truth) < 2:
        raise ValueError("expected at least two consecutive frames, got one")
    return mpjpe(np.diff(estimate, axis=0), np.diff(truth, axis=0)) * (fps or 1.0)


def pck(estimate: np.ndarray, truth: np.ndarray, threshold: float = PCK_THRESHOLD) -> float:
    """Fraction of joints no further from the truth than `threshold` metres (3DPCK)."""
    estimate, truth = _validated(estimate, truth)
    return float((np.linalg.norm(estimate - truth, axis=-1) <= threshold).mean())


def auc(estimate: np.ndarray, truth: np.ndarray, threshold: float = PCK_THRESHOLD) -> float:
    """Area under the PCK curve: the mean PCK of 31 thresholds from 0 to `threshold` metres.

    The grid (5 mm steps up to 150 mm) is MPI-INF-3DHP's.
    """
    estimate, truth = _validated(estimate, truth)
    error = np.linalg.norm(estimate - truth, axis=-1)
    return float(np.mean([(error <= limit).mean() for limit in np.linspace(0, threshold, 31)]))
