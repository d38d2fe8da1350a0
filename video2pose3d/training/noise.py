"""Random numbers as training needs them. Axes: B windows, T frames."""

from __future__ import annotations

import numpy as np


def autoregressive(rng: np.random.Generator, shape: tuple[int, ...], rho: np.ndarray) -> np.ndarray:
    """Unit AR(1) noise along axis 1 with correlation rho (B, 1, ...): (B, T, ...)."""
    noise = rng.standard_normal(shape)
    keep, new = rho[:, 0], np.sqrt(1 - rho[:, 0] ** 2)
    for t in range(1, shape[1]):
        noise[:, t] = keep * noise[:, t - 1] + new * noise[:, t]
    return noise


def log_uniform(
    rng: np.random.Generator, span: tuple[float, float], shape: tuple[int, ...]
) -> np.ndarray:
    return np.exp(rng.uniform(np.log(span[0]), np.log(span[1]), shape))
