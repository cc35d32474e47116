import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from small_training import make_recipe, make_table
from torch import nn

from sknas.modules import PooledHead, Projection, convolution
from sknas.training import OPTIMIZERS, train_network


class Layered(nn.Module):
    """A linear layer, whose matrix is hidden, and what is none."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, 3))
        self.hidden = nn.Linear(3, 12)
        self.heads = nn.Parameter(torch.randn(1, 2, 12) / 4)

    def forward(self, numeric):
        hidden = self.hidden(numeric * self.scale).relu()
        return hidden @ self.heads.mT


class Convolutional(nn.Module):
    """Convolutions of all kinds, over the columns of a table as if they were steps."""

    def __init__(self):
        super().__init__()
        self.plain = nn.Conv1d(1, 4, 3, padding=1)
        self.depthwise = convolution(1, 4, 4, kernel_size=3, groups=4)
        self.projection = Projection(1, {"a": 4, "b": 4}, 6)
        self.head = PooledHead({"all": 6}, 2, dropout=0.0)

    def forward(self, numeric):
        x = self.plain(numeric.unsqueeze(1)).unsqueeze(2)
        return self.head({"all": self.projection({"a": x, "b": self.depthwise(x)})})


def muon(*matrices, **group):
    group = {"params": matrices, "is_matrix": True, "steps_per_direction": 1} | group
    return OPTIMIZERS["muon"]([group], lr=0.1, weight_decay=0.0)


def take_step(matrix, gradient, **arguments):
    """Give how a first step changes a matrix."""
    matrix = nn.Parameter(matrix.clone())
    before = matrix.detach().clone()
    optimizer = muon(matrix, **arguments)
    matrix.grad = gradient
    optimizer.step()
    return matrix.detach() - before


@pytest.mark.parametrize("shape", [(16, 16), (12, 40), (40, 12), (1, 20)])
def test_a_step_of_a_matrix_is_its_gradient_made_orthogonal(shape):
    gradient = torch.randn(shape)
    # a root mean square of half the learning rate, where the matrix is square
    change = take_step(torch.randn(shape), gradient) / (-0.1 * 0.5 * max(shape) ** 0.5)
    u, sizes, v = torch.linalg.svd(gradient, full_matrices=False)
    own = u.mT @ change @ v.mT
    np.testing.assert_allclose(own - torch.diag(own.diagonal()), 0, atol=1e-3)
    long = sizes > 0.01 * sizes.norm()
    assert ((0.6 < own.diagonal()) & (own.diagonal() < 1.3))[long].all()


@pytest.mark.parametrize("shape", [(8, 16), (4, 40), (30, 4)])
@pytest.mark.parametrize("size", [1e-10, 1e-16, 1e-24, 1e-30, 1e-38, 1e-44, 1e30])
def test_a_step_is_finite_however_small_or_large_the_gradient_is(shape, size):
    change = take_step(torch.zeros(shape), size * torch.randn(shape))
    assert change.isfinite().all()
    assert torch.linalg.matrix_norm(change, 2) < 1.3 * 0.1 * 0.5 * max(shape) ** 0.5


@pytest.mark.parametrize("shape", [(6, 5, 3), (40, 2, 3), (9, 2, 3, 3)])
def test_a_filter_is_a_matrix_of_what_comes_out(shape):
    gradient = torch.randn(shape)
    change = take_step(torch.zeros(shape), gradient)
    flat = take_step(torch.zeros(shape).flatten(1), gradient.flatten(1))
    torch.testing.assert_close(change.flatten(1), flat)


def test_each_of_several_matrices_takes_its_own_step():
    shapes = [(8, 8), (3, 20), (8, 8), (20, 3), (8, 8), (4, 2, 3, 3), (3, 20)]
    gradients = [torch.randn(shape) for shape in shapes]
    gradients[2] = None
    matrices = [nn.Parameter(torch.zeros(shape)) for shape in shapes]
    optimizer = muon(*matrices)
    for matrix, gradient in zip(matrices, gradients, strict=True):
        matrix.grad = gradient
    optimizer.step()
    for matrix, gradient in zip(matrices, gradients, strict=True):
        alone = take_step(torch.zeros(matrix.shape), gradient)
        torch.testing.assert_close(matrix.detach(), alone, atol=1e-6, rtol=1e-4)


def test_rows_without_gradient_stay_as_they_are():
    gradient = torch.randn(8, 8)
    gradient[5:] = 0
    change = take_step(torch.randn(8, 8), gradient)
    assert (change[5:] == 0).all()
    assert (change[:5] != 0).all()


def test_no_gradient_no_step():
    assert (take_step(torch.randn(8, 8), torch.zeros(8, 8)) == 0).all()
    assert (take_step(torch.randn(8, 8), None) == 0).all()


def test_weight_decay_is_apart_from_the_gradient():
    matrix, gradient = torch.randn(8, 8), torch.randn(8, 8)
    change = take_step(matrix, gradient, weight_decay=0.5)
    own = take_step(matrix, gradient)
    np.testing.assert_allclose(change - own, -0.1 * 0.5 * matrix, atol=1e-6)


def test_a_direction_may_serve_three_steps_and_momentum_outlasts_a_gradient():
    matrix = nn.Parameter(torch.zeros(8, 8))
    optimizer = muon(matrix, steps_per_direction=3)
    first, other, changes = torch.randn(8, 8), torch.randn(8, 8), []
    for gradient in (first, other, other, torch.zeros(8, 8)):
        before = matrix.detach().clone()
        matrix.grad = gradient
        optimizer.step()
        changes.append(matrix.detach() - before)
    for change in changes[1:3]:
        torch.testing.assert_close(change, changes[0], atol=1e-6, rtol=1e-4)
    # the momentum by then, though the last gradient is none
    momentum = 0.95**3 * first + (0.95**2 + 0.95) * other
    torch.testing.assert_close(
        changes[3], take_step(matrix.detach(), momentum), atol=1e-5, rtol=1e-3
    )


def test_who_asked_to_hear_of_steps_hears_of_each_once():
    OPTIMIZERS["adamw"]([nn.Parameter(torch.ones(1))])  # has PyTorch add its hooks
    matrix, bias = nn.Parameter(torch.eye(3)), nn.Parameter(torch.ones(3))
    group = {"params": [matrix], "is_matrix": True, "steps_per_direction": 1}
    optimizer = OPTIMIZERS["muon"]([group, {"params": [bias]}], lr=0.1)
    heard = []
    optimizer.register_step_post_hook(lambda *_: heard.append(1))
    for parameter in (matrix, bias):
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert len(heard) == 1


def test_a_state_that_was_saved_goes_on():
    gradients = torch.randn(5, 8, 8)

    def steps(matrix, optimizer, gradients):
        for gradient in gradients:
            matrix.grad = gradient
            optimizer.step()

    matrix = nn.Parameter(torch.zeros(8, 8))
    optimizer = muon(matrix, steps_per_direction=3)  # saved between two directions
    steps(matrix, optimizer, gradients[:2])
    copied = nn.Parameter(matrix.detach().clone())
    loaded = muon(copied, steps_per_direction=3)
    loaded.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    steps(matrix, optimizer, gradients[2:])
    steps(copied, loaded, gradients[2:])
    assert (copied == matrix).all()


class Pickle(Callback):
    """Pickles the net, once it is trained, and loads it again."""

    def on_train_end(self, net, **kwargs):
        self.loaded = pickle.loads(pickle.dumps(net))


def test_a_net_is_pickled_with_it():
    callback = Pickle()
    plan = make_recipe(optimizer="muon", max_epochs=1)
    train_network(Layered, make_table(64, 0), None, plan, seed=0, callbacks=[callback])
    states = callback.loaded.optimizer_.state.values()
    (momentum,) = [state["momentum"] for state in states if "momentum" in state]
    assert momentum.shape == (12, 3)


@pytest.mark.parametrize(
    ("module", "matrices"),
    [
        (Layered, {"hidden.weight"}),
        (
            Convolutional,
            {"plain.weight", "head.weights.all"}
            | {f"projection.weights.{name}" for name in "ab"},
        ),
    ],
)
def test_what_is_no_matrix_takes_the_steps_of_adamw(module, matrices):
    runs = {}
    for optimizer in ("muon", "adamw"):
        plan = make_recipe(optimizer=optimizer, max_epochs=1, batch_size=64)
        table = make_table(64, 0)  # one step
        runs[optimizer] = train_network(module, table, None, plan, seed=0).weights
    differ = {
        name
        for name, value in runs["muon"].items()
        if (value != runs["adamw"][name]).any()
    }
    assert differ == matrices


def test_filters_get_a_direction_in_each_step_and_linear_layers_in_every_third():
    class NoteDirections(Callback):
        """Notes the directions after each step, of the first matrix."""

        def __init__(self):
            self.noted = []

        def on_batch_end(self, net, training, **kwargs):
            if training:
                states = net.optimizer_.state.values()
                self.noted.append(
                    next(s["direction"] for s in states if "momentum" in s)
                )

    def n_directions(module):
        callback, table = NoteDirections(), make_table(96, 0)
        plan = make_recipe(optimizer="muon", max_epochs=1, batch_size=16)
        train_network(module, table, None, plan, seed=0, callbacks=[callback])
        assert len(callback.noted) == 6
        return len({id(direction) for direction in callback.noted})

    assert n_directions(Layered) == 2
    assert n_directions(Convolutional) == 6


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("adam", torch.optim.Adam),
        ("adamw", torch.optim.AdamW),
        ("sgd", torch.optim.SGD),
    ],
)
def test_steps_are_those_of_pytorch(name, theirs):
    options = {"lr": 0.1, "weight_decay": 0.1}
    weight = torch.randn(4, 3)
    parameters = [nn.Parameter(weight.clone()) for _ in range(2)]
    ours = OPTIMIZERS[name]([parameters[0]], **options)
    theirs = theirs([parameters[1]], **options)
    for _ in range(3):
        for parameter, optimizer in zip(parameters, (ours, theirs), strict=True):
            optimizer.zero_grad()
            (parameter**2).sum().backward()
            optimizer.step()
    assert (parameters[0] != weight).all()
    assert torch.equal(*parameters)
    state = copy.deepcopy(ours.state_dict())
    ours.load_state_dict(state)
    assert state["param_groups"] == theirs.state_dict()["param_groups"]


WITHOUT_COMPILER = """
import pickle
import sys
import numpy as np
from sknas import NASClassifier
from sknas.training import OPTIMIZERS

X = np.random.RandomState(0).randn(40, 2)
for optimizer in OPTIMIZERS:
    model = NASClassifier(optimizer=optimizer, search_epochs=1, max_epochs=1)
    pickle.loads(pickle.dumps(model.fit(X, X[:, 0] > 0))).predict(X)
assert "torch._dynamo" not in sys.modules
"""


def test_no_fit_waits_for_the_compiler_of_pytorch():
    # in another process, since other tests may have loaded it here
    subprocess.run([sys.executable, "-c", WITHOUT_COMPILER], check=True, timeout=120)
