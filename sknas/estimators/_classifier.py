"""The classifier."""

from __future__ import annotations

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import get_scorer
from sklearn.preprocessing import LabelEncoder
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d
from torch import nn

from sknas.architecture import Architecture
from sknas.estimators._base import BaseNAS
from sknas.estimators._sklearn_callbacks import with_callbacks
from sknas.search import NegativeLogLoss, ScorerReward, SearchStrategy
from sknas.spaces import SearchSpace
from sknas.training import CrossEntropy


class NASClassifier(ClassifierMixin, BaseNAS):
    """A classifier that designs its own neural network."""

    def __init__(
        self,
        search_space: str | SearchSpace = "auto",
        *,
        strategy: str | SearchStrategy = "enas",
        architecture: Architecture | str | list | None = None,
        search_epochs: int | str = "auto",
        n_candidates: int | str = "auto",
        ensemble_size: int = 4,
        max_epochs: int | str = "auto",
        batch_size: int | str = "auto",
        lr: float = 0.003,
        weight_decay: float = 0.01,
        optimizer: str = "adamw",
        validation_fraction: float = 0.2,
        early_stopping: bool = True,
        n_iter_no_change: int = 12,
        scoring=None,
        class_weight: dict | str | None = None,
        time_limit: float | None = None,
        callbacks: list | None = None,
        verbose: int = 0,
        device: str = "auto",
        n_jobs: int | None = None,
        random_state=None,
        warm_start: bool = False,
    ) -> None:
        self.search_space = search_space
        self.strategy = strategy
        self.architecture = architecture
        self.search_epochs = search_epochs
        self.n_candidates = n_candidates
        self.ensemble_size = ensemble_size
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.optimizer = optimizer
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.scoring = scoring
        self.class_weight = class_weight
        self.time_limit = time_limit
        self.callbacks = callbacks
        self.verbose = verbose
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.warm_start = warm_start

    @with_callbacks
    def fit(self, X, y, sample_weight=None) -> NASClassifier:
        """Search for architectures and train the best.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            The table. Columns of a DataFrame that hold strings, booleans or
            categories are taken as categories, and so are columns of an array of
            objects that are not all numbers. Missing values may stay.

        y : array-like of shape (n_samples,)
            The labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples. An integer weight is the same as so many copies.

        Returns
        -------
        self : NASClassifier
            The fitted classifier.
        """
        return self._fit(X, y, sample_weight)

    def predict_proba(self, X) -> np.ndarray:
        """Give the probabilities of the classes.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            The table.

        Returns
        -------
        probability : ndarray of shape (n_samples, n_classes)
            Probabilities in the order of `classes_`, averaged over the networks.
        """
        probability = self._predict_log(X).exp().mean(dim=0).numpy()
        return probability / probability.sum(axis=1, keepdims=True)

    def predict_log_proba(self, X) -> np.ndarray:
        """Give the logarithms of the classes' probabilities.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            The table.

        Returns
        -------
        log_probability : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        return np.log(self.predict_proba(X))

    def predict(self, X) -> np.ndarray:
        """Give the most probable class.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            The table.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            The labels.
        """
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def __sklearn_tags__(self):
        """Tell scikit-learn what the classifier accepts."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags

    def _check_y(self, y) -> np.ndarray:
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        return y

    def _encode_target(self, y: np.ndarray, sample_weight: np.ndarray) -> tuple:
        encoder = LabelEncoder().fit(y)
        classes = encoder.classes_
        if self.warm_start and self._is_fitted():
            if not np.array_equal(classes, self.classes_):
                raise ValueError(
                    "warm_start needs the classes of the last fit, "
                    f"{self.classes_.tolist()}, but y has {classes.tolist()}."
                )
        target = encoder.transform(y).astype(np.int64)
        if self.class_weight is not None:
            class_weight = compute_class_weight(
                self.class_weight, classes=classes, y=y, sample_weight=sample_weight
            )
            sample_weight = sample_weight * class_weight[target]
        n_left = len(np.unique(target[sample_weight > 0]))
        if n_left < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes, but y has "
                f"{n_left} class{'' if n_left == 1 else 'es'} with weight above 0."
            )
        return target, sample_weight, {"classes_": classes}

    def _n_outputs(self, attributes: dict) -> int:
        return len(attributes["classes_"])

    def _criterion(self) -> nn.Module:
        return CrossEntropy()

    def _reward(self, attributes: dict):
        if self.scoring is None:
            return NegativeLogLoss()
        scorer = self.scoring if callable(self.scoring) else get_scorer(self.scoring)
        return ScorerReward(scorer, attributes["classes_"])
