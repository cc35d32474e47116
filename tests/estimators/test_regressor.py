"""What is particular to the regressor; all else it shares with the classifier."""

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_score,
)
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknas import NASClassifier, NASRegressor, TabularSpace
from sknas.estimators import NASRegressor as SameRegressor


@pytest.fixture
def table():
    """Numbers of which the first two decide the target, which has some noise."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(150, 3))
    return X, X[:, 0] - 2 * np.abs(X[:, 1]) + 0.1 * rng.normal(size=150)


class TestDiabetes:
    def test_the_default_is_as_good_as_a_linear_model(self):
        X, y = load_diabetes(return_X_y=True)
        folds = KFold(3, shuffle=True, random_state=0)
        linear = make_pipeline(StandardScaler(), Ridge())
        expected = cross_val_score(linear, X, y, cv=folds).mean()
        scores = cross_val_score(NASRegressor(random_state=0), X, y, cv=folds)
        assert scores.mean() > expected - 0.02

    def test_four_networks_predict_in_double_precision(self, quick):
        X, y = load_diabetes(return_X_y=True)
        model = NASRegressor(**quick | {"ensemble_size": 4}).fit(X, y)
        assert len(model.networks_) == 4
        assert model.predict(X).shape == y.shape
        assert model.predict(X).dtype == np.float64

    def test_the_default_architecture_is_a_smooth_one(self, quick):
        X, y = load_diabetes(return_X_y=True)
        model = NASRegressor(**quick).fit(X, y)
        default = model.architectures_[1]
        assert default["activation_1"] == "silu"
        assert default["dropout"] == 0.0
        # and one of the classifier's space
        NASClassifier(architecture=default, **quick).fit(X, y > 140)


class TestUnits:
    @pytest.mark.parametrize("unit", [2.0**-30, 2.0**30])
    @pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
    def test_predictions_follow_the_unit_of_the_target(self, table, quick, unit, loss):
        X, y = table
        plain, scaled = (
            NASRegressor(**quick, loss=loss).fit(X, target).predict(X)
            for target in (y, unit * y)
        )
        np.testing.assert_array_equal(scaled, unit * plain)

    @pytest.mark.parametrize(("unit", "offset"), [(1e-9, 0), (1, 1e9), (1e9, -1e9)])
    def test_targets_far_from_one_are_learnt_as_well(self, table, quick, unit, offset):
        X, y = table
        y = unit * y + offset
        model = NASRegressor(**quick | {"max_epochs": 30}).fit(X, y)
        assert model.score(X, y) > 0.8

    def test_a_column_of_the_targets_is_flat_only_if_it_was(self, table, quicker):
        X, y = table
        model = NASRegressor(**quicker)
        flat = model.fit(X, y).predict(X)
        column = model.fit(X, y.reshape(-1, 1)).predict(X)
        assert flat.shape == (150,) and column.shape == (150, 1)
        np.testing.assert_array_equal(column[:, 0], flat)

    @pytest.mark.parametrize("constant", [0.1, 1e9 + 0.1, 0, -3e-300])
    @pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
    def test_a_constant_is_predicted_exactly(self, table, quicker, constant, loss):
        X, _ = table
        model = NASRegressor(**quicker, loss=loss).fit(X, np.full(150, constant))
        assert (model.predict(X) == constant).all()

    def test_an_outlier_spoils_the_squared_error_only(self, table, quick):
        X, y = table
        y_bad = y.copy()
        y_bad[np.argmin(np.abs(y))] = 1e6
        errors = {}
        for loss in ("squared_error", "absolute_error"):
            model = NASRegressor(**quick | {"max_epochs": 30}, loss=loss)
            model.fit(X, y_bad)
            errors[loss] = np.median(np.abs(model.predict(X) - y))
        assert errors["absolute_error"] < 0.5 < errors["squared_error"]

    def test_an_outlier_beyond_single_precision_is_borne(self, table, quick):
        X, y = table
        y_bad = y.copy()
        y_bad[np.argmin(np.abs(y))] = 1e45
        model = NASRegressor(**quick | {"max_epochs": 30}, loss="absolute_error")
        assert np.median(np.abs(model.fit(X, y_bad).predict(X) - y)) < 0.5


class TestSeveralTargets:
    def test_they_are_learnt_by_one_network_each_in_its_unit(self, table, quick):
        X, y = table
        Y = np.column_stack([y, 1e6 - 1e3 * y, X[:, 2], np.full(len(X), 7.0)])
        model = NASRegressor(**quick | {"max_epochs": 30}).fit(X, Y)
        assert model.n_outputs_ == 4 and len(model.networks_) == 2
        predicted = model.predict(X)
        assert predicted.shape == Y.shape
        scores = [model_score(Y[:, i], predicted[:, i]) for i in range(3)]
        assert min(scores) > 0.7
        assert (predicted[:, 3] == 7).all()

    def test_a_data_frame_of_targets_is_taken(self, table, quicker):
        X, y = table
        Y = pd.DataFrame({"a": y, "b": -y})
        model = NASRegressor(**quicker).fit(X, Y)
        same = NASRegressor(**quicker).fit(X, Y.to_numpy())
        np.testing.assert_array_equal(model.predict(X), same.predict(X))


def model_score(y, predicted):
    return 1 - np.square(y - predicted).sum() / np.square(y - y.mean()).sum()


class TestLosses:
    def test_quantiles_cover_what_they_say(self):
        rng = np.random.RandomState(0)
        X = rng.uniform(size=(600, 1))
        y = X[:, 0] * rng.exponential(size=600)
        for quantile in (0.1, 0.5, 0.9):
            model = NASRegressor(
                loss="quantile",
                quantile=quantile,
                ensemble_size=2,
                search_epochs=3,
                n_candidates=3,
                max_epochs=30,
                random_state=0,
            ).fit(X, y)
            covered = np.mean(y <= model.predict(X))
            assert abs(covered - quantile) < 0.07

    def test_the_median_is_the_quantile_of_one_half(self, table, quicker):
        X, y = table
        half = NASRegressor(**quicker, loss="quantile", quantile=0.5).fit(X, y)
        absolute = NASRegressor(**quicker, loss="absolute_error").fit(X, y)
        np.testing.assert_allclose(half.predict(X), absolute.predict(X), atol=0.2)

    def test_the_search_rewards_the_loss_or_the_scorer(self, table, quicker):
        X, y = table
        default = NASRegressor(**quicker).fit(X, y)
        assert (default.search_results_["shared_score"] < 0).all()
        y = y + 1e4
        model = NASRegressor(**quicker, scoring="neg_mean_absolute_percentage_error")
        scores = model.fit(X, y).search_results_["shared_score"]
        assert (-1e-3 < scores).all() and (scores < 0).all()

        seen = []

        def scorer(estimator, X, y):
            seen.append(y)
            return -np.abs(estimator.predict(X) - y).max()

        NASRegressor(**quicker, scoring=scorer).fit(X[:, :2], y)
        # in the user's units, as far as a network's numbers reach
        judged = np.unique(np.concatenate(seen).round(3))
        assert len(judged) > 20 and set(judged) <= set(y.round(3))


class TestWeightsAndOrder:
    @pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
    def test_whole_weights_are_repeated_rows(self, table, quicker, loss):
        X, y = table
        weight = np.random.RandomState(1).randint(0, 4, len(X))
        model = NASRegressor(**quicker, loss=loss)
        weighted = model.fit(X, y, sample_weight=weight).predict(X)
        order = np.random.RandomState(2).permutation(np.repeat(np.arange(150), weight))
        repeated = model.fit(X[order], y[order]).predict(X)
        np.testing.assert_array_equal(weighted, repeated)

    def test_a_measurement_that_was_repeated_is_averaged(self):
        X = np.repeat(np.arange(10.0), 30).reshape(-1, 1)
        y = X[:, 0] ** 2 + np.random.RandomState(0).normal(scale=5, size=300)
        model = NASRegressor(
            ensemble_size=2, search_epochs=3, n_candidates=2, random_state=0
        )
        predicted = model.fit(X, y).predict(np.arange(10.0).reshape(-1, 1))
        np.testing.assert_allclose(predicted, np.arange(10.0) ** 2, atol=6)


class TestInScikitLearn:
    def test_it_is_scored_and_searched_in_a_pipeline(self, table, quick):
        X, y = table
        quick |= {"max_epochs": 20}
        pipeline = make_pipeline(StandardScaler(), NASRegressor(**quick))
        assert cross_val_score(pipeline, X, y, cv=2).min() > 0.3
        grid = GridSearchCV(
            NASRegressor(**quick, loss="quantile", quantile=0.5),
            {"quantile": [0.1, 0.5]},
            scoring="neg_mean_absolute_error",
            cv=2,
        )
        assert grid.fit(X, y).best_params_ == {"quantile": 0.5}

    def test_it_takes_transformed_and_several_targets(self, table, quick):
        X, y = table
        model = TransformedTargetRegressor(
            NASRegressor(**quick | {"max_epochs": 30}),
            func=np.cbrt,
            inverse_func=lambda z: z**3,
        )
        assert model.fit(X, y).score(X, y) > 0.5
        several = MultiOutputRegressor(NASRegressor(**quick))
        assert several.fit(X, np.column_stack([y, X])).predict(X).shape == (150, 4)

    def test_weights_are_routed(self, table, quicker):
        X, y = table
        weight = np.linspace(0.5, 2, len(X))
        with sklearn.config_context(enable_metadata_routing=True):
            model = NASRegressor(**quicker).set_fit_request(sample_weight=True)
            scaler = StandardScaler().set_fit_request(sample_weight=True)
            pipeline = make_pipeline(scaler, model)
            routed = pipeline.fit(X, y, sample_weight=weight).predict(X)
            plain = pipeline.fit(X, y).predict(X)
        assert not np.array_equal(routed, plain)

    def test_it_survives_pickling(self, table, quicker):
        X, y = table
        model = NASRegressor(**quicker).fit(X, np.column_stack([y, -y]))
        loaded = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
        inputs = {n: a for n, a in model.encode(X).items()}
        answers = loaded.net_.predict_proba(inputs)
        assert answers.shape == (150, 2)

    def test_it_survives_skops(self, table, quicker):
        io = pytest.importorskip("skops.io")
        X, y = table
        model = NASRegressor(**quicker).fit(X, y)
        dumped = io.dumps(model)
        trusted = io.get_untrusted_types(data=dumped)
        assert trusted == ["sknas.estimators._regressor.NASRegressor"]
        loaded = io.loads(dumped, trusted=trusted)
        np.testing.assert_array_equal(loaded.predict(X), model.predict(X))

    def test_it_goes_on_with_the_scale_of_the_first_fit(self, table, quicker):
        X, y = table
        model = NASRegressor(**quicker, warm_start=True).fit(X, y)
        architectures = model.architectures_
        error = np.square(model.predict(X) - y).mean()
        model.set_params(max_epochs=20).fit(X, y)
        assert model.architectures_ == architectures
        assert np.square(model.predict(X) - y).mean() < error
        with pytest.raises(ValueError, match="as many targets"):
            model.fit(X, np.column_stack([y, y]))


class TestArchitectures:
    def test_those_of_a_classifier_and_of_a_regressor_are_the_same(
        self, table, quicker
    ):
        X, y = table
        classifier = NASClassifier(**quicker).fit(X, y > 0)
        found = classifier.architecture_
        regressor = NASRegressor(architecture=found, random_state=0, max_epochs=2)
        assert regressor.fit(X, y).architecture_ == found
        back = NASClassifier(architecture=regressor.architecture_, max_epochs=2)
        assert back.fit(X, y > 0).architectures_ == [found] * 4

    def test_the_two_classes_have_the_same_parameters(self):
        own = {"loss", "quantile"}
        assert set(NASRegressor().get_params()) - own == (
            set(NASClassifier().get_params()) - {"class_weight", "neighbors"}
        )
        for name, value in NASClassifier().get_params().items():
            if name not in ("class_weight", "neighbors"):
                assert NASRegressor().get_params()[name] == value
        assert SameRegressor is NASRegressor


WRONG_TARGETS = {
    "missing": (lambda y: np.where(y > 1, np.nan, y), "contains NaN"),
    "infinite": (lambda y: np.where(y > 1, np.inf, y), "contains infinity"),
    "None": (lambda y: np.where(y > 1, None, y), "NaN|numbers"),
    "text": (lambda y: np.where(y > 0, "yes", "no"), "must be numbers.*'(yes|no)'"),
    "dates": (lambda y: np.full(len(y), "2020-01-01", "datetime64[D]"), "dates"),
    "complex": (lambda y: y + 1j, "[Cc]omplex"),
    "three axes": (lambda y: y.reshape(-1, 1, 1), "dim"),
    "too few": (lambda y: y[:-1], "inconsistent numbers of samples"),
    "too large": (lambda y: 1e303 * y, "beyond 1e.300"),
    "of no column": (lambda y: np.empty((len(y), 0)), "0 feature"),
}


class TestBadInput:
    @pytest.mark.parametrize("kind", list(WRONG_TARGETS))
    def test_wrong_targets_are_named_before_training(self, table, kind):
        X, y = table
        make, match = WRONG_TARGETS[kind]
        model = NASRegressor()
        with pytest.raises(ValueError, match=match):
            model.fit(X, make(y))
        assert not hasattr(model, "networks_")

    @pytest.mark.parametrize(
        ("parameters", "match"),
        [
            ({"loss": "mse"}, "'loss' parameter .* must be one of"),
            ({"loss": None}, "'loss' parameter"),
            ({"loss": "quantile"}, "'quantile' parameter .* must be set"),
            ({"loss": "quantile", "quantile": 1.0}, "'quantile' parameter"),
            ({"quantile": -0.5}, "'quantile' parameter"),
            ({"quantile": "half"}, "'quantile' parameter"),
            ({"quantile": np.nan}, "'quantile' parameter"),
        ],
    )
    def test_a_wrong_loss_or_quantile_is_named(self, table, parameters, match):
        with pytest.raises(ValueError, match=match):
            NASRegressor(**parameters).fit(*table)

    def test_numbers_as_text_are_numbers(self, table, quicker):
        X, y = table
        model = NASRegressor(**quicker)
        expected = model.fit(X, y).predict(X)
        as_text = model.fit(X, np.array([repr(float(v)) for v in y], object))
        np.testing.assert_array_equal(as_text.predict(X), expected)


def test_quantiles_are_those_of_the_weights():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(200, 2))
    y = X[:, 0].copy()
    y[:80] += 1e4
    weight = np.where(np.arange(200) < 80, 1.0, 1e-6)
    space = TabularSpace(n_heads=1)
    model = NASRegressor(
        space,
        architecture=space.default_architecture(),
        loss="absolute_error",
        max_epochs=20,
        ensemble_size=1,
        random_state=0,
    ).fit(X, y, weight)
    assert np.abs(model.predict(X[:80]) - y[:80]).mean() < 1


def test_a_prediction_is_the_same_in_any_company(quick):
    X, y = load_diabetes(return_X_y=True)
    model = NASRegressor(**quick | {"ensemble_size": 4}).fit(X[:100], y[:100])
    alone = [model.predict(X[i : i + 1])[0] for i in range(300)]
    np.testing.assert_array_equal(model.predict(X[:300]), alone)
