"""The learning rate's course."""

from __future__ import annotations

import time

from skorch.callbacks import Callback

WARM_UP_STEPS = 20


class SquareRootDecay(Callback):
    """Sets the learning rate before each step: warm-up, then a square-root decay.

    A linear warm-up, then the root of the share of the training that is left. It
    writes to the optimizer directly, since torch's schedulers take as long as a
    tenth of a small network's step.

    Parameters
    ----------
    n_steps : int
        Steps of the whole training.

    first_step : int, default=0
        Steps that were taken before.

    seconds : float or None, default=None
        Time of the training; where it runs out before the steps do, it is time that
        counts.
    """

    def __init__(
        self, n_steps: int, first_step: int = 0, seconds: float | None = None
    ) -> None:
        self.n_steps = n_steps
        self.first_step = first_step
        self.seconds = seconds

    def on_train_begin(self, net, **kwargs) -> None:
        """Begin to count."""
        self.step_ = self.first_step
        self.started_ = time.monotonic()

    def on_batch_begin(self, net, training=False, **kwargs) -> None:
        """Set the learning rate of the step to come."""
        if not training:
            return
        lr = net.lr * self.factor(self.step_, time.monotonic() - self.started_)
        for group in net.optimizer_.param_groups:
            group["lr"] = lr
        self.step_ += 1

    def factor(self, step: int, elapsed: float) -> float:
        """Give the learning rate's factor for a step, and a time since the start."""
        done = step / self.n_steps
        if self.seconds is not None:
            done = max(done, elapsed / self.seconds)
        return min((step + 1) / WARM_UP_STEPS, 1.0) * max(1 - done, 0.0) ** 0.5
