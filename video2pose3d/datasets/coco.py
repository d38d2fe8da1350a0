"""Keypoints in COCO's layout: single pictures and people who were labelled in them.

T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014;
cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from video2pose3d.datasets import Split
from video2pose3d.datasets.footage import Footage
from video2pose3d.errors import UserError
from video2pose3d.skeletons import COCO17

SKELETON = COCO17
WHERE = (
    "get 2017's train and val images and annotations from cocodataset.org (annotations CC BY 4.0, "
    "images under their Flickr terms)"
)
_NAMES = {"train": "train", "test": "val"}  # of our splits: COCO's test labels are not public


def read(path: Path, split: Split) -> list[Footage]:
    """Every person with a labelled joint who is no crowd, T = V = 1 each.

    path: the folder with annotations/person_keypoints_train*.json and ..._val*.json, and the
    pictures in folders of the names' ends (train2017), beside annotations or under images.
    """
    prefix = f"person_keypoints_{_NAMES[split]}"
    files = sorted((Path(path) / "annotations").glob(f"{prefix}*.json"))
    if len(files) != 1:
        what = f"has {len(files) or 'no'} annotations/{prefix}*.json, not one"
        raise UserError(what, path=path, cure=WHERE)
    name = files[0].stem.removeprefix("person_keypoints_")
    folder = next(
        (f for f in (Path(path) / name, Path(path) / "images" / name) if f.is_dir()), None
    )
    if folder is None:
        raise UserError(f"has no folder {name} of pictures", path=path, cure=WHERE)
    try:
        table = json.loads(files[0].read_text(encoding="utf-8"))
        pictures = {image["id"]: Path(image["file_name"]).name for image in table["images"]}
        people = [
            _person(folder, pictures[one["image_id"]], one)
            for one in table["annotations"]
            if not one["iscrowd"] and one["num_keypoints"] > 0 and min(one["bbox"][2:]) > 0
        ]
    except OSError as error:
        raise UserError(f"can't be read: {error.strerror or error}", path=files[0]) from error
    except (KeyError, TypeError, ValueError) as error:
        what = f"is not in COCO's layout ({type(error).__name__}: {error})"
        raise UserError(what, path=files[0], cure=WHERE) from error
    if not people:
        raise UserError("labels no keypoints", path=files[0], cure=WHERE)
    return people


def _person(folder: Path, name: str, one: dict[str, Any]) -> Footage:
    keypoints = np.array(one["keypoints"], np.float32).reshape(1, 1, len(SKELETON), 3)
    box = np.array(one["bbox"], np.float32).reshape(1, 1, 4)
    return Footage(
        (folder,),
        ((name,),),
        # + 0.5: COCO names the pixel, 0 the first, whose middle lies half a pixel from the corner.
        np.ascontiguousarray(keypoints[..., :2]) + np.float32(0.5),
        keypoints[..., 2] > 0,
        np.concatenate([box[..., :2], box[..., :2] + box[..., 2:]], axis=-1),
        np.full((1, 1), one["area"], np.float32),
    )
