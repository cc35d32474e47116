"""Center and spread of targets: a pair of rows, with a column for each target."""

from __future__ import annotations

import numpy as np


def unscale(values: np.ndarray, scale: np.ndarray, is_flat: bool) -> np.ndarray:
    """Give the user's units and shape, from those of the networks."""
    center, spread = scale
    values = values.astype(np.float64) * spread + center
    return values[:, 0] if is_flat else values


def mean_and_spread(target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Give means and standard deviations: (2, n_outputs)."""
    # in steps from the first row, of a unit of their own: exact for constants and far
    # from zero, and no square overflows
    steps = target - target[0]
    unit = np.abs(steps).max(axis=0)
    steps = steps / np.where(unit > 0, unit, 1.0)
    mean = np.average(steps, axis=0, weights=weight)
    spread = np.average(np.square(steps - mean), axis=0, weights=weight) ** 0.5
    return np.stack([target[0] + mean * unit, spread * unit])


def quantile_and_range(
    target: np.ndarray, weight: np.ndarray, level: float
) -> np.ndarray:
    """Give quantiles and interquartile ranges: (2, n_outputs)."""
    low, center, high = (
        np.array(
            [
                np.quantile(column, q, weights=weight, method="inverted_cdf")
                for column in target.T
            ]
        )
        for q in (0.25, level, 0.75)
    )
    _, deviation = mean_and_spread(target, weight)
    # where more than half of the values are equal, the standard deviation stands in
    return np.stack([center, np.where(high > low, high - low, deviation)])
