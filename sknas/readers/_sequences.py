"""Reading of series and of ids of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.utils import check_array

from sknas.readers._images import (
    ImageEncoder,
    Images,
    one_array,
    refuse_empty,
)
from sknas.readers._rows import row_digests
from sknas.readers._streams import check_n_tokens
from sknas.spaces import DataSpec

N_LENGTHS = 8  # of series that are longer than those of the fit, in each of its lengths


def read_series(X, fitted: ImageEncoder | None, estimator) -> Images:
    """Check series, and put their features first.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_steps, n_features) or (n_samples, \
n_steps * n_features)
        The series. NaN is missing, or follows the end of a series.

    fitted : ImageEncoder or None
        What was learnt of the series that the estimator was fitted on; None: it is
        being fitted.

    estimator : BaseEstimator
        Whose parameters count, and whose name errors are to tell.

    Returns
    -------
    series : Images
        The series, as long as those of the fit at least.
    """
    name = type(estimator).__name__
    shape = None if fitted is None else fitted.shape
    try:
        X = X if getattr(X, "ndim", 1) > 1 else one_array(X)
    except ValueError as error:
        raise ValueError(
            "X holds series of different lengths, or with different numbers of "
            "features: pad the shorter ones with NaN at their end, to an array of "
            "(n_samples, steps, features)."
        ) from error
    values = check_array(
        X,
        allow_nd=True,
        dtype="numeric",
        ensure_all_finite="allow-nan",
        estimator=estimator,
        input_name="X",
    )
    if values.ndim > 3:
        raise ValueError(
            f"X has {values.ndim} dimensions; {name} reads series of (n_samples, "
            "steps, features), or of (n_samples, steps * features) with n_steps or "
            "n_features."
        )
    refuse_empty(values)
    if values.ndim == 2:
        values = values.reshape(len(values), *_row_shape(values, shape, estimator))
    for axis, parameter in ((1, "n_steps"), (2, "n_features")):
        wanted = getattr(estimator, parameter)
        if wanted is not None and values.shape[axis] != wanted:
            raise ValueError(
                f"The {parameter!r} parameter of {name} is {wanted}, but X has "
                f"{values.shape[axis]}, with the shape {values.shape}."
            )
    if fitted is not None and values.shape[2] != shape[0]:
        raise ValueError(
            f"X has series of {values.shape[2]} features, but {name} was fitted on "
            f"series of {shape[0]} features."
        )
    dtype = np.float32 if values.dtype.itemsize <= 2 else np.float64
    dtype = values.dtype if values.dtype in (np.float32, np.float64) else dtype
    # a copy: the user's are not to change
    values = np.array(values.transpose(0, 2, 1), dtype=dtype, order="C")
    values[np.isnan(values)] = np.nan  # whatever its bits were
    if fitted is not None and values.shape[2] < shape[1]:
        ends = (0, 0), (0, 0), (0, shape[1] - values.shape[2])
        values = np.pad(values, ends, constant_values=np.nan)
    return Images(values)


def _row_shape(
    values: np.ndarray, fitted: tuple[int, ...] | None, estimator
) -> tuple[int, int]:
    """Give the numbers of steps and features that the columns of a table stand for."""
    n_columns = values.shape[1]
    n_steps, n_features = estimator.n_steps, estimator.n_features
    if n_steps is None and n_features is None:
        raise ValueError(
            "X has 2 dimensions, but the estimator was fitted on series of "
            f"{fitted[0]} features: give X the shape (n_samples, steps, features), or "
            "n_features to the estimator."
        )
    given = n_steps or n_features
    other = n_columns // given
    shape = (n_steps or other, n_features or other)
    if shape[0] * shape[1] != n_columns:
        raise ValueError(
            f"X has {n_columns} columns, which are not n_steps * n_features with "
            f"n_steps={n_steps} and n_features={n_features}."
        )
    return shape


@dataclass
class Tokens:
    """Texts as ids of tokens.

    Parameters
    ----------
    ids : ndarray of int, of shape (n_rows, n_steps)
        The ids; 0 follows the end of a row.

    n_tokens : int
        How many ids there are.
    """

    ids: np.ndarray
    n_tokens: int

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def n_values(self) -> int:
        """Ids in a row."""
        return self.ids.shape[1]

    @cached_property
    def parts(self) -> list[np.ndarray]:
        """What tells rows apart: a digest of each."""
        return [row_digests(self.ids)]

    def take(self, index: np.ndarray) -> Tokens:
        """Take some rows."""
        return Tokens(self.ids[index], self.n_tokens)


def read_tokens(X, fitted: TokenReader | None, estimator) -> Tokens:
    """Check ids of tokens.

    Parameters
    ----------
    X : array-like of int, of shape (n_samples, n_steps)
        The ids.

    fitted : TokenReader or None
        What was learnt of the ids that the estimator was fitted on; None: it is being
        fitted.

    estimator : BaseEstimator
        Whose `n_tokens` counts, and whose name errors are to tell.

    Returns
    -------
    tokens : Tokens
        The ids.
    """
    if fitted is None:
        n_tokens = estimator.n_tokens or getattr(X, "n_tokens", None)
    else:
        n_tokens = fitted.n_tokens
    ids = check_array(
        np.asarray(X),
        dtype="numeric",
        ensure_all_finite="allow-nan",
        estimator=estimator,
        input_name="X",
    )
    if ids.dtype.kind == "f" and np.isnan(ids).any():
        raise ValueError("Input X contains NaN: ids of tokens may not be missing.")
    if (ids < 0).any() or (ids % 1).any():
        raise ValueError("X must hold ids of tokens: whole numbers from 0 up.")
    most = int(ids.max())
    if n_tokens is None:
        n_tokens = most + 1
    check_n_tokens(n_tokens)
    if most >= n_tokens:
        raise ValueError(
            f"X has a token of id {most}, but there are only {n_tokens} tokens, from 0 "
            "to that less one; the 'n_tokens' parameter says how many."
        )
    return Tokens(ids.astype(np.int64), n_tokens)


def rows_by_length(
    series: torch.Tensor, n_steps: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Sort series by their length, so that none is padded for another's sake.

    Convolutions see a little of what follows the end of a row, so that what it gets
    would depend on the longest row beside it.

    Parameters
    ----------
    series : Tensor of shape (n_rows, n_features, n_steps)
        The series, with NaN after their end.

    n_steps : int
        Steps of the rows in the fit: shorter rows stay padded to it.

    Returns
    -------
    groups : list of (Tensor of shape (n_rows_of_it,), Tensor)
        The numbers of the rows of about each length, and these rows, of which each has
        a number of steps that depends on its own length alone.
    """
    if series.shape[2] <= n_steps:
        return [(torch.arange(len(series)), series)]
    is_given = ~series.isnan().all(dim=1)
    steps = torch.arange(1, is_given.shape[1] + 1)
    excess = (is_given * steps).amax(dim=1) - n_steps
    # by so many steps at once, lest there are as many groups as lengths
    stride = max(1, n_steps // N_LENGTHS)
    lengths = n_steps + excess.clamp(min=0).add(stride - 1) // stride * stride
    groups = []
    for length in lengths.unique().tolist():
        rows = torch.nonzero(lengths == length)[:, 0]
        own = series[rows, :, :length]
        missing = length - own.shape[2]
        groups.append((rows, F.pad(own, (0, missing), value=torch.nan)))
    return groups


@dataclass
class TokenReader:
    """Leaves ids of tokens as they are; networks embed them.

    Parameters
    ----------
    n_tokens, n_steps : int or None
        How many ids there are, and how many a row has.
    """

    kind = "text"

    n_tokens: int | None = None
    n_steps: int | None = None

    def fit(self, tokens: Tokens, copies: np.ndarray) -> TokenReader:
        """Learn the sizes; see :meth:`ImageEncoder.fit`."""
        self.n_tokens, self.n_steps = tokens.n_tokens, tokens.ids.shape[1]
        return self

    def transform(self, tokens: Tokens) -> dict[str, np.ndarray]:
        """Give the networks' inputs."""
        return {"tokens": np.require(tokens.ids, requirements=["C", "W"])}

    def spec(self, n_outputs: int) -> DataSpec:
        """Say what networks must know of the data."""
        return DataSpec(n_outputs, n_tokens=self.n_tokens, n_steps=self.n_steps)

    def to_state(self) -> dict[str, object]:
        """Give the state as a dictionary, without this class."""
        return dict(vars(self))

    @classmethod
    def from_state(cls, state: dict[str, object]) -> TokenReader:
        """Build a reader from what :meth:`to_state` gave."""
        return cls(**state)
