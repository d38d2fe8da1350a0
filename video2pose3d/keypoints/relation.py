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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
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

    def __post_init__(self):
        if len(self.swin_heads) != len(self.depths):
            raise UserError(f"swin_heads {self.swin_heads} are not as many as depths {self.depths}")
        stages = [(self.embed * 2**i, "swin_heads", h) for i, h in enumerate(self.swin_heads)]
        for C, name, heads in [*stages, (self.C, "heads", self.heads)]:
            if heads < 1 or C % heads:
                raise UserError(f"{name} has {heads}: {C} channels are no multiple of it")

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

    def relate(self, z: Tensor, at: Tensor | None = None) -> Tensor:
        """The image relations module, sec. III-D: tokens (B, T, V, C) -> (B, T, V, 17, 2).

        at: (T,) which of the f positions in time the frames have, where it's not the first T.
        """
        B, T, V, C = z.shape
        if self.config.f < T or V > self.config.V:
            most = f"at most {self.config.f} frames of {self.config.V} views"
            raise ValueError(f"this network takes {most}, got {T} of {V}")
        E_time = self.E_time[:, slice(T) if at is None else at]
        Z = z.transpose(1, 2).reshape(B * V, T, C) + E_time  # eq. 13
        Z = self.time(Z).view(B, V, T, C)
        Z = Z.transpose(1, 2).reshape(B * T, V, C) + self.E_3D[:, :V]  # eq. 14
        Y = self.norm(self.views(Z))  # eq. 12
        return self.head(Y).view(B, T, V, _J, 2)


class Backend:
    """17 keypoints of one person per box, each clip of f of the person's frames related.

    A picture leaves a token (3 KB a person), and when the video has ended, each person's tokens are
    related: the network sees windows of f frames, as in training. One camera: V = 1.

    The network regresses coordinates and nothing tells how sure it is: the score is 1 for a joint
    inside the crop, 0 for one outside of it, where the network has seen no picture.
    """

    def __init__(self, model: Model, device: str) -> None:
        self.skeleton = skeletons.named(model.config.skeleton)
        self._device = torch.device(device)
        self._model = model.eval().requires_grad_(False).to(self._device)

    @torch.inference_mode()
    def predict(
        self, images: Sequence[np.ndarray], boxes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """images: N RGB uint8 (H, W, 3); boxes: (N, 4) px → what `relate` takes, N rows each:

        tokens (N, C) float32, and the crops' centres (N, 2) and sizes (N, 2) px, 0 of empty boxes.
        """
        side, step = self._model.config.size, _BATCH[self._device.type]
        tokens = np.zeros((len(boxes), self._model.config.C), np.float32)
        centres, sizes = np.zeros((2, len(boxes), 2))
        some = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        whole = np.flatnonzero(some)
        centres[whole], sizes[whole] = regions(boxes[whole], (side, side))
        for rows in (whole[i : i + step] for i in range(0, len(whole), step)):
            shown = crops([images[i] for i in rows], centres[rows], sizes[rows], side)
            tokens[rows] = self._model.spatial(normalise(shown, self._device)).cpu().numpy()
        return tokens, centres, sizes

    @torch.inference_mode()
    def relate(
        self, frames: np.ndarray, tokens: np.ndarray, centres: np.ndarray, sizes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """One person's frames (T,) and rows of `predict` → xy (T, 17, 2) px, scores (T, 17)."""
        xy = np.zeros((len(frames), _J, 2), dtype=np.float32)
        scores = np.zeros((len(frames), _J), dtype=np.float32)
        some = np.flatnonzero(sizes[:, 0])
        for shown, first in windows(frames[some], self._model.config.f):
            rows = some[shown]
            z = torch.from_numpy(tokens[rows]).to(self._device)[None, :, None]  # (1, T, V, C)
            at = torch.from_numpy(frames[rows] - frames[rows[0]])
            found = self._model.relate(z, at)[0, first:, 0].cpu().numpy()
            rows = rows[first:]
            xy[rows] = found * sizes[rows, None] / 2 + centres[rows, None]
            scores[rows] = (np.abs(found) <= 1).all(axis=-1)
        return xy, scores


def crops(
    images: Sequence[np.ndarray], centres: np.ndarray, sizes: np.ndarray, size: int
) -> np.ndarray:
    """Square regions as (N, size, size, 3) uint8: centres, sizes (N, 2) px from a picture's corner.

    Corners lie on corners, so that a mirrored crop is the crop of the mirrored picture.
    """
    return crop(images, centres - 0.5 + sizes / (2 * size), sizes, (size, size))


def windows(frames: np.ndarray, f: int) -> Iterator[tuple[slice, int]]:
    """Which of the frames (T,), increasing, are seen together, and from which of these on they

    are in no window before. Windows of f frames stand side by side; the last one ends with the
    last frame, if that leaves it whole. Frames may lack: a window then has fewer.
    """
    done = 0
    while done < len(frames):
        first = max(min(frames[done], frames[-1] - f + 1), frames[0])
        begin, end = (int(i) for i in np.searchsorted(frames, [first, first + f]))
        yield slice(begin, end), done - begin
        done = end


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
        beside.write_bytes(
            safetensors.torch.save(tensors, {**about, "format": FORMAT, "config": config})
        )


def config_from(table: Mapping[str, Any]) -> Config:
    """The Config of a table: `variant` names where to start, the rest are fields to change."""
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    variant = fields.pop("variant", "f32")
    if variant not in VARIANTS:
        raise ValueError(f"{variant!r} is not a variant: choose from {', '.join(VARIANTS)}")
    config = dataclasses.replace(VARIANTS[variant], **fields)
    skeletons.named(config.skeleton)
    return config
