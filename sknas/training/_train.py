"""Training of one stand-alone network from beginning to end."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from joblib import effective_n_jobs
from joblib.parallel import get_active_backend
from sklearn.utils.parallel import Parallel, delayed
from skorch.callbacks import EarlyStopping, GradientNormClipping
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from skorch.utils import noop
from torch import Tensor, nn

from sknas.training._augmentation import Augmentation
from sknas.training._data import BatchIterator, TensorTable
from sknas.training._isolation import private_random_state, single_thread
from sknas.training._net import TrainingNet, optimizer_arguments
from sknas.training._progress import Progress, ReportEpochs, interruptible
from sknas.training._schedule import Schedule, TimeBudget, schedule_shape

Weights = dict[str, np.ndarray]

PREDICTION_ROWS = 2048  # in one pass without gradients
PREDICTION_VALUES = 2**19  # of images and sequences, in one pass
TOKEN_VALUES = 32  # that each token becomes, roughly
ROW_BLOCK = 32  # a pass has a multiple of these, so that products sum in one order


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
    """Negative loss on the held-back part, in the best epoch: minus infinity where none
    is finite, and NaN where there was no such part, or no whole epoch."""
    n_epochs: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    n_rolled_back: int = 0
    """Steps that were undone, since their loss or gradient was not finite."""


class StopEarly(EarlyStopping):
    """skorch's, for a training that may be over before it has begun."""

    def on_train_end(self, net, **kwargs) -> None:
        """Load the weights of the best epoch, if there was any."""
        if net.history:
            super().on_train_end(net, **kwargs)


def network_weights(network: nn.Module) -> Weights:
    """Copy a network's parameters and buffers into arrays."""
    return {
        name: tensor.detach().cpu().numpy().copy()
        for name, tensor in network.state_dict().items()
    }


def train_network(
    build: Callable[[], nn.Module],
    train: TensorTable,
    valid: TensorTable | None,
    recipe: Recipe,
    seed: int,
    *,
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
        The weights of the best epoch, and what led there.
    """
    started = time.monotonic()
    n_steps = len(BatchIterator(train, recipe.batch_size))
    if valid is not None:
        weight = valid.weight / valid.weight.mean()
        valid = valid.reweighted(weight)
    own_callbacks = [
        Schedule(
            recipe.max_epochs * n_steps,
            first_epoch * n_steps,
            budget,
            is_whole=n_epochs is None,
            shape=schedule_shape(recipe.lr_schedule, recipe.max_epochs),
        ),
        *recipe.clipping(),
    ]
    if valid is not None:
        own_callbacks.append(
            StopEarly(
                patience=recipe.n_iter_no_change or recipe.max_epochs + 1,
                threshold=0.0,
                load_best=True,
                sink=noop,
            )
        )
    if progress is not None:
        own_callbacks.append(ReportEpochs(progress, fitted))
    with private_random_state(seed, recipe.device), single_thread(recipe.device):
        network = build()
        if weights is not None:
            load_weights(network, weights)
        net = TrainingNet(
            network,
            recipe.criterion,
            lr=recipe.lr,
            max_epochs=recipe.max_epochs - first_epoch
            if n_epochs is None
            else n_epochs,
            batch_size=recipe.batch_size,
            iterator_train=BatchIterator,
            iterator_train__shuffle=True,
            iterator_train__augmentation=recipe.augmentation,
            iterator_valid=BatchIterator,
            iterator_valid__batch_size=prediction_rows(train.inputs),
            dataset=Dataset,
            train_split=None if valid is None else predefined_split(valid),
            callbacks=[*own_callbacks, *callbacks],
            callbacks__print_log=None,
            verbose=0,
            device=recipe.device,
            **optimizer_arguments(recipe.optimizer, recipe.weight_decay),
        )
        net.fit(train)
    history = [{k: v for k, v in row.items() if k != "batches"} for row in net.history]
    losses = [row["valid_loss"] for row in history if "valid_loss" in row]
    score = max((-x for x in losses if np.isfinite(x)), default=-np.inf)
    return TrainedNetwork(
        weights=network_weights(net.module_),
        history=history,
        score=score if losses else float("nan"),
        n_epochs=len(net.history),
        seconds=time.monotonic() - started,
        # Ctrl-C while a callback ran ends the net as the callback itself would
        interrupted=net.interrupted_ or (progress is not None and progress.stopped),
        n_rolled_back=net.n_rolled_back_,
    )


def count_parameters(network: nn.Module) -> int:
    """Count a network's parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def n_workers(n_jobs: int | None) -> int:
    """Give the number of trainings that can run at the same time.

    Threads cannot: torch's default generator, which trainings draw from, belongs to
    the whole process.
    """
    backend, _ = get_active_backend()
    return (
        1 if getattr(backend, "supports_sharedmem", False) else effective_n_jobs(n_jobs)
    )


def run_tasks(
    tasks: list[Callable[[], TrainedNetwork]],
    n_jobs: int | None,
    progress: Progress,
    fitted: Callable[[], dict],
    deadline: float | None = None,
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

    Yields
    ------
    trained : TrainedNetwork
        Their results, in the order of the tasks, as far as they were run.
    """
    if n_workers(n_jobs) > 1:
        parallel = Parallel(n_jobs=n_jobs, return_as="generator")
        results = parallel(delayed(task)() for task in tasks)
    else:
        results = (task() for task in tasks)
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


def load_weights(network: nn.Module, weights: Weights, copy: bool = True) -> None:
    """Give a network its weights.

    Parameters
    ----------
    network : torch.nn.Module
        The network.

    weights : dict of str to ndarray
        Its parameters and buffers.

    copy : bool, default=True
        Whether to copy the arrays. If not, the network's parameters are the arrays
        themselves, which may be read-only as long as the network is not trained.
    """
    with warnings.catch_warnings():
        # torch warns of arrays that cannot be written to, such as mapped ones
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        tensors = {
            name: torch.tensor(array) if copy else torch.from_numpy(np.asarray(array))
            for name, array in weights.items()
        }
    network.load_state_dict(tensors, assign=not copy)


def prediction_rows(inputs: dict[str, Tensor]) -> int:
    """Give the number of rows in one pass without gradients: fewer of long rows."""
    n_rows = PREDICTION_ROWS
    for name, n_values in {"image": 1, "tokens": TOKEN_VALUES}.items():
        if name in inputs:
            n_values *= inputs[name][0].numel()
            n_rows = min(n_rows, PREDICTION_VALUES // n_values)
            n_rows = max(n_rows // ROW_BLOCK, 1) * ROW_BLOCK
    return n_rows


@torch.no_grad()
def predict_logits(
    network: Callable[..., Tensor], inputs: dict[str, Tensor], device: str
) -> Tensor:
    """Pass rows through a network in chunks; give its logits on the CPU.

    The last chunk is filled up with zeros, since the last bits of a row's logits may
    depend on how many rows there are with it.
    """
    n_rows = len(next(iter(inputs.values())))
    size = prediction_rows(inputs)
    parts = []
    for start in range(0, max(n_rows, 1), size):
        chunk = {
            name: tensor[start : start + size].to(device)
            for name, tensor in inputs.items()
        }
        n_chunk = min(size, n_rows - start)
        padding = -n_chunk % ROW_BLOCK
        if padding:
            chunk = {
                name: nn.functional.pad(t, (0, 0) * (t.ndim - 1) + (0, padding))
                for name, t in chunk.items()
            }
        parts.append(network(**chunk)[..., :n_chunk, :].cpu())
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-2)
