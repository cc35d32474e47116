"""One run of `fit`, once its data are tensors: search, then train what was found."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from torch import nn

from sknas.architecture import Architecture
from sknas.estimators._checkpoint import Checkpoint
from sknas.estimators._defaults import RANKING_ROWS_BY_KIND, REWARD_ROWS_BY_KIND
from sknas.estimators._held_back import HeldBackData
from sknas.estimators._neighbors import choose_neighbors, renew_neighbors
from sknas.estimators._relevance import ensemble_relevance
from sknas.modules import NeighborAttention
from sknas.notices import warn_caller
from sknas.search import (
    Problem,
    ScorerReward,
    SearchResult,
    SearchStrategy,
    search,
)
from sknas.spaces import DataSpec, SearchSpace, check_network
from sknas.training import (
    Progress,
    Recipe,
    TrainedNetwork,
    Weights,
    ensemble_weights,
    private_random_state,
    train_ensemble,
)

Member = tuple[Architecture, nn.Module]

CHECKED_ROWS = 2  # that a network has to answer before it is trained
# where less time is left than so many searches would take, there may be time for one
# network only, and a search in so little finds what is no better than the default:
# within 30 s, six splits of images, a log-loss of 0.067 instead of 0.087, of which some
# is due to the cooldown, which had no time
SEARCH_TIMES = 2


@dataclass
class FitRun:
    """What the two halves of a fit have in common.

    Parameters
    ----------
    space : SearchSpace
        What can be built: in the end, the space of the final networks.

    spec : DataSpec
        What the data look like.

    data : HeldBackData
        The rows.

    recipes : list of Recipe
        How networks are trained, in turn; by the first they are searched.

    attributes : dict
        The fitted attributes that are known before any network is.

    random_state : numpy.random.RandomState
        Source of all randomness.

    progress : Progress
        Whom to tell, and how much time there is.

    callbacks : list of skorch.callbacks.Callback
        The user's callbacks.

    n_jobs : int or None
        Networks trained at the same time.

    checkpoint : Checkpoint
        Keeps the progress.

    asks_neighbors : bool
        Whether rows of the training may be asked, besides the networks.

    last_neighbors : NeighborAttention or None
        Those of the fit that is gone on from.
    """

    space: SearchSpace
    spec: DataSpec
    data: HeldBackData
    recipes: list[Recipe]
    attributes: dict
    random_state: np.random.RandomState
    progress: Progress
    callbacks: list
    n_jobs: int | None
    checkpoint: Checkpoint
    asks_neighbors: bool
    last_neighbors: NeighborAttention | None

    def __post_init__(self) -> None:
        # of their own, so that training is the same whether the search ran or not
        seeds = self.random_state.randint(np.iinfo(np.int32).max, size=2)
        self.search_state, self.training_state = map(np.random.RandomState, seeds)

    @property
    def recipe(self) -> Recipe:
        """How the first network is trained, and all are searched."""
        return self.recipes[0]

    def check_network(self, architecture: Architecture) -> None:
        """Check, before anything is trained, that a network has as many outputs."""
        train, _ = self.data.split(0)
        inputs, _ = train[:CHECKED_ROWS]
        inputs = {name: tensor.cpu() for name, tensor in inputs.items()}
        with private_random_state(0):  # what follows is to draw what it always drew
            check_network(self.space, architecture, self.spec, inputs)

    def search(
        self,
        strategy: SearchStrategy,
        reward: Callable,
        search_epochs: int,
        n_candidates: int,
        ensemble_size: int,
    ) -> SearchResult:
        """Search, with the first part held back."""
        self.checkpoint.begin()
        train, valid = self.data.split(0)
        is_scorer = isinstance(reward, ScorerReward)  # may need rows of each class
        run = partial(
            search,
            Problem(
                self.space,
                self.spec,
                train,
                valid,
                reward,
                replace(self.recipe, keeps_answers=False),
                REWARD_ROWS_BY_KIND[self.spec.kind],
                None if is_scorer else RANKING_ROWS_BY_KIND[self.spec.kind],
            ),
            strategy,
            search_epochs=search_epochs,
            n_candidates=n_candidates,
            # every other network has the default architecture
            n_best=-(-ensemble_size // 2),
            random_state=self.search_state,
            progress=self.progress,
            fitted=self.fitted,
            callbacks=self.callbacks,
            n_jobs=self.n_jobs,
        )
        return self.checkpoint.step("search", run)

    def train(
        self, architectures: list[Architecture], weights: list[Weights] | None = None
    ) -> list[TrainedNetwork]:
        """Train a network of each architecture, each with another part held back.

        Gives as many as were trained, at least in part, before Ctrl-C came.
        """
        stops_early = self.recipe.n_iter_no_change is not None
        cools_down = stops_early and self.recipe.cooldown
        is_told = self.spec.kind == "table" and self.space.tells_relevance
        trained = train_ensemble(
            [partial(_build, self.space, self.spec, a) for a in architectures],
            self.data.split if stops_early else self.data.everything,
            self.recipes,
            everything=(lambda i: self.data.everything(i)[0]) if cools_down else None,
            random_state=self.training_state,
            progress=self.progress,
            fitted=lambda networks: self.fitted(
                list(zip(architectures, networks, strict=False))
            ),
            # weights that have learnt before have scales of their own
            hint=partial(self._relevance, architectures)
            if is_told and weights is None
            else None,
            weights=weights,
            callbacks=self.callbacks,
            n_jobs=self.n_jobs,
            step=self.checkpoint.step,
        )
        return [one for one in trained if one.n_epochs or not one.interrupted]

    def _relevance(
        self, architectures: list[Architecture], weights: list[Weights]
    ) -> np.ndarray | None:
        """Say how much each column matters to the networks that are trained so far."""
        table, _ = self.data.everything(0)
        criterion = self.recipe.criterion
        return ensemble_relevance(
            self.space, self.spec, table, criterion, architectures, weights
        )

    def finish(
        self,
        found: SearchResult | None,
        given: list[Architecture] | None,
        ensemble_size: int,
        weights: list[Weights] | None,
    ) -> dict:
        """Train what the search found, or was given; give the fitted attributes."""
        started = time.monotonic()
        self.checkpoint.begin()
        architectures = list(found.architectures if found else given)
        if found and self.progress.stopped and not _is_trained(found):
            raise KeyboardInterrupt  # there is nothing to keep
        trained = []
        if not (found and (self.progress.stopped or self.progress.time_left() <= 0)):
            searched, self.space = self.space, self.space.final_space()
            if found:
                default = self.space.default_architecture()
                pairs = [(best, default) for best in architectures]
                is_short = found.seconds_left < SEARCH_TIMES * found.seconds
                if is_short and ensemble_size > 1:
                    pairs = [(default, best) for best in architectures]
                architectures = [a for pair in pairs for a in pair][:ensemble_size]
            n_members = max(ensemble_size, len(architectures))
            architectures = list(islice(cycle(architectures), n_members))
            weights = weights and list(islice(cycle(weights), n_members))
            trained = self.train(architectures, weights)
            if weights:  # networks that were not reached stay as they were
                trained += map(TrainedNetwork, weights[len(trained) :])
            if not trained:
                self.space = searched
        if not trained:
            if not found:
                raise KeyboardInterrupt  # there is nothing to keep
            # no time to train: what was found has weights already
            architectures = found.architectures
            trained = [TrainedNetwork(shared) for shared in found.weights]
        is_late = self.progress.time_left() <= 0
        neighbors = self._neighbors(architectures, trained)
        architectures, trained = _without_diverged(architectures, trained)
        _warn_of_rolled_back(found, trained)
        if is_late and not weights:  # which have learnt before
            _warn_of_no_training(found, trained)
        best = _best(found, architectures, trained)
        return {
            "_space": self.space,
            "architectures_": architectures,
            "architecture_": architectures[best],
            **neighbors,
            "ensemble_weights_": ensemble_weights(trained),
            "search_results_": found.table if found else {},
            "search_policy_": found.policy if found else {},
            "history_": found.history if found else [],
            "search_time_": found.seconds if found else 0.0,
            "refit_time_": time.monotonic() - started,
            "n_iter_": max(trained[best].n_epochs, 1),
            "_weights": [t.weights for t in trained],
            "_history": trained[best].history,
            "_best": best,
        }

    def _neighbors(
        self, architectures: list[Architecture], trained: list[TrainedNetwork]
    ) -> dict:
        """Choose neighbors, if there may be any; give the attribute that they are."""
        if not self.asks_neighbors:
            return {}
        table, _ = self.data.everything(0)
        if self.last_neighbors is not None:
            renewed = renew_neighbors(self.last_neighbors, self.spec, table)
            return {"neighbors_": renewed}
        judges = [i for i, one in enumerate(trained) if one.answers is not None]
        judges = judges[: self.data.n_parts]  # later ones hold back the same parts
        if not judges:
            return {}
        relevance = None
        if self.space.tells_relevance:
            relevance = self._relevance(
                [architectures[i] for i in judges], [trained[i].weights for i in judges]
            )
        chosen = choose_neighbors(
            self.spec,
            table,
            [(*self.data.split(i), trained[i].answers) for i in judges],
            relevance,
        )
        return {"neighbors_": chosen}

    def fitted(self, members: list[Member]) -> dict:
        """Give the attributes with which an estimator would predict by now.

        The networks are copied, since they may be in training.
        """
        device = self.attributes["_device"]
        networks = [copy.deepcopy(n).to(device).eval() for _, n in members]
        for network in networks:
            network.requires_grad_(False)
        return self.attributes | {
            "_space": self.space,
            "architecture_": members[0][0],
            "architectures_": [architecture for architecture, _ in members],
            "networks_": networks,
            "ensemble_weights_": np.full(len(networks), 1 / len(networks)),
            "_weights": None,
            "_history": [],
            "_best": 0,
        }


def _build(
    space: SearchSpace,
    spec: DataSpec,
    architecture: Architecture,
    relevance: np.ndarray | None,
) -> nn.Module:
    """Build a network, with what those before it said of the columns."""
    return space.network(architecture, replace(spec, relevance=relevance))


def _best(
    found: SearchResult | None,
    architectures: list[Architecture],
    trained: list[TrainedNetwork],
) -> int:
    """Tell which network is the best: of those that the search found, if it did."""

    def order(i: int) -> tuple[bool, float]:
        is_found = found is not None and architectures[i] in found.architectures
        return is_found, np.nan_to_num(trained[i].score, nan=-np.inf)

    return max(range(len(trained)), key=order)


def _without_diverged(
    architectures: list[Architecture], trained: list[TrainedNetwork]
) -> tuple[list[Architecture], list[TrainedNetwork]]:
    """Leave out networks that have no finite loss, unless there are no others."""
    kept = [i for i, one in enumerate(trained) if one.score != -np.inf]
    if not kept:
        warn_caller(
            "All networks diverged: they predict no better than chance, if at all. Set "
            "a lower lr, or max_gradient_norm.",
            ConvergenceWarning,
        )
        return architectures, trained
    if len(kept) < len(trained):
        warn_caller(
            f"{len(trained) - len(kept)} of {len(trained)} networks diverged, and were "
            "left out. Fewer will with a lower lr, or with max_gradient_norm.",
            ConvergenceWarning,
        )
    return [architectures[i] for i in kept], [trained[i] for i in kept]


def _warn_of_rolled_back(
    found: SearchResult | None, trained: list[TrainedNetwork]
) -> None:
    """Tell of steps that were undone."""
    n_steps = sum(one.n_rolled_back for one in trained)
    n_steps += found.n_rolled_back if found else 0
    if n_steps:
        warn_caller(
            f"{n_steps} steps of training had, or led to, a loss or a gradient that is "
            "not finite, and were rolled back. Fewer will be with a lower lr, or with "
            "max_gradient_norm.",
            ConvergenceWarning,
        )


def _is_trained(found: SearchResult | None) -> bool:
    """Whether the shared parameters were trained, for an epoch at least."""
    return found is not None and any("train_loss" in row for row in found.history)


def _warn_of_no_training(
    found: SearchResult | None, trained: list[TrainedNetwork]
) -> None:
    """Tell of networks that know nothing."""
    if not _is_trained(found) and not any(one.n_epochs for one in trained):
        warn_caller(
            "time_limit ended the fit before anything was trained for an epoch: it may "
            "predict no better than chance. Give it more time.",
            ConvergenceWarning,
        )
