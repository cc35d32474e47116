"""The skorch net of the search: the two alternating phases of ENAS."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from sknas.architecture import Architecture
from sknas.decisions import Decisions
from sknas.search._strategy import SearchStrategy, propose, tell
from sknas.training import (
    Batch,
    BatchIterator,
    InMemoryNet,
    Schedule,
    TensorTable,
    predict_logits,
)

# architectures that one batch of shared training is cut among, if the supernet does not
# say how many by its `n_groups`
N_GROUPS = 4
REWARD_ROWS = 128  # held-back rows that a step of the controller is judged by
# of the epochs, before the strategy is asked or told; or of the time where it is short,
# but an epoch
WARM_UP_SHARE = 0.3


class SearchNet(InMemoryNet):
    """Trains shared parameters and a strategy in turn.

    `train_step` trains the shared network: the batch's rows are cut among
    architectures that the strategy proposes. `controller_step`, at the end of each
    epoch, lets the strategy learn from rewards on held-back rows. A first share of
    the epochs, or of a short time, draws each option equally often instead and teaches
    the strategy nothing, so that rewards mean something when it begins to learn.

    Parameters
    ----------
    module : torch.nn.Module
        The supernet.

    criterion : torch.nn.Module
        The loss.

    decisions : Decisions
        The space's decisions.

    strategy : SearchStrategy
        The strategy, initialized.

    reward : callable
        Gives rewards from logits, targets and weights.

    dataset_valid : TensorTable
        Held-back rows.

    random_state : numpy.random.RandomState
        Source of the balanced samples.

    reward_rows : int, default=128
        Held-back rows that a step of the strategy is judged by.

    ranking_rows : int or None, default=None
        Held-back rows, at most, that :meth:`score` takes; None: all.

    n_outputs : int or None, default=None
        Number of outputs that the supernet must give for each row; None: any.

    schedule : Schedule or None, default=None
        The one among the callbacks, which knows how much of the time is used; None:
        time does not matter.

    **kwargs : dict
        Parameters of :class:`skorch.NeuralNet`.
    """

    def __init__(
        self,
        module: nn.Module,
        criterion: nn.Module,
        *,
        decisions: Decisions,
        strategy: SearchStrategy,
        reward: Callable[[Tensor, Tensor, Tensor], np.ndarray],
        dataset_valid: TensorTable,
        random_state: np.random.RandomState,
        reward_rows: int = REWARD_ROWS,
        ranking_rows: int | None = None,
        n_outputs: int | None = None,
        schedule: Schedule | None = None,
        **kwargs,
    ) -> None:
        super().__init__(module, criterion, **kwargs)
        self.decisions = decisions
        self.strategy = strategy
        self.reward = reward
        self.dataset_valid = dataset_valid
        self.random_state = random_state
        self.reward_rows = reward_rows
        self.ranking_rows = ranking_rows
        self.n_outputs = n_outputs
        self.schedule = schedule

    def initialize_module(self):
        """Take in the strategy's controller beside the shared network."""
        super().initialize_module()
        if self.strategy.controller_ is not None:
            self.controller_ = self.strategy.controller_
        return self

    def initialize_optimizer(self, triggered_directly=None):
        """Give each of the two modules to its own optimizer."""
        args, kwargs = self.get_params_for_optimizer(
            "optimizer", self.module_.named_parameters()
        )
        self.optimizer_ = self.optimizer(*args, **kwargs)
        if self.strategy.controller_ is not None:
            # skorch has moved it with the other modules, but a policy is too small
            # for a GPU, and its strategy works on the CPU
            self.strategy.controller_.cpu()
        if self.strategy.optimizer_ is not None:
            self.controller_optimizer_ = self.strategy.optimizer_
        return self

    def on_train_begin(self, net, **kwargs) -> None:
        """Forget the best architecture of an earlier search."""
        super().on_train_begin(net, **kwargs)
        self.best_reward_, self.best_architecture_ = -np.inf, None

    def on_epoch_begin(self, net, dataset_train=None, **kwargs) -> None:
        """Propose the architectures of all the epoch's steps at once."""
        super().on_epoch_begin(net, dataset_train=dataset_train, **kwargs)
        n_steps = len(self.get_iterator(dataset_train, training=True))
        n_groups = self._n_groups()
        self._warms_up = self._is_warm_up()
        if self._warms_up:
            proposals = self.decisions.balanced_sample(
                n_groups * n_steps, self.random_state
            )
        else:
            proposals = propose(self.strategy, n_groups * n_steps, self.decisions)
        # similar architectures share a step: what they have in common is computed
        # for all of them at once
        proposals.sort(key=self.decisions.indices)
        draws = [proposals[i * n_groups : (i + 1) * n_groups] for i in range(n_steps)]
        self.random_state.shuffle(draws)
        self._draws = iter(draws)

    def on_epoch_end(self, net, **kwargs) -> None:
        """Let the strategy learn, before any callback looks."""
        super().on_epoch_end(net, **kwargs)
        if self.strategy.updates_per_epoch and not self._warms_up:
            iterator = BatchIterator(
                self.dataset_valid,
                batch_size=self.reward_rows,
                shuffle=True,
                n_batches=self.strategy.updates_per_epoch,
            )
            started = time.monotonic()
            self._set_training(False)
            self._records: dict[str, list[float]] = {}
            self.run_single_epoch(
                iterator,
                training=False,  # the shared network only answers
                prefix="controller",
                step_fn=self.controller_step,
            )
            for name, values in self._records.items():
                self.history.record(f"controller_{name}", float(np.mean(values)))
            self.history.record("controller_best_reward", self.best_reward_)
            self.history.record("controller_dur", time.monotonic() - started)

    def _n_groups(self) -> int:
        return getattr(self.module_, "n_groups", N_GROUPS)

    def _is_warm_up(self) -> bool:
        if len(self.history) > WARM_UP_SHARE * self.max_epochs:
            return False
        used = 0.0 if self.schedule is None else self.schedule.used()
        return used <= WARM_UP_SHARE or len(self.history) < 2

    def training_forward(
        self, inputs: dict[str, Tensor], target: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Cut a batch among the step's architectures."""
        architectures = next(self._draws)
        n_rows = len(target[0])
        n_groups = min(len(architectures), n_rows)
        used = n_rows - n_rows % n_groups

        def cut(tensor: Tensor) -> Tensor:
            return tensor[:used].unflatten(0, (n_groups, used // n_groups))

        logits = self.module_(
            **{name: cut(tensor) for name, tensor in inputs.items()},
            architectures=architectures[:n_groups],
        )
        n_outputs = logits.shape[-1] if self.n_outputs is None else self.n_outputs
        expected = (n_groups, used // n_groups, n_outputs)
        if logits.shape != expected:
            raise ValueError(
                "The supernet must give logits of shape (n_architectures, n_rows, "
                f"n_outputs), here {expected}; it gave {tuple(logits.shape)}."
            )
        return logits, (cut(target[0]), cut(target[1]))

    def controller_step(self, batch: Batch, **kwargs) -> dict[str, Tensor]:
        """Tell the strategy the rewards of architectures that it proposes."""
        architectures = propose(
            self.strategy, self.strategy.samples_per_update, self.decisions
        )
        architectures.sort(key=self.decisions.indices)
        inputs, target = batch
        logits = self._logits(architectures, inputs)
        rewards = self.reward(logits, *target)
        finite = rewards[np.isfinite(rewards)]
        records = {"loss": 0.0, **({"reward": finite.mean()} if len(finite) else {})}
        records |= tell(self.strategy, architectures, rewards)
        for name, value in records.items():
            self.history.record_batch(f"controller_{name}", value)
            self._records.setdefault(name, []).append(value)
        best = int(np.nan_to_num(rewards, nan=-np.inf).argmax())
        if rewards[best] > self.best_reward_:
            self.best_reward_ = float(rewards[best])
            self.best_architecture_ = architectures[best]
        return {"loss": torch.tensor(records["loss"]), "y_pred": logits}

    @torch.no_grad()
    def _logits(self, architectures: list[Architecture], inputs) -> Tensor:
        # where the supernet has a sooner answer for rewards
        answer = getattr(self.module_, "estimate", self.module_)
        return answer(**inputs, architectures=architectures)

    def score(
        self, architectures: list[Architecture], deadline: float | None = None
    ) -> np.ndarray:
        """Give the rewards of architectures on the held-back part.

        Parameters
        ----------
        architectures : list of Architecture
            The architectures.

        deadline : float or None, default=None
            When to leave it at those that were scored by then.

        Returns
        -------
        rewards : ndarray of shape (n_scored,)
            Rewards with the shared parameters: of all architectures, or of the first
            ones if time was short.
        """
        self._set_training(False)
        n_rows = len(self.dataset_valid)
        # every second, third, ... one, since rows may be in an order
        step = math.ceil(n_rows / (self.ranking_rows or n_rows))
        inputs, (target, weight) = self.dataset_valid[::step]
        # rows come in parts, for each of which a convolutional network would calibrate
        # each of several architectures anew
        n_groups = self._n_groups()
        rewards = []
        for first in range(0, len(architectures), n_groups):
            group = architectures[first : first + n_groups]
            logits = predict_logits(
                partial(self.module_, architectures=group), inputs, self.device
            )
            rewards.append(self.reward(logits, target.cpu(), weight.cpu()))
            if deadline is not None and time.monotonic() > deadline:
                break
        return np.concatenate(rewards)

    def __getstate__(self):
        """Leave out the proposals of the running epoch."""
        state = super().__getstate__()
        for name in ("_draws", "_records"):
            state.pop(name, None)
        return state

    def __setstate__(self, state):
        """Let the strategy have the net's controller, not a copy."""
        super().__setstate__(state)
        if self.strategy.controller_ is not None:
            self.strategy.controller_ = self.controller_
        if self.strategy.optimizer_ is not None:
            self.strategy.optimizer_ = self.controller_optimizer_
