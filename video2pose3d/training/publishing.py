"""From checkpoints to the files that users are given, and from such files to a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from video2pose3d import lifters, weights
from video2pose3d.errors import UserError
from video2pose3d.files import replacing
from video2pose3d.lifters import ssr_stf
from video2pose3d.training import growing
from video2pose3d.training.config import TrainingConfig, lifter_config
from video2pose3d.training.hooks import read_checkpoint
from video2pose3d.training.starting import check_same, unfit

# Fields of lifters' configs that do not matter where weights are given: those of branches' scales
# before the first step and of training alone; and, where there is no head, of the head.
_AT_FIRST = {"layer_scale", "scale", "drop_path"}
_OF_THE_HEAD = {"Ch", "dh"}


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


def begin_with(model: Any, name: str) -> Path:
    """Copy the weights of a published lifter, or of a pre-trained backbone, into a model.

    Those of a narrower SSR-STF are widened, see `training.growing`. Returns their file.
    """
    file = weights.find(name, kind="lifter", offline=True)
    header, tensors = lifters.read(file)
    if header.get("format") not in (lifters.FORMAT, lifters.BACKBONE):
        raise UserError("not a lifter of this program", path=file)
    whole = header["format"] == lifters.FORMAT
    given = _config(header, file)
    wider = whole and isinstance(given, ssr_stf.Config) and growing.is_wider(model, given)
    may_differ = _AT_FIRST | (growing.WIDENED if wider else set())
    check_same(model.config, given, file, may_differ if whole else may_differ | _OF_THE_HEAD)
    expected = set(model.state_dict()) if whole else backbone(model)
    if set(tensors) != expected:
        raise unfit(f"{', '.join(sorted(set(tensors) ^ expected)[:3])}", file)
    try:
        if wider:
            tensors = growing.widened(tensors, model)
        model.load_state_dict(tensors, strict=False)
    except (ValueError, RuntimeError) as error:
        raise unfit(str(error).splitlines()[-1].strip(), file) from error
    return file


def _config(header: Mapping[str, str], file: Path) -> Any:
    """The Config that a header tells; UserError where it tells none."""
    try:
        return lifter_config(header["lifter"], json.loads(header["config"]))
    except (KeyError, ValueError, AttributeError, UserError) as error:
        raise UserError(f"damaged header ({error})", path=file) from error
