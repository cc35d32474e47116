"""The course of a training: its learning rate, and its time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from skorch.callbacks import Callback

from sknas.modules import DropPath
from sknas.training._progress import StopTraining

WARM_UP_STEPS = 20
MEASURED_STEPS = 5  # after which a step's time is known
MIN_SHARE = 0.5  # of a training's time, without which no other one is begun


# Pham et al. (2018): cosines over 10, 20, 40, ... epochs, from 0.05 down to 0.001
RESTART_EPOCHS, RESTART_FACTOR, RESTART_FLOOR = 10, 2, 0.02


def _cosine(done: float, n_epochs: int = 1) -> float:
    return (1 + math.cos(math.pi * done)) / 2


def _cosine_restarts(done: float, n_epochs: int) -> float:
    """Anneal again and again (Loshchilov and Hutter, 2017)."""
    begin, length = 0.0, float(RESTART_EPOCHS)
    epoch = done * n_epochs
    while epoch >= begin + length and begin + length < n_epochs:
        begin, length = begin + length, length * RESTART_FACTOR
    return RESTART_FLOOR + (1 - RESTART_FLOOR) * _cosine((epoch - begin) / length)


def _constant(done: float, n_epochs: int) -> float:
    return 1.0


def _square_root(done: float, n_epochs: int) -> float:
    return (1 - done) ** 0.5


SCHEDULES: dict[str, Callable[[float, int], float]] = {
    "constant": _constant,
    "cosine": _cosine,
    "cosine_restarts": _cosine_restarts,
    "sqrt": _square_root,
}


def schedule_shape(name: str, n_epochs: int) -> Callable[[float], float]:
    """Give a schedule's factor of the learning rate, by the share of training done."""
    return partial(SCHEDULES[name], n_epochs=n_epochs)


@dataclass
class TimeBudget:
    """How long a training may take.

    Parameters
    ----------
    seconds : float
        The time that it has.

    limit : float, default=0.0
        The time that it may have, if it needs more for `least_steps`.

    least_steps : int, default=0
        Steps without which a training is not worth its while.

    is_optional : bool, default=False
        Whether a training that will not come to `least_steps` ends as soon as that
        is known, and leaves its time to others.

    deadline : float, default=inf
        When it must be over, however late it begins, on the clock of
        :func:`time.monotonic`, which is the same for all processes.
    """

    seconds: float
    limit: float = 0.0
    least_steps: int = 0
    is_optional: bool = False
    deadline: float = math.inf

    def begin(self) -> TimeBudget:
        """Give the budget of a training that begins now."""
        left = max(self.deadline - time.monotonic(), 0.0)
        return replace(self, seconds=min(self.seconds, left))

    def used(self, elapsed: float, step: int) -> float:
        """Give the share of the budget that was used in some time and steps."""
        if self.is_optional and step >= MEASURED_STEPS:
            needed = self.least_steps * elapsed / step
            if needed > max(self.seconds, self.limit):
                return 1.0
        return elapsed / max(self.granted(elapsed, step), 1e-9)

    def granted(self, elapsed: float, step: int) -> float:
        """Give the time that a training has which took so many steps in some time."""
        if step < MEASURED_STEPS:
            return self.seconds
        needed = self.least_steps * elapsed / step
        return max(self.seconds, min(needed, self.limit))

    def after(self, elapsed: float, step: int) -> TimeBudget:
        """Give the budget of what follows a training: its rest.

        That is all there is, where it would not be enough for another training.
        """
        seconds = self.granted(elapsed, step) - elapsed
        if self.limit - elapsed <= MIN_SHARE * elapsed:
            seconds = max(seconds, self.limit - elapsed)
        return replace(self, seconds=seconds, limit=0.0)


class Schedule(Callback):
    """Sets the learning rate before each step, and stops when time is up.

    A linear warm-up, then what `shape` says of the share of the training that is
    done, counted in steps, or in time where that runs out sooner. It writes to the
    optimizer directly, since torch's schedulers take as long as a tenth of a small
    network's step. It also tells the module's drop-paths how far the training is.

    Parameters
    ----------
    n_steps : int
        Steps of the whole training.

    first_step : int, default=0
        Steps of it that were taken before.

    budget : TimeBudget or None, default=None
        Its time.

    is_whole : bool, default=True
        Whether the training is to be complete when its time is up. If not, time
        only cuts it off.

    shape : callable, optional
        Gives the learning rate's factor from the share that is done. The default is
        the square root of what is left.

    moves_drop_paths : bool, default=True
        Whether drop-paths are told; if not, they stay as they are.

    judging_steps : float, default=0.0
        How many steps take as long as it takes to judge an epoch. With them, an epoch
        for which time runs out ends early enough to be judged in time; with 0, training
        stops at once.
    """

    def __init__(
        self,
        n_steps: int,
        first_step: int = 0,
        budget: TimeBudget | None = None,
        is_whole: bool = True,
        shape: Callable[[float], float] | None = None,
        moves_drop_paths: bool = True,
        judging_steps: float = 0.0,
    ) -> None:
        self.n_steps = n_steps
        self.first_step = first_step
        self.budget = budget
        self.is_whole = is_whole
        self.shape = shape or schedule_shape("sqrt", 1)
        self.moves_drop_paths = moves_drop_paths
        self.judging_steps = judging_steps

    def on_train_begin(self, net, **kwargs) -> None:
        """Begin to count."""
        self.step_ = 0
        self.started_ = time.monotonic()
        self.budget_ = self.budget and self.budget.begin()
        self.drop_paths_ = []
        if self.moves_drop_paths:
            modules = net.module_.modules()
            self.drop_paths_ = [m for m in modules if isinstance(m, DropPath)]

    def on_batch_begin(self, net, training=False, **kwargs) -> None:
        """Set the learning rate of the step to come."""
        if not training:
            return
        lr = net.lr * self.factor(self.step_, self.used())
        for group in net.optimizer_.param_groups:
            group["lr"] = lr
        for drop_path in self.drop_paths_:
            drop_path.progress = (self.step_ + self.first_step) / self.n_steps
        self.step_ += 1

    def on_batch_end(self, net, training=False, **kwargs) -> None:
        """End the epoch, or stop, when time is up."""
        if not training or self.used() < 1:
            return
        if not self.judging_steps:
            raise StopTraining
        net.time_is_up_ = True

    def factor(self, step: int, used: float) -> float:
        """Give the learning rate's factor, after some steps and some of the time."""
        done = (step + self.first_step) / self.n_steps
        # by time only where steps would not be through when it is up
        if self.is_whole and step >= MEASURED_STEPS:
            will_be_done = done + (1 - used) / max(used, 1e-9) * step / self.n_steps
            if will_be_done < 1:
                done = max(done, used)
        step += self.first_step
        # more time may have passed than there was, since it was looked at last
        return min((step + 1) / WARM_UP_STEPS, 1.0) * self.shape(min(done, 1.0))

    def used(self) -> float:
        """Give the share of the time that is used; 0 where there is no limit."""
        if self.budget_ is None:
            return 0.0
        now = time.monotonic()
        if self.step_ <= 1:
            self.stepped_ = now  # the first step may wait for much else
        elapsed = now - self.started_
        if self.step_ >= MEASURED_STEPS:
            step_seconds = (now - self.stepped_) / (self.step_ - 1)
            elapsed += self.judging_steps * step_seconds
        return self.budget_.used(elapsed, self.step_)
