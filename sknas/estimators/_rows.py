"""Canonical rows: equal ones merged with their weights, in an order of their own."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.model_selection import StratifiedKFold

MANY_ROWS = 500  # distinct ones, of which some can well be held back


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


def common_rows(copies: np.ndarray, n_parts: int) -> np.ndarray:
    """Tell which distinct rows came so often that each part has some of their copies.

    Among few distinct rows, as categories make them, holding all copies of one back
    would hide its level from training. Only whole copies count.

    Parameters
    ----------
    copies : ndarray of shape (n_distinct,)
        How often each row came.

    n_parts : int
        Number of parts.

    Returns
    -------
    is_common : ndarray of bool, of shape (n_distinct,)
        The mask; all false if there are many distinct rows.
    """
    if len(copies) >= MANY_ROWS or (copies % 1).any() or copies.max() > 2**53:
        return np.zeros(len(copies), dtype=bool)
    return copies / np.gcd.reduce(copies.astype(np.int64)) >= n_parts


def held_back_parts(
    target: np.ndarray,
    is_common: np.ndarray,
    n_parts: int,
    random_state: np.random.RandomState,
) -> list[np.ndarray]:
    """Cut rows into parts, each to be held back once, with the classes spread evenly.

    Parameters
    ----------
    target : ndarray of shape (n_rows,)
        Class numbers.

    is_common : ndarray of bool, of shape (n_rows,)
        Rows that are in no part, since each part is to have some of their copies.

    n_parts : int
        How many parts, if the rows suffice.

    random_state : numpy.random.RandomState
        Source of randomness.

    Returns
    -------
    parts : list of ndarray of int
        The rows of each part. A class with a single row is in no part, so that it is
        always trained on; where no rows are left to hold back, there is one part: of
        all rows, or of none if there are common ones.
    """
    counts = np.bincount(target[~is_common], minlength=target.max() + 1)
    rows = np.flatnonzero((counts[target] > 1) & ~is_common)
    if len(rows) < 2:
        return [np.arange(0 if is_common.any() else len(target))]
    n_folds = max(2, min(n_parts, np.bincount(target[rows]).max()))
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=random_state)
    with warnings.catch_warnings():
        # of classes with fewer rows than folds: some parts are without them
        warnings.simplefilter("ignore", UserWarning)
        return [rows[held] for _, held in folds.split(rows, target[rows])]
