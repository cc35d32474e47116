"""What predictions on held-back rows are worth."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    get_scorer,
    log_loss,
    mean_absolute_error,
    mean_pinball_loss,
    mean_squared_error,
    r2_score,
    roc_auc_score,
)

from sknas.search import ClassifierReward, NegativeLoss, RegressorReward
from sknas.training import CrossEntropy, RegressionLoss

N_ROWS = 60
# for each scorer its metric, and whether it reads probabilities
METRICS = {
    "accuracy": (accuracy_score, False),
    "balanced_accuracy": (balanced_accuracy_score, False),
    "f1_macro": (partial(f1_score, average="macro"), False),
    "roc_auc_ovr": (partial(roc_auc_score, multi_class="ovr"), True),
    "neg_log_loss": (lambda *a, **k: -log_loss(*a, **k), True),
}


@pytest.fixture(params=["unweighted", "weighted"])
def weight(request):
    rng = np.random.RandomState(2)
    weight = rng.uniform(0.1, 3, N_ROWS) if request.param == "weighted" else None
    return np.ones(N_ROWS) if weight is None else weight


def predictions(n_classes, n_architectures=3):
    rng = np.random.RandomState(0)
    logits = rng.normal(size=(n_architectures, N_ROWS, n_classes))
    target = np.arange(N_ROWS) % n_classes
    probability = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    return torch.tensor(logits, dtype=torch.float32), torch.tensor(target), probability


def as_weight(weight):
    return torch.tensor(weight, dtype=torch.float32)


class TestNegativeLoss:
    def test_it_is_scikit_learns_log_loss_of_each_architecture(self, weight):
        logits, target, probability = predictions(3)
        rewards = NegativeLoss(CrossEntropy())(logits, target, as_weight(weight))
        expected = [-log_loss(target, p, sample_weight=weight) for p in probability]
        np.testing.assert_allclose(rewards, expected, rtol=1e-5)

    def test_log_probabilities_are_as_good_as_logits(self):
        logits, target, _ = predictions(3)
        rewards = [
            NegativeLoss(CrossEntropy())(x, target, torch.ones(N_ROWS))
            for x in (logits, logits.log_softmax(dim=2))
        ]
        np.testing.assert_allclose(*rewards, rtol=1e-5)

    def test_certain_mistakes_give_finite_rewards(self):
        logits, target, _ = predictions(3)
        rewards = NegativeLoss(CrossEntropy())(1e4 * logits, target, torch.ones(N_ROWS))
        assert np.isfinite(rewards).all() and (rewards < -100).all()


class TestClassifierReward:
    classes = np.array(["ant", "bee", "cat"])

    @pytest.mark.parametrize("scoring", list(METRICS))
    def test_it_is_the_scorer_on_the_users_labels(self, scoring, weight):
        logits, target, probability = predictions(3)
        reward = ClassifierReward(get_scorer(scoring), self.classes)
        rewards = reward(logits, target, as_weight(weight))
        metric, reads_probabilities = METRICS[scoring]
        expected = [
            metric(
                self.classes[target],
                p if reads_probabilities else self.classes[p.argmax(axis=1)],
                sample_weight=weight,
            )
            for p in probability
        ]
        np.testing.assert_allclose(rewards, expected, rtol=1e-5)

    @pytest.mark.filterwarnings("error")
    def test_classes_that_are_never_predicted_are_no_cause_to_warn(self):
        logits, target, _ = predictions(3)
        logits[..., 2] = -100
        reward = ClassifierReward(get_scorer("precision_macro"), self.classes)
        assert np.isfinite(reward(logits, target, torch.ones(N_ROWS))).all()

    def test_roc_auc_of_two_classes_reads_the_second_ones_probability(self):
        logits, target, probability = predictions(2)
        reward = ClassifierReward(get_scorer("roc_auc"), np.array(["no", "yes"]))
        rewards = reward(logits, target, torch.ones(N_ROWS))
        for own, p in zip(rewards, probability[:, :, 1], strict=True):
            above = p[target.numpy() == 1][:, None] > p[target.numpy() == 0]
            assert own == pytest.approx(above.mean())

    @pytest.mark.parametrize("scoring", ["accuracy", "neg_log_loss", "roc_auc_ovr"])
    def test_a_network_that_diverged_gets_no_number_and_the_others_theirs(
        self, scoring
    ):
        logits, target, _ = predictions(3)
        reward = ClassifierReward(get_scorer(scoring), self.classes)
        expected = reward(logits, target, torch.ones(N_ROWS))
        logits[1] = torch.nan
        rewards = reward(logits, target, torch.ones(N_ROWS))
        assert rewards[[0, 2]].tolist() == expected[[0, 2]].tolist()
        assert not np.isfinite(rewards[1])

    def test_a_callable_that_takes_no_weights_can_judge_weighted_rows(self, weight):
        # equal rows are merged, so that weights differ where a user gave none
        def scorer(estimator, X, y):
            return float((estimator.predict(X) == y).mean())

        logits, target, _ = predictions(3)
        rewards = ClassifierReward(scorer, self.classes)(
            logits, target, as_weight(weight)
        )
        assert rewards.shape == (3,) and (rewards > 0).all()


class TestRegression:
    @pytest.fixture
    def numbers(self):
        rng = np.random.RandomState(0)
        outputs, target = rng.normal(size=(3, N_ROWS, 2)), rng.normal(size=(N_ROWS, 2))
        return torch.tensor(outputs), torch.tensor(target)

    @pytest.mark.parametrize(
        ("loss", "metric"),
        [
            ("squared_error", mean_squared_error),
            ("absolute_error", mean_absolute_error),
            ("quantile", partial(mean_pinball_loss, alpha=0.3)),
        ],
    )
    def test_the_negative_loss_is_scikit_learns_metric(
        self, numbers, weight, loss, metric
    ):
        outputs, target = numbers
        reward = NegativeLoss(RegressionLoss(loss, 0.3))
        expected = [-metric(target, own, sample_weight=weight) for own in outputs]
        np.testing.assert_allclose(
            reward(outputs, target, torch.tensor(weight)), expected
        )

    @pytest.mark.parametrize("is_flat", [True, False])
    def test_a_scorer_sees_the_users_units_and_shape(self, numbers, weight, is_flat):
        outputs, target = numbers

        def unscale(values):
            values = 1000 + 50 * values
            return values[:, 0] if is_flat else values

        for scoring, metric in (
            ("r2", r2_score),
            ("neg_mean_absolute_error", lambda *a, **k: -mean_absolute_error(*a, **k)),
        ):
            reward = RegressorReward(get_scorer(scoring), unscale)
            rewards = reward(outputs, target, torch.tensor(weight))
            expected = [
                metric(
                    unscale(target.numpy()), unscale(o.numpy()), sample_weight=weight
                )
                for o in outputs
            ]
            np.testing.assert_allclose(rewards, expected)

    def test_a_network_that_diverged_gets_no_number(self, numbers):
        outputs, target = numbers
        outputs[1, 3] = torch.inf
        reward = RegressorReward(get_scorer("r2"), lambda values: values)
        rewards = reward(outputs, target, torch.ones(N_ROWS))
        assert np.isfinite(rewards).tolist() == [True, False, True]
