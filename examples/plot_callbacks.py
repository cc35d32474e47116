"""
Callbacks, progress and a limit of time
=======================================

Watch a search, stop it, and take what it has by then. There are two kinds of
callbacks: scikit-learn's see the tasks of a ``fit`` from outside, through pipelines
and grid searches; skorch's see each network from inside, step by step.
"""

# %%
import time

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback

from sknas import NASClassifier, SearchHistoryDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=700, stratify=y, random_state=0
)

# %%
# A skorch callback is given the nets of the search and of the training alike. This one
# notes the norm of the gradients, and which net it was; ``verbose=1`` shows a bar of
# progress for each phase.


class GradientNorms(Callback):
    """Notes the norm of the gradient of each step."""

    def initialize(self):
        """Begin anew, as skorch asks before each training."""
        self.norms_ = getattr(self, "norms_", [])
        return self

    def on_grad_computed(self, net, named_parameters, **kwargs):
        """Note one step."""
        squares = [
            float(parameter.grad.square().sum())
            for _, parameter in named_parameters
            if parameter.grad is not None
        ]
        phase = "search" if hasattr(net, "controller_") else "training"
        self.norms_.append({"phase": phase, "norm": sum(squares) ** 0.5})


norms = GradientNorms()
clf = NASClassifier(callbacks=[norms], verbose=1, random_state=0).fit(X_train, y_train)
noted = pd.DataFrame(norms.norms_)
print(noted.groupby("phase")["norm"].describe()[["count", "50%", "max"]])

# %%
# ``time_limit`` is for all of `fit`: what was found by then is trained and returned.
rows = []
for limit in (2, 4, None):
    started = time.perf_counter()
    limited = NASClassifier(time_limit=limit, random_state=0).fit(X_train, y_train)
    seconds = time.perf_counter() - started
    rows.append((str(limit), seconds, limited.score(X_test, y_test)))
print(pd.DataFrame(rows, columns=["time_limit", "seconds", "accuracy"]).to_string())

# %%
# A callback of scikit-learn's sees the tasks that a fit is made of, and may stop it:
# here, once the search has had ten epochs. What follows the search goes on.


class TenEpochs:
    """Ends a search after ten epochs."""

    def setup(self, estimator, context):
        """Begin."""
        self.n_epochs = 0

    def on_fit_task_begin(self, estimator, context):
        """Do nothing when a task begins."""

    def on_fit_task_end(self, estimator, context):
        """Count epochs of the search; true asks for a stop."""
        parent = context.parent.task_name if context.parent is not None else None
        self.n_epochs += parent == "search"
        return parent == "search" and self.n_epochs >= 10

    def teardown(self, estimator, context):
        """End."""


stopped = NASClassifier(random_state=0).set_callbacks(TenEpochs())
stopped.fit(X_train, y_train)
print(
    f"{len(stopped.history_)} epochs of search instead of {len(clf.history_)}: "
    f"test accuracy {stopped.score(X_test, y_test):.3f}"
)

# %%
# The course of the search that was not stopped.
SearchHistoryDisplay.from_estimator(clf)
plt.show()
