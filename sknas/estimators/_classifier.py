"""The classifier."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import ClassVar

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import assert_all_finite
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d
from torch import nn

from sknas.architecture import Architecture
from sknas.estimators._base import BaseNAS
from sknas.estimators._defaults import resolve_neighbors
from sknas.estimators._neighbors import ask_neighbors
from sknas.estimators._neighbors_source import (
    BUILD_NEIGHBORS,
    MIX_NEIGHBORS,
    neighbors_class,
)
from sknas.estimators._sklearn_callbacks import with_callbacks
from sknas.estimators._source import model_class
from sknas.readers import ReaderSource, assign, is_missing
from sknas.search import ClassifierReward, ScorerReward, SearchStrategy
from sknas.spaces import SearchSpace
from sknas.training import CrossEntropy, log_mean_exp, network_weights


class NASClassifier(ClassifierMixin, BaseNAS):
    """A classifier that designs its own neural network.

    `fit` runs efficient neural architecture search (ENAS): networks of many designs
    train together on shared parameters while a strategy learns which designs do
    well on held-back rows; the best designs, and as often the space's plain default
    one, are then trained from scratch, each with another part of the rows held back,
    and their probabilities are averaged.

    Numbers may be of any scale, values may be missing, and columns of strings,
    booleans and categories are taken as they are: nothing needs preprocessing. Images,
    time series and tokens of text are taken too, and get convolutional or recurrent
    networks.

    Parameters
    ----------
    search_space : {"auto", "tabular", "conv-macro", "conv-micro", "recurrent", \
"sequence"} or SearchSpace, default="auto"
        What can be built. "auto" chooses by the shape of `X`: "tabular" for tables, see
        :class:`sknas.TabularSpace`; "conv-macro" for images, in a size that suits
        theirs, see :class:`sknas.ConvMacroSpace`, beside which there is
        :class:`sknas.ConvMicroSpace`; and for series and texts "sequence",
        :class:`sknas.SequenceSpace`, which has convolutional and recurrent networks.

    strategy : {"enas", "random"} or SearchStrategy, default="enas"
        How it is searched, see :class:`sknas.ENAS` and :class:`sknas.RandomSearch`.
        The parameters of an object can be set as ``strategy__...``.

    architecture : Architecture, str or list of them, default=None
        Train this architecture, given as itself or as its JSON, or the space's plain
        "default" one, and do not search. Of a list, each is trained, though
        `ensemble_size` be smaller.

    search_epochs : int or "auto", default="auto"
        Epochs of the shared parameters. "auto" is 15, fewer where an epoch has
        more than 75 batches (37 of Muon), down to 3; for images it is 12, fewer of
        many, and of short rows 20 for texts and 40 for series, fewer of long or many
        ones, down to 4.

    n_candidates : int or "auto", default="auto"
        How many architectures are ranked in the end, at most: the space's default one,
        and what the strategy proposes, equal ones once. They are ranked on all
        held-back rows, but those for images, series and texts on up to 256, where
        `scoring` is None. "auto" is 48, and 12 for images, series and texts.

    ensemble_size : int or "auto", default="auto"
        How many networks are trained and averaged. "auto" is 4; it is 2 where 2,000
        images or more, or 50,000 rows of a table, are not held back. The first, the
        third and so on have the best architectures; each other one has the space's
        default architecture, since a held-back part is too small to be relied on alone.
        With 1 the result is one plain network, of the best architecture.

    neighbors : bool or "auto", default="auto"
        Whether `predict` may ask rows of the training that are near, too, and mix their
        labels with the networks' answers; how far to trust them is chosen by the rows
        that the networks held back, and where it does not pay, none is asked. The
        model then holds rows of the training, 4,000 at most. For tables only; "auto"
        is True for those with 1,000 different rows or more, several networks and
        `early_stopping`. With `warm_start`, the trust stays what it was.

    max_epochs : int or "auto", default="auto"
        Most epochs for which a found network is trained, before what `early_stopping`
        adds. "auto" is 100, fewer where an epoch has more than 40 steps, down to 3; for
        images it is 20, fewer of many, down to 10; of short rows it is 60 for texts and
        100 for series, fewer of long or many ones and of series with Muon, down to 8.
        With `early_stopping`, networks of images that are slow to learn get up to four
        times as many, but no more than make 2,000 steps.

    batch_size : int or "auto", default="auto"
        Rows in a step. "auto" is 32 under 800 rows, 64 under 2,000, 128 under 20,000,
        256 under 100,000 and 512 above; for images it is 32, 64, 64, 128 and 256, and
        for series and texts 16, 32, 64, 128 and 256; of tables with 800 rows or more
        (320 for classes), twice as many for Muon. The numbers of rows are those of
        distinct rows that are not held back; of fewer than 128 (64 of series and
        texts), a batch has a quarter, and at least 8. The shared parameters take up to
        twice that.

    lr : float, default=0.003
        Learning rate at the start; it warms up for 20 steps and then falls as
        `lr_schedule` says.

    weight_decay : float, default=0.01
        Weight decay of the optimizer.

    optimizer : {"auto", "muon", "adamw", "adam", "sgd"}, default="auto"
        The optimizer. "muon" is Muon (Jordan et al., 2024) for the matrices of linear
        layers and of convolutions, with AdamW for all other parameters; "sgd" has
        Nesterov momentum 0.9. "auto" is "muon" for tables and images, else "adamw"; of
        a regressor's networks for tables and series, every second one has the other.

    lr_schedule : {"sqrt", "cosine", "cosine_restarts", "constant"}, default="sqrt"
        How the learning rate falls, after it has warmed up for 20 steps: with the
        square root of what is left of the training; as half a cosine; as half cosines
        over 10, 20, 40, ... epochs down to a fiftieth, which end together after 10,
        30, 70, 150, 310 or 630 `max_epochs`, as in the paper; or not at all.

    max_gradient_norm : float or None, default=None
        Norm to which the gradient of each step is clipped. The paper has 5.

    augmentation : "auto", tuple or None, default="auto"
        How images and series are changed at random in each step of training, one after
        the other: "affine" shifts, scales and turns images a little; "crop" shifts by
        up to an eighth; "flip" mirrors each by chance; "cutout" blanks out a square;
        a callable takes and gives a float tensor of shape (n_rows, n_channels, height,
        width), or (n_rows, n_features, n_steps). "auto" is ("affine",) for images,
        ("crop",) for series, and nothing for tables and texts.
        Images that a mirror would make something else, as digits, must not be flipped.

    image_shape : tuple of three int or None, default=None
        (channels, height, width) of the images that the rows of a 2-D `X` are.

    n_steps, n_features : int or None, default=None
        Of the series that the rows of a 2-D `X` are, step by step: the number of steps,
        and of features in each; one of the two is enough.

    n_tokens : int or None, default=None
        How many ids of tokens there are, where `X` is an array of them. What
        :class:`sknas.preprocessing.TokenEncoder` gives needs it not.

    validation_fraction : float, default=0.2
        About which part of the rows is held back, 0.01 to 0.5, to judge architectures
        and to stop training. The rows are cut into ``round(1 / validation_fraction)``
        parts with the classes spread evenly; each network holds back another one.

    early_stopping : bool, default=True
        Whether to stop a network's training when its log-loss on the held-back rows
        no longer falls, and keep the weights of the best epoch. In the end they are
        trained on with all rows, but for texts, while the learning rate falls to zero:
        for half as many epochs as led to the best one, or 0.2 times as many from 50,000
        rows to train on; of images and series for 0.3 times as many. If not, the found
        networks train for `max_epochs` on all rows.

    n_iter_no_change : int or "auto", default="auto"
        Epochs without improvement, of the log-loss by more than 1e-4, before
        `early_stopping` stops. "auto" is 8, and 16 for series and texts; more where
        trainings of images become longer.

    scoring : str, callable or None, default=None
        What the search rewards: a scikit-learn scorer or its name. None is the negative
        log-loss. A callable of your own is called with a classifier whose answers are
        known already, an `X` of shape (n_rows, 0), and `y`. Equal rows are one with a
        weight, so that a metric that takes no weights sees them once. `class_weight`
        counts in it.

    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as elsewhere in scikit-learn.

    time_limit : float or None, default=None
        Seconds for all of `fit`. The best found in time is trained in time, as fewer
        networks than `ensemble_size` where there is no time for all; where the search
        took more than a third of it, the default architecture comes first of several.

    checkpoint : str, path or None, default=None
        A folder in which the progress of `fit` is kept: what the search found, and
        each trained network. A fit that was killed goes on from there when it is
        called again with the same data and parameters. The progress is removed when
        `fit` is complete. Fits that run at the same time need a folder each. Load
        progress only from folders that you trust: it is pickled.

    callbacks : list of skorch.callbacks.Callback or None, default=None
        Callbacks of skorch that see the nets of the search and of all trainings. Those
        that are not judged on held-back rows have no "valid_loss" in their history: the
        search's, and those that train with all rows. With `n_jobs` they are copied
        into processes, and what the copies note is lost.

    verbose : int, default=0
        1 shows progress bars of the search, the candidates and the training.

    device : str, default="auto"
        Where to compute: "cpu", "cuda", ... "auto" is a GPU if there is one, except for
        tables of fewer than 20,000 rows, where a CPU is as fast.

    n_jobs : int or None, default=None
        How many networks to train at the same time, in processes, as in joblib: one
        where less than ten seconds of `time_limit` are left (of the candidates, forty),
        and within joblib's threads. Of three networks of tables or more, half, rounded
        up, are trained before the others are begun. The first fit with it waits several
        seconds for the processes to start, later ones do not.

    random_state : int, RandomState instance or None, default=None
        Decides all randomness. With an integer, `fit` gives the same model, bit for
        bit, on the same CPU, unless `time_limit` cuts it short; on a GPU nearly the
        same.

    warm_start : bool, default=False
        Whether another `fit` goes on from the last one: the same architectures train on
        from their weights, without search, whatever `search_space` and `architecture`
        say by then. A larger `ensemble_size` adds networks that begin with the same
        weights, a smaller one removes none. The classes must be the same.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.

    architecture_ : Architecture
        The best architecture that the search found: among those that were trained, the
        one whose network did best on its held-back rows. Without a search, the
        architecture of the best of all networks.

    architectures_ : list of Architecture
        The architectures of all networks: after a search, every second one has the
        space's default architecture.

    networks_ : list of torch.nn.Module
        The trained networks, in evaluation mode.

    ensemble_weights_ : ndarray of shape (n_networks,)
        How much each network counts in predictions: the less, the greater its loss
        on its held-back rows was.

    neighbors_ : torch.nn.Module or None
        Rows of the training, and how far to trust those that are near; None where it
        did not pay to ask them, see `neighbors`. Set it to None to predict by the
        networks alone.

    net_ : skorch.NeuralNet
        The skorch net of the network of `architecture_`, with its training's history.

    search_results_ : dict of str to ndarray
        What was ranked, a row for each architecture, best first; it loads into a
        DataFrame as `cv_results_` does. The columns: `rank`; `architecture`, as
        JSON; `decision_...`, the options chosen; `shared_score`, the reward with
        shared parameters; `trained`, whether weights of its own were trained;
        `first_score` and `score`, the reward with those after the first round of
        candidates, and after their last; `n_epochs`, `n_parameters` and `fit_time` in
        seconds. Empty if there was no search.

    search_policy_ : dict of str to dict
        How likely the strategy was, in the end, to choose each option: for each
        decision, its "options" and their "probability". Empty if there was no search,
        or the strategy does not tell.

    history_ : list of dict
        The search, epoch by epoch: `train_loss` of the shared parameters, and
        `controller_reward`, `controller_entropy`, ... of a strategy that learns; `dur`
        and `controller_dur`, the seconds of the epoch, and of the strategy in it.

    n_samples_fit_ : int
        Number of rows of the last fit, those without weight left out.

    space_ : SearchSpace
        The space that the networks in `networks_` were built by.

    data_spec_ : DataSpec
        What these know of the data: numbers of inputs, outputs, ...

    search_time_, refit_time_ : float
        Seconds of the search with its candidates, and of the final training.

    n_iter_ : int
        Epochs for which the network of `architecture_` was trained.

    n_features_in_ : int
        Number of columns seen in `fit`; of images and series, the number of values of
        each.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, if `X` had names that are all strings.

    See Also
    --------
    sklearn.neural_network.MLPClassifier : One network, designed by hand.

    Notes
    -----
    Integer weights are the same as repeated rows, exactly, and the order of the rows
    does not matter: equal rows are merged, and all are sorted, before anything else.

    On a CPU, `fit` and `predict` let torch use one thread, since more make networks
    of this size slower; use `n_jobs`, here or around, to use more cores.

    References
    ----------
    H. Pham, M. Guan, B. Zoph, Q. Le, J. Dean, "Efficient Neural Architecture Search
    via Parameter Sharing", ICML 2018.

    U. Khandelwal, O. Levy, D. Jurafsky, L. Zettlemoyer, M. Lewis, "Generalization
    through Memorization: Nearest Neighbor Language Models", ICLR 2020: `neighbors`.

    K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024,
    https://kellerjordan.github.io/posts/muon/.

    Y. Gorishniy, I. Rubachev, D. Feoktistov, A. Babenko, "Benchmarking Optimizers for
    MLPs in Tabular Deep Learning", 2026, arXiv:2604.15297.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sknas import NASClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = NASClassifier(max_epochs=20, random_state=0).fit(X, y)
    >>> clf.score(X, y) > 0.9
    True
    >>> "width_1" in clf.architecture_
    True
    """

    # what is told apart without a mistake would be so a little better in each epoch
    _tol: ClassVar[float] = 1e-4

    # with search, on 60 splits of 20 tables: log-loss -0.004 +- 0.003, lower on 41,
    # accuracy +0.002 +- 0.001; AdamW in turn with it, as regressors have it, gained
    # nothing. Default architectures, without search: log-loss 0.54 to 0.95 of AdamW's
    # on eight splits of MNIST, changed or not, as good on digits, no lower on three of
    # series
    _optimizers: ClassVar[dict[str, tuple[str, ...]]] = {
        "table": ("muon",),
        "image": ("muon",),
    }

    # default architectures on 42 splits of 14 tables of 400 to 1,000 rows: log-loss
    # -0.0005 +- 0.0014, accuracy +0.0005 +- 0.0014; whole fits on 20 of them took 0.73
    # of the time. On 38 splits of 19 tables of fewer rows +0.0014 +- 0.0017 and -0.0008
    # +- 0.0021; of numbers, 15 splits of five, squared errors higher by 3 % in the
    # median
    _least_muon_rows: ClassVar[int] = 320

    def __init__(
        self,
        search_space: str | SearchSpace = "auto",
        *,
        strategy: str | SearchStrategy = "enas",
        architecture: Architecture | str | list | None = None,
        search_epochs: int | str = "auto",
        n_candidates: int | str = "auto",
        ensemble_size: int | str = "auto",
        neighbors: bool | str = "auto",
        max_epochs: int | str = "auto",
        batch_size: int | str = "auto",
        lr: float = 0.003,
        weight_decay: float = 0.01,
        optimizer: str = "auto",
        lr_schedule: str = "sqrt",
        max_gradient_norm: float | None = None,
        augmentation: str | tuple | None = "auto",
        image_shape: tuple[int, int, int] | None = None,
        n_steps: int | None = None,
        n_features: int | None = None,
        n_tokens: int | None = None,
        validation_fraction: float = 0.2,
        early_stopping: bool = True,
        n_iter_no_change: int | str = "auto",
        scoring=None,
        class_weight: dict | str | None = None,
        time_limit: float | None = None,
        checkpoint: str | os.PathLike | None = None,
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
        self.neighbors = neighbors
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.optimizer = optimizer
        self.lr_schedule = lr_schedule
        self.max_gradient_norm = max_gradient_norm
        self.augmentation = augmentation
        self.image_shape = image_shape
        self.n_steps = n_steps
        self.n_features = n_features
        self.n_tokens = n_tokens
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.scoring = scoring
        self.class_weight = class_weight
        self.time_limit = time_limit
        self.checkpoint = checkpoint
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
        X : {array-like, DataFrame} of shape (n_samples, n_features) or (n_samples, ...)
            A table: columns of a DataFrame that hold strings, booleans or categories
            are taken as categories, and so are columns of an array of objects that
            are not all numbers. Missing values may stay.

            Or images, of bytes or of numbers of any scale: (n_samples, channels,
            height, width), or grey ones (n_samples, height, width). Or series,
            (n_samples, steps, features), where NaN is missing, or follows the end of a
            series that is shorter than others; what has as many steps as features, or
            is of bytes, is taken for images, unless `n_features` is set. Or ids of
            tokens, as :class:`sknas.preprocessing.TokenEncoder` gives them.

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
        X : {array-like, DataFrame} of shape (n_samples, n_features) or (n_samples, ...)
            The table, images, series or tokens, as in `fit`.

        Returns
        -------
        probability : ndarray of shape (n_samples, n_classes)
            Probabilities in the order of `classes_`, averaged over the networks, and
            mixed with the labels of near rows unless `neighbors_` is None.
        """
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X) -> np.ndarray:
        """Give the logarithms of the classes' probabilities.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features) or (n_samples, ...)
            The table, images, series or tokens, as in `fit`.

        Returns
        -------
        log_probability : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`.
        """
        inputs = self._inputs(X)
        each = self._predict_each(inputs)
        weights = torch.from_numpy(self.ensemble_weights_.copy())
        mean = log_mean_exp(each, weights).log_softmax(dim=1)
        if self.neighbors_ is not None:
            mean = ask_neighbors(self.neighbors_, inputs, mean)
        return mean.numpy()

    def predict(self, X) -> np.ndarray:
        """Give the most probable class.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features) or (n_samples, ...)
            The table, images, series or tokens, as in `fit`.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            The labels.
        """
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def _check_y(self, y) -> np.ndarray:
        y = column_or_1d(y, warn=True)
        if y.dtype.kind == "f":
            assert_all_finite(y, input_name="y")
        elif (y.dtype.kind in "mM" and np.isnat(y).any()) or (
            y.dtype.kind == "O" and any(map(is_missing, y))
        ):
            raise ValueError(
                "Input y has missing labels (None, NaN or NaT): drop their rows, or "
                "give them a label."
            )
        check_classification_targets(y)
        return y

    def _encode_y(self, y: np.ndarray) -> tuple[np.ndarray, dict]:
        encoder = LabelEncoder().fit(y)
        classes = encoder.classes_
        if self.warm_start and self._is_fitted():
            if not np.array_equal(classes, self.classes_):
                raise ValueError(
                    "warm_start needs the classes of the last fit, "
                    f"{self.classes_.tolist()}, but y has {classes.tolist()}."
                )
        target = encoder.transform(y).astype(np.int64)
        return target, {"classes_": classes, "neighbors_": None}

    def _strata(self, target: np.ndarray) -> np.ndarray:
        return target

    def _asks_neighbors(self, kind: str, n_rows: int, n_networks: int) -> bool:
        return resolve_neighbors(
            self.neighbors, kind, n_rows, n_networks, self.early_stopping
        )

    def _weigh(
        self, target: np.ndarray, weight: np.ndarray, attributes: dict
    ) -> np.ndarray:
        classes = attributes["classes_"]
        if self.class_weight is not None:
            # of classes without a row, "balanced" knows no weight
            is_balanced = self.class_weight == "balanced"
            codes = np.unique(target) if is_balanced else np.arange(len(classes))
            class_weight = np.ones(len(classes))
            class_weight[codes] = compute_class_weight(
                self.class_weight,
                classes=classes[codes],
                y=classes[target],
                sample_weight=weight,
            )
            with np.errstate(over="ignore"):
                weight = weight * class_weight[target]
                total = weight.sum()
            if not np.isfinite(total):
                raise ValueError(
                    "The 'class_weight' parameter gives samples weights that are too "
                    "large: make all of them smaller."
                )
        n_left = len(np.unique(target[weight > 0]))
        if n_left < 2:
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes, but y has "
                f"{n_left} class{'' if n_left == 1 else 'es'} with weight above 0."
            )
        return weight

    def _n_outputs(self, attributes: dict) -> int:
        return len(attributes["classes_"])

    def _criterion(self) -> nn.Module:
        return CrossEntropy()

    def _scorer_reward(self, scorer: Callable, attributes: dict) -> ScorerReward:
        return ClassifierReward(scorer, attributes["classes_"])

    def _model_source(self, networks: list[str], reader: ReaderSource) -> list[str]:
        labels = [_plain_label(label) for label in self.classes_.tolist()]
        classes = assign("CLASSES", labels, "the labels")
        description = "Gives the probabilities of CLASSES, averaged over networks"
        parts = {
            "activation": ".softmax(dim=-1)",
            "end": "return mean / mean.sum(dim=1, keepdim=True)",
        }
        if self.neighbors_ is None:
            model = model_class(f"{description}.", networks, reader, **parts)
            return [classes, model]
        description += ", mixed with near rows' labels."
        parts |= {"build": BUILD_NEIGHBORS, "end": MIX_NEIGHBORS}
        model = model_class(description, networks, reader, **parts)
        return [classes, neighbors_class(self.neighbors_, self._spec), model]

    def _model_weights(self) -> dict[str, np.ndarray]:
        weights = super()._model_weights()
        if self.neighbors_ is not None:
            for name, value in network_weights(self.neighbors_).items():
                weights[f"neighbors.{name}"] = value
        return weights


def _plain_label(label: object) -> str | int | float:
    """Give a label as something that can be written as code."""
    if isinstance(label, str):
        return str.__str__(label)  # of a member of an enumeration too
    return label if type(label) in (bool, int, float) else str(label)
