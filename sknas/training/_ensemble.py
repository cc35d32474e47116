"""Training of the networks that are to be averaged."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
from torch import nn

from sknas.training._data import BatchIterator, TensorTable
from sknas.training._progress import Progress
from sknas.training._schedule import MIN_SHARE, TimeBudget
from sknas.training._tasks import n_workers, run_tasks
from sknas.training._train import Recipe, TrainedNetwork, train_network
from sknas.training._weights import Weights, load_weights

MIN_NETWORK_EPOCHS = 30  # of a network, at the cost of those that would follow
MIN_LOSS = 0.01  # of the mean loss, added to each: none is perfect
# two, since the epoch that is kept was lucky with the rows that it is judged by: on 132
# splits of tables of classes, a log-loss lower by 0.0011 +- 0.0005 than with three
# tenths of the mean loss instead, with one lower by 0.0006 +- 0.0004
STANDARD_ERRORS = 2.0

Lesson = object  # what networks have to tell those that are trained after them


def ensemble_weights(members: list[TrainedNetwork]) -> np.ndarray:
    """Give the weights by which networks are averaged.

    They fall with the square of the loss on held-back rows, so that a network whose
    design does not suit the data counts for little. Twice the loss's standard error is
    added: where little is held back, differences are mostly luck.

    Parameters
    ----------
    members : list of TrainedNetwork
        The networks.

    Returns
    -------
    weights : ndarray of shape (n_members,)
        Weights that add up to one, equal ones where a loss is not known.
    """
    loss = -np.array([member.score for member in members])
    # of all together: a part that lacks the hard rows would seem to know its loss well
    error = np.sqrt(np.mean(np.square([member.score_error for member in members])))
    if not np.isfinite([*loss, error]).all() or loss.mean() == 0:
        return np.full(len(members), 1 / len(members))
    weights = ((loss + STANDARD_ERRORS * error) / loss.mean() + MIN_LOSS) ** -2
    return weights / weights.sum()


def train_ensemble(
    builds: list[Callable[[Lesson], nn.Module]],
    split: Callable[[int], tuple[TensorTable, TensorTable | None]],
    recipes: list[Recipe],
    *,
    random_state: np.random.RandomState,
    progress: Progress,
    fitted: Callable[[list[nn.Module]], dict],
    learn: Callable[[list[nn.Module]], Lesson] | None = None,
    everything: Callable[[int], TensorTable] | None = None,
    weights: list[Weights] | None = None,
    callbacks: list = (),
    n_jobs: int | None = None,
    step: Callable[[str, Callable], TrainedNetwork] = lambda name, compute: compute(),
) -> list[TrainedNetwork]:
    """Train several networks, each on rows of its own.

    Parameters
    ----------
    builds : list of callable
        Each makes a network: of the first half from None, of the second half from what
        `learn` gave.

    split : callable
        Gives the rows to train on and to judge by, from a network's number.

    recipes : list of Recipe
        How to train. Networks take the recipes in turn.

    random_state : numpy.random.RandomState
        Source of the networks' seeds.

    progress : Progress
        Whom to tell, and how much time there is.

    fitted : callable
        Gives the attributes of an estimator that predicts with the given networks.

    learn : callable or None, default=None
        Gives what the first half of the networks has to tell the second. None: they
        need not wait for each other.

    everything : callable or None, default=None
        Gives all rows, for a cooldown, from a network's number; None: there is none.

    weights : list of dict or None, default=None
        Weights to start from.

    callbacks : list of skorch.callbacks.Callback, default=()
        The user's callbacks.

    n_jobs : int or None, default=None
        Networks trained at the same time.

    step : callable, optional
        Called with a name and a training, runs it or gives its known result.

    Returns
    -------
    members : list of TrainedNetwork
        The trained networks: fewer than asked for if the fit was stopped. At least
        one, unless several were trained at the same time and none was done.
    """
    n_members = len(builds)
    seeds = [int(random_state.randint(2**31 - 1)) for _ in builds]
    n_first = n_members if learn is None else -(-n_members // 2)
    halves = [range(n_first), range(n_first, n_members)]
    lesson: Lesson = None
    done: list[nn.Module] = []
    members: list[TrainedNetwork] = []

    def recipe(i: int) -> Recipe:
        return recipes[i % len(recipes)]

    def budget(i: int, n_steps: int, at_once: int) -> TimeBudget | None:
        left = max(progress.time_left(), 0.0)
        if np.isinf(left):
            return None
        if at_once > 1:
            half, *later = halves if i < n_first else halves[1:]
            n_rounds = [-(-len(numbers) // at_once) for numbers in (half, *later)]
            seconds = left / sum(n_rounds)
            # workers need time to start, and to hand on what they are given
            before = (i - half.start) // at_once
            deadline = time.monotonic() + (before + 1) * seconds
            return TimeBudget(seconds, deadline=deadline)
        # one network that is trained is better than several that are not
        least_epochs = min(MIN_NETWORK_EPOCHS, recipe(i).max_epochs)
        return TimeBudget(left / (n_members - i), left, least_epochs * n_steps)

    def task(i: int, at_once: int, **reporting) -> Callable[[], TrainedNetwork]:
        train, valid = split(i)
        n_steps = len(BatchIterator(train, recipe(i).batch_size))
        training = partial(
            train_network,
            partial(builds[i], lesson),
            train,
            valid,
            recipe(i),
            seeds[i],
            everything=everything and everything(i),
            weights=weights[i] if weights is not None else None,
            callbacks=callbacks,
            budget=budget(i, n_steps, at_once),
            **reporting,
        )
        return partial(step, f"network_{i}", training)

    def keep(trained: TrainedNetwork) -> None:
        i = len(members)
        network = builds[i](lesson).to(recipe(i).device)
        load_weights(network, trained.weights)
        members.append(trained)
        done.append(network)

    def fitted_so_far() -> dict:
        return fitted(done)

    def train_one(i: int) -> bool:
        """Train a network; tell whether others may follow."""
        n_epochs = max(recipe(i).max_epochs, recipe(i).most_epochs)
        if everything is not None:
            n_epochs += recipe(i).cooldown_epochs(n_epochs)
        progress.begin("network", n_epochs)
        trained = task(
            i, 1, progress=progress, fitted=lambda net: fitted([*done, net.module_])
        )()
        keep(trained)
        progress.stopped |= trained.interrupted
        stop = progress.end(fitted_so_far) or progress.stopped
        return not stop and progress.time_left() > MIN_SHARE * trained.seconds

    def train_half(numbers: range) -> bool:
        at_once = min(n_workers(n_jobs, progress), len(numbers))
        if at_once < 2:
            return all(map(train_one, numbers))
        tasks = [task(i, at_once) for i in numbers]
        for trained in run_tasks(tasks, n_jobs, progress, fitted_so_far):
            keep(trained)
        return not (progress.task_stopped or progress.stopped)

    progress.begin("training", n_members)
    first, second = halves
    if train_half(first) and second:
        lesson = learn(done)
        train_half(second)
    progress.end(fitted_so_far)
    return members
