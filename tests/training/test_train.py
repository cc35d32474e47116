"""Training of one stand-alone network from beginning to end."""

import numpy as np
import pytest
import torch
from sklearn.utils import check_random_state
from skorch.callbacks import Callback
from small_training import SmallNet, loss_of, make_recipe, make_table, same

from sknas.training import (
    TrainingNet,
    load_weights,
    network_weights,
    train_network,
)


def test_losses_that_are_fetched_at_the_end_are_the_same(monkeypatch):
    def train():
        return train_network(
            SmallNet, make_table(64, 0), make_table(20, 1), make_recipe(), seed=0
        )

    waiting = train()
    monkeypatch.setattr(TrainingNet, "_waits_for_losses", lambda self: False)
    queued = train()
    for name in ("train_loss", "valid_loss"):
        assert [e[name] for e in queued.history] == pytest.approx(
            [e[name] for e in waiting.history], rel=1e-6
        )
    assert queued.score == pytest.approx(waiting.score, rel=1e-6)


class TestResult:
    def test_the_training_set_is_learnt(self):
        trained = train_network(
            SmallNet,
            make_table(128, 0),
            make_table(64, 1),
            make_recipe(max_epochs=30),
            seed=0,
        )
        losses = [row["train_loss"] for row in trained.history]
        assert losses[-1] < 0.5 * losses[0]
        assert trained.score > -0.35
        assert trained.n_epochs == len(trained.history) == 30
        assert trained.seconds > 0 and not trained.interrupted

    def test_it_holds_the_weights_of_the_best_epoch(self):
        # labels with noise and a high rate, so that later epochs are worse
        train, valid = make_table(40, 0, noise=2.0), make_table(30, 1, noise=2.0)
        plan = make_recipe(max_epochs=40, lr=0.2)
        trained = train_network(SmallNet, train, valid, plan, seed=0)
        losses = [row["valid_loss"] for row in trained.history]
        assert losses[-1] > min(losses) + 0.05
        assert trained.score == -min(losses)
        reached = loss_of(SmallNet, trained.weights, valid, plan.criterion)
        assert reached == pytest.approx(min(losses), rel=1e-5)

    def test_it_is_over_when_the_loss_has_not_improved_for_so_many_epochs(self):
        plan = make_recipe(max_epochs=100, lr=0.2, n_iter_no_change=4)
        trained = train_network(
            SmallNet,
            make_table(40, 0, noise=2.0),
            make_table(30, 1, noise=2.0),
            plan,
            seed=0,
        )
        losses = [row["valid_loss"] for row in trained.history]
        assert trained.n_epochs < 100
        assert len(losses) - 1 - int(np.argmin(losses)) == 4

    def test_an_improvement_by_less_than_the_tolerance_is_none(self):
        plan = make_recipe(max_epochs=100, n_iter_no_change=4, tol=0.05)
        valid = make_table(30, 1)
        trained = train_network(SmallNet, make_table(40, 0), valid, plan, seed=0)
        losses = [row["valid_loss"] for row in trained.history]
        assert trained.n_epochs < 100
        assert losses[-1] == min(losses) < losses[-5]
        assert trained.score == -losses[-5]
        reached = loss_of(SmallNet, trained.weights, valid, plan.criterion)
        assert reached == pytest.approx(losses[-5], rel=1e-5)

    def test_without_held_back_rows_all_epochs_run_and_the_last_counts(self):
        plan = make_recipe(max_epochs=7, n_iter_no_change=1, lr=0.5)
        trained = train_network(
            SmallNet, make_table(40, 0, noise=2.0), None, plan, seed=0
        )
        assert trained.n_epochs == 7
        assert np.isnan(trained.score)
        assert not any("valid_loss" in row for row in trained.history)

    @pytest.mark.parametrize("weighted", [False, True])
    def test_it_tells_the_standard_error_of_the_score(self, monkeypatch, weighted):
        monkeypatch.setattr("sknas.training._predict.PREDICTION_ROWS", 32)
        plan, valid = make_recipe(), make_table(80, 1, weighted, noise=1.0)
        trained = train_network(SmallNet, make_table(40, 0), valid, plan, seed=0)
        network = SmallNet().eval()
        load_weights(network, trained.weights)
        inputs, (target, weight) = valid[:]
        with torch.no_grad():
            losses = plan.criterion.row_losses(network(**inputs)[0], target).numpy()
        share = weight.numpy() / weight.sum().item()
        mean = share @ losses
        error = np.sqrt(share @ (losses - mean) ** 2 * (share @ share))
        assert trained.score == pytest.approx(-mean, rel=1e-5)
        assert trained.score_error == pytest.approx(error, rel=1e-4)

    @pytest.mark.parametrize("weighted", [False, True])
    def test_the_score_is_the_loss_on_all_held_back_rows(self, monkeypatch, weighted):
        # more rows than are predicted at a time
        monkeypatch.setattr("sknas.training._predict.PREDICTION_ROWS", 32)
        valid = make_table(75, 1, weighted=weighted)
        order = valid.weight.argsort()  # rows of like weights come together
        valid = valid.subset(order)
        plan = make_recipe()
        trained = train_network(SmallNet, make_table(64, 0), valid, plan, seed=0)
        expected = loss_of(SmallNet, trained.weights, valid, plan.criterion)
        assert -trained.score == pytest.approx(expected, rel=1e-5)

    def test_several_predictors_are_judged_by_their_mean(self):
        def build():
            return SmallNet(n_heads=3)

        plan, valid = make_recipe(), make_table(64, 1)
        trained = train_network(build, make_table(64, 0), valid, plan, seed=0)
        network = build().eval()
        load_weights(network, trained.weights)
        with torch.no_grad():
            probability = network(**valid.inputs).softmax(dim=2).mean(dim=0)
        own = probability.gather(1, valid.target.unsqueeze(1)).log().mean().item()
        assert trained.score == pytest.approx(own, rel=1e-4)

    def test_what_is_left_is_plain_values(self):
        trained = train_network(
            SmallNet, make_table(64, 0), make_table(32, 1), make_recipe(), seed=0
        )
        assert all(type(w) is np.ndarray for w in trained.weights.values())
        assert all("batches" not in row for row in trained.history)
        assert isinstance(trained.score, float)

    @pytest.mark.parametrize("optimizer", ["adam", "adamw", "muon", "sgd"])
    def test_every_optimizer_learns(self, optimizer):
        trained = train_network(
            SmallNet,
            make_table(128, 0),
            make_table(64, 1),
            make_recipe(max_epochs=20, optimizer=optimizer, lr=0.05),
            seed=0,
        )
        assert trained.score > -0.45

    def test_weight_decay_shrinks_the_weights(self):
        sizes = []
        for weight_decay in (0.0, 2.0):
            plan = make_recipe(max_epochs=20, weight_decay=weight_decay)
            trained = train_network(SmallNet, make_table(64, 0), None, plan, seed=0)
            sizes.append(np.abs(trained.weights["heads"]).mean())
        assert sizes[1] < 0.7 * sizes[0]


class TestSeed:
    def build(self):
        return lambda: SmallNet(dropout=0.2)

    def test_the_same_seed_gives_the_same_bits(self):
        runs = []
        for seed in (0, 0, 1):
            torch.randn(3)  # what was drawn before does not matter
            runs.append(
                train_network(
                    self.build(),
                    make_table(64, 0),
                    make_table(32, 1),
                    make_recipe(),
                    seed,
                )
            )
        assert same(runs[0].weights, runs[1].weights)
        assert runs[0].score == runs[1].score
        assert not same(runs[0].weights, runs[2].weights)

    def test_the_process_is_left_as_it_was_found(self):
        threads = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            numpy_generator = check_random_state(None)
            before = torch.get_rng_state(), numpy_generator.get_state()[1]
            train_network(
                self.build(),
                make_table(64, 0),
                make_table(32, 1),
                make_recipe(),
                seed=0,
            )
            assert torch.get_rng_state().equal(before[0])
            assert (numpy_generator.get_state()[1] == before[1]).all()
            assert torch.get_num_threads() == 2
        finally:
            torch.set_num_threads(threads)

    def test_the_data_are_left_as_they_were_found(self):
        train, valid = make_table(64, 0), make_table(32, 1)
        train_network(SmallNet, train, valid, make_recipe(), seed=0)
        assert train.inputs["numeric"].equal(make_table(64, 0).inputs["numeric"])
        assert valid.target.equal(make_table(32, 1).target)


class TestRounds:
    def test_training_starts_from_given_weights(self):
        weights = network_weights(SmallNet())
        plan = make_recipe(lr=1e-12)
        trained = train_network(
            SmallNet,
            make_table(64, 0),
            make_table(32, 1),
            plan,
            seed=0,
            weights=weights,
        )
        for name, value in weights.items():
            np.testing.assert_allclose(trained.weights[name], value, atol=1e-6)

    def test_given_weights_are_not_written_to(self):
        weights = network_weights(SmallNet())
        before = {name: value.copy() for name, value in weights.items()}
        for value in weights.values():
            value.flags.writeable = False
        train_network(
            SmallNet, make_table(64, 0), None, make_recipe(), 0, weights=weights
        )
        assert same(weights, before)

    def test_so_many_epochs_are_trained_and_no_more(self):
        plan = make_recipe(max_epochs=10)
        data = make_table(64, 0), make_table(32, 1)
        assert train_network(SmallNet, *data, plan, 0, n_epochs=3).n_epochs == 3
        assert train_network(SmallNet, *data, plan, 0, first_epoch=4).n_epochs == 6

    def test_rounds_together_have_the_learning_rates_of_one_training(self):
        class Rates(Callback):
            def __init__(self):
                self.seen = []

            def on_batch_end(self, net, training=False, **kwargs):
                if training:
                    self.seen.append(net.optimizer_.param_groups[0]["lr"])

        whole, parts = Rates(), Rates()
        plan, data = make_recipe(max_epochs=6), (make_table(64, 0), make_table(32, 1))
        train_network(SmallNet, *data, plan, 0, callbacks=[whole])
        train_network(SmallNet, *data, plan, 0, n_epochs=2, callbacks=[parts])
        train_network(SmallNet, *data, plan, 0, first_epoch=2, callbacks=[parts])
        assert len(whole.seen) == 24
        assert parts.seen == pytest.approx(whole.seen)


def test_networks_are_judged_without_dropout():
    valid = make_table(32, 1)
    trained = train_network(
        lambda: SmallNet(dropout=0.5),
        make_table(64, 0),
        valid,
        make_recipe(max_epochs=2),
        seed=0,
    )
    loss = loss_of(SmallNet, trained.weights, valid, make_recipe().criterion)
    assert trained.score == pytest.approx(-loss, rel=1e-5)
