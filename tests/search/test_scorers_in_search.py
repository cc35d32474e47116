"""Scorers as rewards, on data that batches of rewards do not show whole."""

import numpy as np
import pytest
import torch
from sklearn.metrics import get_scorer, make_scorer

from sknas import NASClassifier, NASRegressor
from sknas.search import ClassifierReward

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


def test_a_metric_that_some_predictions_are_not_for(quick):
    y = np.exp(3 * X[:, 0])
    model = NASRegressor(**quick, scoring="neg_mean_gamma_deviance").fit(X, y)
    assert len(model.search_results_["shared_score"]) > 1


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
