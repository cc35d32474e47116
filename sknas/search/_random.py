"""Random search: the honest baseline."""

from __future__ import annotations

import numpy as np

from sknas.architecture import Architecture
from sknas.decisions import Decisions
from sknas.search._strategy import SearchStrategy


class RandomSearch(SearchStrategy):
    """Draws each decision uniformly and learns nothing: the strategy "random".

    All else, the shared parameters, the ranking, the training of what was found, is
    as with any other strategy. Random search with shared parameters is a strong
    baseline (Li & Talwalkar, "Random Search and Reproducibility for Neural
    Architecture Search", 2019).
    """

    def initialize(
        self, decisions: Decisions, random_state: np.random.RandomState
    ) -> None:
        """Begin a search; see the base class."""
        self.decisions_ = decisions
        self.random_state_ = random_state

    def ask(self, n: int) -> list[Architecture]:
        """Draw architectures uniformly; see the base class."""
        return self.decisions_.sample(n, self.random_state_)

    def policy(self) -> list[np.ndarray]:
        """Give equal probabilities; see the base class."""
        sizes = [len(decision.options) for decision in self.decisions_]
        return [np.full(size, 1 / size) for size in sizes]
