"""What is read from a lifter's motion representation: one head a file, and what they share.

A head's file has a frozen dataclass `Config`, a `Model` that takes E of a lifter's `represent`, and
a function that applies a trained head to somebody's keypoints. A trained head is a safetensors file
that holds the lifter it was trained on as well: fine-tuned or not, the two belong together.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from video2pose3d import lifters
from video2pose3d.errors import UserError
from video2pose3d.files import replacing
from video2pose3d.heads import action, smpl
from video2pose3d.lifters import Lifter

__all__ = ["Head", "load", "save"]

FORMAT = "video2pose3d head 1"
MODULES = {"action": action, "smpl": smpl}  # by task
_CURE = "download it anew or give another file"


@dataclasses.dataclass(frozen=True)
class Head:
    """A head ready to use, on its lifter. metadata: the file's header, scores among it."""

    task: str
    model: nn.Module
    lifter: Lifter
    metadata: Mapping[str, str]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the actions, in the order of the head's outputs; empty for other tasks."""
        return tuple(json.loads(self.metadata.get("classes", "[]")))


def load(path: Path, device: str = "cpu") -> Head:
    """The head of a safetensors file; UserError for a file that is none. Never unpickles."""
    metadata, tensors = lifters.read(path)
    if metadata.get("format") != FORMAT:
        what = f"not a head of this program: format is {metadata.get('format')!r}, not {FORMAT!r}"
        raise UserError(what, path=path, cure="give what `video2pose3d train --publish` wrote")
    try:
        task, config = metadata["task"], json.loads(metadata["head"])
        backbone, classes = json.loads(metadata["backbone"]), json.loads(metadata["classes"])
        if not isinstance(classes, list) or not isinstance(backbone, dict) or task not in MODULES:
            raise ValueError(f"task {task!r}")
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"damaged header ({error})", path=path, cure=_CURE) from error
    try:
        module: Any = MODULES[task]
        model = module.Model(module.Config(**config))
        model.load_state_dict(_of("head", tensors))
    except (TypeError, ValueError, RuntimeError) as error:
        what = f"its tensors do not fit the head ({str(error).splitlines()[0]})"
        raise UserError(what, path=path, cure=_CURE) from error
    lifter = lifters.restore(path, backbone, _of("backbone", tensors), device=device)
    return Head(task, model.eval().to(device), lifter, metadata)


def save(
    path: Path,
    task: str,
    model: nn.Module,
    lifter: str,
    backbone: nn.Module,
    *,
    frames: int,
    classes: tuple[str, ...] = (),
    about: Mapping[str, str],
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a head and its backbone as a file that `load` reads.

    lifter: the backbone's name; frames: of a window it was trained on; about: whatever else its
    users should know (licence, training data, scores), as text.
    """
    config: Any = model.config
    metadata = {
        **about,
        "format": FORMAT,
        "task": task,
        "head": json.dumps(dataclasses.asdict(config)),
        "classes": json.dumps(classes),
        "backbone": json.dumps(lifters.describe(lifter, backbone, frames=frames, about={})),
    }
    tensors = {
        f"{part}.{key}": (t.to(dtype) if t.is_floating_point() else t).cpu().contiguous()
        for part, of in (("head", model), ("backbone", backbone))
        for key, t in of.state_dict().items()
    }
    with replacing(path) as beside:
        beside.write_bytes(safetensors.torch.save(tensors, metadata))


def _of(part: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    before = f"{part}."
    return {k.removeprefix(before): t for k, t in tensors.items() if k.startswith(before)}
