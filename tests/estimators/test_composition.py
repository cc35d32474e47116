import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
)
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier

from sknas import ENAS, NASClassifier, RandomSearch, TabularSpace


@pytest.fixture
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return X[::3], y[::3]


@pytest.fixture
def tiny(quick):
    """A classifier that takes a tenth of a second."""
    return NASClassifier(
        **quick
        | {
            "ensemble_size": 1,
            "max_epochs": 24,
            "search_epochs": 1,
            "n_candidates": 1,
        },
        batch_size=64,
    )


def test_a_pipeline_with_a_scaler_learns(iris, quick):
    quick |= {"max_epochs": 16}
    model = make_pipeline(StandardScaler(), NASClassifier(**quick)).fit(*iris)
    assert model.score(*iris) > 0.9
    assert list(model.classes_) == [0, 1, 2]


def test_cross_val_score_is_the_same_in_two_processes(iris, tiny):
    alone = cross_val_score(tiny, *iris, cv=3)
    assert alone.mean() > 0.8
    np.testing.assert_array_equal(cross_val_score(tiny, *iris, cv=3, n_jobs=2), alone)


def test_cross_val_predict_gives_probabilities(iris, tiny):
    probability = cross_val_predict(tiny, *iris, cv=2, method="predict_proba")
    np.testing.assert_allclose(probability.sum(axis=1), 1)


def test_grid_search_over_own_and_nested_parameters(iris, tiny):
    tiny.set_params(strategy=ENAS(), search_space=TabularSpace())
    search = GridSearchCV(
        tiny,
        {
            "ensemble_size": [1, 2],
            "strategy__entropy_weight": [0.0, 0.1],
            "search_space__widths": [(16,)],
        },
        cv=2,
    ).fit(*iris)
    assert not np.isnan(search.cv_results_["mean_test_score"]).any()
    best = search.best_estimator_
    assert best.strategy.entropy_weight in (0.0, 0.1)
    assert best.architecture_["width_1"] == 16
    assert tiny.strategy.entropy_weight == ENAS().entropy_weight


def test_grid_search_in_two_processes_finds_the_same(iris, tiny):
    grid = {"lr": [1e-3, 3e-3], "strategy": [ENAS(), RandomSearch()]}
    one, two = (GridSearchCV(tiny, grid, cv=2, n_jobs=n).fit(*iris) for n in (None, 2))
    for name in ("mean_test_score", "rank_test_score"):
        np.testing.assert_array_equal(one.cv_results_[name], two.cv_results_[name])


def test_halving_grid_search_spends_epochs(iris, tiny):
    search = HalvingGridSearchCV(
        tiny,
        {"lr": [1e-4, 3e-3, 1e-2]},
        resource="max_epochs",
        min_resources=3,
        max_resources=12,
        cv=2,
        random_state=0,
    ).fit(*iris)
    assert search.best_estimator_.max_epochs in (9, 12)
    assert search.score(*iris) > 0.7


def test_clones_are_unfitted_and_keep_all_parameters(iris, tiny):
    tiny.set_params(strategy=ENAS(entropy_weight=0.5))
    fitted = clone(tiny).fit(*iris)
    copy = clone(fitted)
    with pytest.raises(NotFittedError):
        copy.predict(iris[0])
    assert copy.strategy is not fitted.strategy
    assert repr(copy) == repr(tiny)
    np.testing.assert_array_equal(
        copy.fit(*iris).predict_proba(iris[0]), fitted.predict_proba(iris[0])
    )


def test_fit_leaves_the_parameters_as_they_were(iris, tiny):
    strategy, space = ENAS(), TabularSpace()
    tiny.set_params(strategy=strategy, search_space=space)
    before = repr(tiny)
    tiny.fit(*iris)
    assert repr(tiny) == before
    assert tiny.strategy is strategy and tiny.search_space is space
    assert not [name for name in vars(strategy) if name.endswith("_")]


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
def test_calibration(cancer, tiny, method):
    X, y = cancer
    model = CalibratedClassifierCV(tiny, method=method, cv=2).fit(X, y)
    assert model.score(X, y) > 0.85


def test_calibration_of_a_frozen_classifier(cancer, tiny):
    X, y = cancer
    frozen = FrozenEstimator(tiny.fit(X, y))
    model = CalibratedClassifierCV(frozen, cv=3).fit(X, y)
    assert model.score(X, y) > 0.85


def test_stacking(cancer, tiny):
    X, y = cancer
    model = StackingClassifier(
        [
            ("nas", tiny),
            ("line", make_pipeline(StandardScaler(), LogisticRegression())),
        ],
        cv=2,
    ).fit(X, y)
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize("voting", ["hard", "soft"])
def test_voting(iris, tiny, voting):
    X, y = iris
    other = clone(tiny).set_params(random_state=1)
    model = VotingClassifier([("a", tiny), ("b", other)], voting=voting).fit(X, y)
    assert model.score(X, y) > 0.8


def test_bagging_and_boosting(iris, tiny):
    X, y = iris
    for model in (
        BaggingClassifier(tiny, n_estimators=2, max_features=0.5, random_state=0),
        AdaBoostClassifier(tiny, n_estimators=2, random_state=0),
    ):
        assert model.fit(X, y).score(X, y) > 0.6


def test_a_tuned_threshold(cancer, tiny):
    X, y = cancer
    model = TunedThresholdClassifierCV(tiny, scoring="f1", cv=2).fit(X, y)
    assert 0 <= model.best_threshold_ <= 1
    assert model.score(X, y) > 0.85


def test_self_training_uses_rows_without_labels(iris, tiny):
    X, y = iris
    partly = np.where(np.arange(len(y)) % 3 == 0, y, -1)
    model = SelfTrainingClassifier(tiny, max_iter=2).fit(X, partly)
    assert model.score(X, y) > 0.7


def test_several_targets(iris, tiny):
    X, y = iris
    targets = np.column_stack([y, y > 0])
    model = MultiOutputClassifier(tiny).fit(X, targets)
    assert model.predict(X).shape == targets.shape
    assert model.score(X, targets) > 0.8


def test_permutation_importance_finds_the_column_that_matters(tiny):
    X = np.random.RandomState(0).normal(size=(200, 3))
    y = X[:, 1] > 0
    result = permutation_importance(tiny.fit(X, y), X, y, n_repeats=3, random_state=0)
    assert result.importances_mean.argmax() == 1


def test_sample_weight_is_routed_through_pipeline_and_grid_search(iris, tiny):
    X, y = iris
    weight = np.where(y == 2, 0, 1)
    with sklearn.config_context(enable_metadata_routing=True):
        classifier = tiny.set_fit_request(sample_weight=True)
        classifier.set_score_request(sample_weight=True)
        model = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False), classifier
        )
        search = GridSearchCV(model, {"nasclassifier__lr": [1e-3, 3e-3]}, cv=2)
        search.fit(X, y, sample_weight=weight)
    # rows of the last class weighed nothing
    assert 2 not in search.predict(X)


def test_html_repr_tells_of_parameters(tiny):
    assert "ensemble_size" in tiny._repr_html_()
