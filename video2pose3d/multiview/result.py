"""What comes out of several cameras: the result of the first, an overlay for each, the rig."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from video2pose3d import geometry
from video2pose3d.render import rig as rig_picture
from video2pose3d.results import Progress, Result, Saving
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Keypoints2D, Person, Poses3D, Scene, Track
from video2pose3d.video import Video

_NEAREST = 0.1  # metres in front of a camera: what is nearer is not drawn
_BESIDE = 0.6  # frames of the first camera's that a picture may lie beside those with a pose


@dataclass(frozen=True)
class Shot:
    """One camera's clip and the people as it shows them, over its own frames."""

    name: str
    clip: Video
    scene: Scene


@dataclass(frozen=True)
class MultiviewResult(Result):
    """A Result of the first camera whose files are those of all.

    The overlays show the joints in space projected into every view: where they lie beside the
    body, the calibration, the timing or a keypoint is off.
    """

    shots: tuple[Shot, ...] = field(default=(), kw_only=True)

    def draw(self, folder: Path, saving: Saving, progress: Progress) -> list[Path]:
        files = []
        if saving.overlay:
            for shot in self.shots:
                path = folder / f"overlay-{shot.name}.mp4"
                files += self.draw_overlay(shot.scene, shot.clip, path, progress)
        files += super().draw(folder, replace(saving, overlay=False), progress)
        return [*files, rig_picture.write(self, folder / "rig.png")]


def scene_of(scene: Scene, view: int, times: np.ndarray, fps: float, tracks: list[Track]) -> Scene:
    """The scene as one camera of its rig shows it, for drawing: keypoints are joints projected.

    times: (T,) seconds of that clip's frames, on the scene's clock; tracks: each person's there.
    """
    rig = scene.rig
    assert rig is not None
    camera = rig.cameras[view]
    matrix = np.linalg.inv(rig.world_from_cameras[view])
    people = []
    for person, track in zip(scene.people, tracks, strict=True):
        theirs = scene.timestamps[person.frames]
        rows = _nearest(theirs, times)
        frames = np.flatnonzero(np.abs(times - theirs[rows]) * scene.fps <= _BESIDE)
        rows = rows[frames]
        flat = person.joints_world.reshape(len(theirs), -1)
        between = [np.interp(times[frames], theirs, column) for column in flat.T]
        joints = geometry.transform(matrix, np.stack(between, axis=1).reshape(-1, len(H36M17), 3))
        scores = (joints[..., 2] > _NEAREST).astype(np.float32)
        joints[..., 2] = np.maximum(joints[..., 2], _NEAREST)
        root = joints[:, [H36M17.root]]
        relative = (joints - root).astype(np.float32)
        xy = geometry.project(joints, camera).astype(np.float32)
        people.append(
            Person(
                track=track,
                frames=frames,
                valid=person.valid[rows],
                keypoints=Keypoints2D(frames, xy, scores, H36M17, camera.size, fps),
                poses=Poses3D(frames, relative, scores, H36M17, "CAMERA_ROOT", fps),
                root_camera=root[:, 0].astype(np.float32),
                joints_world=person.joints_world[rows],
                foot_contact=person.foot_contact[rows],
            )
        )
    return Scene(
        people=tuple(people),
        timestamps=times - times[0] if len(times) else times,
        fps=fps,
        image_size=camera.size,
        camera=camera,
        world_from_camera=rig.world_from_cameras[view],
        scale_source=scene.scale_source,
    )


def _nearest(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """For each of `wanted` the place of the nearest of increasing `values`, of which is one."""
    after = np.clip(np.searchsorted(values, wanted), 0, len(values) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(
        np.abs(wanted - values[before]) <= np.abs(values[after] - wanted), before, after
    )
