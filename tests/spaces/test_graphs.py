"""What graphs of architectures say holds for the networks that are built."""

import pytest
import small_images
import small_sequences
import small_tabular
import torch

from sknas import ConvMacroSpace
from sknas.spaces import Graph, Node

IMAGE_SPECS = {
    name: small_images.make_spec(shape) for name, shape in small_images.SHAPES.items()
}
CASES = {
    **{
        f"tabular, {name}": (small_tabular.SPACE, spec, small_tabular.make_inputs)
        for name, spec in small_tabular.SPECS.items()
    },
    **{
        f"{name}, {kind}": (space, spec, None)
        for name, space in small_images.SPACES.items()
        for kind, spec in IMAGE_SPECS.items()
    },
    **{
        f"{name}, {kind}": (
            small_sequences.SPACES[name],
            small_sequences.SPECS[kind],
            None,
        )
        for kind, name in small_sequences.CASES
    },
}


def make_inputs(spec):
    if spec.kind == "table":
        return small_tabular.make_inputs(spec, 5)
    if spec.kind == "image":
        return {"image": small_images.make_images(spec.image_shape, 5)}
    if spec.image_shape is not None and spec.image_shape[1] != small_sequences.N_STEPS:
        return {"image": small_images.make_images(spec.image_shape, 5)}
    return small_sequences.make_inputs(spec.kind)


def shapes_by_call(network, inputs):
    """Run a network; give the modules that were called, in turn, and their outputs."""
    calls = []

    def hook(name):
        def remember(module, args, output):
            if isinstance(output, tuple):
                output = output[0]
            if isinstance(output, dict):  # a cell's loose ends, side by side
                output = torch.cat(list(output.values()), dim=1)
            calls.append((f"{name}.", tuple(output.shape)))

        return remember

    for name, module in network.named_modules():
        if name:
            module.register_forward_hook(hook(name))
    with torch.no_grad():
        network.eval()(**inputs)
    return calls


@pytest.mark.parametrize("case", CASES)
def test_every_parameter_is_counted_once(case):
    space, spec, _ = CASES[case]
    for architecture in small_images.draw(space, 8):
        graph = space.graph(architecture, spec)
        first = next(iter(graph.nodes.values())).part
        nodes = [node for node in graph.nodes.values() if node.part == first]
        for name, _ in space.network(architecture, spec).named_parameters():
            owners = [node.label for node in nodes if node.has_parameter(name)]
            assert len(owners) == 1, (name, owners, architecture)


@pytest.mark.parametrize("case", CASES)
def test_shapes_are_those_of_the_network(case):
    space, spec, _ = CASES[case]
    for architecture in small_images.draw(space, 5):
        graph = space.graph(architecture, spec)
        calls = shapes_by_call(space.network(architecture, spec), make_inputs(spec))
        n_checked = 0
        for node in graph.nodes.values():
            if node.part.endswith(" cell") and node.kind in ("input", "output"):
                continue  # of several tensors; the others check them
            own = [shape for name, shape in calls if node.has_parameter(name)]
            if spec.kind in ("series", "text"):  # their height of one is not shown
                own = [s if len(s) < 4 else (*s[:-2], s[-1]) for s in own]
            if own and spec.kind != "language":
                n_checked += 1
                assert own[-1][-len(node.shape) :] == node.shape, node
        assert n_checked or spec.kind == "language" or "recurrent" in case


@pytest.mark.parametrize("case", CASES)
def test_without_data_graphs_have_no_shapes(case):
    space, _, _ = CASES[case]
    graph = space.graph(space.default_architecture())
    assert {node.shape for node in graph.nodes.values()} == {None}
    ends = {name for edge in graph.edges for name in edge}
    assert ends == set(graph.nodes)


def test_micro_graphs_show_both_cells_and_what_is_stacked_from_them():
    space = small_images.SPACES["micro"]
    architecture = space.default_architecture()
    assert {n.part for n in space.graph(architecture).nodes.values()} == {
        "normal cell",
        "reduction cell",
    }
    graph = space.graph(architecture, small_images.make_spec((1, 8, 8)))
    stack = [node.label for node in graph.nodes.values() if node.part == "network"]
    assert stack == [
        "input",
        "stem",
        "2 reduction cells",
        "2 normal cells",
        "mean, output",
    ]


def test_skips_over_a_reduction_change_shapes():
    space = ConvMacroSpace(n_layers=3, n_filters=4, n_reductions=2)
    architecture = space.read_fixed_arc("0 | 0 1 | 0 1 1")
    graph = space.graph(architecture, small_images.make_spec((1, 8, 8)))
    assert [graph.nodes[f"layer_{k}"].shape for k in range(4)] == [
        (4, 8, 8),
        (4, 8, 8),
        (8, 4, 4),
        (16, 2, 2),
    ]


def test_wrong_graphs_are_refused():
    nodes = {"a": Node("a"), "b": Node("b")}
    with pytest.raises(ValueError, match="no node"):
        Graph(nodes, [("a", "c")])
    with pytest.raises(ValueError, match="goes back"):
        Graph(nodes, [("b", "a")])
    with pytest.raises(ValueError, match="kind"):
        Node("a", "thing")
