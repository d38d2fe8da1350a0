"""Which networks a run uses: from names and files to a detector, a keypoint backend and a lifter.

Made once and used for many videos.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from video2pose3d import discovery, lifters, relate, skeletons, weights
from video2pose3d.errors import UserError
from video2pose3d.options import Options
from video2pose3d.skeletons import COCO17
from video2pose3d.structures import Detections

log = logging.getLogger("video2pose3d")

# What `--keypoints auto` downloads when nothing is on disk: each backend's default, best first.
_WORTH_A_DOWNLOAD = ("hrnet", "swin", "yolo_pose")

# Threads share what loading changes for a moment: which classes torch unpickles, the environment.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Choice:
    """What the options ask for, found on this machine and checked, but not built yet.

    names: stage → what runs there, as the report says it; weights: file → what it is, likewise;
    detector, keypoints, relation: None where nothing is read from a file.
    """

    names: dict[str, str]
    weights: dict[Path, dict[str, str]]
    detector: Path | None
    keypoints: Path | None
    relation: Path | None
    lifter: Path

    @classmethod
    def of(cls, options: Options) -> Choice:
        """Find and check; UserError when something is missing."""
        relation, lifter = find_relation(options), find_lifter(options)
        detector_name, detector = _find_detector(options)
        keypoints_name, keypoints = _find_keypoints(options)
        found = (detector, keypoints, relation, lifter)
        return cls(
            names={
                "detector": detector_name,
                "keypoints": keypoints_name,
                **({} if relation is None else {"relation": options.relate_weights}),
                "lifter": options.lifter,
            },
            weights={file: describe_weights(file) for file in found if file is not None},
            detector=detector,
            keypoints=keypoints,
            relation=relation,
            lifter=lifter,
        )

    @property
    def digests(self) -> list[str]:
        """SHA-256 of each file."""
        return [one["sha256"] for one in self.weights.values()]


@dataclass(frozen=True)
class Networks:
    """detector, keypoints, relation, lifter: see their packages.

    keypoints: None where those that the detector sees itself are the wanted ones; relation: None
    where keypoints are lifted as they are;
    names: stage → what runs there, as the report says it; weights: what was loaded, likewise.
    """

    device: str
    detector: Any
    keypoints: Any
    lifter: lifters.Lifter
    names: dict[str, str]
    weights: list[dict[str, str]]
    relation: relate.Relation | None = None

    def estimate(
        self, images: Sequence[np.ndarray], people: Sequence[Detections]
    ) -> tuple[np.ndarray, ...]:
        """What `settle` takes, of the people in each picture: arrays of N rows.

        N: all of them, picture by picture.
        """
        if self.keypoints is None:
            own = np.concatenate([p.keypoints for p in people if p.keypoints is not None])
            return own[..., :2], own[..., 2]
        image_of = [i for i, found in zip(images, people, strict=True) for _ in found.boxes]
        return self.keypoints.predict(image_of, np.concatenate([found.boxes for found in people]))

    def settle(
        self, frames: np.ndarray, rows: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """One person's keypoints in H36M17: xy (T, 17, 2) px, scores (T, 17).

        frames: (T,) of the video, the whole track; rows: those of what `estimate` gave.
        """
        relate = getattr(self.keypoints, "relate", None)
        xy, scores = rows if relate is None else relate(frames, *rows)
        if self.keypoints is None or self.keypoints.skeleton is COCO17:
            return skeletons.h36m_from_coco(xy, scores)
        return xy, scores

    @classmethod
    def load(cls, options: Options, choice: Choice | None = None) -> Networks:
        """Build what the options ask for; UserError when something is missing.

        choice: theirs, where it was made before, perhaps by another process.
        """
        device = choose_device(options.device)
        choice = choice or Choice.of(options)
        for file, described in choice.weights.items():
            if weights.sha256(file) != described["sha256"]:
                raise UserError("is another file than it was", path=file, cure="start again")
        keypoints = choice.names["keypoints"]
        finder = "mediapipe" if choice.detector is None else "yolo"
        estimator = discovery.load("keypoints", keypoints)
        # One network that does both runs once a frame, not twice.
        twice = finder == keypoints == "mediapipe"
        with _ONE_AT_A_TIME:
            return cls(
                device=device,
                detector=discovery.load("detectors", finder).build(choice.detector, device),
                keypoints=None if twice else estimator.build(choice.keypoints, device),
                relation=None if choice.relation is None else relate.load(choice.relation, device),
                lifter=lifters.load(choice.lifter, device),
                names=choice.names,
                weights=list(choice.weights.values()),
            )


def choose_device(device: str) -> str:
    """auto → cuda where there is one, else cpu; UserError for a device that is not here."""
    if device == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise UserError(f"--device {device}: expected auto, cpu, cuda or cuda:N")
    if kind == "cpu":
        return "cpu"
    index = int(number or 0)
    if index >= torch.cuda.device_count():
        have = torch.cuda.device_count() or "no"
        raise UserError(f"--device {device}: torch sees {have} CUDA device(s)", cure="use cpu")
    return f"cuda:{index}"


def find_relation(options: Options) -> Path | None:
    """The network of --relate: a file, or the shipped weights of that name; None without it."""
    if not options.relate:
        return None
    return weights.find(options.relate_weights, kind="relation", offline=options.offline)


def find_lifter(options: Options) -> Path:
    """The lifter's checkpoint: a file, or the shipped weights of that lifter's name."""
    return weights.find(options.lifter, kind="lifter", offline=options.offline)


def describe_weights(file: Path) -> dict[str, str]:
    """Name, SHA-256 and licence of a weights file, as the report says them."""
    entry = weights.identify(file)
    name, licence = (
        (file.name, "unknown: given as a file") if entry is None else (entry.name, entry.licence)
    )
    return {"name": name, "sha256": weights.sha256(file), "licence": licence}


def _find_detector(options: Options) -> tuple[str, Path | None]:
    """The detector's name and file; mediapipe and no file where no YOLO weights can be had."""
    try:
        file = weights.find(
            options.detector, kind="detector", offline=options.offline, trust=options.trust_weights
        )
    except UserError as missing:
        if options.detector != Options.detector or not _runs("mediapipe"):
            raise  # the user named one: that one or none; or there is nothing to stand in for it
        log.info(
            "detector: mediapipe, one person only (%s); for several people: "
            "video2pose3d weights download %s",
            missing.what,
            options.detector,
        )
        return "mediapipe", None
    return options.detector, file


def _find_keypoints(options: Options) -> tuple[str, Path | None]:
    """The keypoint backend's name and file.

    auto: the best whose weights are on disk, then the best that can be downloaded, then mediapipe,
    whose package carries its own.
    """
    wanted, given = options.keypoints, options.keypoints_weights
    if wanted == "auto" and given is not None:
        raise UserError(f"--keypoints-weights {given}: say with --keypoints which network they are")
    if wanted != "auto":
        if not _runs(wanted):  # said before its weights are asked for
            raise UserError(
                f"--keypoints {wanted}: the package it needs is not installed",
                cure="see `video2pose3d doctor`, or use --keypoints yolo_pose",
            )
        if wanted == "mediapipe" and given is not None:
            raise UserError(
                f"--keypoints-weights {given}: mediapipe brings its own", cure="drop it"
            )
        name = given or discovery.load("keypoints", wanted).DEFAULT_WEIGHTS
        if not name:
            return wanted, None
        return wanted, weights.find(
            name,
            kind="keypoints",
            offline=options.offline,
            trust=options.trust_weights,
        )
    for entry in sorted(weights.entries().values(), key=lambda entry: -(entry.ap or 0)):
        if entry.kind == "keypoints" and _runs(entry.backend):
            file = weights.on_disk(entry.name)
            if file is not None:
                log.info("keypoints: %s, the best on this machine", entry.name)
                return entry.backend, file
    worth = [
        (name, discovery.load("keypoints", name).DEFAULT_WEIGHTS)
        for name in _WORTH_A_DOWNLOAD
        if _runs(name)
    ]
    for name, default in worth:
        if weights.available(default, offline=options.offline):
            log.info("keypoints: %s, downloaded once", default)
            try:
                return name, weights.find(default, kind="keypoints", offline=options.offline)
            except UserError as broken:
                log.warning("%s", broken)
    name, best = worth[0]
    if not _runs("mediapipe"):  # nothing is left: that they are missing is the error
        return name, weights.find(best, kind="keypoints", offline=options.offline)
    log.info(
        "keypoints: mediapipe, which needs no download; for better ones: "
        "video2pose3d weights download %s",
        best,
    )
    return "mediapipe", None


def _runs(backend: str) -> bool:
    """Whether the packages that a keypoint backend needs are installed."""
    return discovery.load("keypoints", backend).available()
