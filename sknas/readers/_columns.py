"""Reading of tables: arrays and DataFrames as columns of numbers and of labels."""

from __future__ import annotations

import datetime
import numbers
from dataclasses import dataclass
from decimal import Decimal

import narwhals.stable.v2 as nw
import numpy as np
from sklearn.utils.validation import validate_data

from sknas.readers._labels import factorize, factorize_series, is_missing

TIMES = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    np.datetime64,
    np.timedelta64,
)
SEVERAL = list, set, dict, np.ndarray  # that no column of a DataFrame may hold


@dataclass
class Columns:
    """A table, split by the kind of its columns.

    Parameters
    ----------
    numeric : ndarray of shape (n_rows, n_numeric)
        The numbers, float32 if all of them were, float64 otherwise; NaN where
        missing.

    codes : ndarray of int, of shape (n_rows, n_categorical)
        The categories, as places in `levels`.

    levels : list of ndarray of shape (n_levels,), dtype object
        For each column, the categories that it has, as strings in their order;
        :data:`MISSING` where missing.

    is_categorical : ndarray of bool, of shape (n_columns,)
        Which columns of the table hold categories.
    """

    numeric: np.ndarray
    codes: np.ndarray
    levels: list[np.ndarray]
    is_categorical: np.ndarray

    def __len__(self) -> int:
        return len(self.numeric)

    @property
    def parts(self) -> list[np.ndarray]:
        """What tells rows apart."""
        return [self.numeric, self.codes]

    def take(self, index: np.ndarray) -> Columns:
        """Take some rows, and the levels that they have."""
        codes = self.codes[index]
        levels = list(self.levels)
        for i, column in enumerate(codes.T):
            is_used = np.bincount(column, minlength=len(levels[i])) > 0
            levels[i] = levels[i][is_used]
            codes[:, i] = (np.cumsum(is_used) - 1)[column]
        return Columns(self.numeric[index], codes, levels, self.is_categorical)


def is_dataframe(X) -> bool:
    """Whether `X` is a DataFrame of pandas, polars or another such library."""
    return nw.dependencies.is_into_dataframe(X)


def read_table(X, fitted, estimator) -> Columns:
    """Check a table and split it into numbers and labels.

    Parameters
    ----------
    X : {array-like, DataFrame} of shape (n_rows, n_columns)
        The table.

    fitted : TableEncoder or None
        What was learnt of the table that the estimator was fitted on; None: it is being
        fitted.

    estimator : BaseEstimator
        The estimator. Its `n_features_in_` and `feature_names_in_` are set, or checked.

    Returns
    -------
    columns : Columns
        The table's content.
    """
    reset = fitted is None
    if is_dataframe(X):
        _frame(X)  # raises where names of columns come twice
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        if 0 in X.shape:
            raise ValueError(
                f"Found array with {X.shape[0]} sample(s) and {X.shape[1]} "
                f"feature(s) (shape={X.shape}) while a minimum of 1 is required."
            )
        X = _plain_numbers(X)
    else:
        _refuse_ragged(X)
        X = validate_data(
            estimator, X, reset=reset, dtype=None, ensure_all_finite=False
        )
    is_categorical = find_categorical(X)  # raises where a column cannot be read
    if not reset:
        is_categorical = fitted.is_categorical
    names = getattr(estimator, "feature_names_in_", None)
    return read_columns(X, is_categorical, names)


def _frame(X) -> nw.DataFrame:
    try:
        return nw.from_native(X, eager_only=True)
    except nw.exceptions.DuplicateError as error:
        # of pyarrow, "columns" are the arrays
        names = [str(name) for name in getattr(X, "column_names", X.columns)]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(
            f"X has several columns of the same name, {twice}: rename them."
        ) from error


def _plain_numbers(X):
    """Give a pandas DataFrame that has numbers of numpy alone as an array."""
    # in one piece, which is quicker than by column
    if nw.dependencies.is_pandas_dataframe(X) and all(
        isinstance(dtype, np.dtype) and dtype.kind in "iuf" and dtype.itemsize <= 8
        for dtype in X.dtypes
    ):
        single = all(dtype == np.float32 for dtype in X.dtypes)
        return X.to_numpy(dtype=np.float32 if single else np.float64)
    return X


def column_name(names: np.ndarray | None, i: int) -> str:
    """Name a column for an error message."""
    return f"column {i}" if names is None else f"column {names[i]!r}"


def find_categorical(X) -> np.ndarray:
    """Tell which columns hold categories: strings, booleans, category dtypes.

    In an array of objects, or of strings, those columns do that are not all
    numbers.

    Parameters
    ----------
    X : ndarray or DataFrame of shape (n_rows, n_columns)
        The table.

    Returns
    -------
    is_categorical : ndarray of bool, of shape (n_columns,)
        The mask.
    """
    if is_dataframe(X):
        kinds = []
        for series in _frame(X).iter_columns():
            dtype, name = series.dtype, repr(series.name)
            if dtype.is_temporal():
                _refuse_times(f"column {name}", dtype)
            if dtype.is_nested():
                _refuse_several(name, dtype)
            own = getattr(series.to_native(), "dtype", None)
            if dtype == nw.Unknown:  # sparse numbers, long doubles, periods, ...
                own = series.to_numpy().dtype
                if own.kind == "c":
                    _refuse_complex(name)
            if dtype.is_numeric() or getattr(own, "kind", "") == "f":
                kinds.append(False)
            elif dtype in (nw.Object, nw.Unknown) or own == np.dtype(object):
                # what narwhals calls strings, it has looked at a few values of
                kinds.append(_holds_labels(series.to_list(), name, refused=SEVERAL))
            else:
                kinds.append(True)
        return np.array(kinds, dtype=bool)
    if X.dtype.kind == "O":
        kinds = [_holds_labels(column, i) for i, column in enumerate(X.T)]
        return np.array(kinds, dtype=bool)
    if X.dtype.kind in "UST":
        return np.array([not _is_parsable(column) for column in X.T], dtype=bool)
    return np.zeros(X.shape[1], dtype=bool)


def read_columns(X, is_categorical: np.ndarray, names: np.ndarray | None) -> Columns:
    """Split a table into numbers and labels.

    Parameters
    ----------
    X : ndarray or DataFrame of shape (n_rows, n_columns)
        The table.

    is_categorical : ndarray of bool, of shape (n_columns,)
        Which columns hold categories.

    names : ndarray of str or None
        The columns' names, for messages.

    Returns
    -------
    columns : Columns
        The table's content.

    Raises
    ------
    ValueError
        If a column of numbers holds anything else, or infinity.
    """
    if is_dataframe(X):
        frame = _frame(X)
        series = list(frame.iter_columns())
        float32 = all(s.dtype == nw.Float32 for s in series)
        numeric = [
            _series_numbers(s, column_name(names, i))
            for i, s in enumerate(series)
            if not is_categorical[i]
        ]
        labels = [
            factorize_series(s) for i, s in enumerate(series) if is_categorical[i]
        ]
        n_rows = len(frame)
    else:
        if X.dtype.kind in "mM":
            _refuse_times("every column", X.dtype)
        float32 = X.dtype == np.float32
        if X.dtype.kind in "OUST":
            numeric = [
                _numbers(X[:, i], column_name(names, i))
                for i in np.flatnonzero(~is_categorical)
            ]
        elif not is_categorical.any():
            numeric = X.astype(np.float32 if float32 else np.float64, copy=False)
        else:
            numeric = list(X[:, ~is_categorical].T)
        labels = [factorize(X[:, i].tolist()) for i in np.flatnonzero(is_categorical)]
        n_rows = len(X)
    dtype = np.float32 if float32 else np.float64
    if isinstance(numeric, list):
        table = np.empty((n_rows, len(numeric)), dtype=dtype)
        for i, column in enumerate(numeric):
            table[:, i] = column
        numeric = table
    _check_finite(numeric, np.flatnonzero(~is_categorical), names)
    codes = np.empty((n_rows, len(labels)), dtype=np.int64)
    for i, (column, _) in enumerate(labels):
        codes[:, i] = column
    levels = [levels for _, levels in labels]
    return Columns(numeric, codes, levels, is_categorical)


def _check_finite(
    numeric: np.ndarray, places: np.ndarray, names: np.ndarray | None
) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(numeric.sum(dtype=np.float64)):
            return
    infinite = np.isinf(numeric).any(axis=0)
    if infinite.any():
        wrong = ", ".join(column_name(names, i) for i in places[infinite][:5])
        raise ValueError(
            f"Input X contains infinity in {wrong}: replace it by a number, or by NaN "
            "if it stands for a missing value."
        )


def _series_numbers(series: nw.Series, name: str) -> np.ndarray:
    if series.dtype.is_numeric():
        return series.cast(nw.Float64).to_numpy()
    return _numbers(series.to_list(), name)


def _numbers(values, name: str) -> np.ndarray:
    """Turn a column of objects into numbers, NaN where missing."""
    try:
        return np.array([np.nan if is_missing(v) else float(v) for v in values])
    except OverflowError as error:
        raise ValueError(
            f"{name} of X holds a number that is too large ({error}): scale it down."
        ) from error
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} of X held numbers in fit, but now holds something else ({error})."
        ) from error


def _refuse_times(column: str, kind: object) -> None:
    raise TypeError(
        f"{column} of X holds {kind}: turn times into numbers, such as the days since "
        "a date, before fitting."
    )


def _refuse_complex(column: object) -> None:
    raise ValueError(f"Complex data not supported: column {column} of X.")


def _refuse_several(column: object, kind: object) -> None:
    raise TypeError(
        f"column {column} of X holds {kind}: put each number or string into a column "
        "of its own, before fitting."
    )


def _refuse_ragged(X) -> None:
    """Raise an error where the rows of a list have different lengths."""
    if not isinstance(X, list | tuple):
        return
    lengths = sorted({len(row) for row in X if isinstance(row, list | tuple)})
    lengths = lengths or sorted({n for row in X for n in np.shape(row)[:1]})
    if len(lengths) > 1:
        raise ValueError(
            f"X holds rows of different lengths, from {lengths[0]} to {lengths[-1]}: a "
            "table needs as many values in each. Of series, pad the shorter ones with "
            "NaN at their end, to an array of (n_samples, steps, features)."
        )


def _holds_labels(column, name: object, refused: tuple[type, ...] = ()) -> bool:
    """Whether a column of objects holds anything but numbers and missing values."""
    holds_labels = False
    for value in column:
        if isinstance(value, refused):
            _refuse_several(name, type(value).__name__)
        is_time = isinstance(value, TIMES) or type(value).__name__ == "Period"
        if is_time and not is_missing(value):
            _refuse_times(f"column {name}", type(value).__name__)
        if isinstance(value, numbers.Complex) and not isinstance(value, numbers.Real):
            _refuse_complex(name)
        is_number = isinstance(value, numbers.Real | Decimal)
        is_number = is_number and not isinstance(value, bool)
        holds_labels |= not (is_number or is_missing(value))
    return holds_labels


def _is_parsable(column: np.ndarray) -> bool:
    try:
        column.astype(np.float64)
    except ValueError:
        return False
    return True
