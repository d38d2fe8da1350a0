"""A picture of the rig: where cameras stand and look, and where people went, in metres."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from video2pose3d.files import replacing
from video2pose3d.render import _style
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Rig, Scene

_SIGHT = 0.8  # metres, of the cones that show where cameras look


def write(scene: Scene, path: Path) -> Path:
    """rig.png: the scene's rig from above and from the side, in WORLD."""
    if scene.rig is None:
        raise ValueError("scene: expected one of several cameras")
    figure = Figure(figsize=(12, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    above, beside = figure.subplots(1, 2)
    _panel(above, scene, scene.rig, (0, 2), "From above", "x (m)", "z (m)")
    _panel(beside, scene, scene.rig, (2, 1), "From the side", "z (m)", "y, height (m)")
    above.invert_yaxis()  # +z comes towards the reader, who looks as the first camera does
    beside.axhline(0, color="0.6", linewidth=1)
    handles, labels = above.get_legend_handles_labels()
    if handles:
        above.legend(handles, labels, loc="best", fontsize=9)
    with replacing(path) as unfinished:
        figure.savefig(unfinished, dpi=100, format="png", bbox_inches="tight")
    return path


def _panel(
    axes: Axes, scene: Scene, rig: Rig, plane: tuple[int, int], title: str, x: str, y: str
) -> None:
    """One view of the rig onto two of WORLD's axes."""
    across, along = plane
    for name, camera, matrix in zip(rig.names, rig.cameras, rig.world_from_cameras, strict=True):
        w, h = camera.size
        corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], dtype=np.float64)
        rays = np.linalg.solve(camera.K, np.hstack([corners, np.ones((4, 1))]).T).T * _SIGHT
        at = matrix[:3, 3]
        ends = rays @ matrix[:3, :3].T + at
        for start, end in zip(ends, np.roll(ends, -1, axis=0), strict=True):
            axes.plot([at[across], start[across]], [at[along], start[along]], color="0.55", lw=0.8)
            axes.plot(
                [start[across], end[across]], [start[along], end[along]], color="0.55", lw=0.8
            )
        axes.plot(at[across], at[along], "s", color="0.15", markersize=6)
        axes.annotate(
            name, (at[across], at[along]), xytext=(6, 6), textcoords="offset points", fontsize=9,
            parse_math=False,
        )  # fmt: skip
    for place, person in enumerate(scene.people):
        colour = np.array(_style.person_colour(place)) / 255
        joints = person.joints_world
        path = joints[:, H36M17.root].copy()
        path[1:][np.diff(person.frames) > 1] = np.nan  # no line across an absence
        axes.plot(
            path[:, across], path[:, along], color=colour, lw=2.5, label=f"person {person.id}"
        )
        for a, b in H36M17.bones:
            bone = joints[0, [a, b]]
            axes.plot(bone[:, across], bone[:, along], color=colour, lw=1.2)
    axes.set(title=title, xlabel=x, ylabel=y, aspect="equal")
    axes.margins(0.2)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
