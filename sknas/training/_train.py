"""Training of one stand-alone network from beginning to end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from skorch.callbacks import GradientNormClipping
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from skorch.utils import noop
from torch import nn

from sknas.training._augmentation import Augmentation
from sknas.training._data import BatchIterator, TensorTable
from sknas.training._isolation import private_random_state, single_thread
from sknas.training._net import TrainingNet
from sknas.training._optimizers import optimizer_arguments
from sknas.training._predict import predict_logits, prediction_rows
from sknas.training._progress import Progress, ReportEpochs
from sknas.training._schedule import Schedule, TimeBudget, schedule_shape
from sknas.training._stopping import JudgeEpochs, Lengthen, StopEarly
from sknas.training._weights import Weights, load_weights, network_weights

MIN_COOLDOWN_EPOCHS = 2  # of a cooldown
MIN_FACTOR = 0.1  # of the learning rate, where it begins
JUDGING_SHARE = 1 / 3  # of the time of a step: rows that are judged go forward only


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Parameters
    ----------
    criterion : torch.nn.Module
        The loss; called with logits, targets and weights.

    max_epochs, batch_size, lr, weight_decay, optimizer
        As in :class:`sknas.NASClassifier`, all of them resolved.

    n_iter_no_change : int or None
        Epochs without improvement after which training ends; None: never.

    device : str
        Where to train.

    lr_schedule : str, default="sqrt"
        As in :class:`sknas.NASClassifier`.

    max_gradient_norm : float or None, default=None
        The same.

    augmentation : Augmentation or None, default=None
        What changes the rows of each step at random.

    cooldown : float, default=0.0
        For how long the best epoch's network is trained on with all rows, as a share
        of the epochs that led to it.

    tol : float, default=0.0
        A loss on the held-back part that is lower by no more is no improvement.

    most_epochs : int, default=0
        How many epochs there may be where networks are slow to learn, if these are more
        than `max_epochs`; see :class:`Lengthen`.

    patience_grows : bool, default=False
        Whether `n_iter_no_change` is for trainings of `max_epochs`, and by as much more
        for longer ones.

    keeps_answers : bool, default=False
        Whether to keep the best epoch's answers for the rows that are held back.
    """

    criterion: nn.Module
    max_epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    optimizer: str
    n_iter_no_change: int | None
    device: str
    lr_schedule: str = "sqrt"
    max_gradient_norm: float | None = None
    augmentation: Augmentation | None = None
    cooldown: float = 0.0
    tol: float = 0.0
    most_epochs: int = 0
    patience_grows: bool = False
    keeps_answers: bool = False

    def shape(self, n_epochs: int) -> Callable[[float], float]:
        """Give the learning rate's factor, by the share of so many epochs done."""
        return schedule_shape(self.lr_schedule, n_epochs)

    def cooldown_epochs(self, n_epochs: int) -> int:
        """Give the epochs of the cooldown that follows so many."""
        return max(MIN_COOLDOWN_EPOCHS, round(self.cooldown * n_epochs))

    def clipping(self) -> list[GradientNormClipping]:
        """Give the callbacks that clip gradients, if any."""
        if self.max_gradient_norm is None:
            return []
        return [GradientNormClipping(self.max_gradient_norm)]


@dataclass
class TrainedNetwork:
    """What is left of a training: plain values that any process can hold."""

    weights: Weights
    history: list[dict] = field(default_factory=list)
    score: float = float("nan")
    """Negative loss on the held-back part, in the epoch whose weights are kept: minus
    infinity where none is finite, and NaN where there was no such part, or no whole
    epoch."""
    score_error: float = float("nan")
    """The score's standard error, where it is finite."""
    n_epochs: int = 0
    """Those that it went through to their end."""
    seconds: float = 0.0
    interrupted: bool = False
    answers: np.ndarray | None = None
    """Those for the rows that were held back, (n_rows, n_outputs), before a cooldown
    learnt these too; None where they are not kept."""
    n_rolled_back: int = 0
    """Steps that were undone, since their loss or gradient was not finite."""


def train_network(
    build: Callable[[], nn.Module],
    train: TensorTable,
    valid: TensorTable | None,
    recipe: Recipe,
    seed: int,
    *,
    everything: TensorTable | None = None,
    weights: Weights | None = None,
    first_epoch: int = 0,
    n_epochs: int | None = None,
    callbacks: list = (),
    progress: Progress | None = None,
    fitted: Callable[[object], dict] | None = None,
    budget: TimeBudget | None = None,
) -> TrainedNetwork:
    """Train one network.

    Parameters
    ----------
    build : callable
        Makes the network.

    train, valid : TensorTable
        Rows to train on, and to judge it by; without the latter, all epochs run.

    recipe : Recipe
        How to train.

    seed : int
        Seed of first weights, batches and dropout.

    everything : TensorTable or None, default=None
        All rows, for a cooldown: where the training comes to its end by itself, the
        network of the best epoch is trained on with them, while the learning rate
        falls to zero. None: there is none.

    weights : dict of str to ndarray or None, default=None
        Weights to start from.

    first_epoch : int, default=0
        How many epochs of the recipe the weights have seen.

    n_epochs : int or None, default=None
        How many epochs to train now; None: to the recipe's end.

    callbacks : list of skorch.callbacks.Callback, default=()
        The user's callbacks.

    progress : Progress or None, default=None
        Whom to tell of each epoch.

    fitted : callable or None, default=None
        See :class:`ReportEpochs`.

    budget : TimeBudget or None, default=None
        How long it may take.

    Returns
    -------
    trained : TrainedNetwork
        The weights of the best epoch, or what the cooldown made of them, and what led
        there.
    """
    started = time.monotonic()
    n_steps = len(BatchIterator(train, recipe.batch_size))
    judging_steps = 0.0
    if valid is not None:
        weight = valid.weight / valid.weight.mean()
        valid = valid.reweighted(weight)
        judging_steps = JUDGING_SHARE * len(BatchIterator(valid, recipe.batch_size))
    schedule = Schedule(
        recipe.max_epochs * n_steps,
        first_epoch * n_steps,
        budget,
        is_whole=n_epochs is None,
        shape=recipe.shape(recipe.max_epochs),
        judging_steps=judging_steps,
    )
    judge = JudgeEpochs(
        patience=10**9,  # it does not stop by itself
        threshold=recipe.tol,
        threshold_mode="abs",
        load_best=True,
        sink=noop,
    )
    # weights that have learnt before say nothing of how slow it is
    may_lengthen = n_epochs is None and weights is None and valid is not None
    if n_epochs is None:
        n_epochs = recipe.max_epochs - first_epoch
    most_epochs = max(n_epochs, recipe.most_epochs) if may_lengthen else n_epochs
    lengthen = Lengthen(schedule, recipe.shape, n_epochs, most_epochs)
    stop_early = StopEarly(
        judge, recipe.n_iter_no_change, lengthen, recipe.patience_grows
    )
    if progress is not None:
        callbacks = [ReportEpochs(progress, fitted), *callbacks]
    with private_random_state(seed, recipe.device), single_thread(recipe.device):
        network = build()
        if weights is not None:
            load_weights(network, weights)
        net = _make_net(
            network,
            recipe,
            recipe.lr,
            most_epochs,
            [
                schedule,
                *recipe.clipping(),
                *([] if valid is None else [lengthen, judge, stop_early]),
                *callbacks,
            ],
            iterator_valid__batch_size=prediction_rows(train.inputs, recipe.device),
            train_split=None if valid is None else predefined_split(valid),
        )
        net.fit(train)
        is_ended = progress is not None and progress.task_stopped  # by somebody
        answers = None
        if recipe.keeps_answers and valid is not None and judge.best_epoch_:
            inputs, _ = valid[:]
            logits = predict_logits(net.module_.eval(), inputs, recipe.device)
            answers = recipe.criterion.join(logits).numpy()
        cools_down = everything is not None and not is_ended
        cooled = None
        if cools_down and stop_early.is_over(net) and judge.best_epoch_:
            if budget is not None:
                elapsed = time.monotonic() - started
                budget = budget.after(elapsed, schedule.step_)
            best = judge.best_epoch_
            factor = recipe.shape(lengthen.n_epochs_)(best / lengthen.n_epochs_)
            cooled = _cool_down(
                net, best, factor, recipe, everything, callbacks, budget
            )
    nets = [net] if cooled is None else [net, cooled]
    history = [
        {k: v for k, v in row.items() if k != "batches"} | {"epoch": epoch}
        for epoch, row in enumerate((row for n in nets for row in n.history), start=1)
    ]
    n_whole = sum("train_loss" in row for row in history)
    if net.is_cut_ and "train_loss" in net.history[-1]:
        n_whole -= 1
    score, score_error = float("nan"), float("nan")
    if any("valid_loss" in row for row in history):
        score = -np.inf
        if judge.best_epoch_:
            best = history[judge.best_epoch_ - 1]
            score, score_error = -best["valid_loss"], best["valid_loss_error"]
    return TrainedNetwork(
        weights=network_weights(network),
        history=history,
        score=score,
        score_error=score_error,
        answers=answers,
        n_epochs=n_whole,
        seconds=time.monotonic() - started,
        # Ctrl-C while a callback ran ends the net as the callback itself would
        interrupted=any(n.interrupted_ for n in nets)
        or (progress is not None and progress.stopped),
        n_rolled_back=sum(n.n_rolled_back_ for n in nets),
    )


def _make_net(
    network: nn.Module,
    recipe: Recipe,
    lr: float,
    max_epochs: int,
    callbacks: list,
    **arguments,
) -> TrainingNet:
    """Make the net that trains a network."""
    return TrainingNet(
        network,
        recipe.criterion,
        lr=lr,
        max_epochs=max_epochs,
        batch_size=recipe.batch_size,
        iterator_train=BatchIterator,
        iterator_train__shuffle=True,
        iterator_train__augmentation=recipe.augmentation,
        iterator_valid=BatchIterator,
        dataset=Dataset,
        callbacks=callbacks,
        callbacks__print_log=None,
        verbose=0,
        device=recipe.device,
        **optimizer_arguments(recipe.optimizer, recipe.weight_decay),
        **arguments,
    )


def _linear(done: float) -> float:
    return 1 - done


def _cool_down(
    net: TrainingNet,
    best: int,
    factor: float,
    recipe: Recipe,
    everything: TensorTable,
    callbacks: list,
    budget: TimeBudget | None,
) -> TrainingNet | None:
    """Train the network that a net came to in its best epoch, on with all rows.

    Its learning rate begins with that of that epoch, given by its `factor`, and warms
    up anew. What was held back so far is learnt too, and the weights settle, which they
    do not at the rate at which training was stopped.
    """
    if budget is not None and budget.begin().seconds <= 0:
        return None
    max_epochs = recipe.cooldown_epochs(best)
    factor = max(factor, MIN_FACTOR)
    n_steps = len(BatchIterator(everything, recipe.batch_size))
    schedule = Schedule(
        max_epochs * n_steps, budget=budget, shape=_linear, moves_drop_paths=False
    )
    network = net.module_
    before = network_weights(network)
    cooled = _make_net(
        network,
        recipe,
        recipe.lr * factor,
        max_epochs,
        [schedule, *recipe.clipping(), *callbacks],
        train_split=None,
    )
    cooled.fit(everything)
    losses = [row.get("train_loss", 0.0) for row in cooled.history]
    if cooled.interrupted_ or not np.isfinite(losses).all():
        load_weights(network, before)
    return cooled
