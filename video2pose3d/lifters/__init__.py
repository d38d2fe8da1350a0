"""2D → 3D networks: one public file each, and what they share.

A lifter's file has a frozen dataclass `Config`, which says J, and a `Model` whose forward is
(B, T, J, 3) x, y, score → (B, T, J, 3) metres, by way of its `represent`, (B, T, J, 3) → E
(B, T, J, Ch), and its `head`. A checkpoint is a safetensors file whose header says which lifter it
is for, its config, how its input was normalised, its unit, and where it comes from.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from video2pose3d import discovery
from video2pose3d.errors import UserError
from video2pose3d.files import replacing
from video2pose3d.lifters._windows import NORMALISATION, lift, represent
from video2pose3d.structures import Camera, Keypoints2D

__all__ = ["Lifter", "describe", "lift", "load", "read", "restore", "save", "write"]

FORMAT = "video2pose3d lifter 1"
BACKBONE = "video2pose3d backbone 1"  # pre-trained, without a head: what fine-tuning begins with
SCREEN = "screen 1"  # a benchmark's normalisation, see datasets.Sequence
_CURE = "download it anew or give another file"


@dataclasses.dataclass(frozen=True)
class Lifter:
    """A network ready to lift.

    name: what tables and errors call it, the network's own unless replaced; frames: the window it
    was trained on; metadata: the header.
    """

    name: str
    model: nn.Module
    frames: int
    device: str
    metadata: Mapping[str, str]

    def represent(self, keypoints: Keypoints2D, camera: Camera) -> np.ndarray:
        """The motion representation E of one person: (T, J, Ch) float32, for the same T frames.

        keypoints: in H36M17 px, any number of frames, gaps allowed. Normalised and cut into
        overlapping, blended windows as in `lift`, but not averaged with the mirror image: E of a
        mirrored person isn't E mirrored, its channels don't come in left and right pairs. What E
        tells of directions holds in the axes of the virtual camera that looks at the person.
        """
        return represent(self, keypoints, camera)


def load(
    path: Path, device: str = "cpu", *, normalisation: str = NORMALISATION, unit: str = "metre"
) -> Lifter:
    """The lifter of a safetensors file; UserError for a file that is none. Never unpickles.

    normalisation: the input it must have been trained on; SCREEN is that of the published
    benchmarks, for which unit may be "screen" (`datasets.Sequence`).
    """
    metadata, tensors = read(path)
    return restore(path, metadata, tensors, device=device, normalisation=normalisation, unit=unit)


def restore(
    path: Path,
    metadata: Mapping[str, str],
    tensors: Mapping[str, torch.Tensor],
    *,
    device: str,
    normalisation: str = NORMALISATION,
    unit: str = "metre",
) -> Lifter:
    """The lifter of a header and tensors that were read from `path`, as `load`."""
    if metadata.get("format") == BACKBONE:
        cure = "fine-tune it first: video2pose3d train CONFIG --start FILE"
        raise UserError("a pre-trained backbone, without a head", path=path, cure=cure)
    expected = {"format": FORMAT, "normalisation": normalisation, "unit": unit}
    for key, value in expected.items():
        if metadata.get(key) != value:
            what = f"not a lifter for this: {key} is {metadata.get(key)!r}, not {value!r}"
            cure = "give weights trained for this use, or the program's version that wrote them"
            raise UserError(what, path=path, cure=cure)
    try:
        name, frames = metadata["lifter"], int(metadata["frames"])
        config = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in json.loads(metadata["config"]).items()
        }
    except (KeyError, ValueError, AttributeError) as error:
        raise UserError(f"damaged header ({error})", path=path, cure=_CURE) from error
    module = discovery.load("lifters", name)
    try:
        model = module.Model(module.Config(**config))
        model.load_state_dict(tensors)
    except UserError as error:
        raise UserError(f"damaged header ({error.what})", path=path, cure=_CURE) from error
    except (TypeError, ValueError, RuntimeError) as error:
        first_line = str(error).splitlines()[0]
        what = f"its tensors do not fit {name} ({first_line})"
        raise UserError(what, path=path, cure=_CURE) from error
    if frames < 1:
        raise UserError(f"damaged header (frames is {frames})", path=path, cure=_CURE)
    return Lifter(name, model.eval().to(device), frames, device, metadata)


def save(
    path: Path,
    name: str,
    model: nn.Module,
    *,
    frames: int,
    about: Mapping[str, str],
    dtype: torch.dtype = torch.float16,
    normalisation: str = NORMALISATION,
    unit: str = "metre",
) -> None:
    """Write a checkpoint that `load` reads.

    frames: the window it was trained on; about: whatever else its users should know (licence,
    training data, scores), as text. normalisation, unit: of another input than `lift` makes, and
    what comes of it ("screen": as datasets.Sequence.target).
    """
    metadata = describe(
        name, model, frames=frames, about=about, normalisation=normalisation, unit=unit
    )
    write(path, model, metadata, dtype)


def write(path: Path, model: nn.Module, header: Mapping[str, str], dtype: torch.dtype) -> None:
    """A safetensors file of a model's tensors, as `read` reads it."""
    tensors = {key: t.to("cpu", dtype).contiguous() for key, t in model.state_dict().items()}
    with replacing(path) as beside:
        beside.write_bytes(safetensors.torch.save(tensors, dict(header)))


def describe(
    name: str,
    model: nn.Module,
    *,
    frames: int,
    about: Mapping[str, str],
    normalisation: str = NORMALISATION,
    unit: str = "metre",
) -> dict[str, str]:
    """The header of a checkpoint, as `restore` takes it; see `save`."""
    config: Any = model.config
    return {
        **about,
        "format": FORMAT,
        "lifter": name,
        "config": json.dumps(dataclasses.asdict(config)),
        "normalisation": normalisation,
        "unit": unit,
        "frames": str(frames),
    }


def read(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Header and tensors of a safetensors file; UserError for a file that is none."""
    if not Path(path).is_file():
        raise UserError("no such file", path=path)
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"not a safetensors file ({error})", path=path, cure=_CURE) from error
