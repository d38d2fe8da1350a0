"""Motion that people add: an npz of clips, one file, or folders of BVH and AMASS files."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from video2pose3d import archives
from video2pose3d.datasets import amass, bvh
from video2pose3d.datasets.mocap import Clip, Mocap
from video2pose3d.errors import UserError

log = logging.getLogger("video2pose3d")


HELD_OUT = 0.1  # share of the clips of train that are val where there is none


def read(folder: Path, split: str, *, body: Path | None = None) -> Mocap:
    """One split of a data folder: its SPLIT.npz, or all that `gather` finds in its folder SPLIT.

    Without a val, that is a share of train's clips, always the same, and train is the rest: in a
    folder a clip is a file.
    """
    folder = Path(folder)
    train, val = _place(folder, "train"), _place(folder, "val")
    if split in ("train", "val") and train is not None and val is None:
        return read_both(folder, body=body)[("train", "val").index(split)]
    place = _place(folder, split)
    if place is None:
        cure = f"give {split}.npz, or a folder {split} with BVH and AMASS files"
        raise UserError("no such file", path=folder / f"{split}.npz", cure=cure)
    return _clips(place, body)


def read_both(folder: Path, *, body: Path | None = None) -> tuple[Mocap, Mocap]:
    """train and val, as `read` gives them; where val is a part of train, that is read once."""
    train, val = _place(Path(folder), "train"), _place(Path(folder), "val")
    if train is None or val is not None:
        return read(folder, "train", body=body), read(folder, "val", body=body)
    return _part(_clips(train, body), train)


def _place(folder: Path, split: str) -> Path | None:
    file, below = folder / f"{split}.npz", folder / split
    return file if file.is_file() else below if below.is_dir() else None


def _clips(place: Path, body: Path | None) -> Mocap:
    return Mocap.read(place) if place.is_file() else gather(place, body=body)


def _part(clips: Mocap, place: Path) -> tuple[Mocap, Mocap]:
    """What of train is train, and what is val, where there is no val."""
    N = len(clips.length)
    if N < 2:
        what = "is one clip, of which none can be held out to measure on"
        raise UserError(what, path=place, cure=f"give a second one, or {place.with_stem('val')}")
    held_out = np.zeros(N, bool)
    held_out[np.random.default_rng(0).permutation(N)[: max(1, round(HELD_OUT * N))]] = True
    log.info("there is no val: %d of the %d clips of %s are held out", held_out.sum(), N, place)
    return clips.take(np.flatnonzero(~held_out)), clips.take(np.flatnonzero(held_out))


def gather(path: Path, *, body: Path | None = None) -> Mocap:
    """Everything at a path as one collection: an npz in our own layout as it is, anything else
    resampled to 50 frames a second.

    Folders are searched with all below them. A file that can't be used is left out, and the log
    says why; UserError where none is left. body: the SMPL model file that AMASS's clips need.
    """
    path = Path(path)
    if path.is_file() and path.suffix == ".npz" and archives.read(path, ("positions",)):
        return Mocap.read(path)
    files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file())
    joints = None if body is None else _joints(body)
    clips, trouble = [], UserError("no BVH or AMASS file is there", path=path)
    for file in files:
        try:
            clip = _read(file, joints)
        except UserError as error:
            log.warning("left out: %s", error)
            trouble = error
        else:
            clips += [clip] if clip else []
    if not clips:
        raise trouble
    return Mocap.join(clips)


def _read(file: Path, joints: amass.Body | None) -> Clip | None:
    """The clip of a BVH or AMASS file; None for another file."""
    if file.suffix.lower() == ".bvh":
        return bvh.read(file)
    if file.suffix.lower() != ".npz" or not archives.read(file, ("poses",)):
        return None
    if joints is None:
        what = "is an AMASS clip, which needs a body model's file"
        how = "[data] body in a config, --body of evaluate"
        raise UserError(what, path=file, cure=f"give SMPL's as well ({how}): {amass.WHERE}")
    return amass.read(file, joints)


def _joints(body: Path) -> amass.Body:
    from video2pose3d.smpl import SMPL

    return SMPL.read(body).joints
