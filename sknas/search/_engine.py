"""The course of a search: shared training, ranking, successive halving."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from skorch.dataset import Dataset
from torch import nn

from sknas.architecture import Architecture
from sknas.search._halving import Candidate, halve, results_table
from sknas.search._net import SearchNet
from sknas.search._problem import Problem
from sknas.search._strategy import (
    SearchStrategy,
    check_begun_strategy,
    final_policy,
    propose,
)
from sknas.spaces import checked_supernet
from sknas.training import (
    BatchIterator,
    Progress,
    ReportEpochs,
    Schedule,
    TimeBudget,
    Weights,
    count_parameters,
    network_weights,
    optimizer_arguments,
    schedule_shape,
)

# of the time that is left: for the shared parameters, then for the ranking
SECONDS_SHARES = 0.3, 0.1
MIN_SEARCH_EPOCHS = 3  # of the shared parameters, for a ranking by them
# a step of the shared network costs more by its operations than by its rows: it takes
# twice the rows of other steps, if that leaves so many steps in an epoch
BATCH_FACTOR = 2
MIN_EPOCH_STEPS = 12


@dataclass
class SearchResult:
    """What a search leaves behind.

    Parameters
    ----------
    architectures : list of Architecture
        The best, best first.

    table : dict of str to ndarray
        One row for each ranked architecture; see `search_results_`.

    weights : list of dict of str to ndarray
        For each of `architectures`, its own weights as far as it was trained, else
        its part of the shared parameters.

    history : list of dict
        One entry for each epoch.

    policy : dict of str to dict
        For each decision, its "options", and the "probability" that the strategy gives
        each in the end; empty if it does not tell.

    seconds : float, default=0.0
        How long it took.

    seconds_left : float, default=inf
        How long the fit might still take when it was over. It is kept, so that a fit
        that goes on from a checkpoint has its networks in the same order.

    interrupted : bool, default=False
        Whether it was stopped.

    n_rolled_back : int, default=0
        How often weights that were no longer finite were taken back.
    """

    architectures: list[Architecture]
    table: dict[str, np.ndarray]
    weights: list[Weights]
    history: list[dict]
    policy: dict[str, dict]
    seconds: float = 0.0
    seconds_left: float = np.inf
    interrupted: bool = False
    n_rolled_back: int = 0


def search(
    problem: Problem,
    strategy: SearchStrategy,
    *,
    search_epochs: int,
    n_candidates: int,
    n_best: int,
    random_state: np.random.RandomState,
    progress: Progress,
    fitted: Callable[[list[tuple[Architecture, nn.Module]]], dict],
    callbacks: list = (),
    n_jobs: int | None = None,
) -> SearchResult:
    """Search a space.

    Parameters
    ----------
    problem : Problem
        What is searched.

    strategy : SearchStrategy
        How; it is initialized anew.

    search_epochs, n_candidates : int
        See :class:`sknas.NASClassifier`.

    n_best : int
        How many architectures to find.

    random_state : numpy.random.RandomState
        Source of all randomness.

    progress : Progress
        Whom to tell, and how much time there is.

    fitted : callable
        Gives, from architectures and networks, the attributes of an estimator that
        would predict with them.

    callbacks : list of skorch.callbacks.Callback, default=()
        The user's callbacks.

    n_jobs : int or None, default=None
        Candidates trained at the same time.

    Returns
    -------
    result : SearchResult
        The best architectures, and the search's course.
    """
    started = time.monotonic()
    seconds = progress.time_left()
    decisions = problem.space.decisions()
    net = _train_shared(
        problem,
        strategy,
        search_epochs,
        random_state,
        progress,
        fitted,
        callbacks,
        seconds * SECONDS_SHARES[0],
    )
    durations = [epoch["dur"] for epoch in net.history if "dur" in epoch]
    proposals = [problem.space.default_architecture()]
    # shared parameters that have hardly been trained rank nothing
    is_ranked = len(durations) >= min(MIN_SEARCH_EPOCHS, search_epochs)
    if not progress.stopped and is_ranked:
        proposals += propose(strategy, n_candidates - 1, decisions, in_the_end=True)
    elif net.best_architecture_ is not None:
        proposals = [net.best_architecture_]
    proposals = list(dict.fromkeys(proposals))
    candidates = [
        Candidate(architecture, score, count_parameters(problem.build(architecture)))
        for architecture, score in zip(
            proposals,
            net.score(proposals, progress.share(SECONDS_SHARES[1])),
            strict=False,
        )
    ]
    if not progress.stopped:
        halve(
            problem,
            candidates,
            n_best,
            random_state,
            progress,
            fitted,
            callbacks,
            n_jobs,
            float(np.median(durations)) if durations else 0.0,
            partial(_shared_network, problem, net),
        )
    candidates.sort(key=Candidate.order)
    best = candidates[:n_best]
    return SearchResult(
        architectures=[c.architecture for c in best],
        table=results_table(candidates, decisions),
        weights=[
            c.trained.weights
            if c.trained is not None
            else network_weights(_shared_network(problem, net, c.architecture))
            for c in best
        ],
        history=[
            {k: v for k, v in row.items() if k != "batches"} for row in net.history
        ],
        policy=final_policy(strategy, decisions),
        seconds=time.monotonic() - started,
        seconds_left=progress.time_left(),
        interrupted=progress.stopped,
        n_rolled_back=net.n_rolled_back_
        + sum(c.trained.n_rolled_back for c in candidates if c.trained),
    )


def _train_shared(
    problem: Problem,
    strategy: SearchStrategy,
    search_epochs: int,
    random_state: np.random.RandomState,
    progress: Progress,
    fitted: Callable,
    callbacks: list,
    seconds: float,
) -> SearchNet:
    """Alternate the two phases; see :class:`SearchNet`."""
    recipe = problem.recipe
    decisions = problem.space.decisions()

    def fitted_so_far(net: SearchNet) -> dict:
        best = net.best_architecture_ or problem.space.default_architecture()
        return fitted([(best, _shared_network(problem, net, best))])

    n_rows = len(problem.train)
    batch_size = min(BATCH_FACTOR * recipe.batch_size, n_rows // MIN_EPOCH_STEPS)
    batch_size = max(recipe.batch_size, batch_size)
    n_steps = len(BatchIterator(problem.train, batch_size))
    least_steps = min(MIN_SEARCH_EPOCHS, search_epochs) * n_steps
    budget = TimeBudget(seconds, least_steps=least_steps, is_optional=True)
    schedule = Schedule(
        search_epochs * n_steps,
        budget=budget,
        shape=schedule_shape(recipe.lr_schedule, search_epochs),
    )
    progress.begin("search", search_epochs)
    strategy.initialize(decisions, random_state)
    check_begun_strategy(strategy)
    supernet = checked_supernet(problem.space, problem.spec)
    # what does not fit is told of before anything is trained
    default = problem.space.default_architecture()
    problem.space.copy_shared_weights(supernet, problem.build(default), default)
    net = SearchNet(
        supernet,
        recipe.criterion,
        decisions=decisions,
        strategy=strategy,
        reward=problem.reward,
        dataset_valid=problem.valid,
        random_state=random_state,
        reward_rows=problem.reward_rows,
        ranking_rows=problem.ranking_rows,
        n_outputs=problem.n_outputs,
        schedule=schedule,
        lr=recipe.lr,
        max_epochs=search_epochs,
        batch_size=batch_size,
        iterator_train=BatchIterator,
        iterator_train__shuffle=True,
        iterator_train__augmentation=recipe.augmentation,
        dataset=Dataset,
        train_split=None,
        callbacks=[
            schedule,
            *recipe.clipping(),
            ReportEpochs(progress, fitted_so_far),
            *callbacks,
        ],
        callbacks__print_log=None,
        callbacks__valid_loss=None,
        verbose=0,
        device=recipe.device,
        **optimizer_arguments(recipe.optimizer, recipe.weight_decay),
    )
    net.fit(problem.train)
    is_asked_to = progress.end(lambda: fitted_so_far(net))
    if net.interrupted_ or is_asked_to:
        progress.stopped = True
    return net


def _shared_network(
    problem: Problem, net: SearchNet, architecture: Architecture
) -> nn.Module:
    """Build an architecture's network with its part of the shared parameters."""
    network = problem.build(architecture).to(problem.recipe.device)
    problem.space.copy_shared_weights(net.module_, network, architecture)
    return network.eval()
