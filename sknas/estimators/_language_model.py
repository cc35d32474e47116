"""The language model."""

from __future__ import annotations

import numbers
import os
import time
from collections.abc import Iterator

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sknas.architecture import Architecture
from sknas.estimators._checkpoint import Checkpoint
from sknas.estimators._defaults import resolve_device
from sknas.estimators._language_ensemble import LanguageEnsemble
from sknas.estimators._parameters import check_parameters
from sknas.estimators._searching import SearchingEstimator
from sknas.estimators._sklearn_callbacks import with_callbacks
from sknas.estimators._source import language_model_class
from sknas.preprocessing import UNKNOWN, TokenEncoder
from sknas.readers import (
    END,
    LanguageReader,
    ReaderSource,
    StreamData,
    are_ids,
    check_ids,
)
from sknas.rules import COUNT, Rule, or_none
from sknas.search import InversePerplexity, SearchStrategy
from sknas.spaces import SearchSpace
from sknas.training import TokenLoss, own_turn, single_precision, single_thread

MIN_TOKENS = 20
RULES = {
    "batch_size": COUNT,
    "n_steps": COUNT,
    "encoder": or_none(
        Rule("a TokenEncoder", lambda value: isinstance(value, TokenEncoder))
    ),
}


class NASLanguageModel(SearchingEstimator):
    """A language model that designs its own recurrent cell.

    `fit` runs efficient neural architecture search (ENAS) for the cell of a recurrent
    network that predicts each next token of a text: many cells train together on
    shared matrices, by truncated back-propagation through time, while a strategy
    learns which cells have a low perplexity on held-back text; the best cell is then
    trained from scratch.

    Parameters
    ----------
    search_space : {"auto", "recurrent"} or SearchSpace, default="auto"
        What can be built. "auto" is :class:`sknas.RecurrentSpace` with 8 nodes, 128
        units and a dropout of 0.4; "recurrent" has its own of 0.2.

    strategy : {"enas", "random"} or SearchStrategy, default="enas"
        How it is searched, see :class:`sknas.ENAS` and :class:`sknas.RandomSearch`.

    architecture : Architecture, str or list of them, default=None
        Train this cell, given as itself or as its JSON, or the space's plain "default"
        one, and do not search. Of a list, each is trained, though `ensemble_size` be
        smaller.

    encoder : TokenEncoder or None, default=None
        Cuts documents into tokens; only its analyzer and its vocabulary count. None:
        tokens are what blanks separate, and the 10,000 most frequent ones are the
        vocabulary.

    search_epochs : int or "auto", default="auto"
        Epochs of the shared parameters. "auto" is 8, fewer where an epoch has more than
        125 steps, down to 2.

    n_candidates : int or "auto", default="auto"
        How many cells are ranked in the end, at most, on all the text that is held
        back: the space's default one, and what the strategy proposes, equal ones once.
        "auto" is 8.

    ensemble_size : int or "auto", default="auto"
        How many networks are trained, and their probabilities averaged. "auto" is 1.
        Every other one has the space's default cell.

    max_epochs : int or "auto", default="auto"
        Most epochs of a found network. "auto" is 40, fewer where an epoch has more than
        100 steps, down to 3.

    batch_size : int, default=32
        Into how many streams the text is cut, which are read side by side. A multiple
        of 4, lest some are passed over in the search.

    n_steps : int, default=35
        Tokens after which gradients are cut off; states are carried on.

    lr : float, default=0.006
        Learning rate at the start; it warms up for 20 steps and then falls as
        `lr_schedule` says.

    weight_decay : float, default=0.01
        Weight decay of the optimizer.

    optimizer : {"auto", "muon", "adamw", "adam", "sgd"}, default="auto"
        The optimizer. "muon" is Muon (Jordan et al., 2024) for the matrices of linear
        layers and of convolutions, with AdamW for all other parameters; the recurrent
        space's language models have none of these matrices. "sgd" has Nesterov momentum
        0.9. "auto" is "adamw".

    lr_schedule : {"sqrt", "cosine", "cosine_restarts", "constant"}, default="sqrt"
        How the learning rate falls; see :class:`sknas.NASClassifier`.

    max_gradient_norm : float or None, default=0.25
        Norm to which the gradient of each step is clipped, as in the paper.

    validation_fraction : float, default=0.1
        About which part of the text is held back, 0.01 to 0.5, to judge cells and to
        stop training: its end; by a second network the part before it, and so on.

    early_stopping : bool, default=True
        Whether to stop a network's training when its loss on the text that is held back
        no longer falls, and keep the weights of the best epoch. If not, the found
        networks train for `max_epochs` on all of it.

    n_iter_no_change : int or "auto", default="auto"
        Epochs without improvement before `early_stopping` stops. "auto" is 3.

    time_limit : float or None, default=None
        Seconds for all of `fit`. The best found in time is trained in time, as fewer
        networks than `ensemble_size` where there is no time for all.

    checkpoint : str, path or None, default=None
        A folder in which the progress of `fit` is kept; see
        :class:`sknas.NASClassifier`.

    callbacks : list of skorch.callbacks.Callback or None, default=None
        Callbacks of skorch that see the nets of the search and of all trainings. That
        of the search has no "valid_loss" in its history. With `n_jobs` they are copied
        into processes, and what the copies note is lost.

    verbose : int, default=0
        1 shows progress bars of the search, the candidates and the training.

    device : str, default="auto"
        Where to compute: "cpu", "cuda", ...; "auto" is a GPU if there is one.

    n_jobs : int or None, default=None
        How many networks to train at the same time, in processes, as in joblib: one
        where less than ten seconds of `time_limit` are left (of the candidates, forty),
        and within joblib's threads. The first fit with it waits several seconds for the
        processes to start, later ones do not.

    random_state : int, RandomState instance or None, default=None
        Decides all randomness.

    warm_start : bool, default=False
        Whether another `fit` goes on from the last one: the same cells train on from
        their weights, without search, whatever `search_space` and `architecture` say by
        then, and the vocabulary stays. A larger `ensemble_size` adds networks that
        begin with the same weights, a smaller one removes none.

    Attributes
    ----------
    encoder_ : TokenEncoder or None
        The fitted encoder; None if `fit` was given ids of tokens.

    n_tokens_ : int
        Number of tokens that are told apart, the end of a document and unknown tokens
        included.

    architecture_ : Architecture
        The best cell that the search found: among those that were trained, the one
        whose network did best on the text that it held back. Without a search, the cell
        of the best of all networks.

    architectures_ : list of Architecture
        The cells of all networks: after a search, every second one is the space's
        default.

    networks_ : list of torch.nn.Module
        The trained networks, in evaluation mode.

    ensemble_weights_ : ndarray of shape (n_networks,)
        How much each network counts.

    net_ : skorch.NeuralNet
        The skorch net of the network of `architecture_`, with its training's history.

    search_results_ : dict of str to ndarray
        What was ranked, a row for each cell, best first; see
        :class:`sknas.NASClassifier`. Its scores are 80 / perplexity.

    search_policy_ : dict of str to dict
        How likely the strategy was, in the end, to choose each option: for each
        decision, its "options" and their "probability". Empty if there was no search,
        or the strategy does not tell.

    history_ : list of dict
        The search, epoch by epoch.

    n_samples_fit_ : int
        Number of tokens of the last fit.

    space_ : SearchSpace
        The space that the networks in `networks_` were built by.

    data_spec_ : DataSpec
        What these know of the data: numbers of inputs, outputs, ...

    search_time_, refit_time_ : float
        Seconds of the search with its candidates, and of the final training.

    n_iter_ : int
        Epochs for which the network of `architecture_` was trained.

    See Also
    --------
    sknas.preprocessing.TokenEncoder : Cuts documents into tokens.
    sknas.NASClassifier : Classifies texts.

    Notes
    -----
    A document is followed by a token of its own, which is predicted like any other. One
    string alone, or an array of ids, is one stream, without such an end.

    References
    ----------
    H. Pham, M. Guan, B. Zoph, Q. Le, J. Dean, "Efficient Neural Architecture Search
    via Parameter Sharing", ICML 2018, sections 2.1 and 3.1.

    Examples
    --------
    >>> from sknas import NASLanguageModel, RecurrentSpace
    >>> text = "the cat sat on the mat and the dog sat on the rug . " * 20
    >>> space = RecurrentSpace(n_nodes=3, hidden_size=16, dropout=0.0)
    >>> model = NASLanguageModel(
    ...     space, search_epochs=2, n_candidates=2, batch_size=4, n_steps=10,
    ...     max_epochs=40, random_state=0
    ... ).fit(text)
    >>> model.perplexity(text) < 5
    True
    """

    def __init__(
        self,
        search_space: str | SearchSpace = "auto",
        *,
        strategy: str | SearchStrategy = "enas",
        architecture: Architecture | str | list | None = None,
        encoder: TokenEncoder | None = None,
        search_epochs: int | str = "auto",
        n_candidates: int | str = "auto",
        ensemble_size: int | str = "auto",
        max_epochs: int | str = "auto",
        batch_size: int = 32,
        n_steps: int = 35,
        lr: float = 0.006,
        weight_decay: float = 0.01,
        optimizer: str = "auto",
        lr_schedule: str = "sqrt",
        max_gradient_norm: float | None = 0.25,
        validation_fraction: float = 0.1,
        early_stopping: bool = True,
        n_iter_no_change: int | str = "auto",
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
        self.encoder = encoder
        self.search_epochs = search_epochs
        self.n_candidates = n_candidates
        self.ensemble_size = ensemble_size
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.n_steps = n_steps
        self.lr = lr
        self.weight_decay = weight_decay
        self.optimizer = optimizer
        self.lr_schedule = lr_schedule
        self.max_gradient_norm = max_gradient_norm
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.time_limit = time_limit
        self.checkpoint = checkpoint
        self.callbacks = callbacks
        self.verbose = verbose
        self.device = device
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.warm_start = warm_start

    def __sklearn_tags__(self):
        """Tell scikit-learn what the estimator accepts."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.target_tags.required = False
        return tags

    @with_callbacks
    def fit(self, X, y=None) -> NASLanguageModel:
        """Search for a cell and train it.

        Parameters
        ----------
        X : iterable of str, str, or array-like of int
            Documents; or one text; or one stream of ids of tokens, from 0 up.

        y : None
            Not used.

        Returns
        -------
        self : NASLanguageModel
            The fitted model.

        Raises
        ------
        ValueError, TypeError
            If a parameter is wrong, or `X` is none of these or too short.
        """
        with own_turn():  # what time it takes is counted from here
            return self._fit(X, y)

    def _fit(self, X, y):
        started = time.monotonic()
        check_parameters(self, **RULES)
        if isinstance(X, Iterator):
            X = list(X)  # documents, which are read twice
        plan = self._plan("language")
        reader = self._encoder if plan.goes_on else self._read_vocabulary(X)
        ids = np.concatenate(self._streams(X, reader))
        n_parts = self._n_parts()
        if len(ids) < max(MIN_TOKENS, n_parts):
            raise ValueError(
                f"X has {len(ids)} tokens, too few to learn from: at least "
                f"{max(MIN_TOKENS, n_parts)} are needed."
            )
        device = resolve_device(self.device, "language", len(ids))
        checkpoint = Checkpoint(self.checkpoint, [self._identity(), ids], plan.seed)
        rng = np.random.RandomState(checkpoint.seed)
        spec = reader.spec(reader.n_tokens)
        plan.space.check_data(spec)
        attributes = {
            "_encoder": reader,
            "_spec": spec,
            "_device": device,
            "encoder_": reader.encoder,
            "n_tokens_": reader.n_tokens,
            "n_samples_fit_": len(ids),
        }
        return self._complete(
            plan,
            spec=spec,
            data=StreamData(ids, n_parts, int(self.batch_size), self.n_steps, device),
            attributes=attributes,
            random_state=rng,
            checkpoint=checkpoint,
            started=started,
            user_data=(X, y, None),
        )

    def _read_vocabulary(self, X) -> LanguageReader:
        """Find out which tokens there are."""
        if are_ids(X):
            ids = check_ids(X, None)
            return LanguageReader(None, int(ids.max()) + 1)
        if self.encoder is None:
            encoder = TokenEncoder(
                token_pattern=r"\S+", lowercase=False, max_features=10_000
            )
        else:
            encoder = clone(self.encoder)
        encoder.fit([X] if isinstance(X, str) else X)
        return LanguageReader(encoder, encoder.n_tokens_)

    def _streams(self, X, reader: LanguageReader) -> list[np.ndarray]:
        """Give the tokens of each document, its end included, or of the one stream."""
        if are_ids(X):
            return [check_ids(X, reader.n_tokens)]
        if reader.encoder is None:
            raise ValueError(
                "X is text, but the model was fitted on ids of tokens: give X as these."
            )
        if isinstance(X, str):
            return reader.encoder.encode([X])
        return [np.append(ids, END) for ids in reader.encoder.encode(X)]

    def _criterion(self) -> nn.Module:
        return TokenLoss()

    def _reward(self, attributes: dict):
        return InversePerplexity(self._criterion())

    def log_likelihood(self, X) -> list[np.ndarray]:
        """Give the log-probability of each token, by those before it.

        Parameters
        ----------
        X : iterable of str, str, or array-like of int
            Documents; or one text; or one stream of ids of tokens.

        Returns
        -------
        log_likelihoods : list of ndarray of float64
            Natural logarithms: of each document, those of its tokens and of its end; of
            a text or a stream alone, those of its tokens.
        """
        check_is_fitted(self)
        streams = self._streams(X, self._encoder)
        with single_thread(self._device), single_precision(self._device):
            return self._ensemble().log_likelihoods(streams)

    def _ensemble(self) -> LanguageEnsemble:
        return LanguageEnsemble(self.networks_, self.ensemble_weights_, self._device)

    def perplexity(self, X) -> float:
        """Give the perplexity of texts: the lower, the less they surprise.

        Parameters
        ----------
        X : iterable of str, str, or array-like of int
            Documents; or one text; or one stream of ids of tokens.

        Returns
        -------
        perplexity : float
            The exponential of the mean negative log-probability of a token. Tokens that
            are not in the vocabulary count as the unknown one.
        """
        return float(np.exp(-self.score(X)))

    def score(self, X, y=None) -> float:
        """Give the mean log-probability of a token: negative log-perplexity.

        Parameters
        ----------
        X : iterable of str, str, or array-like of int
            Documents; or one text; or one stream of ids of tokens.

        y : None
            Not used.

        Returns
        -------
        score : float
            The more, the better.
        """
        values = np.concatenate(self.log_likelihood(X))
        if not len(values):
            raise ValueError("X has no tokens.")
        return float(values.mean())

    def sample(
        self,
        n_tokens: int = 50,
        *,
        prefix=None,
        temperature: float = 1.0,
        random_state=None,
    ) -> str | np.ndarray:
        """Write a text, token by token.

        Parameters
        ----------
        n_tokens : int, default=50
            How many tokens to write; fewer where a document ends before.

        prefix : str, array-like of int or None, default=None
            What the text begins with, and which is not written again: ids if the model
            was fitted on ids. Words that are not in the vocabulary count as the unknown
            one, which itself is never written.

        temperature : float, default=1.0
            Below 1, likely tokens are preferred more than they are likely. At least
            0.001.

        random_state : int, RandomState instance or None, default=None
            Decides what is drawn.

        Returns
        -------
        text : str or ndarray of int64
            The tokens that follow the prefix; ids if the model was fitted on ids.

        Raises
        ------
        ValueError
            If a parameter is none of what it must be.
        """
        check_is_fitted(self)
        for name, value, kind, least, rule in (
            ("n_tokens", n_tokens, numbers.Integral, 1, "an integer from 1 up"),
            ("temperature", temperature, numbers.Real, 1e-3, "a number from 0.001 up"),
        ):
            is_right = isinstance(value, kind) and not isinstance(value, bool)
            if not (is_right and least <= value < np.inf):
                raise ValueError(f"{name} must be {rule}, got {value!r}.")
        rng = check_random_state(random_state)
        ids = [END]
        if prefix is not None and not np.array_equal(prefix, []):
            if not (isinstance(prefix, str) or are_ids(prefix)):
                raise ValueError(
                    "prefix must be a string, or ids if the model was fitted on ids, "
                    f"got {prefix!r:.60}."
                )
            if len(prefix):
                ids += self._streams(prefix, self._encoder)[0].tolist()
        end, never = (None, None) if self.encoder_ is None else (END, UNKNOWN)
        with single_thread(self._device), single_precision(self._device):
            written = self._ensemble().write(
                ids, n_tokens, temperature, rng, end, never
            )
        if self.encoder_ is None:
            return np.array(written, dtype=np.int64)
        return self.encoder_.inverse_transform([written])[0]

    def _reader_source(self) -> ReaderSource:
        return ReaderSource(
            [],
            "tokens, states=None",
            "log_probability, states = model(tokens)  # ids, (n_rows, n_steps)",
        )

    def _model_source(self, networks: list[str], reader: ReaderSource) -> list[str]:
        return [language_model_class(networks)]
