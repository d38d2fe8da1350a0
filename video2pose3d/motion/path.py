"""Least squares over a path of points, in time linear in its length."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

_REACH = 2  # a term touches a frame and at most its next two


class PathProblem:
    """A sum of squares over a path x (T, 3), every term within three frames in a row.

    Its normal equations are a band of 3 (reach + 1) diagonals, so an hour of frames is solved in a
    second. All arguments are over the places t where a term can start, in order.
    """

    def __init__(self, length: int) -> None:
        # scipy's lower form: bands[i - j, j] is the matrix's element i, j.
        self._bands = np.zeros((3 * (_REACH + 1), length, 3))
        self._pull = np.zeros((length, 3))

    def add(self, coefficients: np.ndarray, weight: np.ndarray, target: np.ndarray) -> None:
        """Add |sum_k coefficients[t, k] x[t + k] - y[t]|², weighted, for every t.

        coefficients: (N, K), K up to 3, N = T - K + 1; weight: (N, 3, 3) symmetric, not negative;
        target: (N, 3), weight @ y (given so because the weight may have no inverse).
        """
        n, k = coefficients.shape
        for i in range(k):
            self._pull[i : i + n] += coefficients[:, i, None] * target
            for j in range(i + 1):
                block = (coefficients[:, i] * coefficients[:, j])[:, None, None] * weight
                for row in range(3):
                    for column in range(3):
                        band = 3 * (i - j) + row - column
                        if band >= 0:
                            self._bands[band, j : j + n, column] += block[:, row, column]

    def solve(self) -> np.ndarray:
        """(T, 3) the path of least squares."""
        length = len(self._pull)
        bands = self._bands.reshape(len(self._bands), 3 * length)[: 3 * length]
        return solveh_banded(bands, self._pull.ravel(), lower=True).reshape(length, 3)


def bends(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Second derivatives over any clock: (T - 2, 3) coefficients, (T - 2,) seconds each stands for.

    times: (T,) seconds, increasing. coefficients[t] · x[t : t + 3] is the acceleration at t + 1.
    """
    before, after = np.diff(times)[:-1], np.diff(times)[1:]
    span = (before + after) / 2
    coefficients = np.stack(
        [1 / (before * span), -1 / (before * span) - 1 / (after * span), 1 / (after * span)], axis=1
    )
    return coefficients, span
