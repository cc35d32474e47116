"""Text as ids of tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.utils.validation import check_is_fitted

from sknas.rules import COUNT, check_rules, one_of, or_auto

# of the parameters that scikit-learn's vectorizer does not know
RULES = {"max_length": or_auto(COUNT), "keep": one_of(["first", "last"])}
PADDING, UNKNOWN, FIRST = 0, 1, 2  # ids that no token has, and the first that one has
LONGEST = 1_000  # ids in a row, where max_length is "auto"
SHARE_WHOLE = 95  # of 100 documents, those that such rows hold whole
CHARACTERS = ("char", "char_wb")


class TokenIds(np.ndarray):
    """An array of ids of tokens, which says how many there are.

    So a classifier at the end of a pipeline can tell texts from tables.

    Parameters
    ----------
    array : array-like of int, of shape (n_samples, n_steps)
        The ids; 0 follows the end of a row.

    n_tokens : int
        How many ids there are, 0 included.
    """

    n_tokens: int | None

    def __new__(cls, array, n_tokens: int) -> TokenIds:
        """Take a view of an array."""
        self = np.asarray(array, dtype=np.int64).view(cls)
        self.n_tokens = n_tokens
        return self

    def __array_finalize__(self, other) -> None:
        """Keep the number where an array is made of another."""
        self.n_tokens = getattr(other, "n_tokens", None)

    def __reduce__(self):
        """Pickle the number with the array."""
        return TokenIds, (np.asarray(self), self.n_tokens)


class TokenEncoder(TransformerMixin, BaseEstimator):
    r"""Turn documents into rows of ids of tokens, for a network to embed.

    Documents are cut into tokens by scikit-learn's analyzers, as in
    :class:`~sklearn.feature_extraction.text.CountVectorizer`, and the tokens keep their
    order. Id 0 fills a row up at its end, 1 stands for tokens that are not in the
    vocabulary, and those that are have ids from 2 up.

    Parameters
    ----------
    analyzer : {"word", "char", "char_wb"} or callable, default="word"
        What tokens are: words, characters, characters within words; or what a callable
        gives for a document, a list of strings.

    lowercase : bool, default=True
        Whether to make everything lower case first.

    strip_accents : {"ascii", "unicode"}, callable or None, default=None
        How to take accents off, if at all.

    token_pattern : str, default=r"(?u)\w+|[^\w\s]"
        Regular expression of a word. The default takes single punctuation marks too.

    stop_words : {"english"}, list or None, default=None
        Words to leave out.

    min_df : int or float, default=1
        In how many documents, or in which share of them, a token of the vocabulary
        must be.

    max_features : int or None, default=20_000
        Most tokens in the vocabulary: the most frequent. None: all.

    max_length : int or "auto", default="auto"
        Ids in a row. "auto" is enough for 95 of 100 training documents, and at most
        1,000.

    keep : {"first", "last"}, default="first"
        Which part of a longer document is kept.

    Attributes
    ----------
    vocabulary_ : dict of str to int
        Id of each token.

    n_tokens_ : int
        Number of ids, those of padding and of unknown tokens included.

    max_length_ : int
        Ids in a row.

    See Also
    --------
    sklearn.feature_extraction.text.CountVectorizer : Counts tokens, without order.

    Examples
    --------
    >>> from sknas.preprocessing import TokenEncoder
    >>> encoder = TokenEncoder().fit(["a cat sat", "a dog"])
    >>> encoder.transform(["A cat, a dog"])
    TokenIds([[2, 3, 1]])
    >>> encoder.inverse_transform([[2, 3, 0]])
    ['a cat']
    """

    def __init__(
        self,
        *,
        analyzer: str | Callable[[str], list[str]] = "word",
        lowercase: bool = True,
        strip_accents: str | Callable[[str], str] | None = None,
        token_pattern: str = r"(?u)\w+|[^\w\s]",
        stop_words: str | list[str] | None = None,
        min_df: int | float = 1,
        max_features: int | None = 20_000,
        max_length: int | str = "auto",
        keep: str = "first",
    ) -> None:
        self.analyzer = analyzer
        self.lowercase = lowercase
        self.strip_accents = strip_accents
        self.token_pattern = token_pattern
        self.stop_words = stop_words
        self.min_df = min_df
        self.max_features = max_features
        self.max_length = max_length
        self.keep = keep

    def __sklearn_tags__(self):
        """Tell scikit-learn what the transformer accepts."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.transformer_tags.preserves_dtype = []
        return tags

    def fit(self, X: Iterable[str], y=None) -> TokenEncoder:
        """Learn the vocabulary.

        Parameters
        ----------
        X : iterable of str
            The documents.

        y : None
            Not used.

        Returns
        -------
        self : TokenEncoder
            The fitted encoder.

        Raises
        ------
        ValueError, TypeError
            If a parameter is wrong, if `X` is not documents, or if none has a token.
        """
        check_rules(self, RULES)
        documents = check_documents(X)
        counter = self._counter()
        counter.fit(documents)
        self.vocabulary_ = {
            token: FIRST + i for i, token in enumerate(sorted(counter.vocabulary_))
        }
        self.n_tokens_ = FIRST + len(self.vocabulary_)
        if self.max_length == "auto":
            lengths = [len(ids) for ids in self.encode(documents)]
            whole = int(np.ceil(np.percentile(lengths, SHARE_WHOLE)))
            self.max_length_ = min(max(whole, 1), LONGEST)
        else:
            self.max_length_ = int(self.max_length)
        return self

    def transform(self, X: Iterable[str]) -> TokenIds:
        """Turn documents into rows of ids.

        Parameters
        ----------
        X : iterable of str
            The documents.

        Returns
        -------
        ids : TokenIds of shape (n_samples, `max_length_`)
            The ids, an array of int64.
        """
        rows = self.encode(X)
        ids = np.full((len(rows), self.max_length_), PADDING)
        for place, row in zip(ids, rows, strict=True):
            length = self.max_length_
            kept = row[:length] if self.keep == "first" else row[-length:]
            place[: len(kept)] = kept
        return TokenIds(ids, self.n_tokens_)

    def fit_transform(self, X: Iterable[str], y=None) -> TokenIds:
        """Learn the vocabulary, and turn the same documents into rows of ids.

        Parameters
        ----------
        X : iterable of str
            The documents.

        y : None
            Not used.

        Returns
        -------
        ids : TokenIds of shape (n_samples, `max_length_`)
            The ids, an array of int64.
        """
        documents = check_documents(X)  # perhaps from a generator, read once
        return self.fit(documents, y).transform(documents)

    def encode(self, X: Iterable[str]) -> list[np.ndarray]:
        """Turn documents into ids, neither cut nor filled up.

        Parameters
        ----------
        X : iterable of str
            The documents.

        Returns
        -------
        rows : list of ndarray of int64
            The ids of each document.
        """
        check_is_fitted(self)
        analyze = self._counter().build_analyzer()
        known = self.vocabulary_.get
        return [
            np.array([known(token, UNKNOWN) for token in analyze(document)], np.int64)
            for document in check_documents(X)
        ]

    def inverse_transform(self, X: Iterable) -> list[str]:
        """Turn ids back into text.

        Parameters
        ----------
        X : iterable of array-like of int
            The ids of each document.

        Returns
        -------
        documents : list of str
            Their tokens, with blanks between words. Unknown ones are "<unknown>".

        Raises
        ------
        ValueError
            If `X` holds anything but rows of ids.
        """
        check_is_fitted(self)
        tokens = dict.fromkeys((PADDING,), "") | {UNKNOWN: "<unknown>"}
        tokens |= {i: token for token, i in self.vocabulary_.items()}
        blank = "" if self.analyzer in CHARACTERS else " "
        documents = []
        for row in X:
            ids = np.asarray(row)
            is_row = ids.ndim == 1 and (ids.size == 0 or ids.dtype.kind in "iuf")
            if not is_row or (
                ids.size
                and ((ids % 1).any() or ids.min() < 0 or ids.max() >= self.n_tokens_)
            ):
                raise ValueError(
                    "X must hold rows of ids, whole numbers from 0 to "
                    f"{self.n_tokens_ - 1}, got {row!r:.60}."
                )
            documents.append(blank.join(tokens[int(i)] for i in ids if i != PADDING))
        return documents

    def _counter(self) -> CountVectorizer:
        """Build scikit-learn's vectorizer, whose analyzer and vocabulary are ours."""
        options = {}
        if self.analyzer == "word":  # it warns of options that it does not use
            options = {
                "token_pattern": self.token_pattern,
                "stop_words": self.stop_words,
            }
        return CountVectorizer(
            analyzer=self.analyzer,
            lowercase=self.lowercase,
            strip_accents=self.strip_accents,
            min_df=self.min_df,
            max_features=self.max_features,
            **options,
        )


def check_documents(X: Iterable[str]) -> list[str]:
    """Check that `X` is documents, and give them as a list."""
    if isinstance(X, str):
        raise ValueError(
            "X must be an iterable of documents, such as a list of strings, but it is "
            "one string: put it into a list."
        )
    if isinstance(X, Mapping) or hasattr(X, "columns"):
        raise TypeError(
            f"X must be an iterable of documents, but it is a {type(X).__name__}: give "
            'one of its columns, such as X["text"].'
        )
    if hasattr(X, "to_pylist"):  # an array of pyarrow, which gives no strings itself
        X = X.to_pylist()
    try:
        documents = list(X)
    except TypeError as error:
        raise TypeError(
            "X must be an iterable of documents, such as a list of strings, got "
            f"{type(X).__name__}."
        ) from error
    for i, document in enumerate(documents):
        if not isinstance(document, str):
            raise TypeError(
                f"X must hold documents, which are strings, but X[{i}] is a "
                f"{type(document).__name__}: {document!r:.60}."
            )
    if not documents:
        raise ValueError("X has no documents: at least 1 is required.")
    return documents
