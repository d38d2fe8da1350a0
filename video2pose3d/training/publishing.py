"""From checkpoints to the files that users are given, and from such files to a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeGuard

import safetensors.torch
import torch
from torch import Tensor, nn

from video2pose3d import lifters, weights
from video2pose3d.errors import UserError
from video2pose3d.files import replacing
from video2pose3d.lifters import ssr_stf
from video2pose3d.training import growing
from video2pose3d.training.config import TrainingConfig
from video2pose3d.training.hooks import read_checkpoint


def publish(
    config: TrainingConfig | str | Path,
    checkpoint: Path,
    output: Path,
    about: Mapping[str, str] | None = None,
) -> None:
    """Write a checkpoint's weights, averaged ones if it has them, as the file `lifters.load` reads.

    about: what its users should know, beside the config's own table [about]; scores, say. Of a
    pre-trained lifter only the backbone is written, which fine-tuning can begin with.
    """
    config = config if isinstance(config, TrainingConfig) else TrainingConfig.read(config)
    state = read_checkpoint(checkpoint)
    model = config.make_model()
    model.load_state_dict(shipped_weights(state))
    facts = dict(state["facts"])
    normalisation, unit = facts.pop("normalisation"), facts.pop("unit")
    about = {**config.about, "steps": str(state["step"]), **facts, **(about or {})}
    frames = config.stage[-1].frames
    if config.pretrain is not None:
        header = {**about, "frames": str(frames), "normalisation": normalisation}
        _save_backbone(output, config.lifter, model, header)
        return
    lifters.save(
        output, config.lifter, model, frames=frames, about=about, normalisation=normalisation,
        unit=unit,
    )  # fmt: skip


def shipped_weights(state: dict) -> dict[str, Tensor]:
    """The lifter's own among a task's tensors."""
    of, before = (
        (state["model"], "lifter.")
        if state["average"] is None
        else (state["average"], "module.lifter.")
    )
    return {key.removeprefix(before): t for key, t in of.items() if key.startswith(before)}


def backbone(model: Any) -> set[str]:
    """The names of the tensors that the outputs of a lifter's blocks hang on: all but the head."""
    model.eval()  # or looking would move running means
    names, parameters = zip(*model.named_parameters(), strict=True)
    f = model.features(torch.zeros(1, 2, model.config.J, 3))[-1]
    grads = torch.autograd.grad(f.sum(), parameters, allow_unused=True)
    head = {name for name, grad in zip(names, grads, strict=True) if grad is None}
    return set(model.state_dict()) - head


def _save_backbone(path: Path, name: str, model: nn.Module, about: Mapping[str, str]) -> None:
    header = {
        **about,
        "format": lifters.BACKBONE,
        "lifter": name,
        "config": json.dumps(asdict(model.config)),  # pyright: ignore[reportArgumentType]
    }
    keep = backbone(model)
    tensors = {key: t.contiguous() for key, t in model.state_dict().items() if key in keep}
    with replacing(path) as beside:
        beside.write_bytes(safetensors.torch.save(tensors, header))


def begin_with(model: nn.Module, name: str) -> Path:
    """Copy the weights of a published lifter, or of a pre-trained backbone, into a model.

    Those of a narrower SSR-STF are widened, see `training.growing`. Returns their file.
    """
    file = weights.find(name, kind="lifter", offline=True)
    header, tensors = lifters.read(file)
    if header.get("format") not in (lifters.FORMAT, lifters.BACKBONE):
        raise UserError("not a lifter of this program", path=file)
    whole = header["format"] == lifters.FORMAT
    expected = set(model.state_dict()) if whole else backbone(model)
    try:
        if whole and _is_wider(model, header):
            tensors = growing.widened(tensors, model)
        model.load_state_dict(tensors, strict=False)
    except (ValueError, RuntimeError) as error:
        raise _unfit(str(error).splitlines()[-1].strip(), file) from error
    if set(tensors) != expected:
        raise _unfit(f"{', '.join(sorted(set(tensors) ^ expected)[:3])}", file)
    return file


def _is_wider(model: nn.Module, header: Mapping[str, str]) -> TypeGuard[ssr_stf.Model]:
    """Whether a model is the SSR-STF of a file's header with more channels and heads."""
    if header["lifter"] != "ssr_stf" or not isinstance(model, ssr_stf.Model):
        return False
    has, wanted = ssr_stf.Config(**json.loads(header["config"])), model.config
    k = wanted.C // has.C
    return k > 1 and wanted.heads == k * has.heads


def _unfit(what: str, file: Path) -> UserError:
    cure = "give [model] the config of these weights"
    return UserError(f"does not fit [model] ({what})", path=file, cure=cure)
