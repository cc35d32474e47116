"""Center and spread of targets: a pair of rows, with a column for each target."""

from __future__ import annotations

import numpy as np

from sknas.readers._spread import QUANTILES, robust_spread


def unscale(values: np.ndarray, scale: np.ndarray, is_flat: bool) -> np.ndarray:
    """Give the user's units and shape, from those of the networks."""
    center, spread = scale
    values = values.astype(np.float64) * spread + center
    return values[:, 0] if is_flat else values


def quantile_and_range(
    target: np.ndarray, weight: np.ndarray, level: float
) -> np.ndarray:
    """Give quantiles and interquartile ranges: (2, n_outputs)."""
    center, *others = np.stack(
        [
            np.quantile(
                column, (level, *QUANTILES), weights=weight, method="inverted_cdf"
            )
            for column in target.T
        ],
        axis=1,
    )
    return np.stack([center, robust_spread(target, others, weight)])
