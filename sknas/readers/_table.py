"""From a table's columns to what networks read: scaled numbers and codes."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import RobustScaler

from sknas.readers._columns import Columns
from sknas.readers._spread import QUANTILES, robust_spread
from sknas.spaces import DataSpec

CLIP = 3.0  # numbers bend towards +-3 spreads, as in RealMLP (Holzmueller et al., 2024)
FIT_ROWS = 100_000  # medians, spreads and edges of bins are taken from so many rows
# bins of each number, for its piecewise-linear embedding: more where rows are many, but
# not of many columns, with which they would cost most of a step
MIN_BINS, MAX_BINS, ROWS_PER_BIN, MAX_BINS_TOGETHER = 16, 64, 200, 4096
MIN_FREQUENCY = 2  # rarer levels of a category are merged into one
MAX_LEVELS = 512  # and so are the rarest beyond so many


def common_levels(codes: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """Give the codes of a category's levels that are not merged, in their order."""
    count = np.bincount(codes, copies)
    order = np.argsort(-count, kind="stable")
    order = order if len(order) <= MAX_LEVELS else order[: MAX_LEVELS - 1]
    kept = order[count[order] >= MIN_FREQUENCY]
    return np.sort(kept)


def number_of_bins(n_rows: int, n_columns: int) -> int:
    """Give the number of bins of each column, by distinct rows and by columns."""
    most = min(MAX_BINS, n_rows // ROWS_PER_BIN, MAX_BINS_TOGETHER // n_columns)
    return max(MIN_BINS, most)


def find_bin_edges(column: np.ndarray, n_bins: int) -> np.ndarray:
    """Give edges between which about as many values of a column lie.

    A value that comes more often than fill a bin counts no more than that: where most
    are equal, as zeros often are, the edges are those of the others.

    Parameters
    ----------
    column : ndarray of shape (n_rows,)
        The values.

    n_bins : int
        Number of bins.

    Returns
    -------
    edges : ndarray of shape (n_bins + 1,), float32
        Values of the column, ascending; the same several times where there are few.
    """
    values, count = np.unique(column, return_counts=True)
    weight = count.astype(np.float64)
    while weight.min() <= (share := weight.sum() / n_bins) < weight.max():
        weight = np.minimum(weight, share)
    levels = np.linspace(0, 1, n_bins + 1)
    edges = np.quantile(values, levels, weights=weight, method="inverted_cdf")
    return edges.astype(np.float32)


@dataclass
class TableEncoder:
    """Encodes tables; its state is a scikit-learn transformer, arrays and lists.

    Numbers: missing ones become the median, with an indicator for each column that
    misses some; then median and interquartile range are taken off, and outliers are
    bent in by ``z / sqrt(1 + (z / 3) ** 2)``. Categories: codes, rare levels merged;
    a missing value is a level like any other.

    Parameters
    ----------
    is_categorical : ndarray of bool, of shape (n_columns,), or None
        Which columns of the table hold categories.
    """

    kind = "table"

    is_categorical: np.ndarray | None = None
    medians: np.ndarray | None = None
    indicated: np.ndarray | None = None
    scaler: RobustScaler | None = None
    levels: list[list[str]] = field(default_factory=list)
    has_rare: list[bool] = field(default_factory=list)
    sizes: tuple[int, ...] = ()
    bin_edges: np.ndarray | None = None

    def fit(self, columns: Columns, copies: np.ndarray) -> TableEncoder:
        """Learn from distinct rows, in a canonical order.

        Parameters
        ----------
        columns : Columns
            The rows.

        copies : ndarray of shape (n_rows,)
            How often each came; levels of categories are counted by it.

        Returns
        -------
        self : TableEncoder
            Itself.
        """
        self.is_categorical = columns.is_categorical
        step = -(-len(columns.numeric) // FIT_ROWS)
        numeric = columns.numeric[::step].astype(np.float64)
        if numeric.shape[1]:
            # a column of nothing but missing values gets zeros
            imputer = SimpleImputer(strategy="median", keep_empty_features=True)
            self.medians = imputer.fit(numeric).statistics_
            self.indicated = np.flatnonzero(np.isnan(columns.numeric).any(axis=0))
            numeric = self._impute(numeric)
            self.scaler = RobustScaler().set_output(transform="default").fit(numeric)
            self.scaler.scale_ = self._scale(numeric)
            scaled = self._bend(self.scaler.transform(numeric))
            n_bins = number_of_bins(len(columns.numeric), scaled.shape[1])
            edges = [find_bin_edges(column, n_bins) for column in scaled.T]
            self.bin_edges = np.stack(edges, axis=1)
        for codes, levels in zip(columns.codes.T, columns.levels, strict=True):
            kept = levels[common_levels(codes, copies)].tolist()
            self.levels.append(kept)
            self.has_rare.append(len(kept) < len(levels))
            self.sizes += (len(kept) + self.has_rare[-1],)
        return self

    def transform(self, columns: Columns) -> dict[str, np.ndarray]:
        """Encode rows.

        Parameters
        ----------
        columns : Columns
            The rows.

        Returns
        -------
        inputs : dict of str to ndarray
            "numeric", float32, and "categorical", int64; a code equal to its
            column's size means that the level is unknown.
        """
        numeric = columns.numeric.astype(np.float64, copy=False)
        if self.scaler is not None:
            numeric = self._bend(self.scaler.transform(self._impute(numeric)))
        codes = np.empty_like(columns.codes)
        for i, levels in enumerate(columns.levels):
            # an unknown level is as rare as can be: it joins the merged ones
            unknown = self.sizes[i] - self.has_rare[i]
            known = {level: code for code, level in enumerate(self.levels[i])}
            # an OrdinalEncoder takes longer for this than the networks for the rows
            code = np.array([known.get(level, unknown) for level in levels], np.int64)
            codes[:, i] = code[columns.codes[:, i]]
        return {
            "numeric": np.ascontiguousarray(numeric, dtype=np.float32),
            "categorical": codes,
        }

    def _impute(self, numeric: np.ndarray) -> np.ndarray:
        """Put in medians, and add an indicator for each column that missed some.

        Done with what SimpleImputer finds, not by it: it keeps a numpy dtype, which
        skops would ask users to trust.
        """
        missing = np.isnan(numeric)
        if missing.any():
            numeric = np.where(missing, self.medians, numeric)
        if len(self.indicated) == 0:
            return numeric
        return np.hstack([numeric, missing[:, self.indicated]])

    @staticmethod
    def _scale(numeric: np.ndarray) -> np.ndarray:
        """Give each column's spread; RobustScaler takes a tiny range for none."""
        with np.errstate(over="ignore", invalid="ignore"):
            quantiles = np.quantile(numeric, QUANTILES, axis=0)
            scale = robust_spread(numeric, quantiles)
        return np.where(np.isfinite(scale) & (scale > 0), scale, 1.0)

    @staticmethod
    def _bend(scaled: np.ndarray) -> np.ndarray:
        scaled = np.clip(np.nan_to_num(scaled), -1e6, 1e6).astype(np.float32)
        return scaled / np.sqrt(1 + np.square(scaled / np.float32(CLIP)))

    @property
    def n_numeric(self) -> int:
        """Number of numeric outputs, indicators of missing values among them."""
        return 0 if self.scaler is None else len(self.scaler.center_)

    def spec(self, n_outputs: int) -> DataSpec:
        """Say what networks must know of the data."""
        return DataSpec(
            n_outputs,
            n_numeric=self.n_numeric,
            category_sizes=self.sizes,
            bin_edges=self.bin_edges,
        )

    def to_state(self) -> dict[str, object]:
        """Give the state as a dictionary, without this class."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_state(cls, state: dict[str, object]) -> TableEncoder:
        """Build an encoder from what :meth:`to_state` gave."""
        return cls(**{**state, "sizes": tuple(state["sizes"])})
