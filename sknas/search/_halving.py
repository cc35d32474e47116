"""Successive halving of candidates, each with weights of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from torch import nn

from sknas.architecture import Architecture
from sknas.decisions import Decisions
from sknas.search._problem import Problem
from sknas.training import (
    Progress,
    TimeBudget,
    TrainedNetwork,
    load_weights,
    predict_logits,
    run_tasks,
    train_network,
)

N_TRAINED = 4  # candidates of the first round; more where more than half would stay
ROUND_SHARE = 0.03  # of max_epochs, in each round; none where it is less than one
SECONDS_SHARE = 0.25  # of the time that is left


@dataclass
class Candidate:
    """An architecture in the race.

    Parameters
    ----------
    architecture : Architecture
        The architecture.

    shared_score : float
        Its reward with the shared parameters, on the held-back part.

    n_parameters : int
        Parameters of its stand-alone network.
    """

    architecture: Architecture
    shared_score: float
    n_parameters: int
    trained: TrainedNetwork | None = None
    scores: list[float] = field(default_factory=list)
    n_epochs: int = 0
    seconds: float = 0.0

    def order(self) -> tuple[int, float]:
        """Sort key: who came further comes first, then who scored better."""
        score = self.scores[-1] if self.scores else self.shared_score
        return -len(self.scores), -np.nan_to_num(score, nan=-np.inf)


def halve(
    problem: Problem,
    candidates: list[Candidate],
    n_best: int,
    random_state: np.random.RandomState,
    progress: Progress,
    fitted: Callable[[list[tuple[Architecture, nn.Module]]], dict],
    callbacks: list,
    n_jobs: int | None,
    epoch_seconds: float,
    shared_network: Callable[[Architecture], nn.Module],
) -> None:
    """Train the best candidates for a while, drop the worse half, until few are left.

    The candidates keep the weights and scores that they come to. Nothing is trained
    where trainings have so few epochs that a round would be less than one, or where
    the time is too short for half of its epochs, going by `epoch_seconds`. Of one that
    is not trained yet, `shared_network` gives what there is to predict with. See
    :func:`sknas.search.search` for the other parameters.
    """
    recipe = problem.recipe
    share = ROUND_SHARE * recipe.max_epochs
    n_epochs = round(share) if share >= 1 else 0
    sizes = _round_sizes(len(candidates), n_best)
    n_trainings = sum(sizes)
    needed = epoch_seconds * n_trainings * n_epochs
    is_short = needed / 2 > progress.time_left() * SECONDS_SHARE
    if not (sizes and n_epochs) or is_short:
        return
    seconds = progress.time_left() * SECONDS_SHARE / n_trainings
    deadline = progress.share(SECONDS_SHARE)

    def fitted_so_far() -> dict:
        best = min(candidates, key=Candidate.order)
        if best.trained is None:
            network = shared_network(best.architecture)
        else:
            network = problem.build(best.architecture)
            load_weights(network, best.trained.weights)
        return fitted([(best.architecture, network.eval())])

    progress.begin("candidates", n_trainings)
    for size in sizes:
        candidates.sort(key=Candidate.order)
        tasks = [
            partial(
                train_network,
                partial(problem.space.network, candidate.architecture, problem.spec),
                problem.train,
                problem.valid,
                recipe,
                int(random_state.randint(2**31 - 1)),
                weights=candidate.trained and candidate.trained.weights,
                first_epoch=candidate.n_epochs,
                n_epochs=n_epochs,
                callbacks=callbacks,
                budget=None
                if deadline is None
                else TimeBudget(seconds, deadline=deadline),
            )
            for candidate in candidates[:size]
        ]
        results = run_tasks(tasks, n_jobs, progress, fitted_so_far, deadline)
        for trained, candidate in zip(results, candidates[:size], strict=False):
            if not trained.n_epochs:  # its shared weights have learnt more
                continue
            candidate.trained = trained
            candidate.n_epochs += trained.n_epochs
            candidate.seconds += trained.seconds
            network = problem.build(candidate.architecture)
            load_weights(network, trained.weights)
            candidate.scores.append(_own_score(problem, network.eval()))
        is_late = deadline is not None and time.monotonic() > deadline
        if progress.stopped or progress.task_stopped or is_late:
            break
    if progress.end(fitted_so_far):
        progress.stopped = True


def _round_sizes(n_candidates: int, n_best: int) -> list[int]:
    """Give the number of candidates that each round trains, until the best are left."""
    sizes = []
    size = min(max(N_TRAINED, 2 * n_best), n_candidates)
    while size > n_best:
        sizes.append(size)
        size = max(size // 2, n_best)
    return sizes


def _own_score(problem: Problem, network: nn.Module) -> float:
    """Reward of a network with its own weights, on the whole held-back part."""
    inputs, (target, weight) = problem.valid[:]
    network = network.to(problem.recipe.device)
    logits = predict_logits(network, inputs, problem.recipe.device)
    joint = problem.recipe.criterion.join(logits).unsqueeze(0)
    return float(problem.reward(joint, target.cpu(), weight.cpu())[0])


def results_table(
    candidates: list[Candidate], decisions: Decisions
) -> dict[str, np.ndarray]:
    """Write the candidates down, best first, a row for each.

    Returns
    -------
    table : dict of str to ndarray of shape (n_candidates,)
        As `cv_results_` in scikit-learn: a column for each decision, and the
        figures of each candidate.
    """
    columns: dict[str, list] = {"rank": list(range(1, len(candidates) + 1))}
    columns["architecture"] = [c.architecture.to_json() for c in candidates]
    for decision in decisions:
        columns[f"decision_{decision.name}"] = [
            c.architecture.get(decision.name) for c in candidates
        ]
    columns["shared_score"] = [float(c.shared_score) for c in candidates]
    columns["trained"] = [bool(c.scores) for c in candidates]
    columns["first_score"] = [c.scores[0] if c.scores else np.nan for c in candidates]
    columns["score"] = [c.scores[-1] if c.scores else np.nan for c in candidates]
    columns["n_epochs"] = [c.n_epochs for c in candidates]
    columns["n_parameters"] = [c.n_parameters for c in candidates]
    columns["fit_time"] = [c.seconds for c in candidates]
    table = {}
    for name, values in columns.items():
        plain = name.startswith("decision_") or name == "architecture"
        table[name] = np.array(values, dtype=object if plain else None)
    return table
