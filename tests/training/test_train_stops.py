"""What ends a training: time, callbacks, listeners, the user."""

import numpy as np
import pytest
from skorch.callbacks import Callback, PrintLog
from small_training import SmallNet, loss_of, make_recipe, make_table

from sknas.training import (
    Progress,
    TimeBudget,
    train_network,
)


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
