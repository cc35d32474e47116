"""ENAS: the policy is an LSTM that learns by REINFORCE."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from sknas.architecture import Architecture, Decisions
from sknas.search._controller import Controller
from sknas.search._strategy import SearchStrategy


class ENAS(SearchStrategy):
    """Efficient neural architecture search: the strategy "enas".

    An LSTM controller samples architectures decision by decision and is trained by
    REINFORCE, with a moving average of the rewards as its baseline, which starts at
    the first reward, and a bonus for the entropy of its distributions (Pham et al.,
    "Efficient Neural Architecture Search via Parameter Sharing", 2018).

    Parameters
    ----------
    controller_hidden_size : int, default=64
        Units of the controller's LSTM. The paper has 100.

    controller_lr : float, default=0.01
        Learning rate of the controller's Adam. The paper has 0.00035 and takes
        2000 steps an epoch; a search on a table takes a hundred in all.

    temperature : float, default=5.0
        Temperature of the controller's logits, as in the paper.

    tanh_constant : float, default=2.5
        Bound of the controller's logits, as in the paper.

    entropy_weight : float, default=0.01
        Weight of the entropy in the controller's objective. The paper has 0.0001
        for its recurrent and 0.1 for its convolutional space; it is relative to
        advantages of unit spread where `normalize_advantage` is true.

    baseline_decay : float, default=0.9
        Decay of the moving average of rewards.

    normalize_advantage : bool, default=True
        Whether to divide rewards less baseline by their spread, also a moving
        average, so that one learning rate suits every scale of rewards. The paper
        does not.

    max_gradient_norm : float, default=5.0
        Norm to which the controller's gradient is clipped.

    updates_per_epoch : int, default=2
        Steps of the controller after each epoch of the shared parameters.

    samples_per_update : int, default=8
        Architectures that a step is averaged over.

    Attributes
    ----------
    controller_ : torch.nn.Module
        The LSTM.

    optimizer_ : torch.optim.Optimizer
        Its optimizer.

    baseline_ : float or None
        Moving average of the rewards; None before the first.
    """

    def __init__(
        self,
        controller_hidden_size: int = 64,
        controller_lr: float = 0.01,
        temperature: float = 5.0,
        tanh_constant: float = 2.5,
        entropy_weight: float = 0.01,
        baseline_decay: float = 0.9,
        normalize_advantage: bool = True,
        max_gradient_norm: float = 5.0,
        updates_per_epoch: int = 2,
        samples_per_update: int = 8,
    ) -> None:
        self.controller_hidden_size = controller_hidden_size
        self.controller_lr = controller_lr
        self.temperature = temperature
        self.tanh_constant = tanh_constant
        self.entropy_weight = entropy_weight
        self.baseline_decay = baseline_decay
        self.normalize_advantage = normalize_advantage
        self.max_gradient_norm = max_gradient_norm
        self.updates_per_epoch = updates_per_epoch
        self.samples_per_update = samples_per_update

    def initialize(
        self, decisions: Decisions, random_state: np.random.RandomState
    ) -> None:
        """Make a new controller; see the base class.

        Its first weights come from torch's default generator.
        """
        self._check_parameters()
        self.decisions_ = decisions
        self.generator_ = torch.Generator().manual_seed(
            int(random_state.randint(np.iinfo(np.int32).max))
        )
        self.controller_ = Controller(
            decisions, self.controller_hidden_size, self.temperature, self.tanh_constant
        )
        self.optimizer_ = torch.optim.Adam(
            self.controller_.parameters(), lr=self.controller_lr
        )
        self.baseline_ = None
        self.spread_ = None

    def _check_parameters(self) -> None:
        positive = (
            "controller_lr",
            "temperature",
            "tanh_constant",
            "max_gradient_norm",
        )
        counts = ("controller_hidden_size", "updates_per_epoch", "samples_per_update")
        for names, kind, rule, is_right in (
            (positive, (int, float), "a number above 0", lambda value: value > 0),
            (counts, int, "an integer from 1 up", lambda value: value >= 1),
            (("entropy_weight",), (int, float), "a number from 0 up", lambda v: v >= 0),
            (
                ("baseline_decay",),
                (int, float),
                "from 0 to below 1",
                lambda v: 0 <= v < 1,
            ),
        ):
            for name in names:
                value = getattr(self, name)
                if not isinstance(value, kind) or not is_right(value):
                    raise ValueError(f"{name} of ENAS must be {rule}, got {value!r}.")

    def ask(self, n: int) -> list[Architecture]:
        """Sample from the policy; see the base class."""
        indices = self.controller_.sample(n, self.generator_)
        return [self.decisions_.architecture(row) for row in indices.tolist()]

    def tell(
        self, architectures: list[Architecture], rewards: np.ndarray
    ) -> dict[str, float]:
        """Take one step of REINFORCE; see the base class."""
        rewards = np.asarray(rewards, dtype=np.float64)
        mean = float(rewards.mean())
        if self.baseline_ is None:
            self.baseline_ = mean
            self.spread_ = float(rewards.std())
        advantage = rewards - self.baseline_
        if self.normalize_advantage:
            advantage = advantage / (self.spread_ + 1e-8)
        decay = self.baseline_decay
        self.baseline_ = decay * self.baseline_ + (1 - decay) * mean
        self.spread_ = decay * self.spread_ + (1 - decay) * float(rewards.std())

        indices = torch.tensor([self.decisions_.indices(a) for a in architectures])
        log_probability, entropy = self.controller_.evaluate(indices)
        advantage = torch.tensor(advantage, dtype=log_probability.dtype)
        objective = advantage * log_probability + self.entropy_weight * entropy
        loss = -objective.mean()
        self.optimizer_.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(
            self.controller_.parameters(), self.max_gradient_norm
        )
        self.optimizer_.step()
        return {
            "loss": loss.item(),
            "reward": mean,
            "entropy": entropy.mean().item(),
            "gradient_norm": norm.item(),
        }
