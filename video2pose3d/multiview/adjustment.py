"""Bundle adjustment: cameras, lenses, clocks and joints that agree best with the keypoints.

Unknown are where cameras stand and look, their focal lengths, by how much their clocks differ, the
limbs' joints at some instants, and the bones' lengths, which stay: that is what tells depths from
focal lengths where people hardly change their distance.

Instants have no joint in common, so their joints are solved for one instant each, and scipy's
trust-region least squares sees cameras and bones only: variable projection (Golub and Pereyra 1973,
with Kaufman's Jacobian, 1975). Keypoints far off lose their weight by Geman and McClure (1987).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.optimize import least_squares

from video2pose3d.skeletons import H36M17

# Points that every detector sees itself; Human3.6M's others are means of them.
JOINTS = [j for j, name in enumerate(H36M17.joints) if H36M17.side(j) != "centre" or name == "neck"]
_NAMES = [H36M17.joints[j] for j in JOINTS]
# Bones by their ends' places among JOINTS, and which of them have one length: limbs, and the hips.
_LIMBS = (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
_PAIRS = [
    *((f"{s}_{a}", f"{s}_{b}") for a, b in _LIMBS for s in ("left", "right")),
    ("left_hip", "right_hip"),
]
BONES = np.array([[_NAMES.index(end) for end in pair] for pair in _PAIRS])  # (B, 2)
KINDS = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4])  # (B,) which length each bone has

_UNKNOWNS = 8  # of a camera: rotation vector, translation, log of the focal factor, delay
_LEAST_ERROR = 0.001  # of the focal length: detectors are never surer
_BONE = 0.06  # relative, by which a bone as detectors see it changes
_BUILD = 0.10  # relative, by which people's proportions differ from those expected
_LENS = 0.2  # relative, by which an assumed focal length is wrong
_LASTING = 4.0  # errors last and are of a kind: so much less sure than if they were independent
_ROUNDS = 6  # of new weights
_EVALUATIONS = 20  # in each
_CLOSE = 1e-4  # relative, when one is done
_INNER = 4  # steps of an instant's joints
_NEAREST = 0.1  # metres


@dataclass(frozen=True)
class Bundle:
    """What was seen at N instants of P people by V cameras, of J = len(JOINTS) joints.

    rays: (V, N, J, 2) x/z, y/z through the lenses as assumed; drift: (V, N, J, 2) their change a
    second; scores: (V, N, J) 0..1, 0 where not seen; person: (N,) whose instant;
    expected: (P, K) metres, how long bones of each of KINDS are likely to be.
    """

    rays: np.ndarray
    drift: np.ndarray
    scores: np.ndarray
    person: np.ndarray
    expected: np.ndarray


@dataclass(frozen=True)
class Estimate:
    """R: (V, 3, 3), t: (V, 3) metres, x_camera = R x + t; focal: (V,) factors on the lenses'
    assumed focal lengths; delay: (V,) seconds by which each clip is later than was thought;
    points: (N, J, 3) metres; lengths: (P, K) metres.
    """

    R: np.ndarray
    t: np.ndarray
    focal: np.ndarray
    delay: np.ndarray
    points: np.ndarray
    lengths: np.ndarray


@dataclass(frozen=True)
class Free:
    """What may change, besides joints and bones: (V,) bool each."""

    pose: np.ndarray
    focal: np.ndarray
    delay: np.ndarray


@dataclass(frozen=True)
class Adjusted:
    """estimate; residuals: (V, N, J) by which keypoints lie beside it, in focal lengths, NaN where
    not seen; covariance: (V, 8, 8) of each camera's rotation (radians, in CAMERA), translation, log
    of focal length and delay; 0 for what was given."""

    estimate: Estimate
    residuals: np.ndarray
    covariance: np.ndarray


def adjust(bundle: Bundle, start: Estimate, free: Free) -> Adjusted:
    """The best estimate near `start`."""
    problem = _Problem(bundle, start, free)
    x = problem.outer[problem.columns]
    for _ in range(_ROUNDS):
        problem.weigh()
        found = least_squares(
            problem.residuals, x, problem.jacobian,  # pyright: ignore[reportArgumentType]
            x_scale="jac", max_nfev=_EVALUATIONS, xtol=_CLOSE, ftol=_CLOSE,
        )  # fmt: skip
        x = found.x
        problem.residuals(x)  # the joints of x, not those of the last step tried
    jacobian = problem.jacobian(x)
    jacobian[: -problem.priors] /= _LASTING
    v = len(start.R)
    covariance = np.zeros((len(problem.outer),) * 2)
    covariance[np.ix_(problem.columns, problem.columns)] = np.linalg.pinv(jacobian.T @ jacobian)
    blocks = covariance[: v * _UNKNOWNS, : v * _UNKNOWNS].reshape(v, _UNKNOWNS, v, _UNKNOWNS)
    return Adjusted(
        problem.estimate(problem.outer, problem.points),
        np.where(bundle.scores > 0, problem.beside(), np.nan),
        np.stack([blocks[i, :, i] for i in range(v)]),
    )


class _Problem:
    """Residuals over cameras and bones' lengths ("outer"), the joints being the best for them.

    An instant's residuals are its V J 2 sights and its bones.
    """

    def __init__(self, bundle: Bundle, start: Estimate, free: Free) -> None:
        self.bundle, self.start = bundle, start
        cameras = np.zeros((len(start.R), _UNKNOWNS))
        cameras[:, 3:6], cameras[:, 6], cameras[:, 7] = start.t, np.log(start.focal), start.delay
        self.outer = np.concatenate([cameras.ravel(), start.lengths.ravel()])
        poses = np.repeat(free.pose[:, None], 6, axis=1)
        may = np.concatenate([poses, free.focal[:, None], free.delay[:, None]], axis=1).ravel()
        self.columns = np.flatnonzero(np.append(may, np.ones(start.lengths.size, bool)))
        self.lenses = np.flatnonzero(free.focal)
        self.priors = start.lengths.size + len(self.lenses)  # how many residuals come last
        self.points = start.points
        self.weights = np.zeros_like(bundle.scores)

    def weigh(self) -> None:
        """New weights of the keypoints, by how far they lie off now."""
        beside = self.beside()
        seen = self.bundle.scores > 0
        error = max(float(np.median(beside[seen])), _LEAST_ERROR)
        self.weights = self.bundle.scores / error / (1 + (beside / (3 * error)) ** 2)

    def beside(self) -> np.ndarray:
        """(V, N, J) focal lengths between keypoints and joints."""
        sights, *_ = self._sights(self.estimate(self.outer, self.points))
        return np.linalg.norm(sights, axis=-1)

    def estimate(self, outer: np.ndarray, points: np.ndarray) -> Estimate:
        v = len(self.start.R)
        cameras = outer[: v * _UNKNOWNS].reshape(v, _UNKNOWNS)
        return Estimate(
            R=np.stack([cv2.Rodrigues(c[:3])[0] for c in cameras]) @ self.start.R,
            t=cameras[:, 3:6],
            focal=np.exp(cameras[:, 6]),
            delay=cameras[:, 7],
            points=points,
            lengths=outer[v * _UNKNOWNS :].reshape(self.start.lengths.shape),
        )

    def _whole(self, x: np.ndarray) -> np.ndarray:
        outer = self.outer.copy()
        outer[self.columns] = x
        return outer

    def residuals(self, x: np.ndarray) -> np.ndarray:
        """(N M + priors,) at the free unknowns x. Joints follow, from where they were last."""
        self.outer = self._whole(x)
        damping = np.full(len(self.points), 1e-3)
        estimate = self.estimate(self.outer, self.points)
        now = self._instants(estimate)
        for _ in range(_INNER):
            by_point = self._by_point(estimate)
            normal = np.swapaxes(by_point, 1, 2) @ by_point
            diagonal = np.einsum("nii->ni", normal)
            diagonal = damping[:, None] * diagonal + 1e-9 * diagonal.max(axis=1, keepdims=True)
            damped = normal + np.eye(normal.shape[1]) * diagonal[:, None]
            step = np.linalg.solve(damped, np.swapaxes(by_point, 1, 2) @ now[..., None])
            moved = replace(estimate, points=estimate.points - step.reshape(self.points.shape))
            then = self._instants(moved)
            better = (then**2).sum(axis=1) < (now**2).sum(axis=1)
            points = np.where(better[:, None, None], moved.points, estimate.points)
            now = np.where(better[:, None], then, now)
            estimate = replace(estimate, points=points)
            damping = np.where(better, damping / 10, damping * 10)
        self.points = estimate.points
        return np.concatenate([now.ravel(), self._priors(estimate)])

    def _sights(self, estimate: Estimate) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(V, N, J, 2) focal lengths by which joints lie beside keypoints; (V, N, J, 3) the joints
        turned, and in each CAMERA."""
        turned = np.einsum("vik,njk->vnji", estimate.R, estimate.points)
        there = turned + estimate.t[:, None, None]
        there[..., 2] = np.maximum(there[..., 2], _NEAREST)
        seen = estimate.focal[:, None, None, None] * there[..., :2] / there[..., 2:]
        wanted = self.bundle.rays - estimate.delay[:, None, None, None] * self.bundle.drift
        return seen - wanted, turned, there

    def _instants(self, estimate: Estimate) -> np.ndarray:
        """(N, M) weighted residuals of each instant."""
        sights = self._sights(estimate)[0] * self.weights[..., None]
        along = estimate.points[:, BONES[:, 1]] - estimate.points[:, BONES[:, 0]]
        lengths = estimate.lengths[self.bundle.person][:, KINDS]
        bones = (np.linalg.norm(along, axis=-1) / lengths - 1) / _BONE
        return np.concatenate([np.moveaxis(sights, 0, 1).reshape(len(bones), -1), bones], axis=1)

    def _priors(self, estimate: Estimate) -> np.ndarray:
        build = (estimate.lengths / self.bundle.expected - 1) / _BUILD
        return np.concatenate([build.ravel(), np.log(estimate.focal[self.lenses]) / _LENS])

    def _by_sight(self, estimate: Estimate) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(V, N, J, 2, 3) how weighted sights change with the joint in CAMERA, and what they are
        made of: (V, N, J, 2) x/z, y/z."""
        _, _, there = self._sights(estimate)
        seen = there[..., :2] / there[..., 2:]
        rows = np.concatenate([np.broadcast_to(np.eye(2), (*seen.shape, 2)), -seen[..., None]], -1)
        factor = estimate.focal[:, None, None] * self.weights
        return rows * (factor / there[..., 2])[..., None, None], seen, factor

    def _by_point(self, estimate: Estimate) -> np.ndarray:
        """(N, M, 3 J): how an instant's residuals change with its joints."""
        inner, _, _ = self._by_sight(estimate)
        n, j = estimate.points.shape[:2]
        each = np.moveaxis(np.einsum("vnjai,vik->vnjak", inner, estimate.R), 0, 1)
        sights = np.einsum("nvjak,jl->nvjalk", each, np.eye(j)).reshape(n, -1, 3 * j)
        along = estimate.points[:, BONES[:, 1]] - estimate.points[:, BONES[:, 0]]
        along = along / np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-9)
        along = along / (_BONE * estimate.lengths[self.bundle.person][:, KINDS, None])
        bones = np.zeros((n, len(BONES), j, 3))
        which = np.arange(len(BONES))
        bones[:, which, BONES[:, 1]], bones[:, which, BONES[:, 0]] = along, -along
        return np.concatenate([sights, bones.reshape(n, -1, 3 * j)], axis=1)

    def _by_outer(self, estimate: Estimate) -> np.ndarray:
        """(N, M, U): how an instant's residuals change with cameras and bones' lengths."""
        inner, seen, factor = self._by_sight(estimate)
        v, n, _ = factor.shape
        cameras = self.outer[: v * _UNKNOWNS].reshape(v, _UNKNOWNS)
        turns = np.stack([cv2.Rodrigues(c[:3])[1].reshape(3, 3, 3) for c in cameras])
        before = np.einsum("vik,njk->vnji", self.start.R, estimate.points)
        by_turn = np.einsum("vnjai,vkil,vnjl->vnjak", inner, turns, before, optimize=True)
        lens = (seen * factor[..., None])[..., None]
        clock = (self.bundle.drift * self.weights[..., None])[..., None]
        each = np.concatenate([by_turn, inner, lens, clock], axis=-1)  # (V, N, J, 2, 8)
        sights = np.einsum("vnjau,vw->nvjawu", each, np.eye(v)).reshape(n, -1, v * _UNKNOWNS)
        along = estimate.points[:, BONES[:, 1]] - estimate.points[:, BONES[:, 0]]
        lengths = estimate.lengths[self.bundle.person][:, KINDS]
        shrink = -np.linalg.norm(along, axis=-1) / lengths**2 / _BONE
        people, kinds = estimate.lengths.shape
        whose, which = np.eye(people)[self.bundle.person], np.eye(kinds)[KINDS]
        bones = np.einsum("nb,np,bk->nbpk", shrink, whose, which)
        out = np.zeros((n, sights.shape[1] + len(BONES), len(self.outer)))
        out[:, : sights.shape[1], : v * _UNKNOWNS] = sights
        out[:, sights.shape[1] :, v * _UNKNOWNS :] = bones.reshape(n, len(BONES), -1)
        return out

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        """(N M + priors, free unknowns): of what the joints can't make up for."""
        estimate = self.estimate(self._whole(x), self.points)
        basis, _ = np.linalg.qr(self._by_point(estimate))
        by_outer = self._by_outer(estimate)[..., self.columns]
        by_outer = by_outer - basis @ (np.swapaxes(basis, 1, 2) @ by_outer)
        priors = np.zeros((estimate.lengths.size + len(self.lenses), len(self.outer)))
        first = len(self.start.R) * _UNKNOWNS
        priors[: estimate.lengths.size, first:] = np.diag(
            1 / (self.bundle.expected * _BUILD).ravel()
        )
        rows = estimate.lengths.size + np.arange(len(self.lenses))
        priors[rows, self.lenses * _UNKNOWNS + 6] = 1 / _LENS
        return np.concatenate(
            [by_outer.reshape(-1, len(self.columns)), priors[:, self.columns]], axis=0
        )
