"""Training the SMPL head: people with known bodies, MotionBERT's loss, MPVE and MPJPE.

Clips are read from train.npz and val.npz, at most 4 GiB each:

    keypoints   (N, T, 17, 3) float: x, y px and score, H36M17, of N clips of T frames
    pose        (N, T, 72) axis-angle of SMPL, the root's in CAMERA
    shape       (N, 10)
    joints      (N, T, K, 3) metres in CAMERA, of any origin; without it, what pose and shape give
    image_size  (2,) W, H px
    K           (3, 3) px; without it, a field of view is assumed

The body model, and the matrix that makes Human3.6M's 17 joints of its vertices, if one is given,
are the user's own files (see `smpl`). K = 17 joints with such a matrix, SMPL's own 24 without.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from video2pose3d import archives, metrics
from video2pose3d.errors import UserError
from video2pose3d.geometry import ASSUMED_FOV, camera_from_fov
from video2pose3d.heads import smpl as head_smpl
from video2pose3d.heads.smpl import Estimate, LossWeights
from video2pose3d.lifters._windows import normalise, seen_rays
from video2pose3d.skeletons import H36M17
from video2pose3d.smpl import SHAPES, SMPL, K, rotations
from video2pose3d.structures import Camera

_KEYS = ("keypoints", "pose", "shape", "joints", "image_size", "K")
_CURE = "give keypoints (N, T, 17, 3), pose (N, T, 72), shape (N, 10), image_size (2,)"
# The 14 joints that errors are measured on where there are Human3.6M's 17 (SSR-STF sec. IV-G).
_MEASURED = [j for j, joint in enumerate(H36M17.joints) if joint not in ("pelvis", "spine", "neck")]


@dataclass(frozen=True)
class Data:
    """[data] of a config: frames of a window; fov: degrees along the picture's longer side.

    body: the SMPL file, joints: the matrix of Human3.6M's joints (.npy), in the folder of the data.
    """

    frames: int
    fov: float = ASSUMED_FOV
    body: str = "SMPL_NEUTRAL.npz"
    joints: str | None = None


@dataclass(frozen=True)
class Clips:
    """xy: (N, T, 17, 2) px; scores: (N, T, 17); the rest as in the file, joints None without."""

    xy: np.ndarray
    scores: np.ndarray
    pose: np.ndarray
    shape: np.ndarray
    joints: np.ndarray | None
    camera: Camera

    @classmethod
    def read(cls, path: Path, fov: float) -> Clips:
        """fov: degrees along the picture's longer side, where the file has no K."""
        arrays = archives.read(path, _KEYS)
        try:
            keypoints, pose, shape = (arrays[k].astype(np.float32) for k in _KEYS[:3])
            joints = arrays.get("joints")
            N, T = keypoints.shape[:2]
            w, h = (int(v) for v in arrays["image_size"])
            fits = keypoints.shape == (N, T, 17, 3) and pose.shape == (N, T, 3 * K)
            if not fits or shape.shape != (N, SHAPES) or N * T == 0:
                raise ValueError(f"keypoints {keypoints.shape}, pose {pose.shape}, {shape.shape}")
            if joints is not None and (joints.ndim != 4 or joints.shape[:2] != (N, T)):
                raise ValueError(f"joints {joints.shape}")
            for key in {"pose", "shape", "joints"} & arrays.keys():
                if not np.isfinite(arrays[key]).all():
                    raise ValueError(f"{key} has numbers that are none")
            if min(w, h) < 1:
                raise ValueError(f"pictures of {w} x {h}")
            camera = camera_from_fov((w, h), fov, "assumed")
            if "K" in arrays:
                given = arrays["K"].astype(np.float64).reshape(3, 3)
                camera = Camera(given, (w, h), np.zeros(5), "given")
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(f"not clips of bodies ({error})", path=path, cure=_CURE) from error
        joints = None if joints is None else joints.astype(np.float32)
        return cls(keypoints[..., :2], keypoints[..., 2], pose, shape, joints, camera)


class MeshTask:
    """What `downstream` trains when a config says task = "smpl"."""

    classes: tuple[str, ...] = ()

    def __init__(self, folder: Path, data: Data, weights: LossWeights):
        """folder: with train.npz, val.npz and the user's own files."""
        self.train = Clips.read(folder / "train.npz", data.fov)
        self.val = Clips.read(folder / "val.npz", data.fov)
        self.frames = min(data.frames, self.train.xy.shape[1], self.val.xy.shape[1])
        self.body = SMPL.read(folder / data.body)
        self.regressor = None if data.joints is None else _regressor(folder / data.joints)
        self.weights = weights
        for split in (self.train, self.val):
            expected = K if self.regressor is None else len(self.regressor)
            if split.joints is not None and split.joints.shape[2:] != (expected, 3):
                what = f"joints are {split.joints.shape[2:]}, the body gives ({expected}, 3)"
                raise UserError(what, path=folder, cure="leave joints out, or name their matrix")

    def __len__(self) -> int:
        return len(self.train.xy)

    def head_config(self, Ch: int, J: int, fields: dict[str, Any]) -> head_smpl.Config:
        return head_smpl.Config(Ch=Ch, J=J, **fields)

    def loss(self, backbone: Any, head: Any, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        starts = rng.integers(0, self.train.xy.shape[1] - self.frames + 1, size=len(rows))
        x, truth, truth_joints = self._windows(self.train, rows, starts, head)
        estimate = head(backbone.represent(x))
        _, joints = self._bodies(estimate)
        return head_smpl.loss(estimate, joints, truth, truth_joints, self.weights)

    def scores(self, backbone: Any, head: Any, batch: int) -> dict[str, float]:
        """mm over the whole windows of val.npz, one after the other, relative to the root.

        mpve: mean distance of vertices; mpjpe, p_mpjpe: of joints, Human3.6M's 14 or SMPL's 24.
        """
        N, T = self.val.xy.shape[:2]
        starts, rows = np.meshgrid(np.arange(0, T - self.frames + 1, self.frames), np.arange(N))
        starts, rows = starts.ravel(), rows.ravel()
        sums: dict[str, float] = dict.fromkeys(("mpve", "mpjpe", "p_mpjpe"), 0.0)
        for part in np.array_split(np.arange(len(rows)), -(-len(rows) // batch)):
            x, truth, true_joints = self._windows(self.val, rows[part], starts[part], head)
            vertices, joints = self._bodies(head(backbone.represent(x)))
            true_vertices, root = self._bodies(truth)
            found, true = _measured(joints), _measured(true_joints)
            moved = _relative(vertices, joints), _relative(true_vertices, root)
            sums["mpve"] += len(part) * metrics.mpjpe(*moved)
            sums["mpjpe"] += len(part) * metrics.mpjpe(found, true)
            sums["p_mpjpe"] += len(part) * metrics.p_mpjpe(found, true)
        return {name: round(1000 * total / len(rows), 2) for name, total in sums.items()}

    def _windows(
        self, clips: Clips, rows: np.ndarray, starts: np.ndarray, head: Any
    ) -> tuple[Tensor, Estimate, Tensor]:
        """The lifter's input and the truth in its axes: (B, T, 17, 3), estimate, (B, T, K, 3)."""
        device = next(head.parameters()).device
        self.body.to(device)
        at = rows[:, None], starts[:, None] + np.arange(self.frames)
        inputs, view = normalise(*seen_rays(clips.xy[at], clips.scores[at], clips.camera))
        to_lifter = torch.from_numpy(view).float().to(device)[:, None]  # (B, 1, 3, 3)
        R = rotations(torch.from_numpy(clips.pose[at]).to(device).unflatten(-1, (K, 3)))
        R = torch.cat([to_lifter[:, None] @ R[:, :, :1], R[:, :, 1:]], dim=2)
        truth = Estimate(R, torch.from_numpy(clips.shape[rows]).to(device))
        if clips.joints is None:
            _, joints = self._bodies(truth)
        else:
            joints = torch.from_numpy(clips.joints[at]).to(device) @ to_lifter.mT
        return torch.from_numpy(inputs).to(device), truth, joints

    def _bodies(self, of: Estimate) -> tuple[Tensor, Tensor]:
        """Vertices (B, T, V, 3) and joints (B, T, K, 3)."""
        B, T = of.R.shape[:2]
        shape = of.shape[:, None].expand(B, T, SHAPES).flatten(0, 1)
        vertices, joints = self.body.pose(of.R.flatten(0, 1), shape)
        if self.regressor is not None:
            joints = self.regressor.to(vertices.device) @ vertices
        return vertices.unflatten(0, (B, T)), joints.unflatten(0, (B, T))


def _regressor(path: Path) -> Tensor:
    """The matrix (17, V) of a .npy file that makes Human3.6M's joints of vertices."""
    try:
        matrix = np.load(path, allow_pickle=False)
        if matrix.ndim != 2 or len(matrix) != len(H36M17):
            raise ValueError(f"it is {matrix.shape}")
        return torch.from_numpy(matrix.astype(np.float32))
    except (OSError, ValueError, EOFError) as error:
        cure = "give a .npy (17, 6890): MotionBERT's J_regressor_h36m_correct.npy, say"
        raise UserError(f"not a joint regressor ({error})", path=path, cure=cure) from error


def _relative(points: Tensor, joints: Tensor) -> np.ndarray:
    """Points (B, T, N, 3) relative to the first of the joints (B, T, K, 3): (B * T, N, 3)."""
    return (points - joints[:, :, :1]).flatten(0, 1).cpu().numpy().astype(np.float64)


def _measured(joints: Tensor) -> np.ndarray:
    joints_from_root = _relative(joints, joints)
    return joints_from_root[:, _MEASURED] if joints.shape[2] == len(H36M17) else joints_from_root
