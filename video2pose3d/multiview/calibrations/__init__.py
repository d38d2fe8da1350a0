"""Calibrations of a rig: where cameras stand and what their lenses do, from files others wrote.

One file a format: `npz` (ours), `toml` (Pose2Sim, anipose), `opencv` (YAML), `qualisys`. What is
read is always x_camera = R x + t in metres.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from video2pose3d.errors import UserError
from video2pose3d.multiview.calibrations import npz, opencv, qualisys, toml
from video2pose3d.multiview.calibrations._view import View

__all__ = ["View", "read"]

_READERS: dict[str, Callable[[Path], list[View]]] = {
    ".npz": npz.read,
    ".toml": toml.read,
    ".yml": opencv.read,
    ".yaml": opencv.read,
    ".txt": qualisys.read,
}
_WIDEST = 200.0  # metres between cameras of one scene; more is another unit
_SHAPES = 0.02  # relative: pictures whose sides differ by less in proportion are of one shape


def read(path: Path, names: Sequence[str], sizes: Sequence[tuple[int, int]]) -> list[View]:
    """The clips' cameras, in the order of the clips.

    names: the clips' stems; sizes: their pictures, W, H. Cameras are found by name where the file
    has one for every clip, else they are taken in their order, and then there must be as many.
    UserError for a file that is no calibration, or one of other cameras.
    """
    views = _read(path)
    by_name = {view.name: view for view in views}
    if len(by_name) < len(views):
        raise UserError("has two cameras of one name", path=path)
    if len(set(names)) == len(names) and set(names) <= by_name.keys():
        views = [by_name[name] for name in names]
    if len(views) != len(names):
        raise UserError(
            f"holds {len(views)} cameras ({', '.join(by_name)}), {len(names)} clips were given",
            path=path,
            cure="give one clip a camera in the file's order, or name the clips as the cameras",
        )
    spread = np.ptp([view.centre for view in views], axis=0).max()
    if spread > _WIDEST:
        cure = "bring the translations to metres (anipose's are often millimetres)"
        raise UserError(f"its cameras stand {spread:.3g} m apart", path=path, cure=cure)
    return [_fitted(view, size, path) for view, size in zip(views, sizes, strict=True)]


def _fitted(view: View, size: tuple[int, int], path: Path) -> View:
    """The view for pictures of this size: those of the same shape are scaled."""
    camera = view.camera
    factor = np.asarray(size, dtype=np.float64) / camera.size
    if abs(factor[0] / factor[1] - 1) > _SHAPES:
        ours, theirs = ("x".join(map(str, s)) for s in (size, camera.size))
        raise UserError(f"camera {view.name} is for {theirs} pictures, the clip's are {ours}",
                        path=path, cure="give the clips in the order of the cameras")  # fmt: skip
    # Shapes that differ by a little were cropped, not stretched.
    if factor[0] != factor[1] and (np.abs(factor - 1) < _SHAPES).all():
        factor = np.ones(2)
    return replace(view, camera=replace(camera, K=np.diag([*factor, 1.0]) @ camera.K, size=size))


def _read(path: Path) -> list[View]:
    if path.is_dir():
        return opencv.read(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        cure = "give .npz, .toml (Pose2Sim, anipose), .yml (OpenCV) or .qca.txt (Qualisys)"
        raise UserError("not a calibration that can be read", path=path, cure=cure)
    return reader(path)
