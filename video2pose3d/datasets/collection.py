"""Motion that people add: an npz of clips, one file, or folders of BVH and AMASS files."""

from __future__ import annotations

import logging
from pathlib import Path

from video2pose3d import archives
from video2pose3d.datasets import amass, bvh
from video2pose3d.datasets.mocap import Clip, Mocap
from video2pose3d.errors import UserError

log = logging.getLogger("video2pose3d")


def read(folder: Path, split: str, *, body: Path | None = None) -> Mocap:
    """One split of a data folder: its SPLIT.npz, or all that `gather` finds in its folder SPLIT."""
    file, below = Path(folder) / f"{split}.npz", Path(folder) / split
    if file.is_file():
        return Mocap.read(file)
    if below.is_dir():
        return gather(below, body=body)
    cure = f"give {file.name}, or a folder {split} with BVH and AMASS files"
    raise UserError("no such file", path=file, cure=cure)


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
        raise UserError(
            what, path=file, cure=f"give SMPL's as well ([data] body in a config): {amass.WHERE}"
        )
    return amass.read(file, joints)


def _joints(body: Path) -> amass.Body:
    from video2pose3d.smpl import SMPL

    return SMPL.read(body).joints
