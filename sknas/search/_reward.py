"""What an architecture's predictions on held-back rows are worth."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import UndefinedMetricWarning
from torch import Tensor

from sknas.training import CrossEntropy


class NegativeLogLoss:
    """Reward by log-loss, which sees more in a few rows than accuracy does."""

    def __call__(self, logits: Tensor, target: Tensor, weight: Tensor) -> np.ndarray:
        """Give the reward of each architecture.

        Parameters
        ----------
        logits : Tensor of shape (n_architectures, n_rows, n_classes)
            Their logits on the same rows.

        target, weight : Tensor of shape (n_rows,)
            The rows' class numbers and weights.

        Returns
        -------
        rewards : ndarray of shape (n_architectures,)
            Negative weighted means of the log-loss.
        """
        rows = target.view(1, -1, 1).expand(len(logits), -1, 1)
        log_probability = logits.log_softmax(dim=2).gather(2, rows)[..., 0]
        return (log_probability @ weight / weight.sum()).cpu().double().numpy()


class ScorerReward:
    """Reward by a scikit-learn scorer.

    Parameters
    ----------
    scorer : callable
        What :func:`sklearn.metrics.get_scorer` gives.

    classes : ndarray of shape (n_classes,)
        The user's labels.
    """

    def __init__(self, scorer: Callable, classes: np.ndarray) -> None:
        self.scorer = scorer
        self.classes = classes
        # a scorer of the user's own may be any callable(estimator, X, y)
        parameters = inspect.signature(scorer).parameters
        self.takes_weights = "sample_weight" in parameters

    def __call__(self, logits: Tensor, target: Tensor, weight: Tensor) -> np.ndarray:
        """Give the reward of each architecture; see :class:`NegativeLogLoss`."""
        y = self.classes[target.cpu().numpy()]
        # scorers want no classes that the rows lack
        present = np.unique(target.cpu().numpy())
        weight = weight.cpu().numpy()
        arguments = {}
        if self.takes_weights and np.ptp(weight) > 0:
            arguments["sample_weight"] = weight
        rows = np.empty((len(y), 0))
        rewards = []
        for own in logits:
            probability = CrossEntropy.log_predict(own).exp().cpu().double().numpy()
            if not np.isfinite(probability).all():  # the network diverged
                rewards.append(np.nan)
                continue
            probability = np.maximum(probability[:, present], 1e-12)
            probability /= probability.sum(axis=1, keepdims=True)
            answers = _Answers(self.classes[present], probability)
            with warnings.catch_warnings():
                # of classes that a network never predicts, as many do at first
                warnings.simplefilter("ignore", UndefinedMetricWarning)
                rewards.append(self.scorer(answers, rows, y, **arguments))
        return np.array(rewards, dtype=np.float64)


class _Answers(ClassifierMixin, BaseEstimator):
    """A classifier that gives known answers, for a scorer to judge."""

    def __init__(self, classes: np.ndarray, probability: np.ndarray) -> None:
        self.classes_ = classes
        self.probability = probability

    def predict_proba(self, X) -> np.ndarray:
        return self.probability

    def predict(self, X) -> np.ndarray:
        return self.classes_[self.probability.argmax(axis=1)]
