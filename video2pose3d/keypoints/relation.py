"""Keypoints of a clip's images by their relations: between frames in time, between views in space.

J. Jiao, X. Cheng, W. Chen, X. Yin, H. Shi, K. Yang: "Towards Precise 3D Human Pose Estimation with
Multi-Perspective Spatial-Temporal Relational Transformers", 2024. Symbols, equation and section
numbers are the paper's. The spatial module makes one token of every image, the image relations
module lets the tokens of a clip look at one another, and one linear layer reads coordinates off.

What the paper leaves open, and how it is settled here:
- Dropping patches ("retain image patches with high attention", sec. I; no formula): a patch's score
  is the attention it receives from all patches of its image, eq. 3, in Swin's last block, whose one
  window is the whole 7 x 7 map. The share `keep` of highest score is pooled; the rest is dropped.
  Swin's windows need their whole grid before that, so it saves interference, not time.
- L and what is shared: 4 blocks in each of the two parts, each with weights of its own; one LN,
  eq. 12, behind both. E_3D stands for the four cameras of the data set, in its order.
- Coordinates: -1..1 across the square crop, whose middle is 0.

Parameters: 27,519,354 in the spatial module (Swin-T without its classifier), 37,816,320 in the 8
blocks, 768 a position in E_time and E_3D, 27,682 in LN and head: 65,372,572 at f = 8,
65,391,004 at f = 32, 65,464,732 at f = 128.

Nobody has published weights for this network and none are shipped: train them (training/relation).
Axes: B batch, T frames, V views, C channels; f: frames of the longest clip.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import SwinTransformer

from video2pose3d import skeletons
from video2pose3d.errors import UserError
from video2pose3d.files import replacing
from video2pose3d.keypoints._topdown import crop, normalise, regions

DEFAULT_WEIGHTS = ""  # there are none: `--keypoints auto` never takes this backend
FORMAT = "video2pose3d keypoints 1"

_J = 17
_BATCH = {"cpu": 8, "cuda": 128}  # images at once
_MIN_IOU = 0.3  # of one person's boxes in neighbouring frames


@dataclass(frozen=True)
class Config:
    """The architecture; the defaults are the paper's, or Swin-T's."""

    f: int = 32  # frames of the longest clip, sec. IV-E
    V: int = 4  # views, eq. 14
    L: int = 4  # blocks in each part of the image relations module; not given, the released code's
    heads: int = 8  # h of eq. 5; not given, the released code's
    ratio: int = 2  # of the MLP in eq. 11; not given, the released code's
    keep: float = 0.7  # share of patches that are kept; not given, DynamicViT's [31]
    embed: int = 96  # Swin-T's channels after the patch embedding, [29]
    depths: tuple[int, ...] = (2, 2, 6, 2)  # Swin-T's
    swin_heads: tuple[int, ...] = (3, 6, 12, 24)  # Swin-T's
    window: int = 7  # Swin-T's
    drop_path: float = 0.2  # Swin-T's stochastic depth in training
    skeleton: str = "coco17"  # the 17 joints that come out: coco17 or h36m17

    @property
    def size(self) -> int:
        """px of an image's sides: 224, at which the last stage's map is one window."""
        return 4 * 2 ** (len(self.depths) - 1) * self.window

    @property
    def C(self) -> int:
        """Channels of a token: 768."""
        return self.embed * 2 ** (len(self.depths) - 1)


VARIANTS = {"f8": Config(f=8), "f32": Config(f=32), "f128": Config(f=128)}  # Table III


class SpatialModule(nn.Module):
    """Sec. III-C: (N, 3, H, W) normalised images -> one token each, (N, C)."""

    def __init__(self, config: Config):
        super().__init__()
        self.keep = config.keep
        self.swin = SwinTransformer(
            [4, 4], config.embed, list(config.depths), list(config.swin_heads),
            [config.window, config.window], stochastic_depth_prob=config.drop_path,
        )  # fmt: skip
        del self.swin.head  # ImageNet's classifier

    def forward(self, I: Tensor) -> Tensor:  # noqa: E741
        z, score = self.patches(I)
        return pool(z, score, self.keep)

    def patches(self, I: Tensor) -> tuple[Tensor, Tensor]:  # noqa: E741
        """The last stage's patches, (N, 49, C), and the attention that each received, (N, 49)."""
        stages: Any = list(self.swin.features)
        z = I
        for stage in stages[:-1]:
            z = stage(z)  # eq. 1, then eq. 6-9 and patch merging: (N, H, W, C)
        *blocks, last = stages[-1]
        for block in blocks:
            z = block(z)
        score = attention_received(last, z)
        z = self.swin.norm(last(z))
        return z.flatten(1, 2), score


def attention_received(block: Any, z: Tensor) -> Tensor:
    """Softmax(Q K / sqrt(d)) of eq. 3, the mean over heads and queries: (N, H, W, C) -> (N, HW).

    block: Swin's, whose window covers the map. Each image's scores add up to 1.
    """
    attn = block.attn
    N, C, h = len(z), z.shape[-1], attn.num_heads
    z = block.norm1(z).flatten(1, 2)
    W, b = attn.qkv.weight[: 2 * C], attn.qkv.bias[: 2 * C]
    Q, K = F.linear(z, W, b).view(N, -1, 2, h, C // h).permute(2, 0, 3, 1, 4)  # (N, h, HW, d)
    weights = Q @ K.mT * (C // h) ** -0.5 + attn.get_relative_position_bias()
    return weights.softmax(dim=-1).mean(dim=(1, 2))


def pool(z: Tensor, score: Tensor, keep: float) -> Tensor:
    """The mean of the patches of highest score: (N, P, C), (N, P) -> (N, C)."""
    kept = score.topk(max(1, round(keep * z.shape[1])), dim=1).indices
    return z.gather(1, kept[..., None].expand(-1, -1, z.shape[-1])).mean(dim=1)


class Block(nn.Module):
    """The standard transformer of fig. 3(b): (N, tokens, C) -> same."""

    def __init__(self, config: Config):
        super().__init__()
        C = config.C
        self.norm1, self.norm2 = nn.LayerNorm(C), nn.LayerNorm(C)
        self.MSA = nn.MultiheadAttention(C, config.heads, batch_first=True)
        self.MLP = nn.Sequential(
            nn.Linear(C, config.ratio * C), nn.GELU(), nn.Linear(config.ratio * C, C)
        )

    def forward(self, Z: Tensor) -> Tensor:
        z = self.norm1(Z)
        Z = self.MSA(z, z, z, need_weights=False)[0] + Z  # eq. 10
        return self.MLP(self.norm2(Z)) + Z  # eq. 11


class Model(nn.Module):
    """(B, T, V, 3, H, W) normalised crops of one person -> (B, T, V, 17, 2), -1..1 across a crop.

    T <= f, V <= config.V: a shorter clip gets the first positions. The order of frames is time's.
    """

    def __init__(self, config: Config = VARIANTS["f32"]):
        super().__init__()
        self.config = config
        self.spatial = SpatialModule(config)
        self.E_time = nn.Parameter(torch.zeros(1, config.f, config.C))
        self.E_3D = nn.Parameter(torch.zeros(1, config.V, config.C))
        for E in (self.E_time, self.E_3D):
            nn.init.trunc_normal_(E, std=0.02)  # as ViT's [26]
        self.time = nn.Sequential(*(Block(config) for _ in range(config.L)))
        self.views = nn.Sequential(*(Block(config) for _ in range(config.L)))
        self.norm = nn.LayerNorm(config.C)
        self.head = nn.Linear(config.C, 2 * _J)

    def forward(self, I: Tensor) -> Tensor:  # noqa: E741
        B, T, V = I.shape[:3]
        return self.relate(self.spatial(I.flatten(0, 2)).view(B, T, V, -1))

    def relate(self, z: Tensor) -> Tensor:
        """The image relations module, sec. III-D: tokens (B, T, V, C) -> (B, T, V, 17, 2)."""
        B, T, V, C = z.shape
        if self.config.f < T or V > self.config.V:
            most = f"at most {self.config.f} frames of {self.config.V} views"
            raise ValueError(f"this network takes {most}, got {T} of {V}")
        Z = z.transpose(1, 2).reshape(B * V, T, C) + self.E_time[:, :T]  # eq. 13
        Z = self.time(Z).view(B, V, T, C)
        Z = Z.transpose(1, 2).reshape(B * T, V, C) + self.E_3D[:, :V]  # eq. 14
        Y = self.norm(self.views(Z))  # eq. 12
        return self.head(Y).view(B, T, V, _J, 2)


class Backend:
    """17 keypoints of one person per box; what one call is given of a person is one clip.

    A call knows no tracks. Its rows are one person's clip while each next picture has a box that
    overlaps that person's last (`clips`), at most f frames; a person whom the next picture lacks
    begins anew. The program calls with 8 frames at a time, so f = 8 is the network for it, and
    others see the first 8 of their positions. One camera: V = 1.

    The network regresses coordinates and nothing tells how sure it is: the score is 1 for a joint
    inside the crop, 0 for one outside of it, where the network has seen no picture.
    """

    def __init__(self, model: Model, device: str) -> None:
        self.skeleton = skeletons.named(model.config.skeleton)
        self._device = torch.device(device)
        self._model = model.eval().requires_grad_(False).to(self._device)

    def predict(
        self, images: Sequence[np.ndarray], boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """images: N RGB uint8 (H, W, 3); boxes: (N, 4) px → xy (N, 17, 2) px, scores (N, 17)."""
        xy = np.zeros((len(boxes), _J, 2), dtype=np.float32)
        scores = np.zeros((len(boxes), _J), dtype=np.float32)
        some = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        whole = np.flatnonzero(some)
        if not len(whole):
            return xy, scores
        images, boxes = [images[i] for i in whole], boxes[whole]
        size = self._model.config.size
        centres, sizes = regions(boxes, (size, size))
        with torch.inference_mode():
            tokens = self._tokens(images, centres, sizes)  # (N, C)
            for rows in clips(images, boxes, self._model.config.f):
                found = self._model.relate(tokens[rows][None, :, None])[0, :, 0].cpu().numpy()
                xy[whole[rows]] = found * sizes[rows, None] / 2 + centres[rows, None]
                scores[whole[rows]] = (np.abs(found) <= 1).all(axis=-1)
        return xy, scores

    def _tokens(
        self, images: Sequence[np.ndarray], centres: np.ndarray, sizes: np.ndarray
    ) -> Tensor:
        step, tokens = _BATCH[self._device.type], []
        for i in range(0, len(images), step):
            part = slice(i, i + step)
            shown = crops(images[part], centres[part], sizes[part], self._model.config.size)
            tokens.append(self._model.spatial(normalise(shown, self._device)))
        return torch.cat(tokens)


def crops(
    images: Sequence[np.ndarray], centres: np.ndarray, sizes: np.ndarray, size: int
) -> np.ndarray:
    """Square regions as (N, size, size, 3) uint8: centres, sizes (N, 2) px from a picture's corner.

    Corners lie on corners, so that a mirrored crop is the crop of the mirrored picture.
    """
    return crop(images, centres - 0.5 + sizes / (2 * size), sizes, (size, size))


def clips(images: Sequence[np.ndarray], boxes: np.ndarray, f: int) -> list[list[int]]:
    """Which rows are one person's successive frames: lists of at most f rows, each row in one.

    images: N pictures in time's order, one several times for its several people; boxes: (N, 4) px.
    """
    done: list[list[int]] = []
    last: list[list[int]] = []  # clips that reach into the picture before
    row = 0
    while row < len(images):
        end = row
        while end < len(images) and images[end] is images[row]:
            end += 1
        now = list(range(row, end))
        pairs = sorted(
            ((_iou(boxes[clip[-1]], boxes[i]), c, i) for c, clip in enumerate(last) for i in now),
            reverse=True,
        )
        continued: dict[int, list[int]] = {}  # row → the clip that it goes on
        for iou, c, i in pairs:
            taken = any(last[c] is clip for clip in continued.values())
            if iou >= _MIN_IOU and i not in continued and not taken and len(last[c]) < f:
                continued[i] = last[c]
        done += [clip for clip in last if not any(clip is other for other in continued.values())]
        last = [[*continued.get(i, []), i] for i in now]
        row = end
    return done + last


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    shared = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))


def available() -> bool:
    return True


def build(weights: Path | None, device: str) -> Backend:
    """A backend from a file that `save` wrote; UserError for another, and where there is none."""
    if weights is None:
        raise UserError(
            "--keypoints relation has no weights of its own: nobody has published any",
            cure="train some (video2pose3d train relation_coco ...), then --keypoints-weights FILE",
        )
    return Backend(load(weights), device)


def load(path: Path) -> Model:
    """The network of a safetensors file; UserError for a file that is none. Never unpickles."""
    cure = "give what `video2pose3d train relation_... --publish FILE` wrote"
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"not a safetensors file ({error})", path=path, cure=cure) from error
    if header.get("format") != FORMAT:
        raise UserError(f"format is {header.get('format')!r}, not {FORMAT!r}", path=path, cure=cure)
    try:
        model = Model(config_from(json.loads(header["config"])))
        model.load_state_dict(tensors)
    except (KeyError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        what = f"its tensors do not fit its header ({str(error).splitlines()[0]})"
        raise UserError(what, path=path, cure=cure) from error
    return model.eval()


def save(
    path: Path, model: Model, about: Mapping[str, str], dtype: torch.dtype = torch.float16
) -> None:
    """Write a file that `load` reads. about: what its users should know (licence, data, scores)."""
    config = json.dumps(dataclasses.asdict(model.config))
    tensors = {
        key: (t.to(dtype) if t.is_floating_point() else t).cpu().contiguous()
        for key, t in model.state_dict().items()
    }
    with replacing(path) as beside:
        save_file(tensors, beside, {**about, "format": FORMAT, "config": config})


def config_from(table: Mapping[str, Any]) -> Config:
    """The Config of a table: `variant` names where to start, the rest are fields to change."""
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    variant = fields.pop("variant", "f32")
    if variant not in VARIANTS:
        raise ValueError(f"{variant!r} is not a variant: choose from {', '.join(VARIANTS)}")
    config = dataclasses.replace(VARIANTS[variant], **fields)
    skeletons.named(config.skeleton)
    return config
