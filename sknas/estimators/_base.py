"""What estimators of rows share: the way from X and y to tensors, and back."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from sknas.estimators._checkpoint import Checkpoint
from sknas.estimators._columns import (
    Columns,
    find_categorical,
    is_dataframe,
    read_columns,
)
from sknas.estimators._kinds import (
    Rows,
    data_kind,
    encoder_kind,
    new_encoder,
    read_rows,
)
from sknas.estimators._parameters import (
    check_parameters,
    resolve_augmentation,
)
from sknas.estimators._reader_sources import reader_source
from sknas.estimators._rows import common_rows, held_back_shares, merge_rows, row_keys
from sknas.estimators._run import FitData
from sknas.estimators._searching import SearchingEstimator
from sknas.estimators._source import ReaderSource
from sknas.estimators._table import TableEncoder
from sknas.spaces import DataSpec
from sknas.training import (
    Augmentation,
    TensorTable,
    predict_logits,
    single_thread,
)


class BaseNAS(SearchingEstimator):
    """Base class of what learns from rows; see :class:`sknas.NASClassifier`."""

    @abstractmethod
    def __init__(self) -> None: ...

    # What a task is about: the subclass knows.

    _tabular_options: ClassVar[dict[str, tuple]] = {}
    """Options of the tabular space that differ from its own defaults."""

    @abstractmethod
    def _check_y(self, y) -> np.ndarray:
        """Check the targets, as the user gave them."""

    @abstractmethod
    def _encode_y(self, y: np.ndarray) -> tuple[np.ndarray, dict]:
        """Give targets for networks, and the attributes that lead back from them."""

    def _scale_y(
        self, target: np.ndarray, weight: np.ndarray
    ) -> tuple[np.ndarray, dict]:
        """Give the targets of distinct rows as networks learn them, and attributes."""
        return target, {}

    @abstractmethod
    def _strata(self, target: np.ndarray) -> np.ndarray:
        """Give class numbers, to be spread evenly over the parts held back."""

    @abstractmethod
    def _weigh(
        self, target: np.ndarray, weight: np.ndarray, attributes: dict
    ) -> np.ndarray:
        """Give the final weights of distinct rows."""

    @abstractmethod
    def _n_outputs(self, attributes: dict) -> int:
        """Give the number of a network's outputs."""

    def __sklearn_tags__(self):
        """Tell scikit-learn what the estimator accepts."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.input_tags.three_d_array = True
        return tags

    # From the user's data to tensors.

    def _read_X(self, X, *, reset: bool) -> Rows:
        """Check `X`, and read it as what it is, or as what that of the fit was."""
        fitted = None if reset else self._encoder
        kind = data_kind(X, self) if reset else encoder_kind(fitted)
        if kind == "table":
            return self._read_table(X, reset=reset)
        return read_rows(X, kind, fitted, self)

    def _read_table(self, X, *, reset: bool) -> Columns:
        """Check a table and split it into numbers and labels."""
        if is_dataframe(X):
            validate_data(self, X, reset=reset, skip_check_array=True)
            if 0 in X.shape:
                raise ValueError(
                    f"Found array with {X.shape[0]} sample(s) and {X.shape[1]} "
                    f"feature(s) (shape={X.shape}) while a minimum of 1 is required."
                )
        else:
            X = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite=False)
        if reset:
            self._is_categorical = find_categorical(X)
        names = getattr(self, "feature_names_in_", None)
        return read_columns(X, self._is_categorical, names)

    def _read_rows(self, X, y, sample_weight) -> tuple[Rows, np.ndarray, np.ndarray]:
        """Check the data of a fit; drop the rows without weight."""
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but "
                "the target y is None."
            )
        y = self._check_y(y)
        columns = self._read_X(X, reset=not (self.warm_start and self._is_fitted()))
        rows = np.empty((len(columns), 0))
        check_consistent_length(rows, y)
        weight = _check_sample_weight(
            sample_weight, rows, dtype=np.float64, ensure_non_negative=True
        )
        kept = weight > 0
        if not kept.any():
            raise ValueError(
                "sample_weight is zero for every row: nothing to learn from."
            )
        if kept.all():  # as nearly always: a copy less
            return columns, y, weight
        return columns.take(kept), y[kept], weight[kept]

    def _canonical(
        self,
        columns: Rows,
        target: np.ndarray,
        weight: np.ndarray,
        attributes: dict,
    ) -> tuple[Rows, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Merge equal rows, and put them in an order of their own."""
        parts = columns.parts
        index, weight, copies = merge_rows(row_keys([*parts, target]), weight)
        weight = self._weigh(target[index], weight, attributes)
        kept = weight > 0
        index, weight, copies = index[kept], weight[kept], copies[kept]
        is_common = common_rows(
            row_keys([part[index] for part in parts]), copies, self._n_parts()
        )
        columns = columns.take(index)
        return columns, target[index], weight / weight.mean(), copies, is_common

    def _n_parts(self) -> int:
        """Give the number of parts of the rows that are held back in turn."""
        return max(2, round(1 / self.validation_fraction))

    # Fitting.

    def _fit(self, X, y, sample_weight):
        started = time.monotonic()
        check_parameters(self)
        kind = data_kind(X, self)
        plan = self._plan(kind, self._tabular_options)
        columns, y_kept, weight = self._read_rows(X, y, sample_weight)
        n_samples = len(weight)
        target, attributes = self._encode_y(y_kept)
        columns, target, weight, copies, is_common = self._canonical(
            columns, target, weight, attributes
        )
        checkpoint = Checkpoint(
            self.checkpoint, [self._identity(), columns, target, weight]
        )
        rng = np.random.RandomState(checkpoint.step("seed", lambda: plan.seed))
        if plan.goes_on:
            encoder = self._encoder
        elif kind == "table":
            encoder = TableEncoder(self._is_categorical).fit(columns, copies)
        else:
            encoder = new_encoder(kind).fit(columns, copies)
        spec = encoder.spec(self._n_outputs(attributes))
        plan.space.check_data(spec)
        attributes |= {
            "_encoder": encoder,
            "_spec": spec,
            "_device": plan.device,
            "n_samples_fit_": n_samples,
        }
        target, scale = self._scale_y(target, weight)
        attributes |= scale
        data = FitData(
            TensorTable(
                {n: torch.from_numpy(a) for n, a in encoder.transform(columns).items()},
                torch.from_numpy(target),
                torch.from_numpy(weight.astype(np.float32)),
            ).to(plan.device),
            held_back_shares(
                self._strata(target), copies, is_common, self._n_parts(), rng
            ),
        )
        return self._complete(
            plan,
            spec=spec,
            data=data,
            attributes=attributes,
            random_state=rng,
            checkpoint=checkpoint,
            started=started,
            user_data=(X, y, sample_weight),
        )

    def _check_reward(self, reward, valid: TensorTable, spec: DataSpec) -> None:
        """Raise, before anything is trained, where a scorer is not for such targets."""
        if not isinstance(self.scoring, str):
            return
        outputs = torch.zeros(1, len(valid), spec.n_outputs)
        try:
            reward(outputs, valid.target, valid.weight)
        except ValueError as error:
            raise ValueError(
                f"The 'scoring' parameter of {type(self).__name__}, "
                f"{self.scoring!r}, does not suit these targets: {error}"
            ) from error

    def _augmentation(self, spec: DataSpec) -> Augmentation | None:
        return resolve_augmentation(self.augmentation, spec.kind)

    def _reader_source(self) -> ReaderSource:
        names = getattr(self, "feature_names_in_", None)
        return reader_source(self._encoder, names)

    # Prediction.

    def encode(self, X) -> dict[str, np.ndarray]:
        """Encode a table, or images, as the networks read it.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features) or (n_samples, ...)
            The table, or the images as in `fit`.

        Returns
        -------
        inputs : dict of str to ndarray
            The keyword arguments of the networks in `networks_`, as arrays:
            "numeric", scaled numbers and indicators of missing values, float32 of
            shape (n_samples, n_numeric); "categorical", codes, int64 of shape
            (n_samples, n_categorical). Of images, "image", channels first, uint8 or
            float32, not scaled.
        """
        check_is_fitted(self)
        return self._encoder.transform(self._read_X(X, reset=False))

    def _predict_each(self, X) -> torch.Tensor:
        """Give each network's answer: (n_networks, n_rows, n_outputs)."""
        inputs = {name: torch.from_numpy(a) for name, a in self.encode(X).items()}
        criterion = self._criterion()
        with single_thread(self._device):
            return torch.stack(
                [
                    criterion.join(
                        predict_logits(network, inputs, self._device).double()
                    )
                    for network in self.networks_
                ]
            )

    def _average(self, answers: torch.Tensor) -> np.ndarray:
        """Give the networks' weighted mean answer: (n_rows, n_outputs)."""
        weights = torch.from_numpy(self.ensemble_weights_)
        return torch.tensordot(weights, answers, dims=1).numpy()
