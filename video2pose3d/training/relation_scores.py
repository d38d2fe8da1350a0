"""How well a relation network finds keypoints: AP, AR, PCK and MSE, as Tables I and III."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import torch

from video2pose3d import keypoint_metrics, skeletons
from video2pose3d.datasets.footage import Footage
from video2pose3d.keypoints import relation
from video2pose3d.keypoints._topdown import normalise, regions
from video2pose3d.training.clips import Data, clip

_Cut = tuple[Footage, range, np.ndarray]  # frames and views of a footage


def scores(
    model: relation.Model, footage: list[Footage], batch: int, most: int
) -> dict[str, float]:
    """AP, AR and PCK in per cent, MSE in px² of the network's crop.

    People are cropped by their true boxes, in clips of f frames and all views, at most `most` of
    them, evenly spread. All detections are equally sure, for the network gives no scores. PCK is
    at 0.05 of the box's longer side: the paper doesn't name its own threshold.
    """
    size = model.config.size
    pictures, found, truth, seen, boxes, areas = [], [], [], [], [], []
    for cuts in _batches(model.config, footage, batch, most):
        for (one, frames, views), joints in zip(cuts, predict(model, cuts), strict=True):
            where = np.ix_(list(frames), views.tolist())
            pictures += [one.file(t, v) for t in frames for v in views]
            boxes.append(one.boxes[where].reshape(-1, 4))
            areas.append(one.areas[where].ravel())
            truth.append(one.xy[where].reshape(-1, 17, 2))
            seen.append(one.seen[where].reshape(-1, 17))
            found.append(joints.reshape(-1, 17, 2))
    rows = defaultdict(list)  # picture → those of its people
    for row, picture in enumerate(pictures):
        rows[picture].append(row)
    truth, seen, boxes, areas = (np.concatenate(part) for part in (truth, seen, boxes, areas))
    centres, spans = regions(boxes, (size, size))
    xy = np.concatenate(found) * spans[:, None] / 2 + centres[:, None]
    people = [
        keypoint_metrics.People(truth[r], seen[r], boxes[r], areas[r], np.zeros(len(r), bool))
        for r in rows.values()
    ]
    sigmas = keypoint_metrics.sigmas(skeletons.named(model.config.skeleton))
    detections = [(xy[r], np.ones(len(r))) for r in rows.values()]
    ap, ar = keypoint_metrics.average_precision(people, detections, sigmas)
    in_crop = size / spans[:, None]
    return {
        "AP": 100 * ap,
        "AR": 100 * ar,
        "PCK": 100 * keypoint_metrics.pck(xy, truth, seen, boxes),
        "MSE": keypoint_metrics.mse(xy * in_crop, truth * in_crop, seen),
    }


def _batches(
    config: relation.Config, footage: list[Footage], batch: int, most: int
) -> Iterator[list[_Cut]]:
    """Clips of equal shape, at most `batch` together."""
    starts = [(n, t) for n, one in enumerate(footage) for t in range(0, len(one.xy), config.f)]
    chosen = np.unique(np.linspace(0, len(starts) - 1, min(most, len(starts))).round().astype(int))
    by_shape: dict[tuple[int, int], list[_Cut]] = defaultdict(list)
    for n, t in (starts[i] for i in chosen):
        T, V = footage[n].xy.shape[:2]
        frames, views = range(t, min(t + config.f, T)), np.arange(min(config.V, V))
        by_shape[len(frames), len(views)].append((footage[n], frames, views))
    for cuts in by_shape.values():
        yield from (cuts[i : i + batch] for i in range(0, len(cuts), batch))


@torch.inference_mode()
def predict(model: relation.Model, cuts: list[_Cut]) -> np.ndarray:
    """Joints (B, T, V, 17, 2) of B clips of equal shape, -1..1 across the crop."""
    model.eval()
    rng = np.random.default_rng(0)  # nothing is drawn without augmentation
    crops = np.stack([clip(*cut, model.config, Data(), rng)[0] for cut in cuts])
    device = next(model.parameters()).device
    images = normalise(crops.reshape(-1, *crops.shape[3:]), device)
    return model(images.unflatten(0, crops.shape[:3])).cpu().numpy()
