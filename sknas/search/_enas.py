"""ENAS: the policy is an LSTM that learns by REINFORCE."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from sknas.architecture import Architecture
from sknas.decisions import Decisions
from sknas.rules import COUNT, FLAG, NOT_NEGATIVE, POSITIVE, RATE, check_rules
from sknas.search._controller import Controller
from sknas.search._strategy import SearchStrategy
from sknas.training import OPTIMIZERS, private_random_state

POLICY_SAMPLES = 256  # that the options' probabilities are averaged over
RULES = {
    "controller_hidden_size": COUNT,
    "controller_lr": POSITIVE,
    "temperature": POSITIVE,
    "tanh_constant": POSITIVE,
    "entropy_weight": NOT_NEGATIVE,
    "skip_weight": NOT_NEGATIVE,
    "baseline_decay": RATE,
    "normalize_advantage": FLAG,
    "max_gradient_norm": POSITIVE,
    "updates_per_epoch": COUNT,
    "samples_per_update": COUNT,
}


class ENAS(SearchStrategy):
    """Efficient neural architecture search: the strategy "enas".

    An LSTM controller samples architectures decision by decision and is trained by
    REINFORCE, with a moving average of the rewards as its baseline, which starts at
    the first reward, a bonus for the entropy of its distributions, and a penalty that
    keeps skip connections sparse (Pham et al., "Efficient Neural Architecture Search
    via Parameter Sharing", 2018).

    Parameters
    ----------
    controller_hidden_size : int, default=64
        Units of the controller's LSTM. The paper has 100.

    controller_lr : float, default=0.01
        Learning rate of the controller's Adam. The paper has 0.00035 and takes
        2000 steps an epoch; a search on a table takes some twenty in all.

    temperature : float, default=5.0
        Temperature of the controller's logits, as in the paper.

    tanh_constant : float, default=2.5
        Bound of the controller's logits, as in the paper.

    entropy_weight : float, default=0.01
        Weight of the entropy in the controller's objective. The paper has 0.0001
        for its recurrent and 0.1 for its convolutional space; it is relative to
        advantages of unit spread where `normalize_advantage` is true.

    skip_weight : float, default=0.8
        Weight of a penalty where a space has decisions of the kind "skip", as
        "conv-macro" has and "tabular" has not: by the Kullback-Leibler divergence, how
        far the policy is from the rate that the space begins with, 0.4 in "conv-macro".
        The weight and the rate are the paper's; there the penalty is the mean over
        layers, here the sum, which goes with advantages of unit spread. Without it most
        connections are made: short ways are the first to learn, and the shared
        parameters learn for a short time.

    baseline_decay : float, default=0.9
        Decay of the moving average of rewards.

    normalize_advantage : bool, default=True
        Whether to divide rewards less baseline by their spread, also a moving
        average, so that one learning rate suits every scale of rewards. The paper
        does not.

    max_gradient_norm : float, default=5.0
        Norm to which the controller's gradient is clipped.

    updates_per_epoch : int, default=2
        Steps of the controller after each epoch of the shared parameters, but the
        first ones, in which it does not learn yet.

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
        skip_weight: float = 0.8,
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
        self.skip_weight = skip_weight
        self.baseline_decay = baseline_decay
        self.normalize_advantage = normalize_advantage
        self.max_gradient_norm = max_gradient_norm
        self.updates_per_epoch = updates_per_epoch
        self.samples_per_update = samples_per_update

    def initialize(
        self, decisions: Decisions, random_state: np.random.RandomState
    ) -> None:
        """Make a new controller; see the base class."""
        self.check_parameters()
        self.decisions_ = decisions
        seeds = random_state.randint(np.iinfo(np.int32).max, size=2)
        self.generator_ = torch.Generator().manual_seed(int(seeds[0]))
        with private_random_state(int(seeds[1])):
            self.controller_ = Controller(
                decisions,
                int(self.controller_hidden_size),
                float(self.temperature),
                float(self.tanh_constant),
            )
        self.optimizer_ = OPTIMIZERS["adam"](
            self.controller_.parameters(), lr=self.controller_lr
        )
        self.baseline_ = None
        self.variance_ = None

    def check_parameters(self) -> None:
        """Check the parameters; see the base class."""
        check_rules(self, RULES)

    def ask(self, n: int) -> list[Architecture]:
        """Sample from the policy; see the base class."""
        indices = self.controller_.sample(n, self.generator_)
        return [self.decisions_.architecture(row) for row in indices.tolist()]

    def tell(
        self, architectures: list[Architecture], rewards: np.ndarray
    ) -> dict[str, float]:
        """Take one step of REINFORCE; see the base class."""
        rewards = np.asarray(rewards, dtype=np.float64)
        is_finite = np.isfinite(rewards)  # a network that diverged teaches nothing
        if not is_finite.any():
            return {}
        architectures = [
            a for a, kept in zip(architectures, is_finite, strict=True) if kept
        ]
        advantage = self._advantage(rewards[is_finite])
        indices = torch.tensor([self.decisions_.indices(a) for a in architectures])
        view = self.controller_.evaluate(indices)
        advantage = torch.tensor(advantage, dtype=view.log_probability.dtype)
        objective = (
            advantage * view.log_probability
            + self.entropy_weight * view.entropy
            - self.skip_weight * view.skip_divergence
        )
        loss = -objective.mean()
        self.optimizer_.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(
            self.controller_.parameters(), self.max_gradient_norm
        )
        self.optimizer_.step()
        return {
            "loss": loss.item(),
            "reward": float(rewards[is_finite].mean()),
            "entropy": view.entropy.mean().item(),
            "gradient_norm": norm.item(),
        }

    def policy(self) -> list[np.ndarray]:
        """Give the probabilities, averaged over sampled ways; see the base class."""
        # a generator of its own: looking at a search does not change it
        generator = torch.Generator().manual_seed(0)
        indices = self.controller_.sample(POLICY_SAMPLES, generator)
        with torch.no_grad():
            probability = self.controller_.log_policies(indices).exp().double()
        probabilities = []
        for i, decision in enumerate(self.decisions_):
            ways = probability[indices[:, i] >= 0, i, : len(decision.options)]
            probabilities.append(ways.mean(dim=0).numpy())
        return probabilities

    def _advantage(self, rewards: np.ndarray) -> np.ndarray:
        """Take the baseline off, and move it on."""
        mean = float(rewards.mean())
        if self.baseline_ is None:
            self.baseline_ = mean
        advantage = rewards - self.baseline_
        variance = float(np.square(advantage).mean())
        if self.variance_ is None:
            self.variance_ = variance
        decay = self.baseline_decay
        self.baseline_ = decay * self.baseline_ + (1 - decay) * mean
        self.variance_ = decay * self.variance_ + (1 - decay) * variance
        if self.normalize_advantage and variance > 0:
            # the batch's own spread where it is greater: no step is then too long
            advantage = advantage / max(self.variance_, variance) ** 0.5
        return advantage
