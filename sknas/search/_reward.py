"""What an architecture's predictions on held-back rows are worth."""

from __future__ import annotations

import inspect
import numbers
import warnings
from abc import ABCMeta, abstractmethod
from collections.abc import Callable

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import UndefinedMetricWarning
from torch import Tensor

from sknas.training import Criterion


class NegativeLoss:
    """Reward by the loss that is trained on.

    For classifiers that is the log-loss, which sees more in a few rows than accuracy
    does.

    Parameters
    ----------
    criterion : Criterion
        The loss.
    """

    def __init__(self, criterion: Criterion) -> None:
        self.criterion = criterion

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> np.ndarray:
        """Give the reward of each architecture.

        Parameters
        ----------
        outputs : Tensor of shape (n_architectures, n_rows, n_outputs)
            Their outputs on the same rows.

        target : Tensor of shape (n_rows, ...)
            The rows' targets.

        weight : Tensor of shape (n_rows,)
            The rows' weights.

        Returns
        -------
        rewards : ndarray of shape (n_architectures,)
            Negative weighted means of the loss.
        """
        losses = self.criterion.row_losses(outputs, target)
        return -(losses @ weight / weight.sum()).cpu().double().numpy()


class InversePerplexity(NegativeLoss):
    """Reward of language models: c / perplexity, with c as in the paper."""

    scale = 80.0
    """The paper's c."""

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> np.ndarray:
        """Give the reward of each architecture; see the base class."""
        with np.errstate(over="ignore", under="ignore"):
            return self.scale * np.exp(super().__call__(outputs, target, weight))


class ScorerReward(metaclass=ABCMeta):
    """Reward by a scikit-learn scorer.

    Parameters
    ----------
    scorer : callable
        What :func:`sklearn.metrics.get_scorer` gives.
    """

    def __init__(self, scorer: Callable) -> None:
        self.scorer = scorer
        # a scorer of the user's own may be any callable(estimator, X, y), and what
        # make_scorer makes takes weights, but passes them on to any metric
        metric = getattr(scorer, "_score_func", scorer)
        try:
            self.takes_weights = "sample_weight" in inspect.signature(metric).parameters
        except (TypeError, ValueError):  # of a builtin
            self.takes_weights = False
        self.error: ValueError | None = None
        """Why the last network that got no number got none."""

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor) -> np.ndarray:
        """Give the reward of each architecture; see :class:`NegativeLoss`.

        NaN where a network diverged, or where the scorer cannot judge it by these rows,
        as where a class is missing.
        """
        rewards = []
        for own in outputs:
            try:
                rewards.append(self.judge(own, target, weight))
            except ValueError as error:
                self.error = error
                rewards.append(np.nan)
            else:
                if np.isnan(rewards[-1]) and own.isfinite().all():
                    self.error = ValueError("it gave nan")
        return np.array(rewards, dtype=np.float64)

    def judge(self, outputs: Tensor, target: Tensor, weight: Tensor) -> float:
        """Give the reward of one network, whose outputs are (n_rows, n_outputs).

        Raises
        ------
        TypeError
            If the scorer gives anything but a number; or any error of the scorer.
        """
        outputs = outputs.cpu().double()
        if not outputs.isfinite().all():  # the network diverged
            return np.nan
        target = target.cpu().numpy()
        y = self._targets(target)
        weight = weight.cpu().numpy()
        arguments = {}
        if self.takes_weights and np.ptp(weight) > 0:
            arguments["sample_weight"] = weight
        rows = np.empty((len(y), 0))
        with warnings.catch_warnings():
            # of classes that a network never predicts, as many do at first, or
            # that a few rows lack
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            warnings.filterwarnings("ignore", module=r"sklearn\.metrics")
            score = self.scorer(self._answers(outputs, target), rows, y, **arguments)
        if not isinstance(score, numbers.Real):
            raise TypeError(f"a scorer must give a number, but it gave {score!r:.60}")
        return float(score)

    @abstractmethod
    def _targets(self, target: np.ndarray) -> np.ndarray:
        """Give the targets as the user knows them."""

    @abstractmethod
    def _answers(self, outputs: Tensor, target: np.ndarray) -> BaseEstimator:
        """Give an estimator that gives a network's answers, for a scorer to judge."""


class ClassifierReward(ScorerReward):
    """Reward of classifiers by a scorer.

    Parameters
    ----------
    scorer : callable
        What :func:`sklearn.metrics.get_scorer` gives.

    classes : ndarray of shape (n_classes,)
        The user's labels.
    """

    def __init__(self, scorer: Callable, classes: np.ndarray) -> None:
        super().__init__(scorer)
        self.classes = classes

    def _targets(self, target: np.ndarray) -> np.ndarray:
        return self.classes[target]

    def _answers(self, outputs: Tensor, target: np.ndarray) -> BaseEstimator:
        probability = outputs.softmax(dim=-1).numpy()
        labels = self.classes[probability.argmax(axis=1)]
        classes = self.classes
        if len(classes) > 2:
            # scorers of probabilities want those of the classes that the rows have
            present = np.unique(target)
            classes, probability = classes[present], probability[:, present]
        probability = np.maximum(probability, 1e-12)
        probability /= probability.sum(axis=1, keepdims=True)
        return _ClassifierAnswers(classes, probability, labels)


class RegressorReward(ScorerReward):
    """Reward of regressors by a scorer.

    Parameters
    ----------
    scorer : callable
        What :func:`sklearn.metrics.get_scorer` gives.

    unscale : callable
        Gives numbers in the user's units, from targets or outputs.
    """

    def __init__(
        self, scorer: Callable, unscale: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        super().__init__(scorer)
        self.unscale = unscale

    def _targets(self, target: np.ndarray) -> np.ndarray:
        return self.unscale(target)

    def _answers(self, outputs: Tensor, target: np.ndarray) -> BaseEstimator:
        return _RegressorAnswers(self.unscale(outputs.numpy()))


class _ClassifierAnswers(ClassifierMixin, BaseEstimator):
    def __init__(
        self, classes: np.ndarray, probability: np.ndarray, labels: np.ndarray
    ) -> None:
        self.classes = classes
        self.probability = probability
        self.labels = labels

    @property
    def classes_(self) -> np.ndarray:
        return self.classes

    def predict_proba(self, X) -> np.ndarray:
        return self.probability

    def predict(self, X) -> np.ndarray:
        return self.labels


class _RegressorAnswers(RegressorMixin, BaseEstimator):
    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def predict(self, X) -> np.ndarray:
        return self.values
