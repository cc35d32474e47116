"""Activation functions by name."""

import pytest
import torch

from sknas.modules import ACTIVATIONS

X = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("identity", X),
        ("relu", X.clamp_min(0)),
        ("silu", X / (1 + (-X).exp())),
        ("tanh", (X.exp() - (-X).exp()) / (X.exp() + (-X).exp())),
        (
            "selu",
            1.0507009873554805
            * torch.where(X > 0, X, 1.6732632423543772 * (X.exp() - 1)),
        ),
    ],
)
def test_each_name_gives_its_function(name, expected):
    torch.testing.assert_close(ACTIVATIONS[name](X), expected)


def test_every_function_has_a_case_above():
    assert set(ACTIVATIONS) == {"identity", "relu", "selu", "silu", "tanh"}


def test_every_function_gives_another_result():
    results = [function(X) for function in ACTIVATIONS.values()]
    for i, one in enumerate(results):
        for other in results[:i]:
            assert not torch.allclose(one, other)
