"""Training of one stand-alone network from beginning to end."""

import numpy as np
import pytest
import torch
from sklearn.utils import check_random_state
from skorch.callbacks import Callback, PrintLog
from small_training import SmallNet, make_recipe, make_table, same

from sknas.training import (
    Progress,
    TimeBudget,
    TrainingNet,
    load_weights,
    network_weights,
    train_network,
)


def loss_of(build, weights, table, criterion):
    network = build().eval()
    load_weights(network, weights)
    inputs, (target, weight) = table[:]
    with torch.no_grad():
        return criterion.eval()(network(**inputs), target, weight).item()


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


class Batches(Callback):
    """Counts batches and epochs; raises what it is given at the end of an epoch."""

    def __init__(self, raises=None, epoch=None):
        self.raises, self.epoch = raises, epoch
        self.n_batches = self.n_epochs = 0

    def on_batch_begin(self, net, training=False, **kwargs):
        self.n_batches += training

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs += 1
        if self.n_epochs == self.epoch:
            raise self.raises


class Clock(Callback):
    """A clock by which each step of training takes a second."""

    def __init__(self):
        self.seconds = 0.0

    def monotonic(self):
        return self.seconds

    def on_batch_begin(self, net, training=False, **kwargs):
        self.seconds += training


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


class TestStopping:
    def test_a_budget_that_is_used_up_stops_in_the_middle_of_an_epoch(self):
        batches = Batches()
        trained = train_network(
            SmallNet,
            make_table(64, 0),
            make_table(32, 1),
            make_recipe(),
            seed=0,
            budget=TimeBudget(0.0),
            callbacks=[batches],
        )
        assert batches.n_batches == 1  # of four
        assert trained.n_epochs == 0
        assert not trained.interrupted
        assert all(np.isfinite(value).all() for value in trained.weights.values())

    @pytest.mark.parametrize(
        ("budget", "n_epochs", "n_steps"),
        [
            (TimeBudget(6.0), 1, 6),
            (TimeBudget(6.0, limit=100.0, least_steps=12), 3, 12),
        ],
    )
    def test_an_epoch_that_time_cuts_short_is_judged(
        self, monkeypatch, budget, n_epochs, n_steps
    ):
        clock, batches, plan = Clock(), Batches(), make_recipe(max_epochs=20)
        monkeypatch.setattr("sknas.training._schedule.time", clock)
        valid = make_table(32, 1)
        trained = train_network(
            SmallNet,
            make_table(64, 0),
            valid,
            plan,
            seed=0,
            budget=budget,
            callbacks=[clock, batches],
        )
        assert batches.n_batches == n_steps  # four in an epoch
        assert trained.n_epochs == n_epochs
        losses = [row["valid_loss"] for row in trained.history]
        assert len(losses) == -(-n_steps // 4)
        assert losses[-1] == min(losses) == -trained.score
        reached = loss_of(SmallNet, trained.weights, valid, plan.criterion)
        assert reached == pytest.approx(min(losses), rel=1e-5)

    def test_an_epoch_that_was_cut_twice_counts_once(self, monkeypatch):
        # by time after two steps, and by Ctrl-C while it is judged
        clock = Clock()
        monkeypatch.setattr("sknas.training._schedule.time", clock)
        trained = train_network(
            lambda: SmallNet(interrupt_at=3),
            make_table(64, 0),
            make_table(32, 1),
            make_recipe(),
            seed=0,
            budget=TimeBudget(2.0),
            callbacks=[clock],
        )
        assert trained.interrupted
        assert trained.n_epochs == 0

    def test_a_budget_that_suffices_stops_nothing(self):
        trained = train_network(
            SmallNet,
            make_table(64, 0),
            make_table(32, 1),
            make_recipe(),
            seed=0,
            budget=TimeBudget(1e6),
        )
        assert trained.n_epochs == 5

    @pytest.mark.parametrize("at", [1, 3, 5, 23])
    def test_ctrl_c_leaves_the_best_so_far(self, at):
        # four steps of training and one of validation in an epoch: the first is in
        # the first epoch, the fifth in a validation, the 23rd in the fifth epoch
        plan, valid = make_recipe(max_epochs=10), make_table(32, 1)
        trained = train_network(
            lambda: SmallNet(interrupt_at=at), make_table(64, 0), valid, plan, seed=0
        )
        assert trained.interrupted
        assert len(trained.history) == -(-at // 5)
        assert trained.n_epochs == (at - 1) // 5
        assert all(np.isfinite(value).all() for value in trained.weights.values())
        losses = [row["valid_loss"] for row in trained.history if "valid_loss" in row]
        assert len(losses) == (at - 1) // 5
        if losses:
            assert trained.score == -min(losses)
            reached = loss_of(SmallNet, trained.weights, valid, plan.criterion)
            assert reached == pytest.approx(min(losses), rel=1e-5)
        else:
            assert np.isnan(trained.score)

    def test_a_callback_that_raises_keyboard_interrupt_ends_its_own_net_only(self):
        callback = Batches(KeyboardInterrupt, epoch=2)
        trained = train_network(
            SmallNet,
            make_table(64, 0),
            make_table(32, 1),
            make_recipe(),
            0,
            callbacks=[callback],
        )
        assert trained.n_epochs == 2
        assert not trained.interrupted

    @pytest.mark.parametrize("stop_at", [None, 2])
    def test_all_callbacks_hear_of_the_last_epoch(self, stop_at):
        class Stops:
            n_steps = 0

            def begin(self, name, n_steps): ...

            def step(self, fitted):
                self.n_steps += 1
                return self.n_steps == stop_at

            def end(self, fitted): ...

        lines, own = [], Batches()
        trained = train_network(
            SmallNet,
            make_table(64, 0),
            make_table(20, 1),
            make_recipe(max_epochs=3),
            seed=0,
            # skorch has those that print after all others
            callbacks=[PrintLog(sink=lines.append), own],
            progress=Progress(None, [Stops()]),
            fitted=lambda net: {},
        )
        n_epochs = stop_at or 3
        assert trained.n_epochs == own.n_epochs == n_epochs
        assert [line.split()[0] for line in lines[-n_epochs:]] == [
            str(epoch) for epoch in range(1, n_epochs + 1)
        ]

    def test_an_error_in_a_callback_is_not_swallowed(self):
        callback = Batches(ZeroDivisionError, epoch=2)
        with pytest.raises(ZeroDivisionError):
            train_network(
                SmallNet,
                make_table(64, 0),
                make_table(32, 1),
                make_recipe(),
                0,
                callbacks=[callback],
            )

    @pytest.mark.parametrize("stop_at", [None, 2])
    def test_each_epoch_is_a_step_at_which_a_listener_may_stop(self, stop_at):
        class Listener:
            fitted = []

            def step(self, fitted):
                self.fitted.append(fitted())
                return len(self.fitted) == stop_at

        listener = Listener()
        trained = train_network(
            SmallNet,
            make_table(64, 0),
            make_table(32, 1),
            make_recipe(),
            seed=0,
            progress=Progress(None, [listener]),
            fitted=lambda net: {"epoch": len(net.history)},
        )
        n_epochs = stop_at or 5
        assert trained.n_epochs == n_epochs and not trained.interrupted
        assert listener.fitted == [{"epoch": i + 1} for i in range(n_epochs)]


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
