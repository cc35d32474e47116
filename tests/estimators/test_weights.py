import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score, log_loss

from sknas import NASClassifier, TabularSpace


def repeated(X, y, times):
    """Repeat rows of a DataFrame so many times each, zeros included."""
    return (
        X.loc[X.index.repeat(times)].reset_index(drop=True),
        y.loc[y.index.repeat(times)].reset_index(drop=True),
    )


@pytest.mark.parametrize("class_weight", [None, "balanced", {"good": 3, "bad": 0.5}])
def test_weights_are_exact_multiplicities(mixed, quicker, class_weight):
    X, y = mixed
    times = np.random.RandomState(0).randint(0, 4, len(y))
    model = NASClassifier(**quicker, class_weight=class_weight)
    weighted = model.fit(X, y, sample_weight=times).predict_proba(X)
    copied = model.fit(*repeated(X, y, times)).predict_proba(X)
    np.testing.assert_array_equal(weighted, copied)


def test_weights_of_an_array_are_exact_multiplicities(quicker):
    X, y = load_iris(return_X_y=True)
    times = np.random.RandomState(0).randint(0, 4, len(y))
    model = NASClassifier(**quicker)
    weighted = model.fit(X, y, sample_weight=times).predict_proba(X)
    copied = model.fit(np.repeat(X, times, axis=0), np.repeat(y, times))
    np.testing.assert_array_equal(weighted, copied.predict_proba(X))


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_the_order_of_rows_does_not_matter(mixed, quicker, class_weight):
    X, y = mixed
    weight = np.random.RandomState(1).rand(len(y))
    order = np.random.RandomState(0).permutation(len(y))
    model = NASClassifier(**quicker, class_weight=class_weight)
    there = model.fit(X, y, sample_weight=weight).predict_proba(X)
    back = model.fit(X.iloc[order], y.iloc[order], sample_weight=weight[order])
    np.testing.assert_array_equal(there, back.predict_proba(X))


def test_the_order_of_repeated_rows_with_other_weights_does_not_matter(quicker):
    X, y = load_iris(return_X_y=True)
    X, y = np.concatenate([X, X[::2], X]), np.concatenate([y, y[::2], y])
    weight = np.random.RandomState(1).rand(len(y))
    order = np.random.RandomState(0).permutation(len(y))
    model = NASClassifier(**quicker)
    there = model.fit(X, y, weight).predict_proba(X)
    back = model.fit(X[order], y[order], weight[order]).predict_proba(X)
    np.testing.assert_array_equal(there, back)


def test_weights_of_one_are_no_weights_and_powers_of_two_scale(quicker):
    X, y = load_iris(return_X_y=True)
    model = NASClassifier(**quicker)
    plain = model.fit(X, y).predict_proba(X)
    for weight in (np.ones(len(y)), np.full(len(y), 2.0**-10)):
        np.testing.assert_array_equal(model.fit(X, y, weight).predict_proba(X), plain)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300, 8e307])
def test_only_the_proportions_of_weights_matter(quick, scale):
    X, y = load_iris(return_X_y=True)
    model = NASClassifier(**quick).fit(X, y, scale * (1 + np.arange(len(y)) % 2))
    assert model.score(X, y) > 0.8


def test_minus_zero_is_zero(quicker):
    X = np.array([[0.0], [1.0], [2.0], [3.0]] * 10)
    y = (X[:, 0] > 1).astype(int)
    model = NASClassifier(**quicker)
    plus = model.fit(X, y).predict_proba(X)
    minus = model.fit(np.where(X == 0, -X, X), y).predict_proba(X)
    np.testing.assert_array_equal(plus, minus)


def test_class_weight_pulls_towards_its_class(quick):
    rng = np.random.RandomState(0)
    X = rng.normal(size=(300, 2))
    y = np.where(X[:, 0] + rng.normal(size=300) > 1.0, "rare", "common")
    share = {}
    for name, class_weight in {
        "none": None,
        "balanced": "balanced",
        "rare": {"rare": 50, "common": 1},
        "common": {"common": 50},
    }.items():
        model = NASClassifier(**quick, class_weight=class_weight).fit(X, y)
        share[name] = np.mean(model.predict(X) == "rare")
    assert share["common"] < share["none"] < share["balanced"] < share["rare"]


def test_a_class_of_weight_zero_is_known_but_not_predicted(quick):
    X, y = load_iris(return_X_y=True)
    model = NASClassifier(**quick, class_weight={0: 1, 1: 1, 2: 0}).fit(X, y)
    assert list(model.classes_) == [0, 1, 2]
    assert 2 not in model.predict(X)


@pytest.mark.parametrize("class_weight", [None, "balanced", {2: 3.0}])
def test_a_class_whose_rows_weigh_nothing_is_known_but_not_predicted(
    quick, class_weight
):
    X, y = load_iris(return_X_y=True)
    weight = (y != 2) * 1.0
    model = NASClassifier(**quick, class_weight=class_weight)
    model.fit(X, y, sample_weight=weight)
    assert list(model.classes_) == [0, 1, 2]
    assert model.predict_proba(X).shape == (150, 3)
    assert 2 not in model.predict(X)
    assert model.score(X, y, sample_weight=weight) > 0.9


@pytest.mark.parametrize("weight", [1e20, 1e30, 1e50])
def test_one_row_may_weigh_more_than_all_others(quick, weight):
    X, y = load_iris(return_X_y=True)
    weights = np.ones(len(y))
    weights[0] = weight
    model = NASClassifier(**quick).fit(X, y, sample_weight=weights)
    table = model.search_results_
    assert np.isfinite(table["shared_score"]).all()
    assert len(model.networks_) == quick["ensemble_size"]
    assert model.predict(X[:1]) == y[:1]


def test_score_takes_weights(fitted_mixed, mixed):
    X, y = mixed
    weight = np.random.RandomState(0).rand(len(y))
    expected = accuracy_score(y, fitted_mixed.predict(X), sample_weight=weight)
    assert fitted_mixed.score(X, y, sample_weight=weight) == expected


def test_weights_may_be_a_list_or_a_series(mixed, quicker):
    X, y = mixed
    times = np.random.RandomState(0).randint(0, 4, len(y))
    model = NASClassifier(**quicker)
    array, series, values = (
        model.fit(X, y, sample_weight=weight).predict_proba(X)
        for weight in (times, pd.Series(times), times.tolist())
    )
    np.testing.assert_array_equal(array, series)
    np.testing.assert_array_equal(array, values)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (-np.ones(150), "[Nn]egative"),
        (np.zeros(150), "[Ss]ample.weight.*zero"),
        (np.ones(149), "sample_weight"),
        (np.ones((150, 2)), "[Ss]ample.weight"),
        (np.full(150, np.nan), "NaN"),
        (np.full(150, np.inf), "inf"),
        (["heavy"] * 150, "heavy"),
    ],
)
def test_wrong_weights_are_refused(quick, weight, message):
    X, y = load_iris(return_X_y=True)
    model = NASClassifier(**quick)
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(X, y, sample_weight=weight)
    assert not hasattr(model, "classes_")


@pytest.mark.parametrize("weight", [-1.0, "many", None, np.nan])
def test_wrong_class_weights_are_refused(quick, weight):
    X, y = load_iris(return_X_y=True)
    model = NASClassifier(**quick, class_weight={0: 1, 1: weight, 2: 1})
    with pytest.raises((ValueError, TypeError), match="class_weight"):
        model.fit(X, y)


def test_class_weight_for_a_class_that_is_not_there_is_refused(quick):
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="class.weight"):
        NASClassifier(**quick, class_weight={"rose": 1.0}).fit(X, y)


@pytest.mark.parametrize("highest", [6, 20])
def test_rows_that_weigh_much_are_held_back_whole(highest):
    # noisy ones: with copies of each both learnt and held back, it would be learnt too
    rng = np.random.RandomState(0)
    X = rng.normal(size=(2300, 10))
    y = rng.rand(2300) < expit(1.2 * X[:, 0] - 0.8 * X[:, 1])
    weight = rng.randint(5, highest + 1, 300)
    model = NASClassifier(
        architecture=TabularSpace().default_architecture(),
        ensemble_size=1,
        random_state=0,
    ).fit(X[:300], y[:300], weight)
    assert log_loss(y[300:], model.predict_proba(X[300:])) < 0.65
    history = model.net_.history
    assert min(row["valid_loss"] for row in history if "valid_loss" in row) > 0.3
