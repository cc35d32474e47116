"""Shared and stand-alone networks of the tabular space are the same mathematics."""

import pytest
import torch
from small_tabular import (
    BASE,
    BOTH,
    N_ROWS,
    OPTIONS,
    SPACE,
    assert_same,
    changed,
    draw,
    make_inputs,
)
from supernets import make_supernet, stand_alone

from sknas import Architecture, TabularSpace
from sknas.training import private_random_state


class TestSupernetAndNetworkAgree:
    """Bugs (b) and (d) of the released ENAS: searched and final network differ."""

    def test_on_rows_that_all_architectures_share(self, spec):
        supernet = make_supernet(SPACE, spec).eval()
        inputs = make_inputs(spec, N_ROWS)
        architectures = draw(SPACE, 60)
        with torch.no_grad():
            shared = supernet(**inputs, architectures=architectures)
            for own, architecture in zip(shared, architectures, strict=True):
                network = stand_alone(SPACE, spec, supernet, architecture)
                assert_same(network(**inputs)[0], own)

    def test_on_rows_of_each_architectures_own(self, spec):
        supernet = make_supernet(SPACE, spec).eval()
        architectures = draw(SPACE, 60, seed=1)
        inputs = make_inputs(spec, len(architectures), N_ROWS)
        with torch.no_grad():
            shared = supernet(**inputs, architectures=architectures)
            for i, architecture in enumerate(architectures):
                network = stand_alone(SPACE, spec, supernet, architecture)
                rows = {name: tensor[i] for name, tensor in inputs.items()}
                assert_same(network(**rows)[0], shared[i])

    def test_while_training_without_dropout(self, spec):
        space = TabularSpace(**OPTIONS, dropouts=(0.0,), n_heads=1)
        supernet = make_supernet(space, spec).train()
        inputs = make_inputs(spec, N_ROWS)
        architectures = draw(space, 30)
        shared = supernet(**inputs, architectures=architectures)
        for own, architecture in zip(shared, architectures, strict=True):
            network = stand_alone(space, spec, supernet, architecture)
            assert network.training
            assert_same(network(**inputs)[0], own)

    def test_while_training_one_architecture_with_dropout(self):
        # of one width, so that both draw as many random numbers
        space = TabularSpace(depths=(2, 3), widths=(7,), dropouts=(0.5,), n_heads=1)
        supernet = make_supernet(space, BOTH).train()
        inputs = make_inputs(BOTH, N_ROWS)
        for architecture in draw(space, 10):
            network = stand_alone(space, BOTH, supernet, architecture)
            with private_random_state(0):
                shared = supernet(**inputs, architectures=[architecture])
            with private_random_state(0):
                assert_same(network(**inputs), shared)

    def test_whatever_the_number_of_heads(self, spec):
        space = TabularSpace(**OPTIONS, n_heads=4)
        supernet = make_supernet(space, spec).eval()
        inputs = make_inputs(spec, N_ROWS)
        architectures = draw(space, 20)
        with torch.no_grad():
            shared = supernet(**inputs, architectures=architectures)
            for own, architecture in zip(shared, architectures, strict=True):
                network = stand_alone(space, spec, supernet, architecture)
                logits = network(**inputs)
                assert logits.shape == (4, N_ROWS, 3)
                assert_same(logits.mean(dim=0), own)

    def test_in_the_gradient_of_every_shared_parameter(self):
        # bug (a): every option led to the branch that was defined last
        space = TabularSpace(**OPTIONS, dropouts=(0.0,), n_heads=1)
        inputs = make_inputs(BOTH, N_ROWS)
        for architecture in draw(space, 25):
            supernet = make_supernet(space, BOTH)
            network = stand_alone(space, BOTH, supernet, architecture)
            supernet(**inputs, architectures=[architecture]).square().sum().backward()
            network(**inputs).square().sum().backward()
            expected = {
                name: torch.zeros_like(parameter)
                for name, parameter in supernet.named_parameters()
            }
            for name, parameter in network.named_parameters():
                gradient = expected[space.shared_name(name, architecture)]
                gradient[tuple(map(slice, parameter.shape))] = parameter.grad
            for name, parameter in supernet.named_parameters():
                if parameter.grad is None:
                    assert not expected[name].any(), name
                else:
                    torch.testing.assert_close(
                        parameter.grad, expected[name], atol=1e-4, rtol=1e-3
                    )


class TestOnePassForManyArchitectures:
    @pytest.mark.parametrize("own_rows", [False, True])
    @pytest.mark.parametrize("arrange", ["as drawn", "reversed", "sorted", "repeated"])
    def test_equals_one_pass_each_in_whatever_order(self, spec, own_rows, arrange):
        supernet = make_supernet(SPACE, spec).eval()
        architectures = draw(SPACE, 16)
        if arrange == "reversed":
            architectures.reverse()
        elif arrange == "sorted":
            architectures.sort(key=SPACE.decisions().indices)
        elif arrange == "repeated":
            architectures = architectures[:4] * 4
        leading = (len(architectures), N_ROWS) if own_rows else (N_ROWS,)
        inputs = make_inputs(spec, *leading)
        with torch.no_grad():
            together = supernet(**inputs, architectures=architectures)
            for i, architecture in enumerate(architectures):
                rows = {n: t[i] if own_rows else t for n, t in inputs.items()}
                alone = supernet(**rows, architectures=[architecture])
                assert alone.shape == (1, N_ROWS, 3)
                assert_same(together[i], alone[0])

    def test_gives_the_sum_of_their_gradients(self):
        space = TabularSpace(**OPTIONS, dropouts=(0.0,), n_heads=1)
        architectures = draw(space, 6)
        inputs = make_inputs(BOTH, N_ROWS)
        together, alone = make_supernet(space, BOTH), make_supernet(space, BOTH)
        together(**inputs, architectures=architectures).square().sum().backward()
        for architecture in architectures:
            alone(**inputs, architectures=[architecture]).square().sum().backward()
        compared = 0
        for one, other in zip(together.parameters(), alone.parameters(), strict=True):
            if one.grad is not None:
                torch.testing.assert_close(one.grad, other.grad, atol=1e-3, rtol=1e-3)
                compared += 1
            else:
                assert other.grad is None or not other.grad.any()
        assert compared > 10

    @pytest.mark.parametrize("training", [False, True])
    def test_rows_do_not_influence_each_other(self, training):
        # no statistics over a batch: one row is enough, for training too
        space = TabularSpace(**OPTIONS, dropouts=(0.0,), n_heads=1)
        supernet = make_supernet(space, BOTH).train(training)
        architectures = draw(space, 12)
        inputs = make_inputs(BOTH, N_ROWS)
        rows = {name: tensor[4:5] for name, tensor in inputs.items()}
        together = supernet(**inputs, architectures=architectures)
        alone = supernet(**rows, architectures=architectures)
        assert_same(alone[:, 0], together[:, 4])

    def test_scoring_in_inference_mode_does_not_spoil_later_training(self):
        space = TabularSpace(depths=(2,), widths=(11, 6), n_heads=1)
        supernet = make_supernet(space, BOTH)
        inputs = make_inputs(BOTH, N_ROWS)
        architectures = draw(space, 5)
        with torch.inference_mode():
            supernet(**inputs, architectures=architectures)
        supernet(**inputs, architectures=architectures).sum().backward()
        assert supernet.input.weight.grad.any()


def every_change():
    for decision in SPACE.decisions():
        for option in decision.options:
            if decision.name in BASE and option != BASE[decision.name]:
                yield decision.name, option


class TestEveryDecisionCounts:
    """Bug (a) of the released ENAS: whatever is chosen, the network is the same."""

    base = Architecture("tabular", BASE)

    def outputs(self, architecture, training):
        supernet = make_supernet(SPACE, BOTH).train(training)
        with private_random_state(0), torch.no_grad():
            return supernet(**make_inputs(BOTH, 40), architectures=[architecture])

    @pytest.mark.parametrize(("name", "option"), list(every_change()))
    def test_changing_one_decision_changes_the_output(self, name, option):
        other = changed(SPACE, self.base, name, option)
        assert other[name] == option
        # dropout acts while training only
        for training in (False, True):
            same = torch.allclose(
                self.outputs(self.base, training),
                self.outputs(other, training),
                atol=1e-4,
            )
            assert same == (name == "dropout" and not training)

    def test_two_rates_of_dropout_differ_while_training(self):
        low, high = (changed(SPACE, self.base, "dropout", r) for r in (0.1, 0.3))
        assert not torch.allclose(self.outputs(low, True), self.outputs(high, True))

    def test_dropout_keeps_the_mean_of_the_hidden_units(self):
        space = TabularSpace(
            depths=(1,), widths=(7,), activations=("identity",), dropouts=(0.5,)
        )
        supernet = make_supernet(space, BOTH)
        one_row = make_inputs(BOTH, 1)
        rows = {name: tensor.expand(4000, -1) for name, tensor in one_row.items()}
        architectures = [space.default_architecture()]
        with private_random_state(0), torch.no_grad():
            mean = supernet(**rows, architectures=architectures).mean(dim=1)
            supernet.eval()
            exact = supernet(**one_row, architectures=architectures)[:, 0]
        torch.testing.assert_close(mean, exact, atol=0.1, rtol=0.05)


class TestGradientReachesTheChosenOptionsOnly:
    def gradients(self, **choices):
        architecture = Architecture("tabular", BASE | choices)
        space = TabularSpace(**OPTIONS, n_heads=1)
        supernet = make_supernet(space, BOTH)
        inputs = make_inputs(BOTH, 40)
        supernet(**inputs, architectures=[architecture]).square().sum().backward()
        return {
            name: parameter.grad
            for name, parameter in supernet.named_parameters()
            if parameter.grad is not None and parameter.grad.any()
        }

    @pytest.mark.parametrize("chosen", ["piecewise_linear", "periodic", "none"])
    def test_of_the_embeddings(self, chosen):
        reached = self.gradients(numeric_embedding=chosen)
        embeddings = {n.split(".")[1] for n in reached if n.startswith("embed")}
        assert embeddings == {chosen} - {"none"}
        assert "input.weight" in reached and "input.bias" in reached

    @pytest.mark.parametrize(("chosen", "norms"), [("layer", "123"), ("none", "")])
    def test_of_the_normalizations(self, chosen, norms):
        reached = self.gradients(normalization=chosen)
        assert {n.split(".")[1] for n in reached if n.startswith("norms")} == set(norms)

    def test_of_the_layers_and_heads_of_other_depths(self):
        reached = self.gradients()
        assert {n.split(".")[1] for n in reached if n.startswith("layers")} == {*"23"}
        assert {n.split(".")[1] for n in reached if n.startswith("heads")} == {"3"}

    def test_of_the_units_within_the_width(self):
        reached = self.gradients()
        for layer, width, before in ((2, 7, 7), (3, 4, 7)):
            weight = reached[f"layers.{layer}.weight"]
            assert weight[:width, :before].any(dim=1).all()
            assert not weight[width:].any() and not weight[:, before:].any()
            assert not reached[f"layers.{layer}.bias"][width:].any()
            for kind in ("weight", "bias"):
                norm = reached[f"norms.{layer}.{kind}"]
                assert norm[:width].all() and not norm[width:].any()
        assert not reached["input.weight"][7:].any()
        assert not reached["embedded_inputs.periodic.weight"][7:].any()
        head = reached["heads.3.weight"]
        # the skip adds the seven units before, cut to the width
        assert head[0, :, :4].all() and not head[0, :, 4:].any()
