"""
See what was found
==================

Four displays, in scikit-learn's manner: the network, the course of the search, its
candidates, and what its strategy prefers in the end. Needs ``pip install
"sknas[plot]"``.
"""

# %%
# In a notebook, a fitted estimator shows itself; a click unfolds the network.
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from sknas import (
    Architecture,
    ArchitectureDisplay,
    CandidatesDisplay,
    ConvMicroSpace,
    NASClassifier,
    PolicyDisplay,
    RecurrentSpace,
    SearchHistoryDisplay,
)

X, y = load_digits(return_X_y=True)
clf = NASClassifier(random_state=0).fit(X, y)
clf

# %%
# The best network. Boxes are operations, with the number of their parameters; beside
# arrows stands the shape of what goes along them.
ArchitectureDisplay.from_estimator(clf)

# %%
# The course of the search: rewards, the loss of the shared parameters, the entropy of
# the policy, and where the time went.
SearchHistoryDisplay.from_estimator(clf)

# %%
# Its candidates: whether the shared parameters tell which network is good when it has
# parameters of its own. The ones that were chosen are marked.
CandidatesDisplay.from_estimator(clf)

# %%
# The probability that the controller gives to each option, at the end.
PolicyDisplay.from_estimator(clf)

# %%
# Architectures of any space can be drawn without a fit: two cells that are stacked, and
# the recurrent cell that the authors of ENAS published.
micro = ConvMicroSpace(n_nodes=5)
fixed_arc = (
    "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1 1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1"
)
ArchitectureDisplay.from_architecture(
    Architecture.from_fixed_arc(fixed_arc, micro), micro
)

# %%
recurrent = RecurrentSpace(n_nodes=12)
fixed_arc = "0 0 0 1 1 2 1 2 0 2 0 5 1 1 0 6 1 8 1 8 1 8 1"
ArchitectureDisplay.from_architecture(
    Architecture.from_fixed_arc(fixed_arc, recurrent), recurrent
)
plt.show()
