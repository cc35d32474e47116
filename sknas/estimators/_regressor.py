"""The regressor."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import check_array

from sknas.architecture import Architecture
from sknas.estimators._base import BaseNAS
from sknas.estimators._sklearn_callbacks import with_callbacks
from sknas.estimators._source import model_class
from sknas.readers import ReaderSource, mean_and_spread, quantile_and_range, unscale
from sknas.search import RegressorReward, ScorerReward, SearchStrategy
from sknas.spaces import SearchSpace
from sknas.training import RegressionLoss

MAX_SPREADS = 1e18  # of a scaled target, whose square is a single-precision number
LARGEST = 1e300  # target, whose distance from another is still a number
N_STRATA = 10  # of targets by their size, each spread evenly over the parts held back


class NASRegressor(RegressorMixin, BaseNAS):
    """A regressor that designs its own neural network.

    `fit` runs efficient neural architecture search (ENAS): networks of many designs
    train together on shared parameters while a strategy learns which designs do
    well on held-back rows; the best designs, and as often the space's plain default
    one, are then trained from scratch, each with another part of the rows held back,
    and their predictions are averaged.

    Numbers may be of any scale, values may be missing, and columns of strings,
    booleans and categories are taken as they are: nothing needs preprocessing. Targets
    may be of any scale too; several are learnt by one network.

    Parameters
    ----------
    search_space : {"auto", "tabular", "conv-macro", "conv-micro", "recurrent", \
"sequence"} or SearchSpace, default="auto"
        What can be built. "auto" chooses by the shape of `X`: "tabular" for tables,
        :class:`sknas.TabularSpace`, of which the default architecture is a smooth one
        here, with "silu" activations and without dropout; "conv-macro" for images, in a
        size that suits theirs, see :class:`sknas.ConvMacroSpace`, beside which there is
        :class:`sknas.ConvMicroSpace`; and for series and texts "sequence",
        :class:`sknas.SequenceSpace`, which has convolutional and recurrent networks.

    loss : {"squared_error", "absolute_error", "quantile"}, default="squared_error"
        What is made small: the first predicts means, the second medians, the third
        the quantile given by `quantile`.

    quantile : float or None, default=None
        Which quantile ``loss="quantile"`` predicts, from 0 to 1, both excluded.

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
        parts with the targets spread evenly; each network holds back another one.

    early_stopping : bool, default=True
        Whether to stop a network's training when its loss on the held-back rows
        no longer falls, and keep the weights of the best epoch. In the end they are
        trained on with all rows, but for texts, while the learning rate falls to zero:
        for half as many epochs as led to the best one, or 0.2 times as many from 50,000
        rows to train on; of images and series for 0.3 times as many. If not, the found
        networks train for `max_epochs` on all rows.

    n_iter_no_change : int or "auto", default="auto"
        Epochs without improvement before `early_stopping` stops. "auto" is 8, and 16
        for series and texts; more where trainings of images become longer.

    scoring : str, callable or None, default=None
        What the search rewards: a scikit-learn scorer or its name. None is the negative
        `loss`. A callable of your own is called with a regressor whose answers are
        known already, an `X` of shape (n_rows, 0), and `y`. Equal rows are one with a
        weight, so that a metric that takes no weights sees them once.

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
        weights, a smaller one removes none. There must be as many targets.

    Attributes
    ----------
    n_outputs_ : int
        Number of targets.

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
    sklearn.neural_network.MLPRegressor : One network, designed by hand.

    Notes
    -----
    Integer weights are the same as repeated rows, exactly, and the order of the rows
    does not matter: equal rows are merged, and all are sorted, before anything else.

    For the squared error, targets are centered and scaled by their mean and standard
    deviation inside, for the other losses by a quantile and the interquartile range.

    On a CPU, `fit` and `predict` let torch use one thread, since more make networks
    of this size slower; use `n_jobs`, here or around, to use more cores.

    References
    ----------
    H. Pham, M. Guan, B. Zoph, Q. Le, J. Dean, "Efficient Neural Architecture Search
    via Parameter Sharing", ICML 2018.

    K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024,
    https://kellerjordan.github.io/posts/muon/.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sknas import NASRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = NASRegressor(max_epochs=20, random_state=0).fit(X, y)
    >>> reg.score(X, y) > 0.4
    True
    >>> "width_1" in reg.architecture_
    True
    """

    # a smooth default architecture (five tables, three seeds: R2 +0.004 in the mean, of
    # kin8nm +0.010, no table worse by 0.001); so is RealMLP's, of Mish (Holzmueller et
    # al., 2024)
    _tabular_options: ClassVar[dict[str, object]] = {
        "activations": ("silu", "relu", "selu", "tanh", "identity"),
        "dropouts": (0.0, 0.1, 0.3),
        # three, as good for classes, had squared errors higher by 0.8 +- 1.1 % on 27
        # splits, and higher on 19 of them
        "n_heads": 4,
    }

    # on 25 tables now one is better and now the other. With both, the search and
    # the cooldown, squared errors were lower by 5.7 +- 1.6 % on 50 splits (median 2 %)
    # than with AdamW alone and no cooldown, in 1.29 times the time. R2 of the angle of
    # 1,000 turned images of MNIST, default architectures without search, two seeds:
    # 0.793 and 0.802, of AdamW 0.764 and 0.781. Of series, 1,000 windows of four, two
    # default networks: R2 0.955, 0.929, 0.844 and 0.921, of AdamW 0.955, 0.928, 0.841
    # and 0.904, of Muon 0.951, 0.928, 0.846 and 0.922
    _optimizers: ClassVar[dict[str, tuple[str, ...]]] = {
        "table": ("muon", "adamw"),
        "image": ("muon",),
        "series": ("adamw", "muon"),
    }

    def __init__(
        self,
        search_space: str | SearchSpace = "auto",
        *,
        loss: str = "squared_error",
        quantile: float | None = None,
        strategy: str | SearchStrategy = "enas",
        architecture: Architecture | str | list | None = None,
        search_epochs: int | str = "auto",
        n_candidates: int | str = "auto",
        ensemble_size: int | str = "auto",
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
        self.loss = loss
        self.quantile = quantile
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
        self.time_limit = time_limit
        self.checkpoint = checkpoint
        self.callbacks = callbacks
        self.verbose = verbose
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.warm_start = warm_start

    @with_callbacks
    def fit(self, X, y, sample_weight=None) -> NASRegressor:
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

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The targets.

        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples. An integer weight is the same as so many copies.

        Returns
        -------
        self : NASRegressor
            The fitted regressor.
        """
        return self._fit(X, y, sample_weight)

    def predict(self, X) -> np.ndarray:
        """Predict the targets.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n_samples, n_features) or (n_samples, ...)
            The table, images, series or tokens, as in `fit`.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The predictions, averaged over the networks; of the shape that `y` had.
        """
        mean = self._average(self._predict_each(self._inputs(X)))
        return unscale(mean, self._scale, self._is_flat)

    def __sklearn_tags__(self):
        """Tell scikit-learn what the regressor accepts."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _check_y(self, y) -> np.ndarray:
        y = check_array(
            y, ensure_2d=False, dtype=None, ensure_all_finite=False, input_name="y"
        )
        if y.dtype.kind not in "biuf":
            try:
                if y.dtype.kind in "mM":
                    raise TypeError("they are dates or durations")
                y = y.astype(np.float64)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"The targets y of {type(self).__name__} must be numbers: {error}. "
                    "Labels are for NASClassifier."
                ) from None
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        if np.abs(y).max(initial=0.0) > LARGEST:
            raise ValueError(
                f"The targets y of {type(self).__name__} must not be beyond "
                f"{LARGEST:g}: divide them by a unit of their size."
            )
        return y

    def _encode_y(self, y: np.ndarray) -> tuple[np.ndarray, dict]:
        target = y.reshape(len(y), -1)
        n_outputs = target.shape[1]
        if self.warm_start and self._is_fitted() and n_outputs != self.n_outputs_:
            raise ValueError(
                f"warm_start needs as many targets as the last fit, {self.n_outputs_}, "
                f"but y has {n_outputs}."
            )
        return target, {"n_outputs_": n_outputs, "_is_flat": y.ndim == 1}

    def _scale_y(
        self, target: np.ndarray, weight: np.ndarray
    ) -> tuple[np.ndarray, dict]:
        if self.warm_start and self._is_fitted():
            scale = self._scale
        elif self.loss == "squared_error":
            scale = mean_and_spread(target, weight)
        else:
            level = self.quantile if self.loss == "quantile" else 0.5
            scale = quantile_and_range(target, weight, level)
        center, spread = scale
        # a constant is learnt as zeros
        scaled = (target - center) / np.where(spread > 0, spread, 1.0)
        scaled = np.clip(scaled, -MAX_SPREADS, MAX_SPREADS)
        return scaled.astype(np.float32), {"_scale": scale}

    def _strata(self, target: np.ndarray) -> np.ndarray:
        n_rows = len(target)
        n_strata = max(1, min(N_STRATA, n_rows // self._n_parts()))
        order = np.argsort(target.mean(axis=1), kind="stable")
        strata = np.empty(n_rows, dtype=np.int64)
        strata[order] = np.arange(n_rows) * n_strata // n_rows
        return strata

    def _weigh(
        self, target: np.ndarray, weight: np.ndarray, attributes: dict
    ) -> np.ndarray:
        return weight

    def _n_outputs(self, attributes: dict) -> int:
        return attributes["n_outputs_"]

    def _criterion(self) -> RegressionLoss:
        return RegressionLoss(self.loss, self.quantile)

    def _scorer_reward(self, scorer: Callable, attributes: dict) -> ScorerReward:
        in_units = partial(
            unscale, scale=attributes["_scale"], is_flat=attributes["_is_flat"]
        )
        return RegressorReward(scorer, in_units)

    def _model_source(self, networks: list[str], reader: ReaderSource) -> list[str]:
        build = """\
        for name in ("center", "spread"):  # of the targets
            zeros = torch.zeros({n}, dtype=torch.float64)
            self.register_buffer(name, zeros)
"""
        value = "mean * self.spread + self.center"
        model = model_class(
            "Gives predictions, averaged over networks.",
            networks,
            reader,
            activation="",
            build=build.format(n=self.n_outputs_),
            end=f"return ({value})[:, 0]" if self._is_flat else f"return {value}",
        )
        return [model]

    def _model_weights(self) -> dict[str, np.ndarray]:
        center, spread = self._scale
        return super()._model_weights() | {"center": center, "spread": spread}
