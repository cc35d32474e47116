"""What displays ask of an estimator before they draw it."""

from __future__ import annotations

from sklearn.utils.validation import check_is_fitted


def check_has_network(estimator) -> None:
    """Check that this is one of sknas's estimators, and fitted.

    Parameters
    ----------
    estimator : object
        What was given.

    Raises
    ------
    TypeError
        If it is another estimator, or none.

    sklearn.exceptions.NotFittedError
        If it is not fitted.
    """
    if not hasattr(type(estimator), "space_"):
        raise TypeError(
            "A fitted NASClassifier, NASRegressor or NASLanguageModel is needed, got "
            f"{type(estimator).__name__}. Of a pipeline give its last step, "
            "pipeline[-1], of a grid search the best_estimator_."
        )
    check_is_fitted(estimator)


def check_searched(estimator, attribute: str = "history_") -> None:
    """Check that an estimator's last fit has searched, see :func:`check_has_network`.

    Parameters
    ----------
    estimator : object
        What was given.

    attribute : str, default="history_"
        What the search has left, and is to be drawn.

    Raises
    ------
    ValueError
        If it has not.
    """
    check_has_network(estimator)
    if not getattr(estimator, attribute, None):
        raise ValueError(
            f"This {type(estimator).__name__} has not searched in its last fit: its "
            "architectures were given, or kept from an earlier fit by warm_start, or "
            "the fit was stopped before. There is nothing to be drawn."
        )
