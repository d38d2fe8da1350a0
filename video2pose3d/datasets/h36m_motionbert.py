"""Human3.6M as MotionBERT publishes it: Stacked Hourglass keypoints with scores, labels in pixels.

W. Zhu et al., "MotionBERT: A Unified Perspective on Learning Human Motion Representations", 2023;
its h36m_sh_conf_cam_source_final.pkl is what SSR-STF's, MotionAGFormer's and Motion2vec's tables
are measured on. A label is a joint's pixel x, y and its depth from the root in the same pixels
(2.5D); on the test half a factor a frame makes mm of it. The result is compared with the file's own
mm, and is not comparable with VideoPose3D's metres (`h36m`), where targets come through the
camera's perspective.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from video2pose3d import unpickling
from video2pose3d.datasets import (
    Sequence,
    Split,
    check_split,
    checked,
    find,
    on_screen,
    with_scores,
)
from video2pose3d.errors import UserError
from video2pose3d.skeletons import H36M17

FILE = "h36m_sh_conf_cam_source_final.pkl"
WHERE = (
    f"get {FILE} from github.com/Walter0807/MotionBERT, docs/pose3d.md; Human3.6M's licence, "
    "academic use after registration at vision.imar.ro/human3.6m, holds for it"
)
FPS = 50.0
SIZES = {  # W, H px of each camera
    "54138969": (1000, 1002), "55011271": (1000, 1000),
    "58860488": (1000, 1000), "60457274": (1000, 1002),
}  # fmt: skip
# Their labels are known to be wrong; the published tables leave them out.
SKIPPED = ("s_09_act_05_subact_02", "s_09_act_10_subact_02", "s_09_act_13_subact_01")

_KEYS = ("joint_2d", "joint3d_image", "camera_name", "source")
_TEST_KEYS = ("action", "2.5d_factor", "joints_2.5d_image")
_OF_A_FRAME = {  # shapes; the others have one number or name
    "joint_2d": (17, 2), "confidence": (17,),
    "joint3d_image": (17, 3), "joints_2.5d_image": (17, 3),
}  # fmt: skip


def read(path: Path, split: Split, *, truth_2d: bool = False) -> list[Sequence]:
    """One Sequence a video and camera, in the file's order, without the SKIPPED.

    path: the file, or its folder. Targets are in screen units: pixels * 2/W. truth_2d: the labels'
    own x, y as input with scores of 1 ("GT 2D"), in place of the detector's.
    """
    check_split(split)
    file = find(path, FILE, WHERE)
    half = _read_half(file, split)
    sources = half["source"]
    starts = np.flatnonzero(np.r_[True, sources[1:] != sources[:-1]])
    sequences = []
    for start, end in zip(starts, np.r_[starts[1:], len(sources)], strict=True):
        video, _, _ = str(sources[start]).rpartition("_ca_")
        if video not in SKIPPED:
            part = {key: values[start:end] for key, values in half.items()}
            sequences.append(_sequence(part, truth_2d, file))
    return checked(sequences, file, WHERE)


def _sequence(part: dict[str, np.ndarray], truth_2d: bool, file: Path) -> Sequence:
    source, camera = str(part["source"][0]), str(part["camera_name"][0])
    if camera not in SIZES:
        raise UserError(f"{source}: {camera!r} is not a camera of Human3.6M", path=file)
    size, T = SIZES[camera], len(part["source"])
    number = source.split("_")[1] if source.startswith("s_") else ""
    label = part["joint3d_image"].astype(np.float64)  # px, px, px from the root
    if truth_2d:
        inputs = with_scores(on_screen(label[..., :2], size))
    else:
        inputs = with_scores(on_screen(part["joint_2d"], size), part.get("confidence"))
    target = (label - label[:, :1]) * (2 / size[0])
    if "joints_2.5d_image" in part:
        truth = part["joints_2.5d_image"].astype(np.float64)  # mm
        truth = truth - truth[:, :1]
        to_mm = part["2.5d_factor"].astype(np.float64) * (size[0] / 2)
    else:
        truth, to_mm = np.full(label.shape, np.nan), np.full(T, np.nan)
    return Sequence(
        subject=f"S{int(number)}" if number.isdecimal() else "",
        action=str(part["action"][0]) if "action" in part else _act(source),
        camera=camera,
        inputs=inputs,
        target=target.astype(np.float32),
        truth=truth,
        to_mm=to_mm,
        valid=np.ones(T, bool),
        skeleton=H36M17,
        fps=FPS,
        unit="screen",
    )


def _act(source: str) -> str:
    """The action's number, where the file has no name for it: s_01_act_02_subact_01_ca_01."""
    _, _, rest = source.partition("_act_")
    return f"act_{rest[:2]}" if rest else ""


def _read_half(file: Path, split: Split) -> dict[str, np.ndarray]:
    """The split's arrays, all (N, ...), over the frames of all videos end to end."""
    whole = unpickling.read(file)
    keys = (*_KEYS, *_TEST_KEYS) if split == "test" else _KEYS
    half = whole.get(split) if isinstance(whole, dict) else None
    missing = [key for key in keys if not isinstance(half, dict) or key not in half]
    if not isinstance(half, dict) or missing:
        what = f"is not MotionBERT's Human3.6M: {split} has no {missing[0]}"
        raise UserError(what, path=file, cure=WHERE)
    keys = (*keys, "confidence") if "confidence" in half else keys
    arrays = {key: np.asarray(half[key]) for key in keys}
    N = arrays["source"].size
    for key, values in arrays.items():
        shape = _OF_A_FRAME.get(key, ())
        kept = values[..., : shape[-1]] if values.ndim == 3 and len(shape) == 2 else values
        if not N or kept.shape[:1] != (N,) or kept.size != N * math.prod(shape):
            what = f"is not MotionBERT's Human3.6M: {split}'s {key} is {values.shape}"
            raise UserError(what, path=file, cure=WHERE)
        arrays[key] = kept.reshape(N, *shape)
    return arrays
