"""Trainings one by one, or in several processes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

from joblib import effective_n_jobs
from joblib.parallel import get_active_backend
from sklearn.utils.parallel import Parallel, delayed

from sknas.training._progress import Progress, interruptible
from sknas.training._train import TrainedNetwork

START_SECONDS = 10.0  # that processes may take to start, and to import torch


def n_workers(
    n_jobs: int | None, progress: Progress, deadline: float | None = None
) -> int:
    """Give the number of trainings that can run at the same time.

    Threads cannot: torch's default generator, which trainings draw from, belongs to
    the whole process. Nor can processes, where they might not start in time.
    """
    backend, _ = get_active_backend()
    shares_memory = getattr(backend, "supports_sharedmem", False)
    seconds = progress.time_left()
    if deadline is not None:
        seconds = min(seconds, deadline - time.monotonic())
    if shares_memory or seconds < START_SECONDS:
        return 1
    return effective_n_jobs(n_jobs)


def _at_once(tasks: list[Callable], n_jobs: int | None) -> Iterator[TrainedNetwork]:
    """Run trainings in processes, and give each as soon as joblib's backend does."""
    backend, _ = get_active_backend()
    return_as = "generator" if backend.supports_return_generator else "list"
    parallel = Parallel(n_jobs=n_jobs, return_as=return_as)
    yield from parallel(delayed(task)() for task in tasks)


@contextmanager
def _closing(results: Generator) -> Iterator[None]:
    """Give up, in the end, what has not been run; joblib would warn of that."""
    try:
        yield
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results.close()


def run_tasks(
    tasks: list[Callable[[], TrainedNetwork]],
    n_jobs: int | None,
    progress: Progress,
    fitted: Callable[[], dict],
    deadline: float | None = None,
    at_once: int | None = None,
) -> Iterator[TrainedNetwork]:
    """Run trainings, at the same time if so wished, and report each as a step.

    Parameters
    ----------
    tasks : list of callable
        The trainings.

    n_jobs : int or None
        As in joblib.

    progress : Progress
        Whom to tell; a stop that it asks for ends the trainings that have not begun.

    fitted : callable
        Gives the attributes of an estimator that is fitted so far.

    deadline : float or None, default=None
        When to begin no more of them, on the clock of :func:`time.monotonic`.

    at_once : int or None, default=None
        How many can run at the same time, if it is settled; None: as
        :func:`n_workers` says.

    Yields
    ------
    trained : TrainedNetwork
        Their results, in the order of the tasks, as far as they were run.
    """
    at_once = at_once or n_workers(n_jobs, progress, deadline)
    if at_once > 1:
        results = _at_once(tasks, n_jobs)
    else:
        results = (task() for task in tasks)
    with _closing(results):
        while True:
            try:
                with interruptible():
                    trained = next(results, None)
            except KeyboardInterrupt:
                progress.stopped = True
                return
            if trained is None:
                return
            progress.stopped |= trained.interrupted
            yield trained
            is_late = deadline is not None and time.monotonic() > deadline
            if progress.step(fitted) or progress.stopped or is_late:
                return
