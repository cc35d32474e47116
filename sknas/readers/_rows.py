"""Canonical rows: equal ones merged with their weights, in an order of their own."""

from __future__ import annotations

import hashlib
import math
import warnings

import numpy as np
from sklearn.model_selection import StratifiedKFold

MANY_ROWS = 500  # distinct ones, of which some can well be held back whole
FEW_ROWS = 20  # distinct ones, none of which can be missed
MAX_EXPONENT = 53  # of the sum of weights: more is scaled down, lest it overflows


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


def row_digests(values: np.ndarray) -> np.ndarray:
    """Give a digest of each row, for rows that are long: (n_rows, 16), uint8."""
    zero = values.dtype.type(0)  # added, it makes -0.0 the same as 0.0
    digests = (
        hashlib.blake2b((row + zero).tobytes(), digest_size=16).digest()
        for row in values
    )
    joined = np.frombuffer(b"".join(digests), dtype=np.uint8)
    return joined.reshape(len(values), 16)


def merge_rows(
    keys: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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
        Their weights, up to a common factor.

    copies : ndarray of int, of shape (n_distinct,)
        How often each came. Whole weights are copies; others say only which rows
        count for more.
    """
    weight = _scaled_down(weight)
    kept = np.flatnonzero(weight)
    # equal rows are added in the order of their weights: sums of floats depend on it
    kept = kept[np.argsort(weight[kept], kind="stable")]
    kept = kept[np.argsort(keys[kept], kind="stable")]
    starts = np.flatnonzero(_begins(keys[kept]))
    merged = np.add.reduceat(weight[kept], starts)
    is_whole = not (merged % 1).any()
    copies = merged if is_whole else np.diff(starts, append=len(kept))
    return kept[starts], merged, copies.astype(np.int64)


def _scaled_down(weight: np.ndarray) -> np.ndarray:
    """Divide weights by a power of two, which is exact, if their sum is too large."""
    _, exponent = np.frexp(weight.max())
    total = math.fsum(np.ldexp(weight, -exponent))  # in whatever order they come
    _, excess = np.frexp(total)
    excess += exponent - MAX_EXPONENT
    return np.ldexp(weight, -excess) if excess > 0 else weight


def _begins(ordered: np.ndarray) -> np.ndarray:
    """Tell where a run of equal values begins."""
    return np.concatenate([[True], ordered[1:] != ordered[:-1]])


def common_rows(
    parts: list[np.ndarray], copies: np.ndarray, n_parts: int
) -> np.ndarray:
    """Tell which distinct rows are held back copy by copy, not whole.

    Those that came with other targets too: without them, training would be told that
    the others are always right. And the cells of a design that come often enough:
    without one, its level would not be known. Other rows of many copies are whole: they
    weigh much, or were drawn again and again, and a copy would tell of the others.

    Parameters
    ----------
    parts : list of ndarray of shape (n_distinct, ...)
        The rows without their targets, equal ones next to each other.

    copies : ndarray of int, of shape (n_distinct,)
        How often each row came, with its target.

    n_parts : int
        Number of parts to hold back in turn.

    Returns
    -------
    is_common : ndarray of bool, of shape (n_distinct,)
        The mask.
    """
    begins = _begins(row_keys(parts))
    group = np.cumsum(begins) - 1
    n_targets = np.bincount(group)[group]
    n_copies = np.bincount(group, copies)[group]
    is_common = (n_targets > 1) & (n_copies >= n_parts)
    if len(copies) < FEW_ROWS:
        is_common |= copies >= n_parts
    elif len(copies) < MANY_ROWS and _is_design([part[begins] for part in parts]):
        # all rows twice are all rows once
        is_common |= copies // np.gcd.reduce(copies) >= n_parts
    return is_common


def _is_design(parts: list[np.ndarray]) -> bool:
    """Tell whether rows are cells, half of those that their values make or more.

    Numbers that hardly come twice are measured, and what lies between two is known.
    """
    n_cells = 1
    for part in parts:
        for column in part.reshape(len(part), -1).T:
            n_values = len(np.unique(column))
            if part.dtype.kind == "f" and n_values > len(part) / 2:
                return False
            n_cells *= n_values
            if n_cells > 2 * len(part):
                return False
    return True


def held_back_shares(
    strata: np.ndarray,
    copies: np.ndarray,
    is_common: np.ndarray,
    n_parts: int,
    random_state: np.random.RandomState,
) -> list[np.ndarray]:
    """Cut rows into parts, each to be held back once, with the classes spread evenly.

    Parameters
    ----------
    strata : ndarray of int, of shape (n_rows,)
        Class numbers.

    copies : ndarray of int, of shape (n_rows,)
        How often each row came.

    is_common : ndarray of bool, of shape (n_rows,)
        Rows whose copies are dealt out, each to a part by chance.

    n_parts : int
        How many parts, if the rows suffice.

    random_state : numpy.random.RandomState
        Source of randomness.

    Returns
    -------
    shares : list of ndarray of shape (n_rows,)
        For each part, the share of each row's copies that it holds back. Of a class
        with a single row that is not common nothing is held back, so that it is
        always trained on. Where that leaves nothing to hold back, there is one part,
        of everything.
    """
    counts = np.bincount(strata[~is_common], minlength=strata.max() + 1)
    rows = np.flatnonzero((counts[strata] > 1) & ~is_common)
    if len(rows) < 2 and not is_common.any():
        return [np.ones(len(strata), dtype=np.float32)]
    shares = np.zeros((n_parts, len(strata)), dtype=np.float32)
    if len(rows) >= 2:
        n_folds = max(2, min(n_parts, np.bincount(strata[rows]).max()))
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=random_state)
        with warnings.catch_warnings():
            # of classes with fewer rows than folds: some parts are without them
            warnings.simplefilter("ignore", UserWarning)
            for share, (_, held) in zip(
                shares, folds.split(rows, strata[rows]), strict=False
            ):
                share[rows[held]] = 1
    rows = np.flatnonzero(is_common)
    copies = copies[rows]
    left = copies
    for i, share in enumerate(shares[::-1]):
        dealt = random_state.binomial(left, 1 / (len(shares) - i))
        share[rows] = dealt / copies
        left = left - dealt
    return [share for share in shares if share.any()]
