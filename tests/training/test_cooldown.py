"""What follows early stopping: training on with all rows, at a falling rate."""

import numpy as np
import pytest
from skorch.callbacks import Callback
from small_training import SmallNet, make_recipe, make_table, same

from sknas.modules import DropPath
from sknas.training import Progress, TimeBudget, train_network

TRAIN, VALID = make_table(40, 0, noise=1.0), make_table(30, 1, noise=1.0)
EVERYTHING = make_table(70, 2, noise=1.0)
# the rate is so high that training is stopped early
PLAN = make_recipe(max_epochs=100, lr=0.2, n_iter_no_change=4, cooldown=0.5)


class Steps(Callback):
    """Notes the learning rate and the data of each step, and may raise."""

    def __init__(self, raise_at=None):
        self.rates, self.n_rows, self.raise_at = [], [], raise_at

    def on_epoch_begin(self, net, dataset_train=None, **kwargs):
        self.n_rows.append(len(dataset_train))

    def on_batch_begin(self, net, training=False, **kwargs):
        if training:
            self.rates.append(net.optimizer_.param_groups[0]["lr"])

    def on_epoch_end(self, net, **kwargs):
        if len(self.n_rows) == self.raise_at:
            raise KeyboardInterrupt


def train(everything=EVERYTHING, plan=PLAN, steps=None, **kwargs):
    steps = steps or Steps()
    trained = train_network(
        SmallNet,
        TRAIN,
        VALID,
        plan,
        seed=0,
        everything=everything,
        callbacks=[steps],
        **kwargs,
    )
    return trained, steps


def test_it_trains_on_with_all_rows_for_a_share_of_the_best_epochs():
    plain, _ = train(None)
    trained, steps = train()
    best = 1 + int(np.argmin([row["valid_loss"] for row in plain.history]))
    n_more = max(2, round(0.5 * best))
    assert steps.n_rows == [40] * plain.n_epochs + [70] * n_more
    assert trained.n_epochs == plain.n_epochs + n_more
    assert [row["epoch"] for row in trained.history] == [
        *range(1, 1 + len(steps.n_rows))
    ]
    assert ["valid_loss" in row for row in trained.history[-n_more:]] == [
        False
    ] * n_more
    assert not same(trained.weights, plain.weights)
    # networks are compared by rows that they were not trained on
    assert trained.score == plain.score


def test_the_rate_goes_on_where_the_best_epoch_was_and_falls_to_zero():
    plan = make_recipe(**(vars(PLAN) | {"cooldown": 200.0}))
    trained, steps = train(plan=plan)
    losses = [row["valid_loss"] for row in trained.history if "valid_loss" in row]
    best = 1 + int(np.argmin(losses))
    n_first = 3 * steps.n_rows.count(40)
    rates = steps.rates[n_first:]
    assert max(rates) == pytest.approx(plan.lr * (1 - best / 100) ** 0.5, rel=0.01)
    assert 0 < rates[-1] < 0.01 * max(rates) < max(rates) < steps.rates[n_first - 1] * 2
    assert rates[30:] == sorted(rates[30:], reverse=True)


@pytest.mark.parametrize(
    "arguments",
    [
        {"budget": TimeBudget(1e-3)},
        {"steps": Steps(raise_at=2)},  # the user's callback ends the training
    ],
    ids=["time is up", "callback"],
)
def test_a_training_that_is_not_over_by_itself_has_none(arguments):
    trained, steps = train(**arguments)
    assert set(steps.n_rows) <= {40}
    assert trained.n_epochs <= 2


@pytest.mark.flaky(reruns=2)  # seconds that another process may take
def test_it_ends_in_time():
    budget = TimeBudget(0.4)
    plan = make_recipe(**(vars(PLAN) | {"cooldown": 1e4}))
    trained, steps = train(plan=plan, budget=budget)
    assert trained.seconds < 1.0
    assert steps.n_rows[-1] == 70
    assert steps.rates[-1] < 0.1 * max(steps.rates)


def test_ctrl_c_leaves_the_weights_of_the_best_epoch():
    plain, _ = train(None)
    progress = Progress()

    class CtrlC(Callback):
        def on_batch_end(self, net, training=False, **kwargs):
            if training and net.max_epochs != PLAN.max_epochs:
                progress.stopped = True
                net.interrupted_ = True
                raise KeyboardInterrupt

    trained = train_network(
        SmallNet,
        TRAIN,
        VALID,
        PLAN,
        seed=0,
        everything=EVERYTHING,
        callbacks=[CtrlC()],
        progress=progress,
        fitted=lambda net: {},
    )
    assert trained.interrupted
    assert same(trained.weights, plain.weights)


def test_a_listener_that_ends_the_training_ends_all_of_it():
    class Stop:
        n_steps = 0

        def step(self, fitted):
            self.n_steps += 1
            return self.n_steps == 4

    _, steps = train(
        plan=make_recipe(max_epochs=4, cooldown=0.5, n_iter_no_change=9),
        progress=Progress(listeners=[Stop()]),
        fitted=lambda net: {},
    )
    assert steps.n_rows == [40] * 4


def test_what_diverges_leaves_the_weights_of_the_best_epoch():
    plain, _ = train(None)
    broken = make_table(70, 2)
    broken.inputs["numeric"][3] = np.nan
    trained, _ = train(broken)
    assert same(trained.weights, plain.weights)


def test_whole_trainings_have_one_too():
    plan = make_recipe(max_epochs=4, cooldown=0.5, n_iter_no_change=9)
    _, steps = train(plan=plan)
    assert steps.n_rows == [40] * 4 + [70] * 2
    assert max(steps.rates[-10:]) <= 0.1 * plan.lr


def test_after_a_best_epoch_that_was_the_last_it_has_a_rate_too():
    plan = make_recipe(max_epochs=4, cooldown=10.0, n_iter_no_change=9)
    trained, steps = train(plan=plan)
    losses = [row["valid_loss"] for row in trained.history if "valid_loss" in row]
    assert np.argmin(losses) == 3
    rates = steps.rates[-5 * steps.n_rows.count(70) :]
    assert max(rates) == pytest.approx(0.1 * plan.lr, rel=0.2)


def test_drop_paths_stay_as_the_training_left_them():
    class DropPaths(SmallNet):
        def __init__(self):
            super().__init__()
            self.drop_path = DropPath(0.0)

    class Watch(Callback):
        progress = []

        def on_batch_begin(self, net, training=False, **kwargs):
            if training:
                self.progress.append(net.module_.drop_path.progress)

    steps = Steps()
    train_network(
        DropPaths,
        TRAIN,
        VALID,
        PLAN,
        0,
        everything=EVERYTHING,
        callbacks=[steps, Watch()],
    )
    assert {40, 70} == set(steps.n_rows)
    assert Watch.progress == sorted(Watch.progress)
    assert Watch.progress[-1] == Watch.progress[-3] > 0
