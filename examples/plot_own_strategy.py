"""
A search strategy of your own
=============================

A strategy proposes architectures (``ask``) and learns from their rewards
(``tell``). This one is regularized evolution (Real et al., 2019): mutate the best
of a few drawn from a population in which the oldest die.
"""

# %%
from collections import deque

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from sknas import NASClassifier, SearchHistoryDisplay, SearchStrategy


class Evolution(SearchStrategy):
    """Regularized evolution."""

    updates_per_epoch = 2  # it wants rewards twice in an epoch

    def __init__(self, population_size=30, tournament_size=5):
        self.population_size = population_size
        self.tournament_size = tournament_size

    def initialize(self, decisions, random_state):
        """Begin with an empty population."""
        self.decisions_ = decisions
        self.random_state_ = random_state
        self.population_ = deque(maxlen=self.population_size)

    def ask(self, n):
        """Propose mutants; random architectures while there are too few parents."""
        if len(self.population_) < self.tournament_size:
            return self.decisions_.sample(n, self.random_state_)
        return [self.mutate(self.parent()) for _ in range(n)]

    def tell(self, architectures, rewards):
        """Take the newborn in; the oldest fall out. A reward may be missing."""
        for architecture, reward in zip(architectures, rewards, strict=True):
            if np.isfinite(reward):
                self.population_.append((reward, architecture))
        known = rewards[np.isfinite(rewards)]
        return {"reward": float(known.mean())} if len(known) else {}

    def candidates(self, n):
        """Hand in, when the search ends, the best of those that live."""
        ranked = sorted(self.population_, key=lambda member: -member[0])
        best = dict.fromkeys(architecture for _, architecture in ranked)
        return list(best)[:n]

    def parent(self):
        """Draw a few and take the best."""
        drawn = self.random_state_.randint(
            len(self.population_), size=self.tournament_size
        )
        return max((self.population_[i] for i in drawn), key=lambda member: member[0])[
            1
        ]

    def mutate(self, architecture):
        """Decide one active decision anew, and those that become active with it."""
        indices = np.array(self.decisions_.indices(architecture))
        fresh = [self.random_state_.randint(len(d.options)) for d in self.decisions_]
        changed = self.random_state_.choice(np.flatnonzero(indices >= 0))
        indices = np.where(indices < 0, fresh, indices)
        indices[changed] = fresh[changed]
        return self.decisions_.architecture(indices)


# %%
# It goes where a name would; its parameters are ``strategy__...`` in a grid search.
X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
clf = NASClassifier(strategy=Evolution(), random_state=0).fit(X_train, y_train)
print(f"test accuracy {clf.score(X_test, y_test):.3f}")
print(clf.architecture_)

# %%
# The rewards of what it proposed, epoch by epoch. A method ``policy`` would add what
# ``PolicyDisplay`` draws.
SearchHistoryDisplay.from_estimator(clf)
plt.show()
