"""What kind of data `X` is, and who reads it."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import validate_data

from sknas.preprocessing import TokenIds
from sknas.readers._columns import Columns, is_dataframe, read_table
from sknas.readers._images import ImageEncoder, Images, read_images
from sknas.readers._sequences import (
    TokenReader,
    Tokens,
    read_series,
    read_tokens,
)
from sknas.readers._streams import LanguageReader
from sknas.readers._table import TableEncoder

Rows = Columns | Images | Tokens
READERS = {
    "table": read_table,
    "image": read_images,
    "series": read_series,
    "text": read_tokens,
}
ENCODERS = {
    "table": TableEncoder,
    "image": ImageEncoder,
    "series": ImageEncoder,
    "text": TokenReader,
    "language": LanguageReader,
}


def data_kind(X, estimator) -> str:
    """Tell whether `X` is to be read as a "table", "image", "series" or "text"."""
    if estimator.image_shape is not None:
        return "image"
    if estimator.n_steps is not None or estimator.n_features is not None:
        return "series"
    if estimator.n_tokens is not None or isinstance(X, TokenIds):
        return "text"
    shape, dtype = _shape_and_dtype(X)
    if len(shape) == 1 and isinstance(next(iter(X), None), str):
        raise ValueError(
            f"X is text, which {type(estimator).__name__} reads as ids of tokens: "
            "make_pipeline(TokenEncoder(), ...) turns it into these, with "
            "sknas.preprocessing.TokenEncoder."
        )
    if len(shape) < 3:
        return "table"
    # as many steps as features are taken for an image
    is_image = len(shape) > 3 or shape[1] == shape[2] or dtype == np.uint8
    return "image" if is_image else "series"


def _shape_and_dtype(X) -> tuple[tuple[int, ...], object]:
    """Give the shape, as far as the first rows tell it, and the dtype, if any."""
    shape = []
    while isinstance(X, list | tuple) and len(X):
        shape.append(len(X))
        X = X[0]
    if hasattr(X, "__array_interface__"):  # an array, or an image of Pillow
        X = np.asarray(X)
    own = tuple(getattr(X, "shape", ()))
    dtype = getattr(X, "dtype", None)
    if len(own) == 1 and getattr(dtype, "kind", "") == "O" and len(X):  # of arrays
        first = np.asarray(next(iter(X)))
        own, dtype = (*own, *first.shape), first.dtype
    return (*shape, *own), dtype


def read_rows(X, kind: str, fitted, estimator) -> Rows:
    """Check and read data.

    Parameters
    ----------
    X : array-like
        The data.

    kind : str
        What they are.

    fitted : TableEncoder, ImageEncoder, TokenReader or None
        What was learnt of the data that the estimator was fitted on; None: it is being
        fitted.

    estimator : BaseEstimator
        Whose parameters count. `n_features_in_` and `feature_names_in_` are set, or
        checked.

    Returns
    -------
    rows : Columns, Images or Tokens
        The data.

    Raises
    ------
    TypeError
        If `X` is a frame that has no rows yet.
    """
    if hasattr(X, "collect") and not hasattr(X, "shape"):
        raise TypeError(
            f"X is a {type(X).__name__}, which has no rows yet: give X.collect()."
        )
    rows = READERS[kind](X, fitted, estimator)
    if kind == "table":
        return rows
    if is_dataframe(X) or getattr(X, "ndim", 0) == 2:
        validate_data(estimator, X, reset=fitted is None, skip_check_array=True)
    elif fitted is None:
        estimator.n_features_in_ = rows.n_values
        vars(estimator).pop("feature_names_in_", None)
    elif kind == "text" and rows.n_values != estimator.n_features_in_:
        raise ValueError(
            f"X has {rows.n_values} ids in a row, but {type(estimator).__name__} is "
            f"expecting {estimator.n_features_in_}."
        )
    return rows
