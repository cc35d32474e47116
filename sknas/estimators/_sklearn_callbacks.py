"""The bridge to `sklearn.callback`, which scikit-learn 1.9 brought as experimental.

All that sknas uses of it is here. With a scikit-learn that has no such module, or
another one, estimators work without `set_callbacks`.
"""

from __future__ import annotations

from collections.abc import Callable

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # pragma: no cover

    class CallbackSupportMixin:
        """Stands in for scikit-learn's class of the same name."""

    def with_callbacks(method: Callable) -> Callable:
        """Stand in for scikit-learn's decorator of the same name."""
        return method


class SklearnCallbacks:
    """Tells an estimator's scikit-learn callbacks of its fit's tasks.

    Parameters
    ----------
    estimator : estimator
        The estimator that is being fitted.

    n_phases : int
        How many phases its fit has.

    X, y, sample_weight
        The data, as the user gave them.
    """

    def __init__(self, estimator, n_phases: int, X, y, sample_weight) -> None:
        self.estimator = estimator
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.data = {"X": X, "y": y, "metadata": metadata}
        root = estimator._init_callback_context(max_subtasks=n_phases)
        self.contexts = [root]
        root.call_on_fit_task_begin(estimator=estimator, **self.data)

    def begin(self, name: str, n_steps: int) -> None:
        """Open the context of a task; see :class:`sknas.training.Listener`."""
        context = self.contexts[-1].subcontext(task_name=name, max_subtasks=n_steps)
        self.contexts.append(context)
        context.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def step(self, fitted: Callable[[], dict]) -> bool:
        """Tell of a step of the innermost task."""
        self.begin("step", 0)
        return self.end(fitted)

    def end(self, fitted: Callable[[], dict]) -> bool:
        """Close the innermost context."""
        return self.contexts.pop().call_on_fit_task_end(
            estimator=self.estimator, reconstruction_attributes=fitted, **self.data
        )


def listen(estimator, n_phases: int, X, y, sample_weight) -> list[SklearnCallbacks]:
    """Begin to tell an estimator's scikit-learn callbacks, if it has any."""
    if not getattr(estimator, "_skl_callbacks", None):
        return []
    return [SklearnCallbacks(estimator, n_phases, X, y, sample_weight)]
