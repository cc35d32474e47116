"""When a training is over: early, as planned, or later where it is slow to learn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from skorch.callbacks import Callback, EarlyStopping

from sknas.training._progress import StopTraining
from sknas.training._schedule import Schedule

# the share of the epochs that were planned after which it is seen how they go, and the
# share of the first epoch's loss that may then be left, if they are to be enough
LOOK_SHARE, ENOUGH_SHARE = 1 / 3, 0.2


class JudgeEpochs(EarlyStopping):
    """skorch's, for a training that may be over before it has begun."""

    def on_train_end(self, net, **kwargs) -> None:
        """Load the weights of the best epoch, if there was any."""
        if net.history:
            super().on_train_end(net, **kwargs)


class Lengthen(Callback):
    """Gives a training more epochs if it is slow to learn, as hard images are.

    A third of the epochs on, the loss on the rows that are trained on is compared with
    that of the first epoch. By as much as more than a fifth of it is left, by so much
    longer the training becomes; the learning rate falls as slowly as it has to.

    Parameters
    ----------
    schedule : Schedule
        The learning rate's.

    shape : callable
        Gives the schedule's shape for a number of epochs.

    n_epochs, most_epochs : int
        How many are planned, and how many there may be.
    """

    def __init__(
        self,
        schedule: Schedule,
        shape: Callable[[int], Callable[[float], float]],
        n_epochs: int,
        most_epochs: int,
    ) -> None:
        self.schedule = schedule
        self.shape = shape
        self.n_epochs = n_epochs
        self.most_epochs = most_epochs
        self.n_epochs_ = n_epochs

    def on_epoch_end(self, net, **kwargs) -> None:
        """Look at the losses, once."""
        is_time = len(net.history) == max(round(LOOK_SHARE * self.n_epochs), 2)
        if not is_time or self.most_epochs <= self.n_epochs:
            return
        first, last = (net.history[i, "train_loss"] for i in (0, -1))
        if last > ENOUGH_SHARE * first > 0:
            times = last / (ENOUGH_SHARE * first)
            self.n_epochs_ = round(min(times * self.n_epochs, self.most_epochs))
            n_steps = self.schedule.n_steps // self.n_epochs
            self.schedule.n_steps = self.n_epochs_ * n_steps
            self.schedule.shape = self.shape(self.n_epochs_)


class StopEarly(Callback):
    """Stops a training, of whose last epoch all callbacks hear.

    skorch's own stops at once, and those behind it hear nothing.

    Parameters
    ----------
    judge : JudgeEpochs
        Counts the epochs without improvement.

    patience : int or None
        How many are allowed; None: any number.

    lengthen : Lengthen
        Says how many epochs there are in all.

    patience_grows : bool, default=False
        Whether more are allowed by as much as there are more epochs than planned.
    """

    def __init__(
        self,
        judge: JudgeEpochs,
        patience: int | None,
        lengthen: Lengthen,
        patience_grows: bool = False,
    ) -> None:
        self.judge = judge
        self.patience = patience
        self.lengthen = lengthen
        self.patience_grows = patience_grows

    def is_over(self, net) -> bool:
        """Tell whether a net has had as many epochs, or misses, as are allowed."""
        n_epochs, allowed = self.lengthen.n_epochs_, np.inf
        if self.patience is not None:
            times = n_epochs / self.lengthen.n_epochs if self.patience_grows else 1
            allowed = times * self.patience
        return self.judge.misses_ >= allowed or len(net.history) >= n_epochs

    def on_epoch_end(self, net, **kwargs) -> None:
        """Stop if it is time, or time is up."""
        if self.is_over(net) or net.time_is_up_:
            raise StopTraining
