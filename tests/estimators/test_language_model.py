"""The language model."""

import pickle
from collections import deque

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import skops.io
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator
from skorch.callbacks import Callback

from sknas import ENAS, Architecture, NASLanguageModel, RecurrentSpace
from sknas.preprocessing import TokenEncoder

SPACE = RecurrentSpace(n_nodes=3, hidden_size=16, dropout=0.0)
QUICK = {
    "search_space": SPACE,
    "search_epochs": 2,
    "n_candidates": 3,
    "max_epochs": 3,
    "batch_size": 8,
    "n_steps": 10,
    "lr": 0.01,
    "random_state": 0,
}


def make_documents(n_documents=60, seed=0):
    """Sentences whose last word depends on the first, four words before."""
    rng = np.random.RandomState(seed)
    ends = {"dogs": "bark", "cats": "purr", "cows": "moo"}
    documents = []
    for _ in range(n_documents):
        animal = rng.choice(list(ends))
        place = rng.choice(["here", "there"])
        documents.append(f"{animal} that live {place} always {ends[animal]}")
    return documents


@pytest.fixture
def quick():
    return dict(QUICK)


@pytest.fixture(scope="module")
def fitted():
    arguments = QUICK | {"max_epochs": 60, "n_iter_no_change": 10}
    return NASLanguageModel(**arguments).fit(make_documents(300))


class TestFit:
    def test_it_learns_what_depends_on_the_past(self, fitted):
        documents = make_documents(40, seed=1)
        # of each document: an animal of three, a place of two, the rest is certain
        best = (3 * 2) ** (1 / 7)
        assert fitted.perplexity(documents) < 1.15 * best
        assert fitted.architecture_.space == "recurrent"
        assert fitted.n_tokens_ == fitted.encoder_.n_tokens_ == 2 + 11
        assert {"rank", "decision_previous_2"} <= set(fitted.search_results_)
        assert "controller_reward" in fitted.history_[-1]

    def test_the_reward_is_80_over_the_perplexity(self, fitted):
        scores = fitted.search_results_["shared_score"]
        assert ((scores > 0) & (scores < 80)).all()

    @pytest.mark.parametrize(
        "kind",
        [
            tuple,
            np.array,
            pd.Series,
            pl.Series,
            deque,
            lambda documents: (document for document in documents),
            lambda documents: dict(enumerate(documents)).values(),
        ],
    )
    def test_every_collection_of_documents(self, quick, kind):
        documents = make_documents()
        expected = NASLanguageModel(**quick).fit(documents)
        model = NASLanguageModel(**quick).fit(kind(documents))
        assert model.score(kind(documents)) == expected.score(documents)

    def test_one_text_and_one_stream_of_ids(self, quick):
        text = " ".join(make_documents())
        by_text = NASLanguageModel(**quick).fit(text)
        ids = by_text.encoder_.encode([text])[0]
        by_ids = NASLanguageModel(**quick).fit(ids)
        assert by_ids.encoder_ is None
        assert by_ids.score(ids.tolist()) == pytest.approx(by_text.score(text))

    def test_defaults(self):
        model = NASLanguageModel(
            search_epochs=1, n_candidates=2, max_epochs=1, random_state=0
        ).fit(make_documents(10))
        assert "activation_8" in model.architecture_
        assert model.networks_[0].hidden_size == 128

    def test_an_encoder_of_ones_own(self, quick):
        encoder = TokenEncoder(analyzer="char")
        model = NASLanguageModel(**quick, encoder=encoder).fit(make_documents(20))
        assert not hasattr(encoder, "vocabulary_")
        assert "a" in model.encoder_.vocabulary_
        assert model.get_params()["encoder__analyzer"] == "char"

    def test_several_networks(self, quick):
        documents = make_documents()
        model = NASLanguageModel(**quick, ensemble_size=2).fit(documents)
        assert len(model.networks_) == 2
        alone = []
        for i in range(2):
            weights = model.ensemble_weights_
            model.ensemble_weights_ = np.eye(2)[i]
            alone.append(np.concatenate(model.log_likelihood(documents)))
            model.ensemble_weights_ = weights
        joint = np.concatenate(model.log_likelihood(documents))
        np.testing.assert_allclose(
            np.exp(joint), np.average(np.exp(alone), axis=0, weights=weights)
        )

    def test_all_text_is_trained_on_without_early_stopping(self, quick):
        model = NASLanguageModel(**quick, early_stopping=False).fit(make_documents())
        assert "valid_loss" not in model.net_.history[-1]
        assert model.n_iter_ == quick["max_epochs"]

    def test_reuse_and_warm_start(self, fitted, quick):
        documents = make_documents(60, seed=2)
        cell = Architecture.from_json(fitted.architecture_.to_json())
        model = NASLanguageModel(**quick, architecture=cell, warm_start=True)
        model.fit(documents)
        assert model.architecture_ == cell
        assert model.search_results_ == {}
        before = model.score(documents)
        assert model.fit(documents).score(documents) > before

    @pytest.mark.parametrize("strategy", ["random", ENAS(updates_per_epoch=1)])
    def test_strategies(self, quick, strategy):
        model = NASLanguageModel(**quick, strategy=strategy).fit(make_documents(20))
        assert len(model.search_results_["rank"]) >= 1


class TestScore:
    def test_it_is_the_mean_of_the_logarithms(self, fitted):
        documents = make_documents(5, seed=3)
        each = fitted.log_likelihood(documents)
        assert [len(values) for values in each] == [7] * 5
        mean = np.concatenate(each).mean()
        assert fitted.score(documents) == pytest.approx(mean)
        assert fitted.perplexity(documents) == pytest.approx(np.exp(-mean))

    def test_documents_do_not_see_each_other(self, fitted):
        documents = [*make_documents(3, seed=3), "cows moo"]
        together = fitted.log_likelihood(documents)
        for document, values in zip(documents, together, strict=True):
            alone = fitted.log_likelihood([document])[0]
            np.testing.assert_allclose(values, alone, rtol=1e-4)

    def test_what_the_caller_has_set_does_not_matter(self, fitted):
        text = ["a b c", "c b a"]
        expected = fitted.score(text)
        with torch.device("meta"), torch.autocast("cpu", torch.bfloat16):
            assert fitted.score(text) == expected

    def test_nor_does_it_while_it_fits(self):
        model = NASLanguageModel(
            RecurrentSpace(n_nodes=2, hidden_size=4),
            search_epochs=1,
            max_epochs=1,
            n_candidates=2,
            batch_size=4,
            n_steps=5,
            random_state=0,
        )
        text = "the cat sat on the mat and the dog sat on the rug " * 8
        expected = model.fit(text).score(text)
        with torch.device("meta"):
            assert model.fit(text).score(text) == expected

    def test_a_long_text_is_read_in_pieces(self, fitted):
        text = " ".join(make_documents(200, seed=4))
        values = fitted.log_likelihood(text)[0]
        assert len(values) == 200 * 6
        start = fitted.log_likelihood(text[:2000].rsplit(" ", 1)[0])[0]
        np.testing.assert_allclose(values[: len(start)], start, rtol=1e-4)

    def test_what_came_before_a_piece_counts_in_it(self, fitted, monkeypatch):
        text = " ".join(make_documents(20, seed=4))
        whole = fitted.log_likelihood(text)[0]
        monkeypatch.setattr("sknas.estimators._language_ensemble.READ_STEPS", 7)
        np.testing.assert_allclose(fitted.log_likelihood(text)[0], whole, rtol=1e-4)

    def test_unknown_words(self, fitted):
        assert np.isfinite(fitted.score(["dogs that fly always bark"]))


class TestSample:
    def test_it_writes_as_it_was_taught(self, fitted):
        texts = [fitted.sample(20, random_state=seed) for seed in range(20)]
        right = {"dogs": "bark", "cats": "purr", "cows": "moo"}
        good = [right.get(t.split()[0]) == t.split()[-1] for t in texts if t]
        assert np.mean(good) > 0.6  # by chance, a third

    def test_a_prefix_and_a_low_temperature(self, fitted):
        text = fitted.sample(
            20, prefix="cats that live here", temperature=0.1, random_state=0
        )
        assert text == "always purr"
        assert fitted.sample(1, prefix="cats that", temperature=0.1) == "live"

    def test_words_that_are_not_known_are_not_written(self, quick):
        text = "a b a c a d a e a f " * 30
        model = NASLanguageModel(
            **quick | {"encoder": TokenEncoder(max_features=2)}
        ).fit(text)
        assert "<unknown>" not in model.sample(50, random_state=0)

    def test_the_same_seed_writes_the_same(self, fitted):
        one, other = (fitted.sample(30, random_state=3) for _ in range(2))
        assert one == other

    def test_ids(self, quick):
        model = NASLanguageModel(**quick).fit(np.arange(300) % 7)
        ids = model.sample(5, prefix=[1, 2], random_state=0)
        assert ids.shape == (5,)
        assert ids.dtype == np.int64

    @pytest.mark.parametrize(
        "wrong",
        [
            {"n_tokens": 0},
            {"n_tokens": 2.5},
            {"n_tokens": True},
            {"n_tokens": "5"},
            {"temperature": 0},
            {"temperature": 1e-320},
            {"temperature": None},
            {"prefix": ["the", "dog"]},
            {"prefix": np.array(["the"])},
            {"prefix": 5},
        ],
    )
    def test_wrong_arguments_are_named(self, fitted, wrong):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            fitted.sample(**wrong)


class TestContract:
    @pytest.mark.filterwarnings("ignore:Can't test estimator")
    def test_scikit_learns_checks(self):
        results = check_estimator(NASLanguageModel(), on_skip=None)
        assert {result["status"] for result in results} == {"passed"}

    def test_the_same_bit_for_bit(self, quick):
        documents = make_documents()
        one, other = (NASLanguageModel(**quick).fit(documents) for _ in range(2))
        assert one.score(documents) == other.score(documents)
        assert one.architecture_ == other.architecture_

    def test_persistence(self, fitted, tmp_path):
        documents = make_documents(5)
        expected = fitted.score(documents)
        assert pickle.loads(pickle.dumps(fitted)).score(documents) == expected
        joblib.dump(fitted, tmp_path / "model")
        loaded = joblib.load(tmp_path / "model", mmap_mode="r")
        assert loaded.score(documents) == expected
        skops.io.dump(fitted, tmp_path / "model.skops")
        trusted = skops.io.get_untrusted_types(file=tmp_path / "model.skops")
        assert all(name.startswith("sknas.") for name in trusted)
        loaded = skops.io.load(tmp_path / "model.skops", trusted=trusted)
        assert loaded.score(documents) == expected
        assert loaded.sample(9, random_state=0) == fitted.sample(9, random_state=0)

    def test_clone_and_grid_search(self, quick):
        model = clone(NASLanguageModel(**quick, encoder=TokenEncoder()))
        grid = {"lr": [0.01], "encoder__max_features": [5, None]}
        search = GridSearchCV(model, grid, cv=2).fit(make_documents(40))
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()

    @pytest.mark.flaky(reruns=2)  # seconds that another process may take
    def test_time_limit(self, quick):
        model = NASLanguageModel(
            **(quick | {"max_epochs": 100_000, "time_limit": 2, "n_iter_no_change": 99})
        ).fit(make_documents(200))
        assert model.search_time_ + model.refit_time_ < 3

    def test_callbacks_see_the_training(self, quick):
        class Count(Callback):
            n_epochs = 0

            def on_epoch_end(self, net, **kwargs):
                Count.n_epochs += 1

        NASLanguageModel(**quick, callbacks=[Count()]).fit(make_documents())
        assert Count.n_epochs >= quick["search_epochs"] + quick["max_epochs"]

    def test_scikit_learns_callbacks(self, quick, capsys):
        callback = pytest.importorskip("sklearn.callback")
        documents = make_documents()
        expected = NASLanguageModel(**quick).fit(documents).score(documents)
        model = NASLanguageModel(**quick).set_callbacks(callback.ProgressBar())
        assert model.fit(documents).score(documents) == expected
        assert "NASLanguageModel - search" in capsys.readouterr().out

    def test_checkpoint(self, quick, tmp_path):
        documents = make_documents()
        expected = NASLanguageModel(**quick).fit(documents)
        kept = NASLanguageModel(**quick, checkpoint=tmp_path).fit(documents)
        assert kept.score(documents) == expected.score(documents)
        assert not list(tmp_path.iterdir())

    def test_before_fit(self):
        for method in ("perplexity", "score", "log_likelihood"):
            with pytest.raises(NotFittedError):
                getattr(NASLanguageModel(), method)(["a"])
        with pytest.raises(NotFittedError):
            NASLanguageModel().sample()


class TestBadInput:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("encoder", "words"),
            ("batch_size", 0),
            ("batch_size", "auto"),
            ("n_steps", 0),
            ("n_steps", None),
            ("search_space", "tabular"),
            ("search_space", "conv-macro"),
            ("strategy", "grid"),
            ("validation_fraction", 0),
            ("max_gradient_norm", 0),
            ("ensemble_size", 0),
        ],
    )
    def test_a_wrong_parameter_is_named(self, quick, name, value):
        match = name if name != "search_space" else "search_space|Language|language"
        with pytest.raises(ValueError, match=match):
            NASLanguageModel(**(quick | {name: value})).fit(make_documents())

    @pytest.mark.parametrize(
        ("X", "message"),
        [
            ("too few", "too few"),
            ([], "no documents"),
            (["a", 3], r"X\[1\]"),
            (["", ""], "empty vocabulary"),
            (np.array([], dtype=int), "no tokens"),
            (np.arange(100.0), "whole numbers"),
            (np.arange(-1, 99), "whole numbers"),
            (np.ones((50, 2), dtype=int), "1 dimension"),
            (np.array([1] * 50 + [10**11]), "too many to embed"),
            ([True] * 50, r"X\[0\] is a bool"),
        ],
    )
    def test_wrong_data_are_told(self, quick, X, message):
        with pytest.raises((ValueError, TypeError), match=message):
            NASLanguageModel(**quick).fit(X)

    def test_other_data_later_are_told(self, fitted, quick):
        by_ids = NASLanguageModel(**quick).fit(np.arange(200) % 5)
        with pytest.raises(ValueError, match="below 5"):
            by_ids.score([5])
        with pytest.raises(ValueError, match="fitted on ids"):
            by_ids.score(["some text"])
        with pytest.raises(ValueError, match="no tokens"):
            fitted.score("")
