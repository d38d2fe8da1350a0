"""Our own .npz: names, K, R, t, dist, size (pixel centres at +0.5)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from video2pose3d import archives
from video2pose3d.errors import UserError
from video2pose3d.multiview.calibrations._view import View, make


def read(path: Path) -> list[View]:
    keys = ("names", "K", "R", "t", "dist", "size")
    arrays = archives.read(path, keys)
    missing = [key for key in keys if key not in arrays]
    if missing:
        raise UserError(f"has no {missing[0]}", path=path, cure=f"it needs {', '.join(keys)}")
    if len({len(np.atleast_1d(arrays[key])) for key in keys}) > 1:
        raise UserError("its arrays are not of one number of cameras", path=path)
    rows = zip(*(arrays[key] for key in keys), strict=True)
    return [
        make(path, str(name), K=K, R=R, t=t, dist=dist, size=size)
        for name, K, R, t, dist, size in rows
    ]
