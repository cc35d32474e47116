"""Rows of the training that are asked besides the networks."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss
from skorch.callbacks import Callback

import sknas.estimators._neighbors as neighbors_module
from sknas import NASClassifier, TabularSpace

DEFAULT = TabularSpace().default_architecture()
N_TRAIN = 1000


@pytest.fixture(scope="module")
def twins():
    """Make rows in tight groups, of which each has a class of its own by chance."""
    rng = np.random.RandomState(0)
    places, classes = rng.normal(size=(200, 4)), rng.randint(3, size=200)
    group = rng.randint(200, size=N_TRAIN + 300)
    X = places[group] + 0.02 * rng.normal(size=(len(group), 4))
    return X, classes[group]


def short_fit(X, y, sample_weight=None, **parameters):
    parameters = {"architecture": DEFAULT, "max_epochs": 3, "random_state": 0} | (
        parameters
    )
    return NASClassifier(**parameters).fit(X, y, sample_weight)


@pytest.fixture(scope="module")
def fitted(twins):
    X, y = twins
    return short_fit(X[:N_TRAIN], y[:N_TRAIN])


def alone(clf):
    """Give the same model, without its neighbors."""
    clf = pickle.loads(pickle.dumps(clf))
    clf.neighbors_ = None
    return clf


def test_where_rows_have_twins_they_are_asked(fitted, twins):
    X, y = (part[N_TRAIN:] for part in twins)
    assert len(fitted.neighbors_.rows) == N_TRAIN
    assert fitted.score(X, y) > 0.9 > alone(fitted).score(X, y)
    both = [log_loss(y, clf.predict_proba(X)) for clf in (fitted, alone(fitted))]
    assert both[0] < 0.7 * both[1]
    np.testing.assert_allclose(fitted.predict_proba(X).sum(axis=1), 1, rtol=1e-12)


def test_where_there_are_no_twins_they_are_not(twins):
    X, _ = twins
    rng = np.random.RandomState(0)
    assert short_fit(X, rng.randint(2, size=len(X))).neighbors_ is None


def test_where_networks_are_hardly_ever_wrong_they_are_not(monkeypatch):
    y = np.arange(N_TRAIN) % 2
    X = 5.0 * y[:, None] + np.random.RandomState(0).uniform(size=(N_TRAIN, 3))
    assert short_fit(X, y, max_epochs=20).neighbors_ is None
    monkeypatch.setattr(neighbors_module, "MIN_GAIN", 0.0)  # a gain there is
    assert short_fit(X, y, max_epochs=20).neighbors_ is not None


def test_only_what_is_near_is_left_to_neighbors(fitted, twins):
    X = twins[0][N_TRAIN:] + 100.0
    both = [clf.predict_proba(X) for clf in (fitted, alone(fitted))]
    np.testing.assert_allclose(*both, rtol=1e-6)


@pytest.mark.parametrize(
    "parameters",
    [{"neighbors": False}, {"ensemble_size": 1}, {"early_stopping": False}],
)
def test_by_parameters_they_are_not_asked(twins, parameters):
    assert short_fit(*twins, max_epochs=1, **parameters).neighbors_ is None


def test_of_few_rows_they_are_asked_if_one_says_so(twins):
    X, y = (part[:500] for part in twins)
    assert short_fit(X, y).neighbors_ is None
    asked = short_fit(X, y, neighbors=True, ensemble_size=1)
    assert len(asked.neighbors_.rows) == 500


def test_they_are_for_tables():
    X, y = np.zeros((20, 1, 8, 8)), np.arange(20) % 2
    with pytest.raises(ValueError, match="'neighbors' parameter is for tables"):
        NASClassifier(neighbors=True).fit(X, y)


def test_without_rows_held_back_there_is_nothing_to_judge_them_by(twins):
    with pytest.raises(ValueError, match="'neighbors' parameter is True, but"):
        short_fit(*twins, neighbors=True, early_stopping=False)


def test_a_row_is_answered_the_same_alone_and_among_others(fitted, twins):
    X = twins[0][N_TRAIN:]
    together = fitted.predict_log_proba(X)
    for size in (1, 7, 33):
        parts = [fitted.predict_log_proba(X[i : i + size]) for i in range(0, 99, size)]
        np.testing.assert_array_equal(np.concatenate(parts)[:99], together[:99])


def test_neither_order_nor_copies_change_them(fitted, twins):
    X, y = (part[:N_TRAIN] for part in twins)
    order = np.random.RandomState(1).permutation(N_TRAIN)
    shuffled = short_fit(X[order], y[order])
    for name, value in fitted.neighbors_.state_dict().items():
        np.testing.assert_array_equal(shuffled.neighbors_.state_dict()[name], value)
    weight = 1 + np.arange(N_TRAIN) % 2
    weighted = short_fit(X, y, weight)
    copied = short_fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    for name, value in weighted.neighbors_.state_dict().items():
        np.testing.assert_array_equal(copied.neighbors_.state_dict()[name], value)


def test_rows_of_more_weight_count_for_more(twins):
    X, y = twins
    weight = np.where(y == 0, 9.0, 1.0)
    log_weights = short_fit(X, y, weight).neighbors_.log_weights.numpy()
    np.testing.assert_allclose(np.ptp(log_weights), np.log(9.0), rtol=1e-5)


def test_rows_that_hardly_count_are_not_asked(twins):
    X, y = twins
    weight = np.where(np.arange(len(X)) < N_TRAIN, 1.0, 1e-9)
    clf = short_fit(X, y, weight)
    assert len(clf.neighbors_.rows) == N_TRAIN


def test_networks_that_hold_back_the_same_rows_are_one_judge(twins, monkeypatch):
    seen = []
    best = neighbors_module._best
    monkeypatch.setattr(
        neighbors_module, "_best", lambda *judged: seen.append(judged) or best(*judged)
    )
    X, y = (part[:400] for part in twins)
    short_fit(X, y, neighbors=True, ensemble_size=7, max_epochs=1)
    assert [len(part) for part in seen[0]] == [400] * 4


def test_a_fit_that_goes_on_trusts_them_as_much(twins):
    X, y = twins
    clf = short_fit(X[:N_TRAIN], y[:N_TRAIN], warm_start=True)
    before = clf.neighbors_
    clf.fit(X, y)
    assert clf.neighbors_.trust == before.trust > 0
    assert clf.neighbors_.width == before.width
    assert len(clf.neighbors_.rows) == len(X)


def test_a_fit_that_goes_on_without_them_has_none(twins):
    clf = short_fit(*twins, neighbors=False, warm_start=True)
    assert clf.set_params(neighbors=True).fit(*twins).neighbors_ is None


def test_no_more_are_kept_than_are_quick_to_ask(twins, monkeypatch):
    monkeypatch.setattr(neighbors_module, "MAX_ROWS", 800)
    assert len(short_fit(*twins).neighbors_.rows) == 800


def test_of_columns_without_number_hardly_any_row_is_kept(twins, monkeypatch):
    monkeypatch.setattr(neighbors_module, "MAX_VALUES", 1)
    X, y = (part[:20] for part in twins)
    # of this seed, a network holds back both of the two rows
    clf = short_fit(X, y, neighbors=True, random_state=8)
    assert clf.neighbors_ is None
    assert np.isfinite(clf.predict_log_proba(X)).all()


def test_categories_have_neighbors_too(twins):
    X, y = twins
    places = pd.DataFrame(np.round(X * 2)).astype(int).astype(str)
    clf = short_fit(places[:N_TRAIN], y[:N_TRAIN], max_epochs=1, neighbors=True)
    unseen = places[N_TRAIN:].copy()
    unseen.iloc[0] = "never seen"
    assert clf.neighbors_ is not None
    assert np.isfinite(clf.predict_log_proba(unseen)).all()
    assert clf.score(places[N_TRAIN:], y[N_TRAIN:]) > (
        alone(clf).score(places[N_TRAIN:], y[N_TRAIN:])
    )


def test_they_are_kept_in_files(fitted, twins):
    X = twins[0][N_TRAIN:]
    state = fitted.__getstate__()["neighbors_"]
    assert {type(value) for value in state.values()} == {np.ndarray}
    loaded = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))


def test_a_fit_that_was_killed_goes_on_to_the_same_ones(fitted, twins, tmp_path):
    X, y = (part[:N_TRAIN] for part in twins)
    started = []

    class Kill(Callback):
        def on_train_begin(self, net, **kwargs):
            started.append(net)
            if len(started) == 4:
                raise MemoryError

    clf = NASClassifier(
        architecture=DEFAULT, max_epochs=3, random_state=0, checkpoint=tmp_path
    )
    with pytest.raises(MemoryError):
        clf.set_params(callbacks=[Kill()]).fit(X, y)
    clf.set_params(callbacks=None).fit(X, y)
    for name, value in fitted.neighbors_.state_dict().items():
        np.testing.assert_array_equal(clf.neighbors_.state_dict()[name], value)
