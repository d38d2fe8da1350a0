"""TOML as Pose2Sim and anipose write it: a table a camera with size, matrix, distortions, rotation
(Rodrigues' vector) and translation.

Pose2Sim's is in metres; anipose's is in the unit of its board, usually millimetres: it has to be
brought to metres first.
"""

from __future__ import annotations

from pathlib import Path

from video2pose3d.errors import UserError
from video2pose3d.multiview.calibrations import _text
from video2pose3d.multiview.calibrations._view import OPENCV_PIXEL, View, make


def read(path: Path) -> list[View]:
    try:
        import tomllib
    except ImportError:  # Python 3.10
        import tomli as tomllib  # pyright: ignore
    try:
        tables = tomllib.loads(_text.read(path))
    except ValueError as error:
        raise UserError(f"not a TOML file ({error})", path=path) from error
    views = []
    for key, table in tables.items():
        if not isinstance(table, dict) or "matrix" not in table:
            continue  # metadata
        words = ("matrix", "rotation", "translation", "size")
        missing = [word for word in words if word not in table]
        if missing:
            raise UserError(f"camera {key} has no {missing[0]}", path=path)
        if table.get("fisheye"):
            raise UserError(f"camera {key} is a fisheye, which is not supported", path=path)
        views.append(
            make(
                path, str(table.get("name", key)), K=table["matrix"], R=table["rotation"],
                t=table["translation"], dist=table.get("distortions", [0]), size=table["size"],
                pixel=OPENCV_PIXEL,
            )
        )  # fmt: skip
    if not views:
        raise UserError("no camera in it", path=path, cure="expected tables with matrix, rotation")
    return views
