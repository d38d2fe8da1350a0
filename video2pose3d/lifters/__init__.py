"""2D → 3D networks: one public file each, and what they share.

A lifter's file has a frozen dataclass `Config` and a `Model` whose forward is (B, T, J, 3) x, y,
score → (B, T, J, 3) metres. A checkpoint is a safetensors file whose header says which lifter it is
for, its config, how its input was normalised, its unit, and where it comes from.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from video2pose3d import discovery
from video2pose3d.errors import UserError
from video2pose3d.lifters._windows import NORMALISATION, lift

__all__ = ["Lifter", "lift", "load", "read", "save"]

FORMAT = "video2pose3d lifter 1"
BACKBONE = "video2pose3d backbone 1"  # pre-trained, without a head: what fine-tuning begins with
SCREEN = "screen 1"  # a benchmark's normalisation, see datasets.Sequence
_CURE = "download it anew or give another file"


@dataclasses.dataclass(frozen=True)
class Lifter:
    """A network ready to lift. frames: the window it was trained on; metadata: the header."""

    name: str
    model: nn.Module
    frames: int
    device: str
    metadata: Mapping[str, str]


def load(path: Path, device: str = "cpu") -> Lifter:
    """The lifter of a safetensors file; UserError for a file that is none. Never unpickles."""
    metadata, tensors = read(path)
    if metadata.get("format") == BACKBONE:
        cure = "fine-tune it first: video2pose3d train CONFIG --start FILE"
        raise UserError("a pre-trained backbone, without a head", path=path, cure=cure)
    expected = {"format": FORMAT, "normalisation": NORMALISATION, "unit": "metre"}
    for key, value in expected.items():
        if metadata.get(key) != value:
            what = f"not a lifter of this program: {key} is {metadata.get(key)!r}, not {value!r}"
            raise UserError(what, path=path, cure="use the program's version that wrote it")
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
    config: Any = model.config
    metadata = {
        **about,
        "format": FORMAT,
        "lifter": name,
        "config": json.dumps(dataclasses.asdict(config)),
        "normalisation": normalisation,
        "unit": unit,
        "frames": str(frames),
    }
    tensors = {key: t.to("cpu", dtype).contiguous() for key, t in model.state_dict().items()}
    save_file(tensors, path, metadata)


def read(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Header and tensors of a safetensors file; UserError for a file that is none."""
    if not Path(path).is_file():
        raise UserError("no such file", path=path)
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"not a safetensors file ({error})", path=path, cure=_CURE) from error
