"""MMPose's networks and their published checkpoints: the only file that imports mmpose.

Networks are made from the numbers in the checkpoint itself (a width is the shape of a tensor), not
from a configuration file: MMEngine's configurations are Python that runs.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from video2pose3d.errors import UserError

INPUT_SIZES = ((192, 256), (288, 384))  # W, H px: those that OpenMMLab has published


def available() -> bool:
    """Whether mmpose is installed; its binary needs end at Python 3.11."""
    return importlib.util.find_spec("mmpose") is not None


class Network(nn.Module):
    """Backbone and heatmap head under the names that mmpose's checkpoints have.

    input_size: W, H px of the crops it was trained with.
    """

    def __init__(self, backbone: nn.Module, head: nn.Module, input_size: tuple[int, int]) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.input_size = input_size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised crops (B, 3, H, W) to heatmaps (B, J, H / 4, W / 4)."""
        return self.head(self.backbone(x))


def hrnet(width: int, joints: int, input_size: tuple[int, int]) -> Network:
    """HRNet (Sun et al., CVPR 2019) with `width` channels at full resolution: 32 or 48."""
    stages = {"stage1": _hrnet_stage(1, "BOTTLENECK", (64,))}
    for number, modules in ((2, 1), (3, 4), (4, 3)):
        channels = tuple(width * 2**branch for branch in range(number))
        stages[f"stage{number}"] = _hrnet_stage(modules, "BASIC", channels)
    return Network(
        _build("backbones", "HRNet", extra=stages),
        _head(width, joints, deconv_out_channels=None),
        input_size,
    )


def swin(
    width: int,
    depths: tuple[int, ...],
    heads: tuple[int, ...],
    window: int,
    joints: int,
    input_size: tuple[int, int],
) -> Network:
    """Swin (Liu et al., ICCV 2021): T, B and L have widths of 96, 128 and 192."""
    backbone = _build(
        "backbones",
        "SwinTransformer",
        embed_dims=width,
        depths=depths,
        num_heads=heads,
        window_size=window,
        out_indices=(len(depths) - 1,),
    )
    return Network(backbone, _head(width * 2 ** (len(depths) - 1), joints), input_size)


def read_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    """The tensors of a published .pth by name, and the configuration it was trained with, as text.

    Whatever is neither tensor nor number is passed over, and nothing in the file can run. UserError
    for a file that is no checkpoint or that asks for more.
    """
    cure = "give a .pth that OpenMMLab published for mmpose"
    try:
        with torch.serialization.safe_globals(_SAFE), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of pickles it did not write itself
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError("no such weights file", path=path) from None
    except Exception as error:  # a damaged or foreign file fails in as many ways as there are files
        found = re.search(r"GLOBAL (\S+)", str(error))
        what = f"holds {found[1]}, which no weights need" if found else "not a checkpoint"
        raise UserError(what, path=path, cure=cure) from error
    state = checkpoint.get("state_dict") if isinstance(checkpoint, dict) else None
    if not isinstance(state, Mapping) or not all(
        isinstance(tensor, torch.Tensor) for tensor in state.values()
    ):
        raise UserError("holds no state_dict", path=path, cure=cure)
    meta = checkpoint.get("meta")
    return dict(state), str(meta.get("cfg", "")) if isinstance(meta, Mapping) else ""


def input_size(path: Path, configuration: str) -> tuple[int, int]:
    """W, H px of the crops, from the file's name or what it says of its training.

    The networks take any size, so nothing in the tensors tells. UserError for networks trained with
    another coding of heatmaps than this package decodes.
    """
    name = path.stem.lower()
    for coding in ("udp", "dark", "simcc", "regress"):
        words = re.split(r"[^a-z]+", name)
        if coding in words or re.search(rf"type='\w*{coding}\w*'", configuration, re.IGNORECASE):
            raise UserError(
                f"was trained with {coding.upper()} coding, which is not decoded here",
                path=path,
                cure="give the plain one, such as td-hm_hrnet-w48_8xb32-210e_coco-256x192",
            )
    for width, height in INPUT_SIZES:
        said = re.search(rf"input_size=[(\[]\s*{width},\s*{height}", configuration)
        if f"{height}x{width}" in name or said:
            return width, height
    return INPUT_SIZES[0]


def fill(network: Network, state: Mapping[str, torch.Tensor], path: Path, what: str) -> Network:
    """The network with the checkpoint's tensors, every one in its place; else a UserError."""
    # Buffers that mmpose makes anew from the sizes, kept in some files and not in others.
    made = ("relative_position_index", "num_batches_tracked", "data_preprocessor")
    state = {k: v for k, v in state.items() if not any(word in k for word in made)}
    own = network.state_dict()
    missing = [k for k in own if k not in state and not any(word in k for word in made)]
    surplus = [k for k in state if k not in own]
    other = [k for k in state if k in own and state[k].shape != own[k].shape]
    if missing or surplus or other:
        parts = (("lacks", missing), ("has besides", surplus), ("has of another shape", other))
        said = ", ".join(f"{verb} {keys[0]}" for verb, keys in parts if keys)
        raise UserError(f"is no {what} for COCO keypoints: it {said}", path=path)
    network.load_state_dict(state, strict=False)
    return network.eval().requires_grad_(False)


def _hrnet_stage(modules: int, block: str, channels: tuple[int, ...]) -> dict[str, Any]:
    return {
        "num_modules": modules,
        "num_branches": len(channels),
        "block": block,
        "num_blocks": (4,) * len(channels),
        "num_channels": channels,
    }


def _head(channels: int, joints: int, **options: Any) -> nn.Module:
    return _build("heads", "HeatmapHead", channels, joints, **options)


def _build(package: str, name: str, *args: Any, **options: Any) -> nn.Module:
    """A module of mmpose.models, whatever mmengine's scope is: training in this process sets it."""
    made_by = getattr(_import(f"mmpose.models.{package}"), name)
    with _import("mmengine.registry").DefaultScope.overwrite_default_scope("mmpose"):
        return made_by(*args, **options)


def _import(name: str) -> Any:
    if not available():
        raise UserError(
            "HRNet and Swin need mmpose, which is not installed",
            cure="use Python 3.11 or older, or --keypoints yolo_pose",
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


class _Ignored:
    """Stands for what a checkpoint holds besides weights: the log of its training."""

    def __init__(self, *args: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _nothing(*args: object) -> None:
    """Stands for getattr, by which MMEngine's log names its own methods."""


_reconstruct = np.zeros(0).__reduce__()[0]
_scalar = np.float64(0).__reduce__()[0]
_SAFE: list[Any] = [
    *(
        (function, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")  # numpy 1 and 2
        for function, name in ((_reconstruct, "_reconstruct"), (_scalar, "scalar"))
    ),
    np.ndarray,
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float64", "float32", "int64", "int32", "bool")),
    (_Ignored, "mmengine.logging.history_buffer.HistoryBuffer"),
    (_nothing, "builtins.getattr"),
]
