"""From a clip's 2D keypoints to joints in metres: windows, normalisation, flip averaging, blending.

Shared by all lifters and heads, and by their training as far as it makes their input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from video2pose3d.geometry import pixels_to_rays, rotation_to_ray
from video2pose3d.skeletons import H36M17
from video2pose3d.structures import Camera, Keypoints2D, Poses3D

if TYPE_CHECKING:
    from video2pose3d.lifters import Lifter

NORMALISATION = "person ray 1"  # what `normalise` does; raised when it changes
CONFIDENT = 0.2  # keypoints above this score say where the person is; the others still go in
SIZE_PERCENTILE = 80  # of the person's size over a window: one crouch or bad box does not count
FAR = 4.0  # half sizes of the person; garbage keypoints are drawn in to here

TRAINED_FPS = 50.0  # windows are trained on 18 to 80 frames of real time a second
BATCH_WINDOWS = 4  # in memory at once, each twice: more are no faster on a CPU


def normalise(rays: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The view of a virtual camera that looks straight at the person and fits them in [-1, 1].

    rays: (B, T, J, 2) x/z, y/z in CAMERA without distortion; scores: (B, T, J), 0 = not seen.
    Returns the lifter's input (B, T, J, 3) float32 x, y, score, exactly 0 where not seen, and for
    each window the rotation R (B, 3, 3) from CAMERA to the lifter's axes: x_lifter = R @ x_camera.

    One rotation and one scale a window. The rotation (pan, then tilt, no roll) puts the median
    middle of the person on the optical axis, so that a person at the edge of a wide picture does
    not look turned.
    """
    R, half = aim(rays, scores)
    inputs = np.concatenate([look(rays, R, half), scores[..., None]], axis=-1)
    return np.where(scores[..., None] > 0, inputs, 0.0).astype(np.float32), R


def aim(rays: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The virtual cameras of `normalise`: R (B, 3, 3), and half the person's size in rays, (B,)."""
    seen = scores > 0
    sure = scores > CONFIDENT
    sure = np.where(sure.sum(axis=(1, 2), keepdims=True) >= 4, sure, seen)  # (B, T, J)

    looking = np.zeros((len(rays), 2))  # where the virtual camera looks, x/z, y/z in CAMERA
    for _ in range(2):  # seen from there, the middle of a person far off the axis lies elsewhere
        R = np.stack([rotation_to_ray(ray) for ray in looking])  # (B, 3, 3)
        middle, _ = _boxes(_turn(R, rays), sure)
        centre = np.nan_to_num(_percentile(middle, 50))[:, None, None]  # (B, 1, 1, 2)
        looking = _turn(R.transpose(0, 2, 1), centre)[:, 0, 0]
    R = np.stack([rotation_to_ray(ray) for ray in looking])

    _, extent = _boxes(_turn(R, rays), sure)
    half = _percentile(extent.max(axis=-1, keepdims=True), SIZE_PERCENTILE) / 2  # (B, 1)
    half = np.where(half > 1e-6, half, 1.0)  # NaN or 0: nobody, or a single point
    return R, half[:, 0]


def look(rays: np.ndarray, R: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Rays (B, T, J, 2) in CAMERA as virtual cameras see them, the person within [-1, 1]."""
    return np.clip(_turn(R, rays) / half[:, None, None, None], -FAR, FAR)


def look_back(xy: np.ndarray, R: np.ndarray, half: np.ndarray) -> np.ndarray:
    """The inverse of `look`."""
    return _turn(R.transpose(0, 2, 1), xy * half[:, None, None, None])


def _turn(R: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Rays (B, T, J, 2) in the axes of another camera, R (B, 3, 3)."""
    x, y = rays[..., 0], rays[..., 1]
    x, y, z = (
        R[:, k, 0, None, None] * x + R[:, k, 1, None, None] * y + R[:, k, 2, None, None]
        for k in range(3)
    )
    z = np.maximum(z, 0.05)  # garbage far off the axis must not flip its sign
    return np.stack([x / z, y / z], axis=-1)


def _boxes(rays: np.ndarray, sure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle and extent of the box about the sure joints, (B, T, 2) each; NaN without any."""
    low = np.where(sure[..., None], rays, np.inf).min(axis=2)
    high = np.where(sure[..., None], rays, -np.inf).max(axis=2)
    some = sure.any(axis=2)[..., None]
    low, high = np.where(some, low, np.nan), np.where(some, high, np.nan)
    return (low + high) / 2, high - low


def _percentile(values: np.ndarray, q: float) -> np.ndarray:
    """Over axis 1 and the numbers that are not NaN: (B, T, K) → (B, K); NaN where all are."""
    values = np.sort(values, axis=1)  # NaNs go last
    count = np.isfinite(values).sum(axis=1, keepdims=True)
    place = np.maximum(np.floor(q / 100 * (count - 1)), 0).astype(int)
    return np.take_along_axis(values, place, axis=1)[:, 0]


class Stretch(NamedTuple):
    """Frames of one person at a steady rate, without a gap longer than a window.

    person: whose; places: (N,) rows of that person's keypoints, -1 where a frame is missing.
    """

    person: int
    places: np.ndarray


def lift(lifter: Lifter, people: Sequence[Keypoints2D], camera: Camera) -> list[Poses3D]:
    """Joints relative to the pelvis in CAMERA_ROOT, metres, for the same frames of each person.

    people: keypoints in H36M17 px, any number of frames, gaps allowed; a keypoint counts as not
    seen where its score is 0 or its place is no number. Windows overlap by half and are blended;
    every window is also lifted mirrored.
    """
    joints = over_windows(lifter.frames, people, camera, partial(_lift_windows, lifter))
    return [
        Poses3D(
            frames=keypoints.frames,
            joints=found.astype(np.float32),
            scores=keypoints.scores,
            skeleton=H36M17,
            space="CAMERA_ROOT",
            fps=keypoints.fps,
        )
        for keypoints, found in zip(people, joints, strict=True)
    ]


def represent(lifter: Lifter, keypoints: Keypoints2D, camera: Camera) -> np.ndarray:
    """The motion representation E of one person, (T, J, Ch) float32; see `Lifter.represent`."""
    (E,) = over_windows(lifter.frames, [keypoints], camera, partial(_represent_windows, lifter))
    return E


def over_windows(
    T: int,
    people: Sequence[Keypoints2D],
    camera: Camera,
    apply: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> list[np.ndarray]:
    """What `apply` says of overlapping windows of T frames, blended: (N, ...) for each person.

    people: as in `lift`, N frames each; apply: rays (B, T, J, 2), scores (B, T, J) as `normalise`
    takes them → (B, T, ...).
    """
    rays, scores = [], []
    for keypoints in people:
        if keypoints.skeleton != H36M17:
            raise ValueError(f"expected keypoints in h36m17, got {keypoints.skeleton.name}")
        r, s = seen_rays(keypoints.xy, keypoints.scores, camera)
        rays.append(r)
        scores.append(s)
    return blended(T, [(k.frames, k.fps) for k in people], rays, scores, apply)


def blended(
    T: int,
    clocks: Sequence[tuple[np.ndarray, float]],
    rays: Sequence[np.ndarray],
    scores: Sequence[np.ndarray],
    apply: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> list[np.ndarray]:
    """The same for rays and scores as `seen_rays` makes them, (N, ...) each.

    clocks: each person's frames (N,) and their rate.
    """
    total: dict[int, np.ndarray] = {}
    weight = [np.zeros(len(frames)) for frames, _ in clocks]
    fade = np.sin(np.pi * (np.arange(T) + 0.5) / T) ** 2  # (T,)
    windows = (
        (stretch.person, places)
        for stretch in _stretches(clocks, T)
        for places in _windows(stretch.places, T)
    )
    for batch in _batches(windows, BATCH_WINDOWS):
        values = apply(
            np.stack([_take(rays[person], places) for person, places in batch]),
            np.stack([_take(scores[person], places) for person, places in batch]),
        )
        for (person, places), window in zip(batch, values, strict=True):
            if person not in total:
                total[person] = _like(window, len(weight[person]))
            here = places >= 0
            total[person][places[here]] += _along(fade[here], window) * window[here]
            weight[person][places[here]] += fade[here]
    for person, sums in total.items():
        sums /= _along(weight[person], sums)
    for person in range(len(clocks)):
        if person not in total:  # has no frames: a window of nobody tells the shape
            shape = rays[person].shape[1:]
            nobody = apply(np.zeros((1, T, *shape)), np.zeros((1, T, *shape[:-1])))[0]
            total[person] = _like(nobody, 0)
    return [total[person] for person in range(len(clocks))]


def seen_rays(xy: np.ndarray, scores: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """What `normalise` takes: xy (..., J, 2) px → rays (..., J, 2), scores (..., J) in 0..1.

    Both are 0 where a score is 0 or a place is no number.
    """
    seen = np.isfinite(xy).all(axis=-1) & (scores > 0)
    rays = pixels_to_rays(np.where(seen[..., None], xy, 0), camera)
    return np.where(seen[..., None], rays, 0), np.where(seen, np.clip(scores, 0, 1), 0)


def _like(window: np.ndarray, N: int) -> np.ndarray:
    """Zeros for N frames of what is said of each frame of a window (T, ...)."""
    return np.zeros((N, *window.shape[1:]), window.dtype)


def _along(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weights (T,) in the type and with the axes of values (T, ...), to multiply them with."""
    return weights.astype(values.dtype).reshape(-1, *[1] * (values.ndim - 1))


def _stretches(clocks: Sequence[tuple[np.ndarray, float]], T: int) -> Iterator[Stretch]:
    """What can be cut into windows, in frames that last about as long as those in training.

    A clip of 120 frames a second is lifted as two of 60, one of its even and one of its odd frames.
    """
    for person, (frames, fps) in enumerate(clocks):
        step = max(1, round(fps / TRAINED_FPS))
        cuts = np.flatnonzero(np.diff(frames) > T * step) + 1
        for rows in np.split(np.arange(len(frames)), cuts):
            if len(rows) == 0:
                continue
            at = frames[rows] - frames[rows[0]]
            places = np.full(at[-1] + 1, -1)
            places[at] = rows
            for phase in range(min(step, len(places))):
                yield Stretch(person, places[phase::step])


def _windows(places: np.ndarray, T: int) -> Iterator[np.ndarray]:
    """Overlapping windows (T,) of places; a short stretch stands in the middle of one."""
    N = len(places)
    if N <= T:
        before = (T - N) // 2
        yield np.pad(places, (before, T - N - before), constant_values=-1)
        return
    for start in range(0, N - T, max(1, T // 2)):
        yield places[start : start + T]
    yield places[N - T :]


def _batches(items: Iterator, size: int) -> Iterator[list]:
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _take(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Rows of values (N, ...) → (T, ...), zeros for places of -1."""
    taken = values[places]
    taken[places < 0] = 0
    return taken


def _lift_windows(lifter: Lifter, rays: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """rays (B, T, J, 2), scores (B, T, J) → joints (B, T, J, 3) in CAMERA_ROOT, metres."""
    inputs, R = normalise(rays, scores)
    x = torch.from_numpy(inputs).to(lifter.device)
    with torch.inference_mode():
        y = (lifter.model(x) + _mirror(lifter.model(_mirror(x)))) / 2
    joints = y.float().cpu().numpy().astype(np.float64)
    return (joints - joints[:, :, :1]) @ R[:, None]  # the inverse of x_lifter = R @ x_camera


def _represent_windows(lifter: Lifter, rays: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """rays (B, T, J, 2), scores (B, T, J) → E (B, T, J, Ch) float32."""
    inputs, _ = normalise(rays, scores)
    model: Any = lifter.model
    with torch.inference_mode():
        E = model.represent(torch.from_numpy(inputs).to(lifter.device))
    return E.float().cpu().numpy()


def _mirror(x: torch.Tensor) -> torch.Tensor:
    """The person in a mirror: left and right change names and sides. (B, T, J, 3), x first."""
    x = x[:, :, list(H36M17.mirror)]
    return torch.cat([-x[..., :1], x[..., 1:]], dim=-1)
