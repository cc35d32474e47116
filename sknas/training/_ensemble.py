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

MIN_HINTED = 3  # networks: two had better be trained at the same time


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
    builds: list[Callable[[object], nn.Module]],
    split: Callable[[int], tuple[TensorTable, TensorTable | None]],
    recipes: list[Recipe],
    *,
    random_state: np.random.RandomState,
    progress: Progress,
    fitted: Callable[[list[nn.Module]], dict],
    hint: Callable[[list[Weights]], object] | None = None,
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
        Each makes a network, from what others have to tell it, or None.

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

    hint : callable or None, default=None
        Of three networks or more, gives what the first half has to tell the second,
        from the weights of the first half. None: networks do not wait for each other.

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
    is_hinted = hint is not None and n_members >= MIN_HINTED
    n_first = -(-n_members // 2) if is_hinted else n_members
    parts = [range(n_first), range(n_first, n_members)]
    told = None
    jobs = n_workers(n_jobs, progress)
    done: list[nn.Module] = []
    members: list[TrainedNetwork] = []

    def recipe(i: int) -> Recipe:
        return recipes[i % len(recipes)]

    def budget(i: int, n_steps: int) -> TimeBudget | None:
        left = max(progress.time_left(), 0.0)
        if np.isinf(left):
            return None
        part, *later = parts if i < n_first else parts[1:]
        if min(jobs, len(part)) > 1:
            n_rounds = sum(-(-len(numbers) // jobs) for numbers in (part, *later))
            seconds = left / n_rounds
            # workers need time to start, and to hand on what they are given
            n_before = (i - part.start) // jobs
            deadline = time.monotonic() + (n_before + 1) * seconds
            return TimeBudget(seconds, deadline=deadline)
        # one network that is trained is better than several that are not
        least_epochs = min(MIN_NETWORK_EPOCHS, recipe(i).max_epochs)
        return TimeBudget(left / (n_members - i), left, least_epochs * n_steps)

    def task(i: int, **reporting) -> Callable[[], TrainedNetwork]:
        train, valid = split(i)
        n_steps = len(BatchIterator(train, recipe(i).batch_size))
        training = partial(
            train_network,
            partial(builds[i], told),
            train,
            valid,
            recipe(i),
            seeds[i],
            everything=everything and everything(i),
            weights=weights[i] if weights is not None else None,
            callbacks=callbacks,
            budget=budget(i, n_steps),
            **reporting,
        )
        return partial(step, f"network_{i}", training)

    def keep(trained: TrainedNetwork) -> None:
        i = len(members)
        network = builds[i](told).to(recipe(i).device)
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
            i, progress=progress, fitted=lambda net: fitted([*done, net.module_])
        )()
        keep(trained)
        progress.stopped |= trained.interrupted
        stop = progress.end(fitted_so_far) or progress.stopped
        return not stop and progress.time_left() > MIN_SHARE * trained.seconds

    def train_part(numbers: range) -> bool:
        if min(jobs, len(numbers)) < 2:
            return all(map(train_one, numbers))
        tasks = [task(i) for i in numbers]
        for trained in run_tasks(tasks, n_jobs, progress, fitted_so_far, at_once=jobs):
            keep(trained)
        return not (progress.task_stopped or progress.stopped)

    progress.begin("training", n_members)
    first, second = parts
    if train_part(first) and second:
        told = hint([member.weights for member in members])
        if progress.time_left() > 0 and not progress.stopped:
            train_part(second)
    progress.end(fitted_so_far)
    return members
