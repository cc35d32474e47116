"""Text as ids of tokens."""

import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator

from sknas.preprocessing import TokenEncoder, TokenIds

DOCUMENTS = ["The cat sat, the dog ran.", "A cat!", "the end"]


@pytest.mark.filterwarnings("ignore:Can't test estimator")
def test_scikit_learns_checks():
    """Of text, it has but few; it warns of that."""
    results = check_estimator(TokenEncoder(), on_skip=None)
    assert results
    assert {result["status"] for result in results} == {"passed"}


class TestFit:
    def test_the_vocabulary_is_sorted_and_begins_at_two(self):
        encoder = TokenEncoder().fit(DOCUMENTS)
        tokens = sorted(["the", "cat", "sat", ",", "dog", "ran", ".", "a", "!", "end"])
        assert list(encoder.vocabulary_) == tokens
        assert list(encoder.vocabulary_.values()) == list(range(2, 12))
        assert encoder.n_tokens_ == 12

    def test_the_most_frequent_tokens_are_kept(self):
        encoder = TokenEncoder(max_features=2).fit(DOCUMENTS)
        assert set(encoder.vocabulary_) == {"the", "cat"}

    def test_min_df(self):
        encoder = TokenEncoder(min_df=2).fit(DOCUMENTS)
        assert set(encoder.vocabulary_) == {"the", "cat"}

    def test_rows_are_long_enough_for_95_of_100_documents(self):
        documents = ["a"] * 90 + ["a b c"] * 6 + ["a b c d e f"] * 4
        assert TokenEncoder().fit(documents).max_length_ == 3
        assert TokenEncoder(max_length=2).fit(documents).max_length_ == 2
        assert TokenEncoder().fit(["a " * 3_000]).max_length_ == 1_000

    @pytest.mark.parametrize("kind", [tuple, np.array, pd.Series, iter, pa.array])
    def test_every_iterable_of_strings(self, kind):
        encoder = TokenEncoder().fit(kind(DOCUMENTS))
        expected = TokenEncoder().fit(DOCUMENTS)
        assert encoder.vocabulary_ == expected.vocabulary_
        ids = expected.transform(DOCUMENTS)
        assert (encoder.transform(kind(DOCUMENTS)) == ids).all()
        assert (TokenEncoder().fit_transform(kind(DOCUMENTS)) == ids).all()

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("max_length", 0),
            ("max_length", "long"),
            ("max_length", 2.5),
            ("keep", "middle"),
            ("analyzer", "sentence"),
            ("min_df", -1),
            ("max_features", 0),
            ("lowercase", "yes"),
        ],
    )
    def test_a_wrong_parameter_is_named(self, name, value):
        with pytest.raises(ValueError, match=name):
            TokenEncoder(**{name: value}).fit(DOCUMENTS)

    @pytest.mark.parametrize(
        ("X", "message"),
        [
            ("one text", "one string"),
            ([], "no documents"),
            (["a", None], r"X\[1\]"),
            (["a", float("nan")], r"X\[1\]"),
            ([["a"]], r"X\[0\]"),
            (3, "iterable"),
            (pd.DataFrame({"text": DOCUMENTS}), "one of its columns"),
            (dict.fromkeys(DOCUMENTS), "one of its columns"),
            (["", " "], "empty vocabulary"),
        ],
    )
    def test_what_is_no_documents_is_told(self, X, message):
        with pytest.raises((ValueError, TypeError), match=message):
            TokenEncoder().fit(X)


class TestTransform:
    def test_order_unknown_tokens_and_padding(self):
        encoder = TokenEncoder().fit(DOCUMENTS)
        ids = encoder.transform(["the new cat", ""])
        v = encoder.vocabulary_
        assert ids[0, :3].tolist() == [v["the"], 1, v["cat"]]
        assert not ids[0, 3:].any()
        assert not ids[1].any()
        assert ids.shape == (2, encoder.max_length_)
        assert ids.dtype == np.int64

    @pytest.mark.parametrize(
        ("keep", "kept"), [("first", ["the cat"]), ("last", ["dog ran"])]
    )
    def test_which_part_of_a_long_document_is_kept(self, keep, kept):
        encoder = TokenEncoder(max_length=2, keep=keep).fit(DOCUMENTS)
        ids = encoder.transform(["the cat sat dog ran"])
        assert encoder.inverse_transform(ids) == kept

    def test_encode_neither_cuts_nor_fills_up(self):
        encoder = TokenEncoder(max_length=1).fit(DOCUMENTS)
        assert [len(ids) for ids in encoder.encode(DOCUMENTS)] == [8, 3, 2]

    @pytest.mark.parametrize(
        ("analyzer", "text"),
        [("char", "the cat"), ("char_wb", " the  cat "), (str.split, "the cat")],
    )
    def test_other_analyzers(self, analyzer, text):
        encoder = TokenEncoder(analyzer=analyzer).fit(DOCUMENTS)
        assert encoder.inverse_transform(encoder.encode(["the cat"])) == [text]

    def test_unknown_tokens_can_be_read(self):
        encoder = TokenEncoder().fit(DOCUMENTS)
        assert encoder.inverse_transform(encoder.encode(["a new cat"])) == [
            "a <unknown> cat"
        ]

    @pytest.mark.parametrize("X", [[[99]], [[2.5]], [2, 3], [["cat"]], [[-1]]])
    def test_what_is_no_ids_is_told(self, X):
        with pytest.raises(ValueError, match="rows of ids"):
            TokenEncoder().fit(DOCUMENTS).inverse_transform(X)

    def test_before_fit(self):
        with pytest.raises(NotFittedError):
            TokenEncoder().transform(DOCUMENTS)

    def test_it_can_be_cloned_and_pickled(self):
        encoder = TokenEncoder(max_length=4).fit(DOCUMENTS)
        again = pickle.loads(pickle.dumps(encoder))
        assert (again.transform(DOCUMENTS) == encoder.transform(DOCUMENTS)).all()
        assert clone(encoder).max_length == 4


class TestTokenIds:
    ids = TokenIds([[2, 3, 0], [4, 0, 0]], 5)

    def test_they_know_how_many_there_are(self):
        for made in (
            self.ids[:1],
            self.ids[[1, 0]],
            self.ids[np.array([True, False])],
            self.ids.copy(),
            pickle.loads(pickle.dumps(self.ids)),
        ):
            assert isinstance(made, TokenIds)
            assert made.n_tokens == 5

    def test_they_are_an_array(self):
        assert isinstance(self.ids, np.ndarray)
        assert self.ids.dtype == np.int64


def test_rows_are_long_enough_for_95_of_100_documents():
    assert TokenEncoder().fit(["a " * n for n in range(1, 11)]).max_length_ == 10
