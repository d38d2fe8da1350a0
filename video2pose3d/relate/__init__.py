"""2D keypoints mended before they are lifted or triangulated: by other frames and other views.

`network` is the network, a safetensors file of weights what it learned. Whoever the detector was,
its keypoints go in as h36m17 with scores and come out in the same frames: errors smaller, sides
that were swapped put right, joints that were not seen filled in.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from video2pose3d import lifters
from video2pose3d.errors import UserError
from video2pose3d.geometry import project
from video2pose3d.lifters._windows import NORMALISATION, blended, seen_rays
from video2pose3d.relate._inputs import prepare
from video2pose3d.relate.network import Config, Mended, Model, mirror
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Camera, Keypoints2D

__all__ = [
    "Config", "Mended", "Model", "Relation", "filled", "load", "mend", "mend_views",
    "mend_windows", "save",
]  # fmt: skip

FORMAT = "video2pose3d relation 1"
# The score of a joint that was filled in: lifters look at it, but neither normalisation nor
# triangulation counts it as seen.
FILLED = 0.1
_CURE = "give what `video2pose3d train pose_relation_... --publish FILE` wrote"


@dataclasses.dataclass(frozen=True)
class Relation:
    """A network ready to mend. frames: of its windows; metadata: the file's header."""

    model: Model
    frames: int
    device: str
    metadata: Mapping[str, str]


def mend(relation: Relation, people: Sequence[Keypoints2D], camera: Camera) -> list[Keypoints2D]:
    """Everybody's keypoints in one view, in the same frames; each person by themselves.

    people: in H36M17 px, any number of frames, gaps allowed; a keypoint counts as not seen where
    its score is 0. Where a frame shows something of the person, such a joint is filled in, with
    score FILLED; all other scores stay. A keypoint that was seen is moved only if that is by more
    than the network expects to be off itself; see `settled`.
    """
    mended = []
    for person in people:
        if person.skeleton != H36M17:
            raise ValueError(f"expected keypoints in h36m17, got {person.skeleton.name}")
        xy, scores = _mend(
            relation, person.xy[None], person.scores[None], [camera], person.frames, person.fps
        )
        mended.append(dataclasses.replace(person, xy=xy[0], scores=scores[0]))
    return mended


def mend_views(
    relation: Relation, xy: np.ndarray, scores: np.ndarray, cameras: Sequence[Camera], fps: float
) -> tuple[np.ndarray, np.ndarray]:
    """One person's keypoints in V views at the same T instants, each in the light of the others.

    xy: (V, T, 17, 2) px; scores: (V, T, 17); cameras: their lenses, for where they stand is not
    asked. Returns the same; see `mend`.
    """
    xy, scores = xy.astype(np.float32), scores.astype(np.float32)
    some = np.flatnonzero((scores > 0).any(axis=(1, 2)))  # a view without the person tells nothing
    if len(some):
        xy[some], scores[some] = _mend(
            relation, xy[some], scores[some], [cameras[v] for v in some],
            np.arange(xy.shape[1]), fps,
        )  # fmt: skip
    return xy, scores


def _mend(
    relation: Relation,
    xy: np.ndarray,
    scores: np.ndarray,
    cameras: Sequence[Camera],
    frames: np.ndarray,
    fps: float,
) -> tuple[np.ndarray, np.ndarray]:
    """xy (V, N, J, 2) px and scores (V, N, J) float32 at `frames` (N,)."""
    shown = [seen_rays(*one) for one in zip(xy, scores, cameras, strict=True)]
    rays, sure = (np.stack(part, axis=1) for part in zip(*shown, strict=True))  # (N, V, J, ...)
    (found,) = blended(
        relation.frames, [(frames, fps)], [rays], [sure], partial(mend_windows, relation)
    )
    flat = np.concatenate([found, np.ones((*found.shape[:-1], 1))], axis=-1)
    xy = np.stack([project(flat[:, v], camera) for v, camera in enumerate(cameras)])
    return xy.astype(np.float32), filled(scores).astype(np.float32)


def filled(scores: np.ndarray) -> np.ndarray:
    """Scores (..., J) of mended keypoints, which had these: FILLED instead of 0 in frames that
    show something of the person."""
    there = (scores > 0).any(axis=-1, keepdims=True)
    return np.where((scores == 0) & there, FILLED, scores)


def mend_windows(relation: Relation, rays: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Mended rays, of windows no longer than `relation.frames`.

    rays: (B, T, V, J, 2) x/z, y/z in each view's CAMERA; scores: (B, T, V, J), 0 = not seen.
    """
    inputs = prepare(rays, scores)
    x = torch.from_numpy(inputs.x).to(relation.device)
    with torch.inference_mode():
        there, back = relation.model(x), relation.model(mirror(x))
        xy = (there.xy + mirror(back.xy)) / 2
        errors = (there.errors + back.errors[..., list(H36M17.mirror)]) / 2
        xy = settled(x, xy, errors)
    return inputs.look_back(xy.float().cpu().numpy().astype(np.float64))


def settled(x: torch.Tensor, xy: torch.Tensor, errors: torch.Tensor) -> torch.Tensor:
    """What is kept of mended keypoints xy, (B, T, V, J, 2).

    x: (B, T, V, J, 3) as the network was shown them; errors: (B, T, V, J), see `Mended`. In one
    view a keypoint that was seen stays where it was unless it is moved by more than its error: a
    lifter looks through errors of that size by itself, and where the network can only guess, its
    guess hides that nothing is known (MPJPE / P-MPJPE of 47 pieces of val, filmed as in
    `evaluation.relate`: 62.3 / 39.3 mm from keypoints as seen, 63.6 / 39.8 from all that is
    mended, 62.8 / 39.3 from this). What several views say is kept.
    """
    if x.shape[2] > 1:
        return xy  # the errors are those of one view alone
    moved = torch.linalg.vector_norm(xy - x[..., :2], dim=-1)
    kept = (moved > errors) | (x[..., 2] == 0)
    return torch.where(kept.unsqueeze(-1), xy, x[..., :2])


def load(path: Path, device: str = "cpu") -> Relation:
    """The network of a safetensors file; UserError for a file that is none. Never unpickles."""
    header, tensors = lifters.read(path)
    for key, value in {"format": FORMAT, "normalisation": NORMALISATION}.items():
        if header.get(key) != value:
            what = f"{key} is {header.get(key)!r}, not {value!r}"
            raise UserError(what, path=path, cure=_CURE)
    try:
        model = Model(Config(**json.loads(header["config"])))
        model.load_state_dict(tensors)
        frames = int(header["frames"])
        if not 1 <= frames <= model.config.f:
            raise ValueError(f"frames is {frames}")
    except (KeyError, AttributeError, TypeError, ValueError, RuntimeError, UserError) as error:
        what = f"its tensors do not fit its header ({str(error).splitlines()[0]})"
        raise UserError(what, path=path, cure=_CURE) from error
    return Relation(model.eval().to(device), frames, device, header)


def save(
    path: Path,
    model: Model,
    *,
    frames: int,
    about: Mapping[str, str],
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a file that `load` reads.

    frames: the window it was trained on; about: what its users should know (licence, data, scores).
    """
    header = {
        **about,
        "format": FORMAT,
        "config": json.dumps(dataclasses.asdict(model.config)),
        "normalisation": NORMALISATION,
        "frames": str(frames),
    }
    lifters.write(path, model, header, dtype)
