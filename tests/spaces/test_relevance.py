"""How much columns matter to a network, and what others make of it."""

import numpy as np
import pytest
import torch
from small_tabular import BOTH, QUANTILES, SPECS, draw, make_inputs

from sknas import ConvMacroSpace, DataSpec, TabularSpace
from sknas.spaces import SearchSpace
from sknas.training import CrossEntropy, private_random_state

N_ROWS = 400
SPACE = TabularSpace(depths=(1, 2), widths=(16,), n_heads=2)
LINEAR = TabularSpace(
    ("none",), ("none",), (0.0,), (1,), ("identity",), (16,), n_heads=2
)


def make_network(space, spec, architecture=None, seed=0):
    with private_random_state(seed):
        architecture = architecture or space.default_architecture()
        return space.network(architecture, spec).eval()


def relevance(space, network, inputs, weight=None, join=None):
    weight = torch.ones(len(inputs["numeric"])) if weight is None else weight
    with private_random_state(0):
        return space.relevance(network, inputs, weight, join or CrossEntropy.join)


def mean(outputs):
    """What a regressor makes of its predictors."""
    return outputs.mean(dim=0)


def linear_network(spec, coefficients):
    """A network that gives the sum of its units' inputs, times coefficients."""
    network = make_network(LINEAR, spec)
    with torch.no_grad():
        network.input.scale.copy_(torch.tensor(coefficients).expand(2, 1, -1))
        network.input.weight.fill_(1 / 16)
        network.head.weight.fill_(1.0)
    return network


def test_of_a_linear_network_it_is_the_coefficients():
    spec = DataSpec(1, 3, (), QUANTILES)
    network = linear_network(spec, [4.0, -2.0, 0.4])
    found = relevance(LINEAR, network, make_inputs(spec, 5000), join=mean)
    np.testing.assert_allclose(found, [1.0, 0.5, 0.1], rtol=0.05)


def test_of_a_category_it_is_what_a_change_of_level_does():
    spec = DataSpec(1, 1, (2, 2), QUANTILES[:, :1])
    network = linear_network(spec, [1.0, 3.0, -3.0, 0.5, -0.5])
    inputs = make_inputs(spec, 5000)
    inputs["categorical"] = inputs["categorical"].clamp(max=1)
    # from level to level the first gives 6 on a way of sqrt(2), the second 1
    expected = np.array([1.0, 6 / 2**0.5, 1 / 2**0.5]) / (6 / 2**0.5)
    found = relevance(LINEAR, network, inputs, join=mean)
    np.testing.assert_allclose(found, expected, rtol=0.05)


def test_none_is_shut_out():
    spec = DataSpec(1, 3, (), QUANTILES)
    network = linear_network(spec, [1.0, 0.0, 0.001])
    found = relevance(LINEAR, network, make_inputs(spec, N_ROWS), join=mean)
    np.testing.assert_allclose(found, [1.0, 0.05, 0.05])


@pytest.mark.parametrize("n_columns", [3, 1200])
def test_columns_that_are_alike_share_it(n_columns):
    spec = DataSpec(1, n_columns)
    network = linear_network(spec, [*[0.0] * (n_columns - 1), 1.0])
    inputs = make_inputs(spec, N_ROWS)
    inputs["numeric"][:, 1] = -inputs["numeric"][:, -1]
    found = relevance(LINEAR, network, inputs, join=mean)
    np.testing.assert_allclose(found[[1, -1]], 1.0, rtol=0.03)
    assert np.delete(found, [1, n_columns - 1]).max() < 0.2  # but for chance
    assert found[0] == 0.05


def test_it_does_not_depend_on_the_scale_of_answers():
    spec = DataSpec(1, 3, (), QUANTILES)
    inputs = make_inputs(spec, N_ROWS)
    small, large = (
        relevance(LINEAR, linear_network(spec, [c, c / 2, 0.0]), inputs, join=mean)
        for c in (1e-6, 1e6)
    )
    np.testing.assert_allclose(small, large, rtol=1e-3)


def test_rows_count_by_their_weight():
    spec = DataSpec(1, 2, (), QUANTILES[:, :2])
    network = linear_network(spec, [1.0, 1.0])
    network.activations = [torch.relu]
    with torch.no_grad():  # half of the units for each column
        network.input.weight[:8, 1] = 0.0
        network.input.weight[8:, 0] = 0.0
        network.input.bias.zero_()
    inputs = make_inputs(spec, N_ROWS)
    below = (inputs["numeric"][:, 0] < 0).float()
    found = relevance(LINEAR, network, inputs, below, mean)
    np.testing.assert_allclose(found, [0.05, 1.0])
    found = relevance(LINEAR, network, inputs, 1 - below, mean)
    np.testing.assert_allclose(found, [1.0, 0.7], atol=0.15)


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_every_architecture_tells(spec):
    inputs = make_inputs(spec, 50)
    space = TabularSpace(widths=(8, 4))
    for architecture in draw(space, 20):
        network = make_network(space, spec, architecture)
        found = relevance(space, network, inputs)
        assert found.shape == (spec.n_numeric + len(spec.category_sizes),)
        assert found.max() == 1.0 and found.min() >= 0.05


@pytest.mark.parametrize("coefficients", [[0.0, 0.0], [np.inf, 1.0]])
def test_networks_that_know_nothing_tell_nothing(coefficients):
    spec = DataSpec(1, 2, (), QUANTILES[:, :2])
    network = linear_network(spec, coefficients)
    inputs = make_inputs(spec, N_ROWS)
    assert relevance(LINEAR, network, inputs, join=mean) is None


def test_columns_that_never_change_do_not_matter():
    spec = DataSpec(1, 3, (), QUANTILES)
    inputs = make_inputs(spec, N_ROWS)
    inputs["numeric"][:, 1] = 7.0
    found = relevance(LINEAR, linear_network(spec, [1.0, 9.0, 1.0]), inputs, join=mean)
    np.testing.assert_allclose(found, [1.0, 0.05, 1.0], rtol=0.05)


def test_many_columns_of_noise_do_not_share_by_chance():
    spec = DataSpec(1, 1000)
    network = linear_network(spec, [1.0] * 5 + [0.0] * 995)
    found = relevance(LINEAR, network, make_inputs(spec, 200), join=mean)
    assert found[:5].min() > 0.8 and (found[5:] > 0.05).mean() < 0.01


def test_outputs_that_change_against_each_other_count():
    spec = DataSpec(2, 3, (), QUANTILES)
    network = linear_network(spec, [4.0, -2.0, 0.4])
    with torch.no_grad():
        network.head.weight[:, 1] = -1.0
    found = relevance(LINEAR, network, make_inputs(spec, 5000), join=mean)
    np.testing.assert_allclose(found, [1.0, 0.5, 0.1], rtol=0.05)


def test_rows_without_weight_make_no_columns_alike():
    spec = DataSpec(1, 3, (), QUANTILES)
    network = linear_network(spec, [1.0, 0.0, 0.0])
    inputs, weight = make_inputs(spec, N_ROWS), torch.ones(N_ROWS)
    inputs["numeric"][N_ROWS // 2 :, 1] = inputs["numeric"][N_ROWS // 2 :, 0]
    weight[N_ROWS // 2 :] = 0.0
    found = relevance(LINEAR, network, inputs, weight, mean)
    np.testing.assert_allclose(found, [1.0, 0.05, 0.05])


def test_columns_far_from_zero_are_not_alike():
    spec = DataSpec(1, 3, (), QUANTILES)
    inputs = make_inputs(spec, N_ROWS)
    inputs["numeric"] += 10.0
    found = relevance(LINEAR, linear_network(spec, [1.0, 0.0, 0.0]), inputs, join=mean)
    np.testing.assert_allclose(found, [1.0, 0.05, 0.05])


def test_several_columns_have_others_share():
    spec = DataSpec(1, 4)
    inputs = make_inputs(spec, N_ROWS)
    inputs["numeric"][:, 2:] = -inputs["numeric"][:, :2]
    network = linear_network(spec, [1.0, 1.0, 0.0, 0.0])
    found = relevance(LINEAR, network, inputs, join=mean)
    np.testing.assert_allclose(found, 1.0, rtol=0.1)


class Wrapped(torch.nn.Module):
    """A network of somebody's own, around one of ours."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, **inputs):
        return self.network(**inputs)


def test_other_networks_and_spaces_need_not_know():
    class Other(TabularSpace):
        relevance = SearchSpace.relevance

    inputs, network = make_inputs(BOTH, 5), make_network(SPACE, BOTH)
    assert relevance(Other(), network, inputs) is None
    assert relevance(SPACE, Wrapped(network), inputs) is None
    assert relevance(SPACE, network, inputs) is not None


def test_only_networks_that_can_be_told_wait_for_others():
    assert TabularSpace().tells_relevance
    assert not TabularSpace(n_heads=1).tells_relevance
    assert not ConvMacroSpace().tells_relevance


class TestNetworks:
    RELEVANCE = np.array([1.0, 0.5, 0.05, 0.2, 0.8])

    def make(self, space, architecture=None, relevance=None):
        spec = DataSpec(3, 3, (2, 4), QUANTILES, relevance=relevance)
        return make_network(space, spec, architecture)

    def test_they_begin_with_inputs_scaled_by_it(self):
        plain = self.make(SPACE).state_dict()
        told = self.make(SPACE, relevance=self.RELEVANCE).state_dict()
        of_units = self.RELEVANCE[[0, 1, 2, 3, 3, 4, 4, 4, 4]]
        of_embeddings = self.RELEVANCE[:3].repeat(8)
        for name, weight in told.items():
            factor = {
                "input.scale": torch.tensor(of_units),
                "embedded_input.scale": torch.tensor(of_embeddings),
            }.get(name, torch.tensor(1.0))
            torch.testing.assert_close(weight, (plain[name] * factor).to(weight.dtype))

    def test_architectures_without_embeddings_do_too(self):
        none = next(a for a in draw(SPACE, 50) if a["numeric_embedding"] == "none")
        told = self.make(SPACE, none, self.RELEVANCE)
        assert told.input.scale.abs()[0, 0].tolist() == pytest.approx(
            self.RELEVANCE[[0, 1, 2, 3, 3, 4, 4, 4, 4]].tolist()
        )

    def test_one_predictor_alone_has_no_scales(self):
        space = TabularSpace(widths=(8,), n_heads=1)
        plain = self.make(space).state_dict()
        told = self.make(space, relevance=self.RELEVANCE).state_dict()
        assert plain.keys() == told.keys()
        assert all(told[name].equal(plain[name]) for name in plain)
