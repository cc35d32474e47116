"""The estimators on series and texts."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sknas import (
    Architecture,
    ConvMacroSpace,
    NASClassifier,
    NASRegressor,
    RecurrentSpace,
    SequenceSpace,
)
from sknas.preprocessing import TokenEncoder, TokenIds

CONV = ConvMacroSpace(n_layers=2, n_filters=4)
RECURRENT = RecurrentSpace(n_nodes=2, hidden_size=8)
BOTH = SequenceSpace(CONV, RECURRENT)
N_STEPS = 16


def make_series(n_rows=90, seed=0):
    """Waves that are fast or slow, of unequal length, padded with NaN."""
    rng = np.random.RandomState(seed)
    y = np.where(rng.rand(n_rows) < 0.5, "fast", "slow")
    X = 0.3 * rng.normal(size=(n_rows, N_STEPS, 2))
    frequency = np.where(y == "fast", 1.8, 0.6)[:, None]
    phase = rng.uniform(0, 6, size=(n_rows, 1))
    X[..., 0] += np.sin(phase + frequency * np.arange(N_STEPS))
    length = rng.randint(N_STEPS // 2, N_STEPS + 1, n_rows)
    X[np.arange(N_STEPS) >= length[:, None]] = np.nan
    return X, y


def make_texts(n_rows=60, seed=0):
    """Praise and blame among words that say nothing."""
    rng = np.random.RandomState(seed)
    y = rng.randint(2, size=n_rows)
    words = np.array("a the film plot actor it was and so".split())
    texts = []
    for label in y:
        text = rng.choice(words, size=rng.randint(4, 12)).tolist()
        text.insert(rng.randint(len(text)), ["awful", "superb"][label])
        texts.append(" ".join(text))
    return texts, y


@pytest.fixture
def quick(quick):
    return quick | {"search_space": BOTH, "max_epochs": 3, "search_epochs": 2}


@pytest.fixture(scope="module")
def fitted():
    model = NASClassifier(
        BOTH,
        search_epochs=4,
        n_candidates=4,
        ensemble_size=2,
        max_epochs=25,
        random_state=0,
    )
    return model.fit(*make_series())


def same(one, other, X):
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


class TestSeries:
    def test_it_learns(self, fitted):
        X_test, y_test = make_series(seed=1)
        assert fitted.score(X_test, y_test) > 0.85
        assert fitted.architecture_["family"] in ("conv-macro", "recurrent")
        assert fitted.encode(X_test)["image"].shape == (90, 2, N_STEPS)

    def test_a_recurrent_cell_learns(self, quick):
        space = RecurrentSpace(n_nodes=4, hidden_size=16)
        arguments = {"search_space": space, "max_epochs": 40, "lr": 0.02}
        model = NASClassifier(**(quick | arguments)).fit(*make_series(150))
        X_test, y_test = make_series(seed=1)
        assert model.score(X_test, y_test) > 0.85
        assert "clipped_states" in model.history_[0]

    @pytest.mark.parametrize("space", ["auto", "recurrent", "sequence"])
    def test_spaces_have_names(self, quick, space):
        X, y = make_series(20)
        arguments = {"search_space": space, "max_epochs": 1, "search_epochs": 1}
        model = NASClassifier(**(quick | arguments)).fit(X, y)
        name = "sequence" if space == "auto" else space
        assert model.architecture_.space == name
        same(model, pickle.loads(pickle.dumps(model)), X)

    def test_tables_of_series(self, quick):
        X, y = make_series(40)
        flat = X.reshape(len(X), -1)
        expected = NASClassifier(**quick).fit(X, y)
        for options in (
            {"n_steps": N_STEPS},
            {"n_features": 2},
            {"n_steps": N_STEPS, "n_features": 2},
        ):
            model = NASClassifier(**quick, **options).fit(flat, y)
            np.testing.assert_array_equal(
                model.predict_proba(flat), expected.predict_proba(X)
            )
        frame = pd.DataFrame(flat).add_prefix("x")
        model = NASClassifier(**quick, n_features=2).fit(frame, y)
        assert model.n_features_in_ == 2 * N_STEPS
        assert list(model.feature_names_in_) == list(frame.columns)
        with pytest.raises(ValueError, match="feature names"):
            model.predict(frame[frame.columns[::-1]])

    def test_a_square_is_a_series_if_its_features_are_counted(self, quick):
        X = np.random.RandomState(0).normal(size=(20, 5, 5))
        y = np.arange(20) % 2
        model = NASClassifier(**quick, n_features=5).fit(X, y)
        assert model.encode(X)["image"].shape == (20, 5, 5)

    def test_series_may_have_other_lengths_later(self, fitted):
        X, _ = make_series(10)
        X[:, 10:] = np.nan
        np.testing.assert_allclose(
            fitted.predict_proba(X[:, :10]), fitted.predict_proba(X)
        )
        longer = np.concatenate([X, X], axis=1)
        assert fitted.predict_proba(longer).shape == (10, 2)

    def test_series_without_a_value(self, fitted):
        X = np.full((2, N_STEPS, 2), np.nan)
        assert np.isfinite(fitted.predict_proba(X)).all()

    def test_a_regressor_reads_them_too(self, quick):
        X, _ = make_series(100)
        target = np.nanmean(X[..., 1], axis=1) * 10 + 3
        model = NASRegressor(**(quick | {"max_epochs": 40})).fit(X, target)
        assert model.score(X, target) > 0.3

    @pytest.mark.parametrize(
        ("change", "options", "message"),
        [
            (lambda X: X[..., None], {"n_features": 1}, "4 dimensions"),
            (lambda X: X, {"n_features": 3}, "'n_features' parameter"),
            (lambda X: X, {"n_steps": 7}, "'n_steps' parameter"),
            (lambda X: X.reshape(len(X), -1), {"n_steps": 7}, "columns"),
            (lambda X: np.where(X > 1, np.inf, X), {}, "infinity"),
            (
                lambda X: [x[:n] for x, n in zip(X, [3, 4] * 5, strict=True)],
                {"n_features": 2},
                "different lengths",
            ),
        ],
    )
    def test_wrong_series_are_told(self, quick, change, options, message):
        X, y = make_series(10)
        with pytest.raises(ValueError, match=message):
            NASClassifier(**quick, **options).fit(change(X), y)

    def test_other_features_later_are_told(self, fitted):
        X, _ = make_series(4)
        with pytest.raises(ValueError, match="fitted on series of 2 features"):
            fitted.predict(X[..., :1])
        with pytest.raises(ValueError, match="n_features"):
            fitted.predict(X.reshape(len(X), -1))

    def test_tables_are_not_for_these_spaces(self, quick):
        X, y = np.random.RandomState(0).normal(size=(20, 4)), np.arange(20) % 2
        for space in ("recurrent", "sequence"):
            with pytest.raises(ValueError, match="sequences"):
                NASClassifier(**(quick | {"search_space": space})).fit(X, y)

    def test_one_kind_of_data_at_a_time(self, quick):
        X, y = make_series(10)
        with pytest.raises(ValueError, match="'image_shape' and 'n_steps'"):
            NASClassifier(**quick, image_shape=(1, 4, 4), n_steps=4).fit(X, y)
        with pytest.raises(ValueError, match="'n_steps' and 'n_tokens'"):
            NASClassifier(**quick, n_features=2, n_tokens=4).fit(X, y)

    def test_augmentation_is_for_series(self, quick):
        X, y = make_series(20)
        with pytest.raises(ValueError, match="affine"):
            NASClassifier(**quick, augmentation=("affine",)).fit(X, y)
        NASClassifier(**quick, augmentation=("crop", "flip")).fit(X, y)


class TestContract:
    def test_the_same_bit_for_bit(self, quick):
        X, y = make_series(40)
        one, other = (NASClassifier(**quick).fit(X, y) for _ in range(2))
        same(one, other, X)

    def test_the_order_of_rows_and_copies_do_not_matter(self, quick):
        X, y = make_series(30)
        order = np.random.RandomState(1).permutation(30)
        expected = NASClassifier(**quick).fit(X, y)
        same(NASClassifier(**quick).fit(X[order], y[order]), expected, X)
        weight = np.arange(30) % 3 + 1
        rows = np.repeat(np.arange(30), weight)
        same(
            NASClassifier(**quick).fit(X, y, weight),
            NASClassifier(**quick).fit(X[rows], y[rows]),
            X,
        )

    def test_reuse(self, fitted, quick):
        X, y = make_series(40, seed=2)
        found = Architecture.from_json(fitted.architecture_.to_json())
        model = NASClassifier(**(quick | {"architecture": found})).fit(X, y)
        assert model.architecture_ == fitted.architecture_
        assert model.search_results_ == {}

    def test_persistence(self, fitted, tmp_path):
        X, _ = make_series(8)
        joblib.dump(fitted, tmp_path / "model")
        same(joblib.load(tmp_path / "model", mmap_mode="r"), fitted, X)
        skops.io.dump(fitted, tmp_path / "model.skops")
        trusted = skops.io.get_untrusted_types(file=tmp_path / "model.skops")
        assert all(name.startswith("sknas.") for name in trusted)
        same(skops.io.load(tmp_path / "model.skops", trusted=trusted), fitted, X)

    def test_cross_validation_and_clone(self, quick):
        X, y = make_series(40)
        scores = cross_val_score(clone(NASClassifier(**quick)), X, y, cv=2)
        assert np.isfinite(scores).all()

    @pytest.mark.flaky(reruns=2)  # seconds that another process may take
    def test_time_limit(self, quick):
        X, y = make_series(60)
        model = NASClassifier(
            **(quick | {"max_epochs": 100_000, "time_limit": 2, "n_iter_no_change": 99})
        )
        model.fit(X, y)
        assert model.search_time_ + model.refit_time_ < 3

    def test_candidates_of_both_families_are_ranked(self, quick):
        X, y = make_series(40)
        model = NASClassifier(**(quick | {"n_candidates": 12})).fit(X, y)
        families = set(model.search_results_["decision_family"])
        assert families == {"conv-macro", "recurrent"}


class TestTexts:
    def test_a_pipeline_classifies_raw_text(self, quick):
        texts, y = make_texts()
        arguments = quick | {"max_epochs": 40, "lr": 0.01}
        model = make_pipeline(TokenEncoder(), NASClassifier(**arguments))
        model.fit(texts, y)
        test_texts, y_test = make_texts(seed=1)
        assert model.score(test_texts, y_test) > 0.9
        assert model[-1].architecture_.space == "sequence"

    def test_it_can_be_searched_over(self, quick):
        texts, y = make_texts(40)
        pipeline = make_pipeline(TokenEncoder(), NASClassifier(**quick))
        grid = {"tokenencoder__max_length": [4, 12], "nasclassifier__lr": [0.01]}
        search = GridSearchCV(pipeline, grid, cv=2).fit(texts, y)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        best = search.best_estimator_
        assert best[-1].n_features_in_ == best[0].max_length_

    def test_folds_have_vocabularies_of_their_own(self, quick):
        texts, y = make_texts(20)
        texts[0] += " rarity"
        encoder = TokenEncoder().fit(texts[1:])
        assert "rarity" not in encoder.vocabulary_
        assert 1 in encoder.transform(texts[:1])

    def test_plain_ids(self, quick):
        texts, y = make_texts(30)
        ids = TokenEncoder().fit_transform(texts)
        marked = NASClassifier(**quick).fit(ids, y)
        plain = np.asarray(ids)
        counted = NASClassifier(**quick, n_tokens=ids.n_tokens).fit(plain, y)
        np.testing.assert_array_equal(
            counted.predict_proba(plain), marked.predict_proba(plain)
        )
        assert marked.encode(ids)["tokens"].dtype == np.int64
        same(marked, pickle.loads(pickle.dumps(marked)), ids)

    def test_without_a_mark_ids_are_a_table(self, quick):
        texts, y = make_texts(30)
        ids = np.asarray(TokenEncoder().fit_transform(texts))
        model = NASClassifier(**(quick | {"search_space": "auto"})).fit(ids, y)
        assert model.architecture_.space == "tabular"

    @pytest.mark.parametrize(
        ("ids", "message"),
        [
            ([[1, 2], [3, -1]], "whole numbers"),
            ([[1, 2], [3, 1.5]], "whole numbers"),
            ([[1, 2], [3, 99]], "id 99"),
            ([[1, 2], [3, np.nan]], "NaN"),
        ],
    )
    def test_wrong_ids_are_told(self, quick, ids, message):
        X = np.array(ids * 10)
        with pytest.raises(ValueError, match=message):
            NASClassifier(**quick, n_tokens=20).fit(X, [0, 1] * 10)

    def test_other_numbers_of_columns_are_told(self, quick):
        texts, y = make_texts(20)
        ids = TokenEncoder(max_length=6).fit_transform(texts)
        model = NASClassifier(**quick).fit(ids, y)
        with pytest.raises(ValueError, match="features"):
            model.predict(ids[:, :3])

    @pytest.mark.parametrize("kind", [list, np.array, pd.Series])
    def test_text_itself_is_told_to_be_encoded(self, quick, kind):
        texts, y = make_texts(20)
        with pytest.raises(ValueError, match="TokenEncoder"):
            NASClassifier(**quick).fit(kind(texts), y)
        frame = pd.Series(texts, index=range(5, 25))
        with pytest.raises(ValueError, match="TokenEncoder"):
            NASClassifier(**quick).fit(frame, y)

    def test_the_mark_survives_a_split(self):
        ids = TokenIds(np.ones((10, 3), dtype=int), 4)
        kept = FunctionTransformer().fit_transform(ids[[0, 2]])
        assert kept.n_tokens == 4
