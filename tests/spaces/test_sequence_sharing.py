"""Shared and stand-alone networks of sequences are the same mathematics."""

import pytest
import torch
from small_images import assert_same, draw, every_change
from small_sequences import CASES, LANGUAGE_SPACES, SPACES, SPECS, make_inputs
from supernets import make_supernet, stand_alone
from torch.nn import functional as F

from sknas import RecurrentSpace
from sknas.training import private_random_state

each_case = pytest.mark.parametrize(("kind", "name"), CASES)
each_cell = pytest.mark.parametrize("name", LANGUAGE_SPACES)


@each_case
@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluation"])
def test_supernet_and_network_agree(kind, name, mode):
    space, spec = SPACES[name], SPECS[kind]
    space.check_data(spec)
    supernet = make_supernet(space, spec).train()
    architectures = draw(space, 6)
    inputs = make_inputs(kind)
    supernet(**inputs, architectures=architectures)
    supernet.train(mode)
    shared = supernet(**inputs, architectures=architectures)
    assert shared.isfinite().all()
    for own, architecture in zip(shared, architectures, strict=True):
        network = stand_alone(space, spec, supernet, architecture)
        assert_same(network(**inputs), own)


@pytest.mark.parametrize("kind", [kind for kind, name in CASES if name == "sequence"])
@torch.no_grad()
def test_each_family_estimates_in_its_own_way(kind):
    space, spec = SPACES["sequence"], SPECS[kind]
    supernet = make_supernet(space, spec).train()
    architectures = draw(space, 8)
    inputs = make_inputs(kind)
    supernet(**inputs, architectures=architectures)
    estimates = supernet.eval().estimate(**inputs, architectures=architectures)
    answers = supernet(**inputs, architectures=architectures)
    families = {architecture["family"] for architecture in architectures}
    assert families == set(supernet.networks)
    for architecture, estimate, answer in zip(
        architectures, estimates, answers, strict=True
    ):
        network = supernet.networks[architecture["family"]]
        part = space.part(architecture)
        if hasattr(network, "estimate"):
            [answer] = network.estimate(**inputs, architectures=[part])
        assert_same(estimate, answer)


@each_case
def test_rows_of_each_architectures_own(kind, name):
    space, spec = SPACES[name], SPECS[kind]
    supernet = make_supernet(space, spec).train()
    architectures = draw(space, 3)
    parts = [make_inputs(kind, seed=i) for i in range(len(architectures))]
    together = {key: torch.stack([part[key] for part in parts]) for key in parts[0]}
    shared = supernet(**together, architectures=architectures)
    for i, architecture in enumerate(architectures):
        own = supernet(**parts[i], architectures=[architecture])[0]
        assert_same(shared[i], own)


@each_case
@torch.no_grad()
def test_a_change_of_one_decision_changes_the_output(kind, name):
    space, spec = SPACES[name], SPECS[kind]
    supernet = make_supernet(space, spec).train()
    inputs = make_inputs(kind)
    for base in draw(space, 2):
        before = supernet(**inputs, architectures=[base])
        for decision, changed in every_change(space, base):
            if changed == base:  # of a family that was not chosen
                continue
            after = supernet(**inputs, architectures=[changed])
            assert not torch.allclose(before, after, atol=1e-5), (decision, changed)


@each_case
def test_gradients_reach_the_chosen_matrices_only(kind, name):
    space, spec = SPACES[name], SPECS[kind]
    for architecture in draw(space, 3):
        supernet = make_supernet(space, spec).train()
        supernet(**make_inputs(kind), architectures=[architecture]).sum().backward()
        network = space.network(architecture, spec)
        prefix = f"networks.{architecture['family']}." if name == "sequence" else ""
        own = {prefix + parameter for parameter, _ in network.named_parameters()}
        reached = {
            parameter
            for parameter, value in supernet.named_parameters()
            if value.grad is not None
        }
        assert reached == own


@each_cell
class TestEnds:
    """Whatever follows the end of a row does not count."""

    @torch.no_grad()
    def test_series(self, name):
        space = SPACES[name]
        supernet = make_supernet(space, SPECS["series"]).eval()
        inputs = make_inputs("series")["image"]
        architectures = draw(space, 3)
        short = supernet(image=inputs[:1, :, :5], architectures=architectures)
        padded = supernet(image=inputs[:1], architectures=architectures)
        assert_same(padded, short)

    @torch.no_grad()
    def test_texts(self, name):
        space = SPACES[name]
        supernet = make_supernet(space, SPECS["text"]).eval()
        tokens = make_inputs("text")["tokens"]
        architectures = draw(space, 3)
        short = supernet(tokens=tokens[:1, :4], architectures=architectures)
        padded = supernet(tokens=tokens[:1], architectures=architectures)
        assert_same(padded, short)


@torch.no_grad()
def test_the_mean_of_a_convolutional_network_is_over_what_is_there():
    space = SPACES["conv-macro"]
    network = make_supernet(space, SPECS["series"]).eval()
    present = torch.tensor([[True] * 12, [True] * 5 + [False] * 7])
    (weight,) = network.head.weights.values()
    head = torch.nn.functional.linear
    x = torch.rand(2, weight.shape[1], 6)
    expected = torch.stack([x[0].mean(dim=1), x[1, :, :3].mean(dim=1)])
    actual = network.head({"all": x}, present)
    assert_same(actual, head(expected, weight, network.head.bias))


class TestLanguageNetwork:
    @torch.no_grad()
    def test_it_gives_log_probabilities(self):
        space, spec = SPACES["recurrent"], SPECS["language"]
        network = space.network(space.default_architecture(), spec).eval()
        tokens = make_inputs("language")["tokens"]
        each = torch.stack(
            [
                network(tokens, torch.full_like(tokens, token))
                for token in range(spec.n_tokens)
            ]
        )
        assert_same(each.exp().sum(dim=0), torch.ones(tokens.shape))

    @torch.no_grad()
    def test_it_sees_no_later_token(self):
        space, spec = SPACES["recurrent"], SPECS["language"]
        network = space.network(space.default_architecture(), spec).eval()
        inputs = make_inputs("language")
        before = network(**inputs)
        inputs["tokens"] = inputs["tokens"].clone()
        inputs["tokens"][:, 6] = 1 + inputs["tokens"][:, 6] % (spec.n_tokens - 1)
        after = network(**inputs)
        assert before[:, :6].equal(after[:, :6])
        assert not torch.allclose(before[:, 6:], after[:, 6:])

    def test_the_output_layer_has_the_matrix_of_the_embedding(self):
        space, spec = SPACES["recurrent"], SPECS["language"]
        network = space.network(space.default_architecture(), spec)
        shapes = [tuple(p.shape) for p in network.parameters()]
        assert shapes.count((spec.n_tokens, 6)) == 1
        states = torch.rand(2, 6)
        expected = F.linear(states, network.embedding.weight, network.bias)
        assert network.decode(states).equal(expected)

    def test_states_are_carried_on_in_training(self):
        space, spec = SPACES["recurrent"], SPECS["language"]
        supernet = make_supernet(space, spec).train()
        network = stand_alone(space, spec, supernet, space.default_architecture())
        inputs = make_inputs("language")
        first, second = (
            {key: value[:, part] for key, value in inputs.items()}
            for part in (slice(0, 6), slice(6, None))
        )
        whole = network(**inputs)
        goes_on = torch.ones(len(whole), dtype=torch.bool)
        begins = network(**first, goes_on=~goes_on)
        carried = network(**second, goes_on=goes_on)
        assert_same(torch.cat([begins, carried], dim=1), whole)
        begins = network(**first, goes_on=~goes_on)
        goes_on[0] = False
        mixed = network(**second, goes_on=goes_on)
        assert_same(mixed[1:], carried[1:])
        assert not torch.allclose(mixed[0], carried[0])
        # the gradient ends where the batch begins
        network(**first, goes_on=~goes_on)
        network.zero_grad()
        network(**second, goes_on=goes_on).sum().backward()
        assert network.embedding.weight.grad.isfinite().all()


@pytest.mark.parametrize("kind", ["series", "language"])
def test_what_is_dropped_is_the_same_in_all_steps(kind):
    space = RecurrentSpace(
        n_nodes=2, hidden_size=64, dropout=0.5, recurrent_dropout=0.5, stem_stride=1
    )
    network = space.network(space.default_architecture(), SPECS[kind]).train()
    ones = torch.ones(2, 3, 7, 64)
    with private_random_state(0):
        dropped = network.drop(ones)
    assert dropped.equal(dropped[:, :, :1].expand_as(dropped))
    assert (dropped == 0).float().mean() == pytest.approx(0.5, abs=0.15)
    inputs = make_inputs(kind)
    assert not torch.allclose(network(**inputs), network(**inputs))
    network.eval()
    assert network(**inputs).equal(network(**inputs))
