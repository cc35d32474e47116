"""Scorers as rewards, on data that batches of rewards do not show whole."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import accuracy_score, f1_score, get_scorer, make_scorer
from sklearn.model_selection import cross_val_predict
from skorch.callbacks import Callback

from sknas import NASClassifier, NASRegressor
from sknas.search import ClassifierReward, RegressorReward

X = np.random.RandomState(0).normal(size=(700, 3))
rare = (X[:, 0] > np.sort(X[:, 0])[-21]).astype(int)  # 20 of 700


@pytest.mark.parametrize(
    "scoring",
    ["roc_auc", "average_precision", "f1", "neg_log_loss", "matthews_corrcoef"],
)
@pytest.mark.filterwarnings("error")
def test_a_rare_class(quick, scoring):
    model = NASClassifier(**quick, scoring=scoring).fit(X, rare)
    assert np.isfinite(model.search_results_["shared_score"]).all()


@pytest.mark.filterwarnings("ignore:The scorer could not judge")
def test_a_metric_that_some_predictions_are_not_for(quick):
    y = np.exp(3 * X[:, 0])
    model = NASRegressor(**quick, scoring="neg_mean_gamma_deviance").fit(X, y)
    assert len(model.search_results_["shared_score"]) > 1


def test_only_the_network_that_a_metric_is_not_for_gets_no_number():
    reward = RegressorReward(get_scorer("neg_mean_squared_log_error"), np.ravel)
    outputs = torch.tensor([[[1.0], [2.0]], [[-5.0], [2.0]], [[1.0], [3.0]]])
    rewards = reward(outputs, torch.tensor([[1.0], [2.0]]), torch.ones(2))
    assert np.isnan(rewards).tolist() == [False, True, False]


def test_scorers_may_look_at_what_they_are_given(quick):
    seen = []

    def scorer(estimator, X, y):
        seen.append((repr(estimator), clone(estimator).classes_.tolist()))
        return np.mean(estimator.predict(X) == y)

    NASClassifier(**quick, scoring=scorer).fit(X, np.where(rare, "rare", "usual"))
    assert {tuple(classes) for _, classes in seen} == {("rare", "usual")}


def test_candidates_that_a_scorer_cannot_judge_are_told_of(quick):
    calls = []

    def scorer(estimator, X, y):
        calls.append(1)
        if len(calls) > 1:
            raise ValueError("it is full moon")
        return 1.0

    with pytest.warns(UserWarning, match="could not judge 3 of 3.*full moon"):
        NASClassifier(**quick, scoring=scorer).fit(X, rare)


def test_a_scorer_that_gives_no_number_is_told_of_at_the_users_line(quick):
    model = NASClassifier(**quick, scoring=lambda estimator, X, y: np.nan)
    with pytest.warns(UserWarning, match="could not judge 3 of 3.*nan") as caught:
        cross_val_predict(model, X, rare, cv=2)
    assert {warning.filename for warning in caught} == {__file__}


def test_scorers_of_answers_that_differ(quick):
    def scorer(estimator, X, y):
        ranks = pd.qcut(estimator.predict_proba(X)[:, 1], 4, labels=False)
        return float(np.corrcoef(ranks, y)[0, 1])

    model = NASClassifier(**quick, scoring=scorer).fit(X, X[:, 0] > 0)
    assert np.isfinite(model.search_results_["shared_score"]).all()


@pytest.mark.parametrize(
    "scoring",
    [
        accuracy_score,
        lambda estimator, X, y: {"accuracy": 1.0},
        lambda estimator, X: 1.0,
        lambda estimator, X, y: np.ones(2),
        lambda estimator, X, y: "0.5",
        lambda estimator, X, y: None,
        max,
        dict,
    ],
)
def test_what_is_no_scorer_is_told_before_anything_is_trained(quick, scoring):
    class NothingIsTrained(Callback):
        def on_train_begin(self, net, **kwargs):
            raise AssertionError("a training began")

    model = NASClassifier(**quick, scoring=scoring, callbacks=[NothingIsTrained()])
    with pytest.raises((TypeError, ValueError)) as raised:
        model.fit(X, rare)
    told = [str(raised.value), *getattr(raised.value, "__notes__", [])]
    assert any("'scoring' parameter of NASClassifier" in text for text in told)


def test_a_metric_is_told_to_be_none(quick):
    with pytest.raises(ValueError, match="'scoring'.*make_scorer"):
        NASClassifier(**quick, scoring=f1_score).fit(X, rare)


@pytest.mark.parametrize("scoring", ["rand_score", make_scorer(lambda y, p: 1.0)])
def test_a_metric_that_takes_no_weights(quick, scoring):
    y = (X[:, 0] > 1).astype(int)
    model = NASClassifier(**quick, scoring=scoring, class_weight="balanced").fit(X, y)
    assert np.isfinite(model.search_results_["shared_score"]).all()


def test_a_class_that_the_rows_lack_can_be_predicted():
    reward = ClassifierReward(get_scorer("accuracy"), np.array(["a", "b", "c"]))
    logits = torch.tensor([[[0.0, 0.0, 9.0]] * 4, [[9.0, 0.0, 0.0]] * 4])
    rewards = reward(logits, torch.tensor([0, 0, 0, 1]), torch.ones(4))
    assert rewards.tolist() == [0.0, 0.75]


def test_rows_of_one_class_give_no_number():
    reward = ClassifierReward(get_scorer("neg_log_loss"), np.array([0, 1]))
    rewards = reward(torch.zeros(2, 5, 2), torch.zeros(5, dtype=int), torch.ones(5))
    assert np.isnan(rewards).all()
