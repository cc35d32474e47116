import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV

from sknas import (
    ENAS,
    Architecture,
    NASClassifier,
    NASRegressor,
    SequenceSpace,
    TabularSpace,
)

X, y = load_iris(return_X_y=True)
PLAIN = TabularSpace().default_architecture()


@pytest.fixture(scope="module")
def searched():
    return NASClassifier(
        max_epochs=8, search_epochs=3, n_candidates=6, ensemble_size=2, random_state=0
    ).fit(X, y)


def test_the_default_architecture_has_a_name(quick):
    by_name, by_value = (
        NASClassifier(**quick, architecture=given).fit(X, y)
        for given in ("default", PLAIN)
    )
    assert by_name.architectures_ == [PLAIN, PLAIN]
    assert by_name.get_params()["architecture"] == "default"
    np.testing.assert_array_equal(by_name.predict_proba(X), by_value.predict_proba(X))
    both = NASClassifier(**quick, architecture=["default", PLAIN.to_json()]).fit(X, y)
    assert both.architectures_ == [PLAIN, PLAIN]
    images = X.reshape(-1, 2, 2)  # of which the space is chosen by their size
    clf = NASClassifier(**quick, architecture="default").fit(images, y)
    assert clf.architecture_ == clf.space_.default_architecture()


def test_a_found_architecture_is_trained_without_search(searched, quick):
    found = searched.architecture_
    assert isinstance(found, Architecture)
    for given in (found, found.to_json(), [found], [found.to_json()], (found,)):
        model = NASClassifier(**quick, architecture=given).fit(X, y)
        assert model.architectures_ == [found, found]
        assert model.architecture_ == found
        assert len(model.search_results_) == 0
        assert model.history_ == []
        assert model.search_time_ == 0
        assert model.refit_time_ > 0
        assert model.score(X, y) > 0.8


def test_all_forms_of_an_architecture_give_the_same_model(searched, quicker):
    found = searched.architecture_
    one, other = (
        NASClassifier(**quicker, architecture=given).fit(X, y).predict_proba(X)
        for given in (found, found.to_json())
    )
    np.testing.assert_array_equal(one, other)


def test_of_a_list_each_is_trained(searched, quick):
    default = TabularSpace().default_architecture()
    given = [searched.architecture_, default, searched.architecture_.to_json()]
    model = NASClassifier(**quick, architecture=given).fit(X, y)
    assert model.architectures_ == [given[0], default, given[0]]
    assert len(model.networks_) == 3
    four = NASClassifier(**quick | {"ensemble_size": 4}, architecture=given).fit(X, y)
    assert four.architectures_ == [given[0], default, given[0], given[0]]
    assert clone(model).architecture == given


def test_architectures_can_be_searched_over(searched, quick):
    found, default = searched.architecture_, TabularSpace().default_architecture()
    quick |= {"max_epochs": 1, "search_epochs": 1, "ensemble_size": 1}
    grid = {"architecture": [None, found, default.to_json(), [found, default]]}
    search = GridSearchCV(NASClassifier(**quick), grid, cv=2).fit(X, y)
    assert list(search.cv_results_["param_architecture"]) == grid["architecture"]
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_an_architecture_of_a_space_of_ones_own_options(quick):
    space = TabularSpace(depths=(2,), widths=(16,), n_heads=1)
    model = NASClassifier(space, **quick).fit(X, y)
    assert {a["width_1"] for a in model.architectures_} == {16}
    again = NASClassifier(space, **quick, architecture=model.architecture_).fit(X, y)
    assert again.score(X, y) > 0.8


@pytest.mark.parametrize("ensemble_size", [2, 3, 4])
def test_every_other_network_has_the_default_architecture(quick, ensemble_size):
    quick |= {"ensemble_size": ensemble_size, "max_epochs": 1, "n_candidates": 6}
    model = NASClassifier(**quick).fit(X, y)
    ranked = list(map(Architecture.from_json, model.search_results_["architecture"]))
    default = TabularSpace().default_architecture()
    expected = [ranked[0], default, ranked[1], default][:ensemble_size]
    assert model.architectures_ == expected


def test_the_best_architecture_is_one_that_was_found(quick):
    quick |= {"ensemble_size": 4, "max_epochs": 1, "n_candidates": 6}
    for seed in range(6):  # twice the default one does best
        model = NASClassifier(**quick | {"random_state": seed}).fit(X, y)
        found = model.search_results_["architecture"][:2]
        assert model.architecture_.to_json() in found


@pytest.mark.parametrize("is_long", [True, False])
def test_the_default_architecture_comes_first_where_a_search_took_long(
    quick, is_long, monkeypatch
):
    if is_long:
        monkeypatch.setattr("sknas.estimators._run.SEARCH_TIMES", 1e9)
    quick |= {"ensemble_size": 3, "max_epochs": 1, "n_candidates": 6}
    model = NASClassifier(**quick, time_limit=1000).fit(X, y)
    ranked = list(map(Architecture.from_json, model.search_results_["architecture"]))
    default = TabularSpace().default_architecture()
    if is_long:
        assert model.architectures_ == [default, ranked[0], default]
    else:
        assert model.architectures_ == [ranked[0], default, ranked[1]]


@pytest.mark.parametrize("name", ["space_", "data_spec_"])
def test_what_a_fit_leaves_is_not_there_before_it(name):
    assert not hasattr(NASClassifier(), name)
    with pytest.raises(NotFittedError):
        getattr(NASClassifier(), name)


def test_one_network_is_one_plain_network(quick):
    model = NASClassifier(**quick | {"ensemble_size": 1}).fit(X, y)
    assert len(model.networks_) == len(model.architectures_) == 1
    assert model.architectures_ == [model.architecture_]


def test_search_results_load_into_a_frame(searched):
    frame = pd.DataFrame(searched.search_results_)
    assert 1 < len(frame) <= 6
    assert list(frame["rank"]) == list(range(1, len(frame) + 1))
    assert frame["architecture"].is_unique
    best = Architecture.from_json(frame["architecture"][0])
    assert best in searched.architectures_
    for name in ("shared_score", "n_parameters", "fit_time", "n_epochs"):
        assert np.isfinite(frame[name].astype(float)).all()
    assert (frame["n_parameters"] > 0).all()
    assert (frame["score"].notna() == frame["trained"]).all()
    trained = frame[frame["trained"]]
    assert (trained["n_epochs"] > 0).all()
    for text, width in zip(
        frame["architecture"], frame["decision_width_1"], strict=True
    ):
        assert Architecture.from_json(text)["width_1"] == width
    deep = frame["decision_n_layers"] > 1
    assert (frame["decision_width_2"].notna() == deep).all()


def test_the_history_tells_of_each_epoch(searched):
    assert len(searched.history_) == 3
    assert [row["epoch"] for row in searched.history_] == [1, 2, 3]
    assert all(np.isfinite(row["train_loss"]) for row in searched.history_)
    assert np.isfinite(searched.history_[-1]["controller_reward"])
    assert np.isfinite(searched.history_[-1]["controller_entropy"])
    assert searched.search_time_ > 0 and searched.refit_time_ > 0


def test_the_net_is_that_of_the_best_network(searched):
    best = searched.architectures_.index(searched.architecture_)
    assert searched.net_.module_ is searched.networks_[best]
    assert len(searched.net_.history) >= searched.n_iter_ >= 1
    inputs = searched.encode(X)
    probability = searched.net_.predict_proba(inputs)
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)
    assert np.mean(probability.argmax(axis=1) == y) > 0.8


def test_random_search_learns_nothing(quick):
    model = NASClassifier(**quick, strategy="random").fit(X, y)
    assert model.score(X, y) > 0.8
    assert "controller_entropy" not in model.history_[-1]


@pytest.mark.parametrize(
    ("estimator", "parameters", "n_heads"),
    [
        (NASClassifier, {}, 3),
        (NASRegressor, {}, 4),
        (NASClassifier, {"ensemble_size": 1}, 1),
        (NASRegressor, {"ensemble_size": 1}, 1),
        (NASRegressor, {"search_space": TabularSpace()}, 3),
        (NASClassifier, {"search_space": TabularSpace(n_heads=2)}, 2),
    ],
)
def test_how_many_predictors_a_network_holds(quicker, estimator, parameters, n_heads):
    model = estimator(**quicker | {"architecture": PLAIN} | parameters).fit(X, y)
    assert [network.head.weight.shape[0] for network in model.networks_] == [
        n_heads
    ] * len(model.networks_)


def test_without_early_stopping_all_epochs_run_on_all_rows(quick):
    model = NASClassifier(**quick, early_stopping=False).fit(X, y)
    assert model.n_iter_ == quick["max_epochs"]
    assert "valid_loss" not in model.net_.history[-1]


def test_one_epoch_and_one_candidate_suffice(quick):
    quick |= {"max_epochs": 1, "search_epochs": 1, "n_candidates": 1}
    model = NASClassifier(**quick).fit(X, y)
    assert model.predict(X).shape == y.shape


def test_warm_start_goes_on(quick):
    model = NASClassifier(**quick | {"max_epochs": 2}, warm_start=True).fit(X, y)
    cold = NASClassifier(**quick | {"max_epochs": 2}).fit(X, y)
    first = model.predict_proba(X)
    np.testing.assert_array_equal(first, cold.predict_proba(X))
    architectures = model.architectures_
    losses = [log_loss(y, first)]
    for _ in range(3):
        model.fit(X, y)
        losses.append(log_loss(y, model.predict_proba(X)))
        assert model.architectures_ == architectures
        assert len(model.search_results_) == 0
    assert losses[-1] < losses[0] - 0.05


def test_warm_start_on_other_rows(quick):
    model = NASClassifier(**quick, warm_start=True).fit(X[::2], y[::2])
    assert model.fit(X[1::2], y[1::2]).score(X, y) > 0.8


def test_warm_start_does_not_ask_what_is_searched_by_then(quick):
    model = NASClassifier(**quick, warm_start=True).fit(X, y)
    space = TabularSpace(depths=(1,), n_heads=1)
    model.set_params(architecture=model.architecture_, search_space=space).fit(X, y)
    model.set_params(search_space="conv-macro").fit(X, y)
    assert model.score(X, y) > 0.8


def test_warm_start_on_texts_that_look_like_a_table(quick):
    tokens = np.random.RandomState(0).randint(1, 9, (60, 8))
    y = (tokens == 3).any(axis=1)
    plain = SequenceSpace().default_architecture()
    model = NASClassifier(**quick | {"search_space": "auto", "architecture": plain})
    model.set_params(warm_start=True, n_tokens=9).fit(tokens, y)
    model.set_params(n_tokens=None).fit(tokens, y)
    assert model.predict(tokens).shape == (60,)
    with pytest.raises(ValueError, match="X is text.*TokenEncoder"):
        model.fit(["a good film"] * 60, y)


def test_warm_start_with_more_members(quick):
    model = NASClassifier(**quick, warm_start=True).fit(X, y)
    model.set_params(ensemble_size=3).fit(X, y)
    assert len(model.networks_) == len(model.architectures_) == 3


@pytest.mark.parametrize(
    "other", [y + 1, np.where(y == 2, 1, y), np.array(["a", "b", "c"])[y]]
)
def test_warm_start_with_other_classes_is_refused(quick, other):
    model = NASClassifier(**quick, warm_start=True).fit(X, y)
    expected = model.predict_proba(X)
    with pytest.raises(ValueError, match="warm_start.*classes"):
        model.fit(X, other)
    np.testing.assert_array_equal(model.predict_proba(X), expected)


def test_warm_start_with_other_columns_is_refused(quick):
    model = NASClassifier(**quick, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="features"):
        model.fit(X[:, 1:], y)
    assert model.score(X, y) > 0.8


def test_without_warm_start_another_fit_forgets_all(quicker, mixed):
    model = NASClassifier(**quicker).fit(*mixed)
    model.fit(X, y)
    assert not hasattr(model, "feature_names_in_")
    expected = NASClassifier(**quicker).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(model.predict_proba(X), expected)


def test_the_strategy_given_may_be_used_again(quicker):
    strategy = ENAS(entropy_weight=0.05)
    one = NASClassifier(**quicker, strategy=strategy).fit(X, y)
    two = NASClassifier(**quicker, strategy=strategy).fit(X, y)
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
