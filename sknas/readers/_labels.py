"""Labels of categories: what stands for a missing one, and columns as codes."""

from __future__ import annotations

import numbers
from decimal import Decimal
from itertools import compress

import narwhals.stable.v2 as nw
import numpy as np

MISSING = "\0missing"  # a label that no user's category has


def is_missing(value: object) -> bool:
    """Whether a value of a column, or a label, stands for a missing one."""
    # pandas' NA and NaT do not compare, and pandas need not be installed
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, Decimal):
        return value.is_nan()
    return isinstance(value, numbers.Real) and value != value


def _label(value: object) -> str:
    if isinstance(value, str):
        return str.__str__(value)  # of a member of an enumeration too
    if is_missing(value):
        return MISSING
    # as one category, since they are equal: True, 1 and 1.0
    is_decimal = isinstance(value, Decimal) and value.is_finite()
    if isinstance(value, numbers.Integral | np.bool_) or (is_decimal and not value % 1):
        return str(int(value))  # a float has no room for identifiers of 64 bits
    if isinstance(value, numbers.Real | Decimal):
        number = float(value)
        return str(int(number)) if number.is_integer() else repr(number)
    return str(value)


def factorize_series(series: nw.Series) -> tuple[np.ndarray, np.ndarray]:
    """Turn a column of a DataFrame into codes, and their levels as strings."""
    column = series.to_native()
    if not (nw.dependencies.is_pandas_series(column) and hasattr(column, "cat")):
        return factorize(series.to_list())
    # by its categories, not by its rows, which are many times as many
    values = [None, *column.cat.categories.tolist()]
    codes = column.cat.codes.to_numpy().astype(np.int64) + 1
    is_used = np.bincount(codes, minlength=len(values)) > 0
    place, levels = factorize(list(compress(values, is_used)))
    return place[np.cumsum(is_used)[codes] - 1], levels


def factorize(values: list) -> tuple[np.ndarray, np.ndarray]:
    """Turn a column of categories into codes, and their levels as strings."""
    try:
        known = dict.fromkeys(values)
    except TypeError:  # a list, a dictionary: nothing that can be looked up
        labels = [_label(value) for value in values]
        codes = np.arange(len(values))
    else:
        labels = [_label(value) for value in known]
        places = {value: i for i, value in enumerate(known)}
        codes = np.fromiter(map(places.__getitem__, values), np.int64, len(values))
    # several values may have the same label
    levels, place = np.unique(np.array(labels, dtype=object), return_inverse=True)
    return place[codes], levels
