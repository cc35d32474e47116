"""Losses of one or several predictors."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, mean_pinball_loss
from torch.nn import functional as F

from sknas.training import CrossEntropy, RegressionLoss, TokenLoss, log_mean_exp

N_HEADS, N_ROWS, N_CLASSES = 3, 10, 4


@pytest.fixture
def logits():
    return 2 * torch.randn(
        N_HEADS, N_ROWS, N_CLASSES, generator=torch.Generator().manual_seed(0)
    )


TARGET = torch.arange(N_ROWS) % N_CLASSES
WEIGHT = torch.linspace(0.2, 1.8, N_ROWS)


class TestEvaluation:
    def test_it_judges_the_mean_probability_of_the_predictors(self, logits):
        loss = CrossEntropy().eval()(logits, TARGET, WEIGHT)
        probability = logits.softmax(dim=2).mean(dim=0).numpy()
        expected = log_loss(TARGET, probability, sample_weight=WEIGHT)
        assert loss.item() == pytest.approx(expected, rel=1e-5)

    def test_scaling_all_weights_changes_nothing(self, logits):
        criterion = CrossEntropy().eval()
        one, other = (criterion(logits, TARGET, w) for w in (WEIGHT, 7 * WEIGHT))
        torch.testing.assert_close(one, other)


class TestTraining:
    def test_it_is_the_mean_of_the_predictors_losses(self, logits):
        criterion = CrossEntropy()
        together = criterion(logits, TARGET, WEIGHT)
        alone = torch.stack([criterion(head, TARGET, WEIGHT) for head in logits])
        torch.testing.assert_close(together, alone.mean())

    def test_predictors_that_differ_lose_more_than_their_mean_does(self, logits):
        criterion = CrossEntropy()
        weight = torch.ones(N_ROWS)
        training = criterion(logits, TARGET, weight)
        evaluation = criterion.eval()(logits, TARGET, weight)
        assert training > evaluation + 0.1

    def test_rows_of_weight_two_pull_as_two_rows(self, logits):
        criterion = CrossEntropy()
        weight = torch.ones(N_ROWS)
        weight[3] = 2.0
        index = torch.tensor([*range(N_ROWS), 3])
        weighted = criterion(logits, TARGET, weight) * N_ROWS
        repeated = criterion(logits[:, index], TARGET[index], torch.ones(len(index)))
        torch.testing.assert_close(weighted, repeated * len(index))

    def test_a_batch_of_light_rows_pulls_less_than_one_of_heavy_rows(self, logits):
        criterion = CrossEntropy()
        light, heavy = (criterion(logits, TARGET, w * WEIGHT) for w in (0.5, 2.0))
        torch.testing.assert_close(4 * light, heavy)

    def test_each_predictor_may_have_rows_of_its_own(self, logits):
        criterion = CrossEntropy()
        target = torch.stack([TARGET, TARGET.flip(0), TARGET.roll(1)])
        weight = torch.stack([WEIGHT, WEIGHT.flip(0), WEIGHT.roll(1)])
        alone = [
            criterion(*of_head) for of_head in zip(logits, target, weight, strict=True)
        ]
        torch.testing.assert_close(
            criterion(logits, target, weight), torch.stack(alone).mean()
        )

    def test_every_predictor_gets_a_gradient_of_its_own_mistakes(self, logits):
        logits.requires_grad_()
        CrossEntropy()(logits, TARGET, torch.ones(N_ROWS)).backward()
        one_hot = F.one_hot(TARGET, N_CLASSES)
        expected = (logits.softmax(dim=2) - one_hot) / (N_HEADS * N_ROWS)
        torch.testing.assert_close(logits.grad, expected)


class TestPredictions:
    def test_probabilities_are_averaged_over_predictors(self, logits):
        expected = logits.softmax(dim=2).mean(dim=0)
        torch.testing.assert_close(CrossEntropy.predict(logits), expected)
        torch.testing.assert_close(CrossEntropy.join(logits), expected.log())

    def test_one_predictor_is_itself_with_and_without_its_axis(self, logits):
        for given in (logits[0], logits[:1]):
            torch.testing.assert_close(
                CrossEntropy.predict(given), logits[0].softmax(dim=1)
            )

    def test_extreme_logits_give_finite_losses(self, logits):
        log_probability = CrossEntropy.join(1e4 * logits)
        assert log_probability.isfinite().all()
        loss = CrossEntropy().eval()(1e4 * logits, TARGET, WEIGHT)
        assert np.isfinite(loss.item())


class TestRegressionLoss:
    @pytest.fixture
    def target(self):
        return torch.randn(
            N_ROWS, N_CLASSES, generator=torch.Generator().manual_seed(1)
        )

    LOSSES = {
        "squared_error": lambda error: error**2,
        "absolute_error": np.abs,
        "quantile": lambda error: np.where(error > 0, 0.8 * error, -0.2 * error),
    }

    @pytest.mark.parametrize("loss", list(LOSSES))
    def test_it_judges_the_mean_of_the_predictors(self, logits, target, loss):
        value = RegressionLoss(loss, 0.8).eval()(logits, target, WEIGHT)
        error = (target - logits.mean(dim=0)).numpy()
        rows = self.LOSSES[loss](error).mean(axis=1)
        assert value.item() == pytest.approx(np.average(rows, weights=WEIGHT), rel=1e-5)

    @pytest.mark.parametrize("loss", list(LOSSES))
    def test_in_training_each_predictor_is_judged_alone(self, logits, target, loss):
        criterion = RegressionLoss(loss, 0.8)
        together = criterion(logits, target, WEIGHT)
        alone = torch.stack([criterion(head, target, WEIGHT) for head in logits])
        torch.testing.assert_close(together, alone.mean())

    def test_each_predictor_may_have_rows_of_its_own(self, logits, target):
        criterion = RegressionLoss()
        targets = torch.stack([target, target.flip(0), target.roll(1)])
        weights = torch.stack([WEIGHT, WEIGHT.flip(0), WEIGHT.roll(1)])
        alone = [criterion(*own) for own in zip(logits, targets, weights, strict=True)]
        torch.testing.assert_close(
            criterion(logits, targets, weights), torch.stack(alone).mean()
        )

    def test_the_pinball_loss_is_least_at_the_quantile(self):
        numbers = torch.linspace(0, 1, 101).unsqueeze(1)
        criterion = RegressionLoss("quantile", 0.9)
        losses = [
            criterion(torch.full((101, 1), guess), numbers, torch.ones(101)).item()
            for guess in (0.8, 0.9, 1.0)
        ]
        assert np.argmin(losses) == 1
        expected = mean_pinball_loss(numbers, np.full((101, 1), 0.9), alpha=0.9)
        assert losses[1] == pytest.approx(expected, rel=1e-5)

    def test_predictions_are_the_mean_of_the_predictors(self, logits):
        expected = logits.mean(dim=0)
        torch.testing.assert_close(RegressionLoss.predict(logits), expected)
        torch.testing.assert_close(RegressionLoss.predict(logits[0]), logits[0])


class TestTokens:
    outputs = torch.rand(4, 5, generator=torch.Generator().manual_seed(0)).log()
    counted = torch.tensor([[1.0] * 5, [1, 1, 0, 0, 0], [1] * 5, [1] * 5])

    def test_it_is_the_mean_over_the_tokens_that_count(self):
        losses = TokenLoss().row_losses(self.outputs, self.counted)
        assert losses[0].item() == pytest.approx(-self.outputs[0].mean().item())
        assert losses[1].item() == pytest.approx(-self.outputs[1, :2].mean().item())

    def test_several_networks_probabilities_are_averaged(self):
        both = torch.stack([self.outputs, self.outputs.flip(0)])
        expected = both.exp().mean(dim=0).log()
        torch.testing.assert_close(TokenLoss.join(both), expected)
        weight = torch.tensor([0.2, 0.8])
        expected = torch.tensordot(weight, both.exp(), dims=1).log()
        torch.testing.assert_close(log_mean_exp(both, weight), expected)

    @pytest.mark.parametrize("n_networks", [4, 6, 12])
    def test_a_row_is_averaged_the_same_alone_and_among_others(self, n_networks):
        generator = torch.Generator().manual_seed(0)
        values = torch.rand(n_networks, 100, 3, generator=generator).double().log()
        values[:, :2, 0] = -torch.inf
        weight = torch.arange(1.0, n_networks + 1).double() / (
            n_networks * (n_networks + 1) / 2
        )
        mean = log_mean_exp(values, weight)
        torch.testing.assert_close(
            mean.exp(), torch.tensordot(weight, values.exp(), dims=1)
        )
        alone = [log_mean_exp(values[:, i : i + 1], weight) for i in range(100)]
        assert torch.equal(torch.cat(alone), mean)
