"""The tabular space: its decisions, its shared network, its stand-alone networks."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from small_tabular import (
    BASE,
    BOTH,
    N_ROWS,
    OPTIONS,
    SPACE,
    SPECS,
    assert_same,
    changed,
    draw,
    make_inputs,
)
from supernets import make_supernet, stand_alone

from sknas import Architecture, DataSpec, TabularSpace
from sknas.training import count_parameters, private_random_state


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

    def test_the_graph_is_connected(self):
        for architecture in draw(SPACE, 50):
            graph = SPACE.graph(architecture)
            nodes, edges = graph.nodes, graph.edges
            assert len(set(edges)) == len(edges)
            sources, targets = {s for s, _ in edges}, {t for _, t in edges}
            assert set(nodes) - sources == {"output"}
            assert set(nodes) - targets == {"numeric", "categorical"}

    def test_the_graph_has_a_node_for_each_layer_and_each_sum(self):
        for architecture in draw(SPACE, 50):
            graph = SPACE.graph(architecture)
            nodes, edges = graph.nodes, graph.edges
            layers = [name for name in nodes if name.startswith("layer_")]
            assert len(layers) == architecture["n_layers"]
            for k, layer in enumerate(layers, start=1):
                assert str(architecture[f"width_{k}"]) in nodes[layer].label
                assert architecture[f"activation_{k}"] in nodes[layer].label
            skips = [k for k in range(1, 5) if architecture.get(f"skip_{k}")]
            sums = [name for name in nodes if name.startswith("add_")]
            assert len(sums) == len(skips)
            for name in sums:
                assert len([edge for edge in edges if edge[1] == name]) == 2
            embedded = architecture["numeric_embedding"] != "none"
            assert ("embedding" in nodes) == embedded

    def test_what_follows_a_skip_starts_from_the_sum(self):
        choices = BASE | {"skip_2": True, "numeric_embedding": "none"}
        graph = SPACE.graph(Architecture("tabular", choices))
        assert set(graph.edges) == {
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
