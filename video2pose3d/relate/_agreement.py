"""Where several cameras of unknown places agree that a person's joints are.

Camera v sees point S (3 coordinates, in axes of nobody's) of frame t at

    x = (u + A S) / (q + c S)

with A (2, 3) and c (3,) of the camera's own for the whole window, and u (2,) and q of the frame's,
for people walk and cameras turn. From many points all of it is found without any calibration, up
to a choice of axes that cancels out: at first as if c were 0 (the factorisation of Tomasi and
Kanade, 1992), then cameras, points and frames by turns, each by weighted least squares.

Axes: B windows, T frames, V views, J joints.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray
STEADY = 0.1  # how much speaks for q = 1, beside a frame's 17 keypoints
MODEST = 0.01, 0.05  # how much speaks for A = 0 and c = 0, beside a frame's 17 keypoints
DOUBT = 4.0  # times the error that was expected: a keypoint so far off counts half


def agree(xy: Array, errors: Array, rounds: int = 16) -> Array:
    """Keypoints (B, T, V, J, 2) → where all views agree that they are, the same, V >= 2.

    errors: (B, T, V, J) how far off each is expected to be, above 0, in the same unit, of which a
    person is some 2 high. A view's own errors are in what comes out, but smaller.
    """
    x = np.ascontiguousarray(xy.swapaxes(1, 2), dtype=np.float64)  # (B, V, T, J, 2)
    expected = errors.swapaxes(1, 2).astype(np.float64)
    weight = expected**-2.0
    weight = trust = weight / weight.mean(axis=(1, 2, 3), keepdims=True)
    u = x.mean(axis=3, keepdims=True)  # (B, V, T, 1, 2)
    q = np.ones((*u.shape[:-1], 1))
    S = _main_axes(x - u, weight)  # (B, T, J, 3)
    seen = x
    for _ in range(rounds):
        A, c = _cameras(S, u, q, x, trust)
        S = _points(S, A, c, u, q, x, trust)
        u, q = _frames(S, A, c, x, trust)
        seen = _see(S, A, c, u, q)
        off = np.square(x - seen).sum(axis=-1) / np.square(DOUBT * expected)
        trust = weight / (1 + off)
    return seen.swapaxes(1, 2)


def _main_axes(x: Array, weight: Array) -> Array:
    """Points as the three main axes of what is seen, of unit size: (B, V, T, J, 2) → (B, T, J, 3).

    A view counts as its keypoints do on average.
    """
    B, V, T, J, _ = x.shape
    sure = np.sqrt(weight.mean(axis=(2, 3)))[:, :, None, None, None]
    rows = (sure * x).transpose(0, 2, 3, 1, 4).reshape(B, T * J, 2 * V)
    _, axes = np.linalg.eigh(rows.swapaxes(1, 2) @ rows)
    S = rows @ axes[..., -3:]
    return (S / (S.std(axis=1, keepdims=True) + 1e-9)).reshape(B, T, J, 3)


def _see(S: Array, A: Array, c: Array, u: Array, q: Array) -> Array:
    """The equation above: (B, V, T, J, 2)."""
    above, below = _seen_along(S, A, c)
    return (u + above) / np.maximum(q + below, 0.2)


def _seen_along(S: Array, A: Array, c: Array) -> tuple[Array, Array]:
    """A S (B, V, T, J, 2) and c S (B, V, T, J, 1)."""
    B, T, J, _ = S.shape
    flat = S.reshape(B, 1, T * J, 3)
    along_A, along_c = (flat @ m.swapaxes(2, 3) for m in (A, c))  # (B, V, T * J, n)
    return along_A.reshape(B, -1, T, J, 2), along_c.reshape(B, -1, T, J, 1)


def _cameras(S: Array, u: Array, q: Array, x: Array, trust: Array) -> tuple[Array, Array]:
    """A (B, V, 2, 3) and c (B, V, 1, 3): A S - x c S = x q - u, linear in both."""
    B, V, T, J, _ = x.shape
    S = np.broadcast_to(S[:, None], (B, V, T, J, 3))
    none = np.zeros_like(S)
    rows = np.stack(
        [
            np.concatenate([S, none, -x[..., :1] * S], axis=-1),
            np.concatenate([none, S, -x[..., 1:] * S], axis=-1),
        ],
        axis=4,
    ).reshape(B, V, T * J * 2, 9)
    told = (x * q - u).reshape(B, V, T * J * 2, 1)
    w = trust / (trust.mean(axis=(2, 3), keepdims=True) + 1e-12)
    weighted = (rows * np.repeat(w.reshape(B, V, T * J, 1), 2, axis=2)).swapaxes(2, 3)
    modest = T * np.diag([MODEST[0]] * 6 + [MODEST[1]] * 3)
    m = np.linalg.solve(weighted @ rows + modest, weighted @ told)[..., 0].reshape(B, V, 3, 3)
    return m[:, :, :2], m[:, :, 2:]


def _points(S: Array, A: Array, c: Array, u: Array, q: Array, x: Array, trust: Array) -> Array:
    """S (B, T, J, 3) from all views: (A - x c) S = x q - u; a step from where it was."""
    rows = A[:, :, None, None] - x[..., None] * c[:, :, None, None]  # (B, V, T, J, 2, 3)
    told = x * q - u
    rows, told, w = (
        np.moveaxis(v, 1, 3) for v in (rows, told, trust / q[..., 0] ** 2)
    )  # (B, T, J, V, 2, 3), (B, T, J, V, 2), (B, T, J, V)
    B, T, J, V = w.shape
    rows, told = rows.reshape(B, T, J, 2 * V, 3), told.reshape(B, T, J, 2 * V, 1)
    weighted = (rows * np.repeat(w, 2, axis=-1)[..., None]).swapaxes(3, 4)
    normal = weighted @ rows
    firm = 1e-3 * np.trace(normal, axis1=3, axis2=4)[..., None, None] / 3 + 1e-9
    change = weighted @ (told - rows @ S[..., None])
    step = np.linalg.solve(normal + firm * np.eye(3), change)[..., 0]
    return S + np.clip(step, -1, 1)


def _frames(S: Array, A: Array, c: Array, x: Array, trust: Array) -> tuple[Array, Array]:
    """u (B, V, T, 1, 2), q (B, V, T, 1, 1): u - x q = x c S - A S; q near 1 where little tells."""
    above, below = _seen_along(S, A, c)
    told = x * below - above  # (B, V, T, J, 2)
    w = trust[..., None]
    w = w / (w.mean(axis=3, keepdims=True) + 1e-12)
    middle, mean = (w * x).mean(axis=3, keepdims=True), (w * told).mean(axis=3, keepdims=True)
    apart = x - middle
    q = (STEADY - (w * apart * (told - mean)).sum(axis=(3, 4), keepdims=True)) / (
        STEADY + (w * apart**2).sum(axis=(3, 4), keepdims=True)
    )
    q = q.clip(0.2, 5)
    return mean + middle * q, q
