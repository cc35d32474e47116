"""The tabular space: its decisions, its shared network, its stand-alone networks."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone

from sknas import Architecture, DataSpec, TabularSpace
from sknas.training import count_parameters, private_random_state

N_ROWS = 9
QUANTILES = np.quantile(
    np.random.RandomState(0).normal(size=(200, 3)), np.linspace(0, 1, 7), axis=0
)
SPECS = {
    "numbers and categories": DataSpec(3, 3, (2, 4), QUANTILES),
    "numbers": DataSpec(3, 3, (), QUANTILES),
    "categories": DataSpec(3, 0, (2, 4), np.empty((7, 0))),
}
BOTH = SPECS["numbers and categories"]
OPTIONS = {"depths": (3, 1, 2, 4), "widths": (7, 4, 12)}
SPACE = TabularSpace(**OPTIONS, n_heads=1)


@pytest.fixture(params=list(SPECS))
def spec(request):
    return SPECS[request.param]


def make_inputs(spec, *leading, seed=0):
    """Random rows; the last code of each categorical column means "unknown"."""
    rng = np.random.RandomState(seed)
    numeric = rng.normal(size=(*leading, spec.n_numeric)).astype(np.float32)
    codes = [rng.randint(size + 1, size=leading) for size in spec.category_sizes]
    categorical = np.stack(codes, axis=-1) if codes else np.empty((*leading, 0), int)
    return {
        "numeric": torch.from_numpy(numeric),
        "categorical": torch.from_numpy(categorical),
    }


def make_supernet(space, spec):
    """A supernet all of whose parameters differ, those of the norms too."""
    with private_random_state(0):
        supernet = space.supernet(spec)
        with torch.no_grad():
            for parameter in supernet.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
    return supernet


def stand_alone(space, spec, supernet, architecture):
    network = space.network(architecture, spec)
    space.copy_shared_weights(supernet, network, architecture)
    return network.train(supernet.training)


def draw(space, n, seed=0):
    return space.decisions().sample(n, np.random.RandomState(seed))


def changed(space, architecture, name, option):
    """The architecture with another option, and any decision that this activates."""
    choices = dict(space.default_architecture())
    for decision in space.decisions():
        choices.setdefault(decision.name, decision.options[0])
    choices |= dict(architecture) | {name: option}
    decisions = space.decisions()
    return decisions.architecture([d.options.index(choices[d.name]) for d in decisions])


def assert_same(actual, expected):
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)


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


BASE = {
    "numeric_embedding": "periodic",
    "normalization": "layer",
    "dropout": 0.0,
    "n_layers": 3,
    "activation_1": "silu",
    "width_1": 7,
    "activation_2": "tanh",
    "width_2": 7,
    "skip_2": False,
    "activation_3": "selu",
    "width_3": 4,
    "skip_3": True,
}


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


class TestOptions:
    def test_the_default_architecture_takes_the_first_options(self):
        default = SPACE.default_architecture()
        assert default["numeric_embedding"] == "piecewise_linear"
        assert (default["n_layers"], default["width_3"]) == (3, 7)
        assert "width_4" not in default
        SPACE.decisions().check(default)

    def test_decisions_of_a_layer_count_where_the_network_is_that_deep(self):
        for architecture in draw(SPACE, 50):
            depth = architecture["n_layers"]
            for layer in range(1, 5):
                for kind in ("activation", "width"):
                    assert (f"{kind}_{layer}" in architecture) == (layer <= depth)
                assert (f"skip_{layer}" in architecture) == (1 < layer <= depth)

    def test_options_given_as_lists_make_the_same_decisions(self):
        lists = {name: list(value) for name, value in OPTIONS.items()}
        assert list(TabularSpace(**lists).decisions()) == list(
            TabularSpace(**OPTIONS).decisions()
        )

    def test_it_is_cloned_with_its_parameters(self):
        copy = clone(SPACE)
        assert copy is not SPACE and copy.get_params() == SPACE.get_params()

    def test_depths_need_not_be_without_gaps(self):
        space = TabularSpace(depths=(4, 1), widths=(7, 4), n_heads=1)
        supernet = make_supernet(space, BOTH).eval()
        inputs = make_inputs(BOTH, N_ROWS)
        for architecture in draw(space, 10):
            network = stand_alone(space, BOTH, supernet, architecture)
            shared = supernet(**inputs, architectures=[architecture])
            assert_same(network(**inputs), shared)

    @pytest.mark.parametrize(
        ("parameter", "value"),
        [
            ("numeric_embeddings", ("linear",)),
            ("normalizations", ("layer", "batch")),
            ("activations", ("relu", "gelu9")),
            ("activations", (None,)),
            ("skips", (False, 2)),
            ("skips", ("yes",)),
            ("depths", (0,)),
            ("depths", (2, 1.5)),
            ("depths", ("2",)),
            ("widths", (8, -8)),
            ("widths", (None,)),
            ("dropouts", (1.0,)),
            ("dropouts", (-0.1, 0.0)),
            ("dropouts", (float("nan"),)),
            ("n_heads", 0),
            ("n_heads", 1.5),
            ("n_heads", "4"),
        ],
    )
    def test_a_wrong_option_raises_an_error_that_names_the_parameter(
        self, parameter, value
    ):
        space = TabularSpace(**{parameter: value})  # nothing is checked here
        with pytest.raises((TypeError, ValueError), match=parameter):
            space.decisions()

    @pytest.mark.parametrize("parameter", ["dropouts", "depths", "widths", "skips"])
    @pytest.mark.parametrize("value", [(), 3])
    def test_what_is_no_tuple_of_options_raises_an_error_that_names_the_parameter(
        self, parameter, value
    ):
        with pytest.raises((TypeError, ValueError), match=parameter):
            TabularSpace(**{parameter: value}).decisions()

    @pytest.mark.parametrize("parameter", ["activations", "numeric_embeddings"])
    def test_no_options_at_all_raise_an_error_that_names_the_parameter(self, parameter):
        with pytest.raises(ValueError, match=parameter):
            TabularSpace(**{parameter: ()}).decisions()

    def test_dropouts_that_are_no_numbers_raise_an_error_that_names_them(self):
        with pytest.raises((TypeError, ValueError), match="dropouts"):
            TabularSpace(dropouts=("0.1",)).decisions()

    @pytest.mark.parametrize(
        ("parameter", "value"),
        [("depths", (True,)), ("widths", (True,)), ("n_heads", True)],
    )
    def test_booleans_are_no_integers(self, parameter, value):
        with pytest.raises((TypeError, ValueError), match=parameter):
            TabularSpace(**{parameter: value}).decisions()

    def test_an_option_given_twice_raises_an_error_that_names_the_parameter(self):
        with pytest.raises(ValueError, match="widths"):
            TabularSpace(widths=(8, 4, 8)).decisions()

    def test_numpy_integers_are_integers(self):
        # as a randomized search over n_heads gives them
        space = TabularSpace(n_heads=np.int64(2))
        network = space.network(space.default_architecture(), BOTH)
        assert network(**make_inputs(BOTH, N_ROWS)).shape == (2, N_ROWS, 3)


class TestNetworks:
    def test_predictors_differ_from_the_start(self):
        space = TabularSpace(**OPTIONS, n_heads=3)
        with private_random_state(0):
            network = space.network(space.default_architecture(), BOTH).eval()
        logits = network(**make_inputs(BOTH, N_ROWS))
        for head in (1, 2):
            assert not torch.allclose(logits[0], logits[head])

    def test_the_first_weights_come_from_torchs_default_generator(self):
        networks = []
        for seed in (0, 0, 1):
            with private_random_state(seed):
                networks.append(SPACE.network(SPACE.default_architecture(), BOTH))
        first, same, other = (n.input.weight for n in networks)
        assert first.equal(same) and not first.equal(other)

    def test_a_network_has_no_parameters_that_it_does_not_use(self):
        inputs = make_inputs(BOTH, 40)
        for architecture in draw(SPACE, 20):
            with private_random_state(0):
                network = SPACE.network(architecture, BOTH).eval()
            network(**inputs).square().sum().backward()
            for name, parameter in network.named_parameters():
                assert parameter.grad is not None, name

    def test_unknown_categories_are_as_no_category(self):
        spec = SPECS["categories"]
        network = SPACE.network(SPACE.default_architecture(), spec).eval()
        unknown = {
            "numeric": torch.zeros(1, 0),
            "categorical": torch.tensor([list(spec.category_sizes)]),
        }
        with torch.no_grad():
            logits = network(**unknown)
            network.input.weight.zero_()
            assert network(**unknown).equal(logits)

    def test_a_network_is_pickled_with_its_weights(self):
        network = SPACE.network(SPACE.default_architecture(), BOTH).eval()
        inputs = make_inputs(BOTH, N_ROWS)
        loaded = pickle.loads(pickle.dumps(network))
        assert loaded(**inputs).equal(network(**inputs))

    def test_many_numbers_have_shorter_embeddings(self):
        def size(n_numeric):
            quantiles = np.linspace(0, 1, 3)[:, None].repeat(n_numeric, axis=1)
            spec = DataSpec(2, n_numeric, (), quantiles)
            space = TabularSpace(depths=(1,), widths=(2,), n_heads=1)
            return space.network(space.default_architecture(), spec).embedding.n_outputs

        few, many, very_many = (size(n) / n for n in (3, 100, 5000))
        assert few > many > very_many == 1

    def test_a_wider_network_has_more_parameters(self):
        narrow = changed(SPACE, SPACE.default_architecture(), "width_1", 4)
        wide = changed(SPACE, SPACE.default_architecture(), "width_1", 12)
        assert count_parameters(SPACE.network(narrow, BOTH)) < count_parameters(
            SPACE.network(wide, BOTH)
        )


class TestWordsAndGraph:
    def test_the_words_tell_every_choice(self):
        text = SPACE.describe(Architecture("tabular", BASE))
        assert "periodic" in text
        layers = ["7 silu", "7 tanh", "4 selu + skip"]
        places = [text.index(layer) for layer in layers]
        assert places == sorted(places)
        assert "7 tanh + skip" not in text
        assert "normalization: layer" in text and "dropout: 0.0" in text

    def test_different_architectures_are_described_differently(self):
        architectures = set(draw(SPACE, 200))
        assert len(set(map(SPACE.describe, architectures))) == len(architectures)

    def test_the_graph_is_connected_and_in_topological_order(self):
        for architecture in draw(SPACE, 50):
            nodes, edges = SPACE.graph(architecture)
            place = {name: i for i, name in enumerate(nodes)}
            assert len(set(edges)) == len(edges)
            for source, target in edges:
                assert place[source] < place[target]
            sources, targets = {s for s, _ in edges}, {t for _, t in edges}
            assert set(nodes) - sources == {"output"}
            assert set(nodes) - targets == {"numeric", "categorical"}

    def test_the_graph_has_a_node_for_each_layer_and_each_sum(self):
        for architecture in draw(SPACE, 50):
            nodes, edges = SPACE.graph(architecture)
            layers = [name for name in nodes if name.startswith("layer_")]
            assert len(layers) == architecture["n_layers"]
            for k, layer in enumerate(layers, start=1):
                assert str(architecture[f"width_{k}"]) in nodes[layer]
                assert architecture[f"activation_{k}"] in nodes[layer]
            skips = [k for k in range(1, 5) if architecture.get(f"skip_{k}")]
            sums = [name for name in nodes if name.startswith("add_")]
            assert len(sums) == len(skips)
            for name in sums:
                assert len([edge for edge in edges if edge[1] == name]) == 2
            embedded = architecture["numeric_embedding"] != "none"
            assert ("embedding" in nodes) == embedded

    def test_what_follows_a_skip_starts_from_the_sum(self):
        choices = BASE | {"skip_2": True, "numeric_embedding": "none"}
        nodes, edges = SPACE.graph(Architecture("tabular", choices))
        assert set(edges) == {
            ("numeric", "layer_1"),
            ("categorical", "layer_1"),
            ("layer_1", "layer_2"),
            ("layer_1", "add_2"),
            ("layer_2", "add_2"),
            ("add_2", "layer_3"),
            ("add_2", "add_3"),
            ("layer_3", "add_3"),
            ("add_3", "output"),
        }
