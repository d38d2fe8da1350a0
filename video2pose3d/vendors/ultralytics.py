"""Ultralytics without its habits: no telemetry, downloads, settings file or foreign pickles.

The only file that loads YOLO networks. They run here as plain PyTorch modules on RGB, not through
ultralytics' Predictor, which prints, downloads what it misses and wants BGR.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import pathlib
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import torch

from video2pose3d.errors import UserError

# What ultralytics reads once, while it is imported.
_ENVIRONMENT = {
    "YOLO_AUTOINSTALL": "false",  # it runs pip by itself otherwise
    "YOLO_OFFLINE": "true",  # it asks two name servers whether it is online otherwise
    "YOLO_VERBOSE": "false",
}
_PAD = 114  # the grey that YOLO was trained with around the picture
_STRIDE = 32  # the coarsest feature map's; sides of the input are multiples of it
_NMS_IOU = 0.7  # ultralytics' own default for prediction


@contextlib.contextmanager
def _unchanged_process() -> Iterator[None]:
    """Put back what importing ultralytics changes for everybody in the process."""
    environment, threads = dict(os.environ), cv2.getNumThreads()
    torch_save, imshow, imwrite, imread = torch.save, cv2.imshow, cv2.imwrite, cv2.imread
    with np.printoptions(), warnings.catch_warnings():
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(environment)
            cv2.setNumThreads(threads)
            torch.save, cv2.imshow, cv2.imwrite, cv2.imread = torch_save, imshow, imwrite, imread
            torch.set_printoptions(profile="default")


def load_module(name: str) -> ModuleType:
    """Import `ultralytics` or one of its modules; the first time, with its habits off."""
    if "ultralytics" not in sys.modules:
        # It writes a settings file as it is imported: into a folder that goes away at once.
        with _unchanged_process(), tempfile.TemporaryDirectory(prefix="ultralytics-") as folder:
            os.environ.update(_ENVIRONMENT, YOLO_CONFIG_DIR=folder)
            ultralytics = importlib.import_module("ultralytics")
            # Telemetry asks for this; not `settings.update`, which would write the file again.
            dict.__setitem__(ultralytics.settings, "sync", False)
            logging.getLogger("ultralytics").setLevel(logging.ERROR)
            return importlib.import_module(name)
    with _unchanged_process():
        return importlib.import_module(name)


class YOLO:
    """A YOLO network (any size, YOLOv8 to YOLO26) that finds people, or people and keypoints.

    task: "detect" or "pose", what the caller needs; a file made for another is a UserError.
    size: the longer side that pictures are scaled to, px.
    """

    def __init__(self, weights: Path, device: str, *, task: str, size: int = 640) -> None:
        self.network: Any = _load(weights, task).to(device, memory_format=torch.channels_last)
        self.device = torch.device(device)
        self.size = size
        head = self.network.model[-1]
        # YOLO26 and YOLOv10 choose among their boxes themselves; the others leave it to NMS.
        self._end2end = bool(getattr(head, "end2end", False))
        names = dict(self.network.names)
        people = [i for i, name in names.items() if name == "person"]
        if not people and len(names) > 1:
            known = ", ".join(list(names.values())[:5])
            raise UserError(
                f"this YOLO network knows no class 'person' (it knows {known}, ...)",
                path=weights,
                cure="give one trained on COCO, such as yolo11n.pt",
            )
        self._classes = int(head.nc)
        self._person = people[0] if people else 0
        # (K, 2 or 3) keypoints a person, each x, y and, mostly, visibility.
        joints, numbers = getattr(head, "kpt_shape", (0, 0))
        self.keypoints_shape = (int(joints), int(numbers))

    @torch.inference_mode()
    def __call__(self, images: Sequence[np.ndarray], min_score: float) -> list[np.ndarray]:
        """RGB uint8 pictures, each (H, W, 3), to the people in each, surest first.

        Rows of (N, 5 + K * D) float32: x1 y1 x2 y2 score, px in that picture with its corner as
        origin, then K keypoints of D numbers (x, y, visibility) for a pose network.
        """
        if not images:
            return []
        batch, scales, offsets = self._letterbox(images)
        output = self.network(batch)
        output = output[0] if isinstance(output, tuple) else output
        people = [self._people(prediction, min_score) for prediction in output]
        return [
            self._in_picture(rows.cpu().numpy(), scale, offset, image.shape)
            for rows, scale, offset, image in zip(people, scales, offsets, images, strict=True)
        ]

    def _letterbox(
        self, images: Sequence[np.ndarray]
    ) -> tuple[torch.Tensor, list[np.ndarray], list[np.ndarray]]:
        """Pictures scaled to fit `size`, centred on grey: (B, 3, H, W) 0..1, scales, offsets.

        x_network = x_picture * scale + offset, each (2,) for x and y.
        """
        shapes = [image.shape[:2] for image in images]
        ratios = [self.size / max(shape) for shape in shapes]
        fitted = [
            tuple(max(1, round(side * ratio)) for side in shape)
            for shape, ratio in zip(shapes, ratios, strict=True)
        ]
        # The smallest rectangle that holds them all: a wide video needn't be made square.
        height, width = (-(-max(sides) // _STRIDE) * _STRIDE for sides in zip(*fitted, strict=True))
        canvas = np.full((len(images), height, width, 3), _PAD, dtype=np.uint8)
        scales, offsets = [], []
        for out, image, (h, w) in zip(canvas, images, fitted, strict=True):
            top, left = (height - h) // 2, (width - w) // 2
            out[top : top + h, left : left + w] = cv2.resize(image, (w, h))
            scales.append(np.array([w / image.shape[1], h / image.shape[0]], dtype=np.float32))
            offsets.append(np.array([left, top], dtype=np.float32))
        batch = torch.from_numpy(canvas).to(self.device).permute(0, 3, 1, 2)  # channels last
        return batch.float().div_(255), scales, offsets

    def _people(self, prediction: torch.Tensor, min_score: float) -> torch.Tensor:
        """One picture's output to rows x1 y1 x2 y2 score keypoints, in the network's px."""
        if self._end2end:  # (300, 6 + K * D): x1 y1 x2 y2 score class keypoints
            keep = (prediction[:, 4] >= min_score) & (prediction[:, 5] == self._person)
            return torch.cat([prediction[keep, :5], prediction[keep, 6:]], dim=1)
        rows = prediction.T  # (A, 4 + classes + K * D): cx cy w h scores keypoints
        scores = rows[:, 4 : 4 + self._classes]
        best, which = scores.max(dim=1)
        rows = rows[(best >= min_score) & (which == self._person)]
        centre, half = rows[:, :2], rows[:, 2:4] / 2
        boxes = torch.cat([centre - half, centre + half], dim=1)
        score = rows[:, 4 + self._person]
        from torchvision.ops import nms  # a second and a half to import, before the first error

        keep = nms(boxes, score, _NMS_IOU)
        keypoints = rows[keep, 4 + self._classes :]
        return torch.cat([boxes[keep], score[keep, None], keypoints], dim=1)

    def _in_picture(
        self, rows: np.ndarray, scale: np.ndarray, offset: np.ndarray, shape: tuple[int, ...]
    ) -> np.ndarray:
        """From the network's px to the picture's; boxes end at its borders, keypoints need not."""
        rows = rows.astype(np.float32)
        height, width = shape[:2]
        boxes = (rows[:, :4].reshape(-1, 2, 2) - offset) / scale
        rows[:, :4] = boxes.clip(0, [width, height]).reshape(-1, 4)
        count, numbers = self.keypoints_shape
        if count:
            keypoints = rows[:, 5:].reshape(-1, count, numbers)
            keypoints[..., :2] = (keypoints[..., :2] - offset) / scale
        return rows


def _load(weights: Path, task: str) -> Any:
    """The network in a .pt file, fused, in evaluation mode; UserError when it holds none.

    These files are pickles of whole modules. Only classes of YOLO networks are rebuilt, and those
    without running a constructor, so that a file from a stranger can't run code of its own.
    """
    cure = "give a YOLO .pt file as published by ultralytics or trained with it"
    if not weights.is_file():
        raise UserError("no such weights file", path=weights)
    strange: list[str] = []
    try:
        needed = torch.serialization.get_unsafe_globals_in_checkpoint(weights)
        strange = [name for name in needed if _allowed(name) is None]
        allowed: list[Any] = [entry for name in needed if (entry := _allowed(name)) is not None]
        with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of pickles it did not write itself
            checkpoint = torch.load(weights, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or foreign file fails in as many ways as there are files
        what = f"holds {strange[0]}, no part of a YOLO network" if strange else "not a YOLO network"
        raise UserError(what, path=weights, cure=cure) from error
    found = None
    if isinstance(checkpoint, dict):
        found = checkpoint.get("ema") or checkpoint.get("model")
    if not isinstance(found, torch.nn.Module) or not hasattr(found, "model"):
        raise UserError("not a YOLO network (perhaps its bare state_dict)", path=weights, cure=cure)
    network: Any = found
    head = network.model[-1]
    if task == "pose" and not hasattr(head, "kpt_shape"):
        raise UserError(
            "this YOLO network gives no keypoints", path=weights, cure="give one named ...-pose.pt"
        )
    if not hasattr(head, "nc"):
        raise UserError("this YOLO network finds no boxes", path=weights, cure=cure)
    for module in network.modules():
        if isinstance(module, torch.nn.Upsample):  # absent from files of older torch
            module.recompute_scale_factor = None
    return network.float().fuse(verbose=False).eval().requires_grad_(False)


def _allowed(name: str) -> tuple[type, str] | None:
    """What a name in a pickled YOLO network may stand for, or None when it must not be there."""
    module, _, attribute = name.rpartition(".")
    if name in ("pathlib.PosixPath", "pathlib.WindowsPath"):
        return pathlib.PurePath, name  # where it was trained; read by nobody
    family = module.partition(".")[0]
    if module.startswith("torch.nn.modules."):
        found = getattr(importlib.import_module(module), attribute, None)
    elif family == "ultralytics" and module.startswith(
        ("ultralytics.nn.", "ultralytics.utils.loss", "ultralytics.utils.tal")
    ):
        with contextlib.suppress(ImportError):
            found = getattr(load_module(module), attribute, None)
            return _without_constructor(found, name)
        return None
    elif name == "ultralytics.utils.IterableSimpleNamespace":
        return _without_constructor(load_module(module).IterableSimpleNamespace, name)
    else:
        return None
    if isinstance(found, type) and issubclass(found, torch.nn.Module):
        return found, name
    return None


def _without_constructor(cls: object, name: str) -> tuple[type, str] | None:
    """The class as a pickle may have it: filled with attributes, never called with arguments.

    Some constructors evaluate strings or fetch models: DetectionModel({"activation": "..."}).
    """
    if not isinstance(cls, type):
        return None

    def refuse(self, *args, **kwargs):
        raise ValueError(f"the file calls {name}, which no YOLO file does")

    restricted = type(cls.__name__, (cls,), {"__init__": refuse, "__module__": cls.__module__})
    return restricted, name
