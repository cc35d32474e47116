"""What every estimator that searches does, whatever it learns from."""

from __future__ import annotations

import numbers
from abc import ABCMeta, abstractmethod
from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sknas.architecture import Architecture
from sknas.estimators._checkpoint import Checkpoint
from sknas.estimators._defaults import (
    DEFAULT_PATIENCE,
    N_CANDIDATES,
    resolve_architectures,
    resolve_batch_size,
    resolve_cooldown,
    resolve_ensemble_size,
    resolve_epochs,
    resolve_most_epochs,
    resolve_space,
    resolve_strategy,
)
from sknas.estimators._held_back import HeldBackData
from sknas.estimators._run import FitRun
from sknas.estimators._sklearn_callbacks import CallbackSupportMixin, listen
from sknas.estimators._source import SourceMixin
from sknas.estimators._state import build_net, build_networks, from_state, to_state
from sknas.inspection import architecture_block
from sknas.notices import warn_caller
from sknas.search import SearchResult, SearchStrategy
from sknas.spaces import DataSpec, SearchSpace, checked_decisions
from sknas.training import (
    Augmentation,
    BatchIterator,
    Progress,
    ProgressBars,
    Recipe,
    TensorTable,
    noting_interrupts,
    private_random_state,
    single_thread,
)

# share and least seconds of time_limit kept for the end of fit, and the greatest share
RESERVE = 0.05, 0.5, 0.5
NEIGHBOR_SECONDS = 0.3  # more of them where neighbors are chosen


@dataclass(frozen=True)
class FitPlan:
    """What a fit is to do, by the estimator's parameters.

    Parameters
    ----------
    space : SearchSpace
        What can be built.

    strategy : SearchStrategy
        How it is searched.

    given : list of Architecture or None
        Architectures that make a search needless.

    goes_on : bool
        Whether the last fit's networks train on.

    seed : int
        Source of all randomness.
    """

    space: SearchSpace
    strategy: SearchStrategy
    given: list[Architecture] | None
    goes_on: bool
    seed: int


class SearchingEstimator(
    CallbackSupportMixin, SourceMixin, BaseEstimator, metaclass=ABCMeta
):
    """Base class of all estimators: the way from tensors to trained networks."""

    _tabular_options: ClassVar[dict[str, object]] = {}
    """Parameters of the tabular space that differ from its own defaults."""

    _tol: ClassVar[float] = 0.0
    """A loss that is lower by no more is no improvement."""

    _optimizers: ClassVar[dict[str, tuple[str, ...]]] = {}
    """By kind of the data, the optimizers that networks have in turn where it is
    "auto", if that is not AdamW alone."""

    _least_muon_rows: ClassVar[int] = 800
    """From so many rows of a table on, Muon's batches are larger by default."""

    @abstractmethod
    def __init__(self) -> None: ...

    def set_params(self, **params):
        """Set parameters, as in scikit-learn.

        Parameters
        ----------
        **params : dict
            Parameters by their names; those of objects as `search_space__...` and
            `strategy__...`.

        Returns
        -------
        self : estimator
            The estimator itself.

        Raises
        ------
        ValueError
            If a parameter is set of an object for which there is a name only.
        """
        for name, example in (("search_space", "TabularSpace"), ("strategy", "ENAS")):
            value = params.get(name, getattr(self, name))
            nested = [key for key in params if key.startswith(f"{name}__")]
            if nested and isinstance(value, str):
                raise ValueError(
                    f"{nested[0]!r} is a parameter of an object, but {name} is a name, "
                    f"{value!r}: give an object, such as {name}={example}()."
                )
        return super().set_params(**params)

    @abstractmethod
    def _criterion(self) -> nn.Module:
        """Give the loss."""

    @abstractmethod
    def _reward(self, attributes: dict):
        """Give what the search rewards."""

    def _check_reward(self, reward, valid: TensorTable, spec: DataSpec) -> None:
        """Raise, before anything is trained, where a reward does not suit the data."""

    def _n_parts(self) -> int:
        """Give the number of parts of the data that are held back in turn."""
        return max(2, round(1 / self.validation_fraction))

    def _asks_neighbors(self, kind: str, n_rows: int, n_networks: int) -> bool:
        """Say whether rows of the training may be asked, besides the networks."""
        return False

    def _augmentation(self, spec: DataSpec) -> Augmentation | None:
        """Give what changes the rows of each step at random."""
        return None

    @property
    def _goes_on(self) -> bool:
        """Whether a fit trains the networks of the last one on."""
        return self.warm_start and self._is_fitted()

    def _plan(self, kind: str) -> FitPlan:
        """Settle, and check, what does not depend on the values of the data."""
        strategy = resolve_strategy(self.strategy)
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        if self._goes_on:
            return FitPlan(self._space, strategy, self.architectures_, True, seed)
        space = resolve_space(
            self.search_space, kind, self.ensemble_size, self._tabular_options
        )
        decisions = checked_decisions(space)
        given = None
        if self.architecture is not None:
            given = resolve_architectures(self.architecture, space)
        elif not decisions:  # there is nothing to search
            given = [space.default_architecture()]
        return FitPlan(space, strategy, given, False, seed)

    def _complete(
        self,
        plan: FitPlan,
        *,
        spec: DataSpec,
        data: HeldBackData,
        attributes: dict,
        random_state: np.random.RandomState,
        checkpoint: Checkpoint,
        started: float,
        user_data: tuple,
    ):
        """Search and train, once the data are tensors; set the fitted attributes.

        `user_data` are X, y and the weights as the user gave them, for scikit-learn's
        callbacks. For the others see :class:`FitRun`.
        """
        device = attributes["_device"]
        table, _ = data.everything(0)
        ensemble_size = resolve_ensemble_size(
            self.ensemble_size, spec.kind, len(data.split(0)[0])
        )
        asks_neighbors = self._asks_neighbors(
            spec.kind, len(table), max(ensemble_size, len(plan.given or ()))
        )
        last_neighbors = None
        if plan.goes_on:  # its networks know the rows that they hold back
            last_neighbors = getattr(self, "neighbors_", None)
            asks_neighbors &= last_neighbors is not None
        deadline = self._deadline(started, asks_neighbors)
        n_phases = 3 if plan.given is None else 1
        listeners = listen(self, n_phases, *user_data)
        bars = ProgressBars(disable=not self.verbose)
        run = FitRun(
            space=plan.space,
            spec=spec,
            data=data,
            recipes=[
                self._recipe(data, spec, device, optimizer, asks_neighbors)
                for optimizer in self._optimizers_of(spec.kind)
            ],
            attributes=attributes,
            random_state=random_state,
            progress=Progress(deadline, [bars, *listeners]),
            callbacks=list(self.callbacks or ()),
            n_jobs=self.n_jobs,
            checkpoint=checkpoint,
            asks_neighbors=asks_neighbors,
            last_neighbors=last_neighbors,
        )
        seed = random_state.randint(np.iinfo(np.int32).max)
        with (
            closing(bars),
            noting_interrupts(run.progress),
            private_random_state(seed, device),
            single_thread(device),
        ):
            attributes |= self._search_and_train(
                run, plan.strategy, plan.given, ensemble_size, plan.goes_on
            )
        attributes["networks_"] = build_networks(attributes)
        vars(self).update(attributes)
        self.net_ = build_net(self)
        for listener in listeners:
            listener.end(lambda: attributes)
        if not run.progress.stopped:
            checkpoint.clear()
        return self

    def _identity(self) -> dict:
        """Give the parameters that decide what a fit comes to."""
        aside = ["callbacks", "checkpoint", "n_jobs", "time_limit", "verbose"]
        if not isinstance(self.random_state, numbers.Integral):
            aside.append("random_state")  # it may have moved on; the seed is kept
        parameters = self.get_params(deep=False)
        identity = {name: v for name, v in parameters.items() if name not in aside}
        if self.warm_start and self._is_fitted():
            given = [architecture.to_json() for architecture in self.architectures_]
            identity |= {"goes_on_from": (given, self._weights)}
        return identity

    def _deadline(self, started: float, asks_neighbors: bool) -> float | None:
        """Give the time at which training must end for `fit` to end in time."""
        if self.time_limit is None:
            return None
        share, least, most = RESERVE
        least += NEIGHBOR_SECONDS * asks_neighbors
        reserve = min(max(share * self.time_limit, least), most * self.time_limit)
        return started + self.time_limit - reserve

    def _search_and_train(
        self,
        run: FitRun,
        strategy: SearchStrategy,
        given: list[Architecture] | None,
        ensemble_size: int,
        goes_on: bool,
    ) -> dict:
        """Run both halves of a fit; give the attributes that they lead to."""
        found = None
        train, valid = run.data.split(0)
        first = run.space.default_architecture() if given is None else given[0]
        run.check_network(first)
        if given is None:
            n_steps = len(BatchIterator(train, run.recipe.batch_size))
            auto = self.n_candidates == "auto"
            reward = self._reward(run.attributes)
            self._check_reward(reward, valid, run.spec)
            found = run.search(
                strategy,
                reward,
                resolve_epochs(
                    self.search_epochs,
                    run.spec,
                    "search",
                    n_steps,
                    run.recipe.optimizer,
                ),
                N_CANDIDATES[run.spec.kind] if auto else self.n_candidates,
                ensemble_size,
            )
            _warn_of_no_reward(reward, found)
        weights = self._weights if goes_on else None
        return run.finish(found, given, ensemble_size, weights)

    def _optimizers_of(self, kind: str) -> tuple[str, ...]:
        """Settle the optimizers that networks have in turn, by the kind of data."""
        if self.optimizer == "auto":
            return self._optimizers.get(kind, ("adamw",))
        return (self.optimizer,)

    def _recipe(
        self,
        data: HeldBackData,
        spec: DataSpec,
        device: str,
        optimizer: str,
        keeps_answers: bool,
    ) -> Recipe:
        """Settle how networks are trained on these data, with an optimizer."""
        train = data.split(0)[0]
        batch_size = train.batch_rows
        if batch_size is None:
            batch_size = resolve_batch_size(
                self.batch_size,
                spec.kind,
                len(train),
                optimizer,
                self._least_muon_rows,
            )
        patience = self.n_iter_no_change
        if patience == "auto":
            patience = DEFAULT_PATIENCE[spec.kind]
        n_steps = len(BatchIterator(train, batch_size))
        max_epochs = resolve_epochs(
            self.max_epochs, spec, "training", n_steps, optimizer
        )
        return Recipe(
            criterion=self._criterion(),
            max_epochs=max_epochs,
            most_epochs=resolve_most_epochs(
                self.max_epochs, spec.kind, max_epochs, n_steps
            ),
            batch_size=batch_size,
            lr=self.lr,
            weight_decay=self.weight_decay,
            optimizer=optimizer,
            n_iter_no_change=patience if self.early_stopping else None,
            patience_grows=self.n_iter_no_change == "auto",
            device=device,
            lr_schedule=self.lr_schedule,
            max_gradient_norm=self.max_gradient_norm,
            augmentation=self._augmentation(spec),
            cooldown=resolve_cooldown(spec.kind, len(train)),
            tol=self._tol,
            keeps_answers=keeps_answers,
        )

    # What was found, for pictures and exports.

    @property
    def space_(self) -> SearchSpace:
        """The space that the networks in `networks_` were built by."""
        check_is_fitted(self)
        return self._space

    @property
    def data_spec_(self) -> DataSpec:
        """What the networks know of the data: numbers of inputs, outputs, ..."""
        check_is_fitted(self)
        return self._spec

    @available_if(lambda self: self._is_fitted())
    def _sk_visual_block_(self):
        """Let scikit-learn's diagram show the best network of a fitted estimator."""
        return architecture_block(self.architecture_, self._space, self._spec)

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


def _warn_of_no_reward(reward: object, found: SearchResult) -> None:
    """Tell of candidates that a scorer could not judge."""
    error = getattr(reward, "error", None)
    n_without = int(np.isnan(found.table["shared_score"]).sum())
    if error is not None and n_without:
        warn_caller(
            f"The scorer could not judge {n_without} of {len(found.table['rank'])} "
            f"candidates, which come last: {error}"
        )
