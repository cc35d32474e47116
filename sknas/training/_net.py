"""The skorch net that trains one stand-alone network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from skorch import NeuralNet
from torch import Tensor

from sknas.training._data import Batch
from sknas.training._optimizers import Muon, matrix_groups
from sknas.training._progress import StopTraining, interruptible
from sknas.training._recording import (
    MIN_RECORDED_STEPS,
    RecordedStep,
    can_be_recorded,
    changes_by_epoch,
)

NO_VALID_LOSS = (
    "Not all nets of a fit have a 'valid_loss': that of the search has none, nor have "
    "those that train with all rows in the end. n_iter_no_change stops them early, "
    "checkpoint keeps the progress of a fit; a callback may monitor 'train_loss'."
)


class InMemoryNet(NeuralNet):
    """What the nets of both search and final training have in common.

    They take batches of a `TensorTable`, set training mode once for each epoch
    and tell apart who stops them: a callback, or the user by Ctrl-C. A step whose loss
    is not finite leaves the parameters as they were, on a CPU; one whose gradient is
    not does so everywhere, where the module says that it `may_explode`. Buffers, such
    as statistics of batches, go back to what they were when the epoch began.
    """

    interrupted_ = False
    """Whether the user stopped the training."""

    n_rolled_back_ = 0
    """How many steps were rolled back, alone or with all others of their epoch."""

    def notify(self, method_name: str, **kwargs) -> None:
        """Call the net's own method, then the callbacks'.

        As skorch does, but a callback that raises KeyboardInterrupt, skorch's way to
        stop, is told apart from Ctrl-C, and those that follow one that raises
        StopTraining hear of it all the same.
        """
        getattr(self, method_name)(self, **kwargs)
        stop = None
        try:
            for _, callback in self.callbacks_:
                try:
                    getattr(callback, method_name)(self, **kwargs)
                except StopTraining as error:
                    stop = error
        except KeyboardInterrupt as error:
            raise StopTraining from error
        except Exception as error:
            if "valid_loss" in str(error):
                error.add_note(NO_VALID_LOSS)
            raise
        if stop is not None:
            raise stop

    def get_params_for_optimizer(self, prefix, named_parameters):
        """Tell Muon which parameters are matrices.

        By patterns for names, which skorch takes, it would take seconds where there are
        hundreds of them.
        """
        (groups,), kwargs = super().get_params_for_optimizer(prefix, named_parameters)
        if self.optimizer is Muon:
            groups = [
                own for group in groups for own in matrix_groups(self.module_, group)
            ]
        return [groups], kwargs

    def fit_loop(self, X, y=None, epochs=None, **kwargs):
        """Train, and note whether it was the user who ended it."""
        try:
            with interruptible():
                return super().fit_loop(X, y, epochs=epochs, **kwargs)
        except StopTraining:
            raise
        except KeyboardInterrupt:
            self.interrupted_ = True
            raise

    def on_epoch_begin(self, net, **kwargs) -> None:
        """Set training mode, which every step would otherwise set again."""
        super().on_epoch_begin(net, **kwargs)
        self._set_training(True)
        self._parameters = list(self.module_.named_parameters())
        self._before = self._copy_state()
        self._rolled_back_before = self.n_rolled_back_
        self._is_astray = False

    def on_epoch_end(self, net, **kwargs) -> None:
        """Write down what the module tells of the epoch, before any callback looks."""
        super().on_epoch_end(net, **kwargs)
        losses = [row.get("valid_loss", 0.0) for row in self.history[-1]["batches"]]
        if self._may_explode() and not all(map(math.isfinite, losses)):
            self._return_to_epoch_begin()
        if hasattr(self.module_, "pop_figures"):
            for name, value in self.module_.pop_figures().items():
                self.history.record(name, value)
        if self.n_rolled_back_ > self._rolled_back_before:
            n_steps = self.n_rolled_back_ - self._rolled_back_before
            self.history.record("rolled_back", n_steps)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **kwargs) -> None:
        """Run an epoch; on a GPU, without waiting for the loss of each step.

        skorch asks for it after each step, which stops the GPU's queue; here all are
        fetched at the end.
        """
        if iterator is None or self._waits_for_losses():
            super().run_single_epoch(iterator, training, prefix, step_fn, **kwargs)
            return
        losses = []
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **kwargs)
            losses.append(step["loss"].detach())
            self.history.record_batch(f"{prefix}_batch_size", len(batch[1][0]))
            self.notify("on_batch_end", batch=batch, training=training, **step)
        rows = self.history[-1]["batches"][-len(losses) :]
        for row, loss in zip(rows, torch.stack(losses).tolist(), strict=True):
            row[f"{prefix}_loss"] = loss
        self.history.record(f"{prefix}_batch_count", len(losses))

    def _waits_for_losses(self) -> bool:
        return torch.device(self.device).type == "cpu"

    def get_loss(self, y_pred: Tensor, y_true, X=None, training=False) -> Tensor:
        """Give the criterion's loss on targets and their weights."""
        return self.criterion_(y_pred, *y_true)

    def train_step(self, batch: Batch, **kwargs) -> dict[str, Tensor]:
        """Take one step of the module's optimizer."""
        for _, parameter in self._parameters:  # quicker than the optimizer's zero_grad
            parameter.grad = None
        loss, logits = self.training_loss(batch)
        is_finite = not self._waits_for_losses() or math.isfinite(loss.item())
        if is_finite:
            loss.backward()
            is_finite = self._is_gradient_finite()
        if is_finite:
            self._follow_gradients(batch)
            self._is_astray = False
        else:
            self._roll_back()
        return {"loss": loss.detach(), "y_pred": logits}

    def training_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Give the loss and the logits of a batch."""
        inputs, target = batch
        logits, target = self.training_forward(inputs, target)
        return self.get_loss(logits, target, X=inputs, training=True), logits

    def _follow_gradients(self, batch: Batch) -> None:
        self.notify(
            "on_grad_computed",
            named_parameters=self._parameters,
            batch=batch,
            training=True,
        )
        self.optimizer_.step()

    def _may_explode(self) -> bool:
        """Whether gradients of the module may grow without end."""
        return getattr(self.module_, "may_explode", False)

    def _is_gradient_finite(self) -> bool:
        if not self._may_explode():
            return True
        gradients = [p.grad for _, p in self._parameters if p.grad is not None]
        return bool(torch.nn.utils.get_total_norm(gradients).isfinite())

    def _copy_state(self) -> dict[str, Tensor]:
        """Copy what a step that is rolled back may have changed."""
        changed = dict(self.module_.named_buffers())
        if self._may_explode():
            changed |= dict(self.module_.named_parameters())
        return {name: tensor.detach().clone() for name, tensor in changed.items()}

    def _roll_back(self) -> None:
        """Undo a step; if another is to be undone at once, all steps of the epoch."""
        if self._is_astray and self._may_explode():
            self._return_to_epoch_begin()
            return
        self.n_rolled_back_ += 1
        self._is_astray = True
        with torch.no_grad():
            for name, buffer in self.module_.named_buffers():
                buffer.copy_(self._before[name])

    def _return_to_epoch_begin(self) -> None:
        self.module_.load_state_dict(self._before, strict=False)
        self.optimizer_.state.clear()
        self._is_astray = False
        steps = [r for r in self.history[-1]["batches"] if "valid_loss" not in r]
        self.n_rolled_back_ = self._rolled_back_before + len(steps)

    def training_forward(
        self, inputs: dict[str, Tensor], target: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Give the logits of a batch, and the targets in their shape."""
        return self.module_(**inputs), target

    def __getstate__(self):
        """Leave out what the module holds already."""
        state = super().__getstate__()
        for name in ("_parameters", "_before", "_recorded"):
            state.pop(name, None)
        return state


class TrainingNet(InMemoryNet):
    """Trains one stand-alone network, judging it on a held-back part if it has one.

    A callback ends an epoch early by setting `time_is_up_`.
    The held-back rows' weights must have a mean of one. Beside "valid_loss" its history
    has the standard error of that mean, as "valid_loss_error".
    """

    time_is_up_ = False
    """Whether the epoch is to end now: a callback sets it."""

    is_cut_ = False
    """Whether the last epoch did so before it was through."""

    _moments: Tensor | None = None
    _recorded: RecordedStep | None = None

    def on_epoch_begin(self, net, dataset_train=None, **kwargs) -> None:
        """Forget the held-back rows' losses of the last epoch."""
        super().on_epoch_begin(net, dataset_train=dataset_train, **kwargs)
        self._moments = None
        self._records = can_be_recorded(self.module_, self.device)
        if self._records:
            n_steps = len(self.get_iterator(dataset_train, training=True))
            if changes_by_epoch(self.module_):
                self._recorded = None
            else:
                n_steps *= self.max_epochs
            self._records = n_steps >= MIN_RECORDED_STEPS

    def on_train_end(self, net, **kwargs) -> None:
        """Give back the memory that a recorded step has."""
        super().on_train_end(net, **kwargs)
        self._recorded = None

    def run_single_epoch(self, iterator, training, prefix, step_fn, **kwargs) -> None:
        """Run an epoch, as far as there is time."""
        if training:
            iterator = self._until_time_is_up(iterator)
        super().run_single_epoch(iterator, training, prefix, step_fn, **kwargs)

    def _until_time_is_up(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        for batch in batches:
            if self.time_is_up_:
                self.is_cut_ = True
                return
            yield batch

    def train_step(self, batch: Batch, **kwargs) -> dict[str, Tensor]:
        """Take a step: on a GPU, one that is recorded, if that will do."""
        if self._records and len(batch[1][0]) == self.batch_size:
            if self._recorded is None:
                self._record(batch)
            if self._recorded is not None:
                loss, logits = self._recorded(batch)
                self._follow_gradients(batch)
                return {"loss": loss, "y_pred": logits}
        return super().train_step(batch, **kwargs)

    def _record(self, batch: Batch) -> None:
        try:
            self._recorded = RecordedStep(self.module_, self.training_loss, batch)
        except RuntimeError:  # step by step, it may do, and else says better why not
            self._records = False

    def on_epoch_end(self, net, **kwargs) -> None:
        """Write down how exactly the loss is known, before any callback looks."""
        super().on_epoch_end(net, **kwargs)
        if self._moments is not None:
            n, squares, mean, second = self._moments.tolist()
            mean, second = mean / n, second / n
            # rows that weigh more than others count as fewer (Kish, 1965)
            error = math.sqrt(max(second - mean**2, 0.0) * squares) / n
            self.history.record("valid_loss_error", error)

    def validation_step(self, batch: Batch, **kwargs) -> dict[str, Tensor]:
        """Judge a batch; its loss counts by its weight."""
        inputs, (target, weight) = batch
        self._set_training(False)
        with torch.no_grad():
            logits = self.infer(inputs, **kwargs)
            losses = self.criterion_.row_losses(self.criterion_.join(logits), target)
        terms = weight, weight**2, weight * losses, weight * losses**2
        moments = torch.stack([term.sum() for term in terms])
        self._moments = moments if self._moments is None else self._moments + moments
        # skorch averages batches by their numbers of rows
        return {"loss": moments[2] / len(weight), "y_pred": logits}
