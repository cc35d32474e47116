"""Spreads of columns, which a few values far off, or rounding, do not decide."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# of quantiles: those of the interquartile range, those whose range tells what is far
# off, and between them those whose range tells rounding errors apart
QUANTILES = 0.005, 0.05, 0.25, 0.75, 0.95, 0.995
DUST = 1e-12  # of that range: a smaller spread is one of rounding errors
FAR = 100  # times the widest range: how much farther off a value is does not count


def mean_and_spread(values: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Give columns' means and standard deviations: (2, n_columns)."""
    # in steps from the first row, of a unit of their own: exact for constants and far
    # from zero, and no square overflows
    steps = values - values[0]
    unit = np.abs(steps).max(axis=0)
    steps = steps / np.where(unit > 0, unit, 1.0)
    mean = np.average(steps, axis=0, weights=weight)
    spread = np.average(np.square(steps - mean), axis=0, weights=weight) ** 0.5
    return np.stack([values[0] + mean * unit, spread * unit])


def robust_spread(
    values: np.ndarray,
    quantiles: Sequence[np.ndarray],
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """Give columns' interquartile ranges.

    Where more than half of the values are equal, or differ by rounding errors, the
    standard deviation stands in, which no value far off decides.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns)
        The columns.

    quantiles : sequence of ndarray of shape (n_columns,)
        Those of :data:`QUANTILES`.

    weight : ndarray of shape (n_rows,) or None, default=None
        Weights of the rows; None: all are alike.

    Returns
    -------
    spreads : ndarray of shape (n_columns,)
        The spreads, zero for constant columns.
    """
    lowest, lower, low, high, higher, highest = quantiles
    spread = high - low
    is_flat = ~(spread > DUST * (higher - lower))
    for i in np.flatnonzero(is_flat):
        column = values[:, [i]]
        if highest[i] > lowest[i]:
            far = FAR * (highest[i] - lowest[i])
            column = np.clip(column, lowest[i] - far, highest[i] + far)
        spread[i] = mean_and_spread(column, weight)[1, 0]
    return spread
