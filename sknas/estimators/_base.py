"""What all estimators share: the way from a table to trained networks and back."""

from __future__ import annotations

import time
from abc import ABCMeta, abstractmethod
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)
from torch import nn

from sknas.architecture import Architecture
from sknas.estimators._columns import (
    Columns,
    find_categorical,
    is_dataframe,
    read_columns,
)
from sknas.estimators._parameters import (
    check_parameters,
    resolve_architectures,
    resolve_batch_size,
    resolve_device,
    resolve_epochs,
    resolve_space,
    resolve_strategy,
)
from sknas.estimators._rows import held_back_parts, merge_rows, row_keys
from sknas.estimators._sklearn_callbacks import CallbackSupportMixin, listen
from sknas.estimators._state import build_net, build_networks, from_state, to_state
from sknas.estimators._table import TableEncoder
from sknas.search import Problem, search
from sknas.spaces import DataSpec
from sknas.training import (
    Progress,
    ProgressBars,
    Recipe,
    TensorTable,
    TrainedNetwork,
    predict_logits,
    private_random_state,
    single_thread,
    train_ensemble,
)

SEARCH_EPOCHS = 30
MAX_EPOCHS = 100
N_CANDIDATES = 48
SEARCH_STEPS = 1_500  # at most, by default
TRAINING_STEPS = 8_000
RESERVE = 0.05, 0.2  # share and least seconds of time_limit kept for the end of fit


@dataclass
class _Data:
    """The rows of a fit, ready for networks."""

    table: TensorTable
    parts: list[np.ndarray]
    """Rows to hold back, a part for each member in turn."""

    def split(self, i: int) -> tuple[TensorTable, TensorTable]:
        """Give the rows to train on and to judge by, for the i-th member."""
        held = self.parts[i % len(self.parts)]
        everything = np.arange(len(self.table))
        rest = np.setdiff1d(everything, held)
        if len(rest) == 0:  # too few rows to hold any back
            rest = everything
        train, valid = (torch.from_numpy(rows) for rows in (rest, held))
        return self.table.subset(train), self.table.subset(valid)


class BaseNAS(CallbackSupportMixin, BaseEstimator, metaclass=ABCMeta):
    """Base class of the estimators; see :class:`sknas.NASClassifier`."""

    @abstractmethod
    def __init__(self) -> None: ...

    # What a task is about: the subclass knows.

    @abstractmethod
    def _encode_target(self, y: np.ndarray, sample_weight: np.ndarray) -> tuple:
        """Give the targets for networks, final weights and fitted attributes."""

    @abstractmethod
    def _n_outputs(self, attributes: dict) -> int:
        """Give the number of a network's outputs."""

    @abstractmethod
    def _criterion(self) -> nn.Module:
        """Give the loss."""

    @abstractmethod
    def _reward(self, attributes: dict):
        """Give what the search rewards."""

    # From the user's data to tensors.

    def _read_X(self, X, *, reset: bool) -> Columns:
        """Check `X` and split it into numbers and labels."""
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

    def _read_rows(self, X, y, sample_weight) -> tuple[Columns, np.ndarray, np.ndarray]:
        """Check the data of a fit; drop the rows without weight."""
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but "
                "the target y is None."
            )
        y = self._check_y(y)
        columns = self._read_X(X, reset=not (self.warm_start and self._is_fitted()))
        check_consistent_length(columns.numeric, y)
        weight = _check_sample_weight(
            sample_weight, columns.numeric, dtype=np.float64, ensure_non_negative=True
        )
        kept = weight > 0
        if not kept.any():
            raise ValueError(
                "sample_weight is zero for every row: nothing to learn from."
            )
        columns = Columns(columns.numeric[kept], columns.labels[kept])
        return columns, y[kept], weight[kept]

    def _prepare(self, columns: Columns, target: np.ndarray, weight: np.ndarray, rng):
        """Make canonical rows, the encoder of tables, tensors and parts."""
        ids = [np.unique(column, return_inverse=True)[1] for column in columns.labels.T]
        keys = row_keys([columns.numeric, *ids, target])
        index, weight = merge_rows(keys, weight)
        columns = Columns(columns.numeric[index], columns.labels[index])
        target = target[index]
        if self.warm_start and self._is_fitted():
            encoder = self._encoder
        else:
            encoder = TableEncoder(self._is_categorical).fit(columns)
        table = self._tensors(encoder.transform(columns), target, weight)
        parts = held_back_parts(target, self.validation_fraction, rng)
        return encoder, _Data(table, parts)

    @staticmethod
    def _tensors(inputs: dict, target: np.ndarray, weight: np.ndarray) -> TensorTable:
        return TensorTable(
            {name: torch.from_numpy(array) for name, array in inputs.items()},
            torch.from_numpy(target),
            torch.from_numpy(weight.astype(np.float32)),
        )

    # Fitting.

    def _fit(self, X, y, sample_weight):
        started = time.monotonic()
        check_parameters(self)
        space = resolve_space(self.search_space, self.ensemble_size)
        space.decisions()  # raises if an option of the space is wrong
        strategy = resolve_strategy(self.strategy)
        architectures = None
        if self.architecture is not None:
            architectures = resolve_architectures(self.architecture, space)
        device = resolve_device(self.device)
        rng = check_random_state(self.random_state)
        rng = np.random.RandomState(rng.randint(np.iinfo(np.int32).max))

        columns, y_kept, weight = self._read_rows(X, y, sample_weight)
        target, weight, attributes = self._encode_target(y_kept, weight)
        goes_on = self.warm_start and self._is_fitted()
        if goes_on:
            architectures, space = list(self.architectures_), self._space
        encoder, data = self._prepare(columns, target, weight, rng)
        data.table = data.table.to(device)
        spec = DataSpec(
            n_outputs=self._n_outputs(attributes),
            n_numeric=encoder.n_numeric,
            category_sizes=encoder.sizes,
            quantiles=encoder.quantiles,
        )
        recipe = self._recipe(data, device)
        attributes |= {"_encoder": encoder, "_space": space, "_spec": spec}

        deadline = None
        if self.time_limit is not None:
            reserve = max(RESERVE[0] * self.time_limit, RESERVE[1])
            deadline = started + max(self.time_limit - reserve, 0.0)
        sklearn_callbacks = listen(self, 1 if architectures else 3, X, y, sample_weight)
        bars = [ProgressBars()] if self.verbose else []
        progress = Progress(deadline, [*bars, *sklearn_callbacks])
        fitted = partial(self._fitted_attributes, attributes, recipe)
        callbacks = list(self.callbacks or ())

        with (
            private_random_state(rng.randint(2**31 - 1), device),
            single_thread(device),
        ):
            found = None
            if architectures is None:
                train, valid = data.split(0)
                found = search(
                    Problem(
                        space, spec, train, valid, self._reward(attributes), recipe
                    ),
                    strategy,
                    search_epochs=resolve_epochs(
                        self.search_epochs,
                        SEARCH_EPOCHS,
                        -(-len(train) // recipe.batch_size),
                        SEARCH_STEPS,
                    ),
                    n_candidates=N_CANDIDATES
                    if self.n_candidates == "auto"
                    else self.n_candidates,
                    n_best=self.ensemble_size,
                    random_state=rng,
                    progress=progress,
                    fitted=fitted,
                    callbacks=callbacks,
                    n_jobs=self.n_jobs,
                )
                architectures = found.architectures
            refit_started = time.monotonic()
            n_members = max(self.ensemble_size, len(architectures))
            members = [architectures[i % len(architectures)] for i in range(n_members)]
            if found and (progress.stopped or progress.time_left() <= 0):
                # no time to train: what was found has weights already
                members = architectures
                trained = [TrainedNetwork(weights) for weights in found.weights]
            else:
                trained = train_ensemble(
                    [partial(space.network, a, spec) for a in members],
                    data.split if self.early_stopping else lambda i: (data.table, None),
                    recipe,
                    random_state=rng,
                    progress=progress,
                    fitted=lambda networks: fitted(
                        list(zip(members, networks, strict=False))
                    ),
                    weights=self._weights if goes_on else None,
                    callbacks=callbacks,
                    n_jobs=self.n_jobs,
                )
        scores = [-np.inf if np.isnan(t.score) else t.score for t in trained]
        best = int(np.argmax(scores))
        attributes |= {
            "architectures_": members[: len(trained)],
            "architecture_": members[best],
            "search_results_": found.table if found else {},
            "history_": found.history if found else [],
            "search_time_": found.seconds if found else 0.0,
            "refit_time_": time.monotonic() - refit_started,
            "n_iter_": max(trained[best].n_epochs, 1),
            "_weights": [t.weights for t in trained],
            "_history": trained[best].history,
            "_best": best,
            "_device": device,
        }
        attributes["networks_"] = build_networks(attributes)
        vars(self).update(attributes)
        self.net_ = build_net(self)
        for listener in sklearn_callbacks:
            listener.end(lambda: attributes)
        return self

    def _recipe(self, data: _Data, device: str) -> Recipe:
        """Settle how networks are trained on these data."""
        n_rows = len(data.table) - len(data.parts[0])
        batch_size = resolve_batch_size(self.batch_size, max(n_rows, 1))
        n_steps = max(1, -(-n_rows // batch_size))
        return Recipe(
            criterion=self._criterion(),
            max_epochs=resolve_epochs(
                self.max_epochs, MAX_EPOCHS, n_steps, TRAINING_STEPS
            ),
            batch_size=batch_size,
            lr=self.lr,
            weight_decay=self.weight_decay,
            optimizer=self.optimizer,
            n_iter_no_change=self.n_iter_no_change if self.early_stopping else None,
            device=device,
        )

    def _fitted_attributes(
        self,
        attributes: dict,
        recipe: Recipe,
        members: list[tuple[Architecture, nn.Module]],
    ) -> dict:
        """Give the attributes with which an estimator predicts."""
        networks = [network.to(recipe.device).eval() for _, network in members]
        for network in networks:
            network.requires_grad_(False)
        return attributes | {
            "architecture_": members[0][0],
            "architectures_": [architecture for architecture, _ in members],
            "networks_": networks,
            "_device": recipe.device,
            "_weights": None,
        }

    # Prediction.

    def encode(self, X) -> dict[str, np.ndarray]:
        """Encode a table as the networks read it.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            The table.

        Returns
        -------
        inputs : dict of str to ndarray
            The keyword arguments of the networks in `networks_`, as arrays:
            "numeric", scaled numbers and indicators of missing values, float32 of
            shape (n_samples, n_numeric); "categorical", codes, int64 of shape
            (n_samples, n_categorical).
        """
        check_is_fitted(self)
        return self._encoder.transform(self._read_X(X, reset=False))

    def _predict_log(self, X) -> torch.Tensor:
        """Give each network's log-predictions: (n_networks, n_rows, n_outputs)."""
        inputs = {name: torch.from_numpy(a) for name, a in self.encode(X).items()}
        criterion = self._criterion()
        with single_thread(self._device):
            return torch.stack(
                [
                    criterion.log_predict(
                        predict_logits(network, inputs, self._device).double()
                    )
                    for network in self.networks_
                ]
            )

    # Persistence: numpy arrays and plain Python; see _state.py.

    def _is_fitted(self) -> bool:
        return hasattr(self, "networks_")

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `fit` was completed."""
        return self._is_fitted()

    def __getstate__(self):
        return to_state(super().__getstate__())

    def __setstate__(self, state):
        super().__setstate__(from_state(state, type(self).__name__))
        if self._is_fitted():
            self.net_ = build_net(self)
