"""Canonical rows: equal ones merged with their weights, in an order of their own."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.model_selection import StratifiedKFold


def row_keys(parts: list[np.ndarray]) -> np.ndarray:
    """Give each row one key of bytes; equal rows have equal keys.

    Parameters
    ----------
    parts : list of ndarray of shape (n_rows, ...)
        What makes up a row. NaN counts as equal to NaN, and -0.0 to 0.0.

    Returns
    -------
    keys : ndarray of shape (n_rows,), dtype void
        The keys.
    """
    columns = []
    for part in parts:
        part = part.reshape(len(part), -1)
        if part.dtype.kind == "f":
            part = part + 0.0
            part[np.isnan(part)] = np.nan
        columns.append(np.ascontiguousarray(part).view(np.uint8).reshape(len(part), -1))
    rows = np.ascontiguousarray(np.concatenate(columns, axis=1))
    return rows.view(np.dtype((np.void, rows.shape[1])))[:, 0]


def merge_rows(keys: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Merge equal rows, adding their weights.

    A row of weight 2 and the same row twice come out the same, and so does any
    order of the rows. Rows without weight are dropped.

    Parameters
    ----------
    keys : ndarray of shape (n_rows,)
        What :func:`row_keys` gives.

    weight : ndarray of shape (n_rows,)
        Weights of the rows.

    Returns
    -------
    index : ndarray of shape (n_distinct,)
        A row for each distinct key, in the order of the keys.

    merged : ndarray of shape (n_distinct,)
        Their weights.
    """
    kept = np.flatnonzero(weight)
    # equal rows are added in the order of their weights: sums of floats depend on it
    kept = kept[np.argsort(weight[kept], kind="stable")]
    kept = kept[np.argsort(keys[kept], kind="stable")]
    ordered = keys[kept]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    merged = np.add.reduceat(weight[kept], starts)
    return kept[starts], merged


def held_back_parts(
    target: np.ndarray, validation_fraction: float, random_state: np.random.RandomState
) -> list[np.ndarray]:
    """Cut rows into parts, each to be held back once, with the classes spread evenly.

    Parameters
    ----------
    target : ndarray of shape (n_rows,)
        Class numbers.

    validation_fraction : float
        About how much of the rows a part holds; it has the rows of one of
        ``round(1 / validation_fraction)`` folds.

    random_state : numpy.random.RandomState
        Source of randomness.

    Returns
    -------
    parts : list of ndarray of int
        The rows of each part. A class with a single row is in no part, so that it is
        always trained on; where no rows are left to hold back, there is one part of
        all rows.
    """
    counts = np.bincount(target)
    rows = np.flatnonzero(counts[target] > 1)
    n_folds = max(2, round(1 / validation_fraction))
    if len(rows) == 0:
        return [np.arange(len(target))]
    n_folds = min(n_folds, counts.max())
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=random_state)
    with warnings.catch_warnings():
        # of classes with fewer rows than folds: some parts are without them
        warnings.simplefilter("ignore", UserWarning)
        return [rows[held] for _, held in folds.split(rows, target[rows])]
