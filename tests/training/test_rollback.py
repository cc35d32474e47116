"""A step that is not finite is rolled back, and told of."""

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback
from small_training import SmallNet, make_recipe, make_table
from torch import nn

from sknas import NASClassifier, RecurrentSpace, TabularSpace
from sknas.training import train_network


class Faulty(SmallNet):
    """Gives what is not finite, or a gradient that is not, in some passes."""

    may_explode = True

    def __init__(self, passes=(), gradient=False, judged=False):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.passes = passes
        self.gradient = gradient
        self.judged = judged

    def forward(self, numeric):
        is_faulty = self.training != self.judged and self.n_passes in self.passes
        if is_faulty and not self.gradient:
            numeric = numeric * torch.inf
        outputs = super().forward(self.norm(numeric))
        if is_faulty and self.gradient:
            # the derivative of the square root at 0 is infinite
            outputs = outputs + (outputs * 0).sqrt()
        return outputs


def train(callbacks=(), **options):
    return train_network(
        lambda: Faulty(**options),
        make_table(64, 0),
        make_table(32, 1),
        make_recipe(max_epochs=2),
        seed=0,
        callbacks=callbacks,
    )


@pytest.mark.parametrize("gradient", [False, True])
def test_such_a_step_leaves_no_trace(gradient):
    trained = train(passes=(1, 2), gradient=gradient)
    assert trained.n_rolled_back == 3  # with the one before them
    assert trained.history[0]["rolled_back"] == 3
    assert "rolled_back" not in trained.history[1]
    assert all(np.isfinite(value).all() for value in trained.weights.values())
    assert np.isfinite(trained.score)


def test_where_none_is_finite_nothing_is_learnt():
    trained = train(passes=range(100))
    first = Faulty().state_dict()
    assert trained.n_rolled_back == 8
    assert trained.weights["norm.running_mean"].tolist() == [0, 0, 0]
    assert trained.weights.keys() == first.keys()
    assert all(np.isfinite(value).all() for value in trained.weights.values())


def test_an_epoch_that_led_to_no_finite_loss_leaves_no_trace_but_is_told_of():
    # four steps, then the held-back rows
    trained = train(passes=(4,), judged=True)
    assert trained.n_rolled_back == 4
    assert trained.history[0]["rolled_back"] == 4
    assert "rolled_back" not in trained.history[1]
    assert np.isfinite(trained.score)


def test_finite_training_is_not_touched():
    trained = train()
    assert trained.n_rolled_back == 0
    assert not any("rolled_back" in row for row in trained.history)


@pytest.mark.filterwarnings("ignore:All networks diverged")
def test_an_estimator_warns_of_it():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(40, 6, 1))
    y = np.arange(40) % 2
    space = RecurrentSpace(
        n_nodes=3, hidden_size=4, activations=("identity",), max_norm=None
    )
    model = NASClassifier(
        space,
        architecture=space.default_architecture(),
        optimizer="sgd",
        lr=1e20,
        max_epochs=3,
        ensemble_size=1,
        random_state=0,
    )
    with pytest.warns(ConvergenceWarning, match="rolled back.*lower lr"):
        model.fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.filterwarnings("ignore:.*rolled back")
def test_an_estimator_warns_if_nothing_that_it_has_is_finite():
    X = np.random.RandomState(0).normal(size=(60, 2))
    space = TabularSpace(n_heads=1)
    model = NASClassifier(space, architecture=space.default_architecture())
    model.set_params(optimizer="sgd", lr=1e30, max_epochs=2, ensemble_size=2)
    with pytest.warns(ConvergenceWarning, match="All networks diverged.*lower lr"):
        model.fit(X, X[:, 0] > 0)


def test_a_return_to_the_epochs_begin_forgets_the_momentum():
    class Steps(Callback):
        def on_epoch_begin(self, net, **kwargs):
            parameters = net.module_.named_parameters()
            self.before = {name: p.detach().clone() for name, p in parameters}

        def on_epoch_end(self, net, **kwargs):
            lr = net.optimizer_.param_groups[0]["lr"]
            self.ratios = [
                ((p.detach() - self.before[name]).abs() / lr)[p.grad.abs() > 1e-4]
                for name, p in net.module_.named_parameters()
                if p.grad is not None
            ]

    steps = Steps()
    train(passes=(6, 7), callbacks=[steps])
    # the last step is all that is left of the epoch, and as long as the first of all
    for ratio in steps.ratios:
        np.testing.assert_allclose(ratio, 1.0, rtol=0.01)


@pytest.mark.parametrize("gradient", [False, True])
def test_a_single_one_is_undone_alone(gradient):
    trained = train(passes=(1,), gradient=gradient)
    assert trained.n_rolled_back == trained.history[0]["rolled_back"] == 1


def test_a_network_that_may_not_explode_undoes_it_too():
    class Plain(Faulty):
        may_explode = False

    trained = train_network(
        lambda: Plain(passes=(1,)),
        make_table(64, 0),
        make_table(32, 1),
        make_recipe(max_epochs=2),
        seed=0,
    )
    assert trained.n_rolled_back == 1
    assert all(np.isfinite(value).all() for value in trained.weights.values())
    assert np.isfinite(trained.score)


def test_two_that_are_not_in_a_row_leave_the_steps_between():
    class Moves(Callback):
        moved = []

        def on_epoch_begin(self, net, **kwargs):
            self.before = net.module_.heads.detach().clone()

        def on_epoch_end(self, net, **kwargs):
            self.moved.append(not net.module_.heads.equal(self.before))

    train(passes=(0, 3), callbacks=[Moves()])
    assert Moves.moved == [True, True]
