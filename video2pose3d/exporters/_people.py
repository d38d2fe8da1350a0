"""Files that hold one person each, and the person over the whole clip, as those files need them to
stay in step with the video."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from video2pose3d import kinematics
from video2pose3d.files import replacing
from video2pose3d.structures import Motion, Person, Scene

# Frames this far from an even beat, as a share of a frame, still count as even: containers round
# times to milliseconds.
_EVEN = 0.25
_FASTER = 1.1  # times the mean rate: where frames usually come faster, a pause has spoilt the mean
_MOST = 16  # times as many frames as the clip has, however long it paused


def write(
    scene: Scene, folder: Path, suffix: str, content: Callable[[Person, Scene], bytes]
) -> list[Path]:
    """Write person-<id><suffix> for every person of the scene who has frames."""
    files = []
    for person in scene.people:
        if not len(person.frames):
            continue  # never seen: there are no bones to measure
        path = folder / f"person-{int(person.id)}{suffix}"
        with replacing(path) as beside:
            beside.write_bytes(content(person, scene))
        files.append(path)
    return files


def even_times(scene: Scene) -> tuple[np.ndarray, float]:
    """When a file of a constant rate samples the clip: (N,) seconds of its clock, and frames a
    second.

    They are the frames' own times and `scene.fps` where those come at that rate, so that no frame
    changes. Else the rate is the mean or, where frames usually come faster because the clip stood
    still for a while, the usual one: a pause must not thin out the rest.
    """
    times, rate = scene.timestamps, scene.fps
    if np.abs(times - _beat(times, rate, len(times))).max(initial=0) <= _EVEN / rate:
        return times, rate
    usual = 1 / max(float(np.median(np.diff(times))), 1e-9)
    if usual > _FASTER * rate:
        rate = min(usual, _MOST * rate)
    return _beat(times, rate, round((times[-1] - times[0]) * rate) + 1), rate


def motion(person: Person, scene: Scene) -> Motion:
    """The person's motion in every frame of the video; while they are absent, however long, the
    pose nearest in time. The person has frames."""
    solved = kinematics.solve(person.joints_world, scene.fps, person.foot_contact)
    nearest = _nearest(scene.timestamps[person.frames], scene.timestamps)
    return dataclasses.replace(
        solved, rotations=solved.rotations[nearest], root=solved.root[nearest]
    )


def joints(person: Person, scene: Scene) -> tuple[np.ndarray, float]:
    """The person at even_times, by straight lines between frames: (N, 17, 3) metres, WORLD, H36M17;
    and frames a second.

    NaN where they are absent from the video's nearest frame. The person has frames, and each is
    near to one that is here.
    """
    (at, rate), seen = even_times(scene), scene.timestamps[person.frames]
    world = person.joints_world.reshape(len(seen), -1)
    out = np.stack([np.interp(at, seen, column) for column in world.T], axis=1)
    there = np.isin(_nearest(scene.timestamps, at), person.frames)
    there[_nearest(at, seen)] = True
    out[~there] = np.nan
    return out.reshape(len(at), *person.joints_world.shape[1:]), rate


def _beat(times: np.ndarray, rate: float, frames: int) -> np.ndarray:
    return times[:1] + np.arange(frames) / rate


def _nearest(times: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Which of the increasing times (T,) is nearest to each of `at` (N,): (N,) int64."""
    return np.searchsorted((times[1:] + times[:-1]) / 2, at)
