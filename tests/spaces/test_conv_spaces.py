"""What the convolutional spaces decide, build and read."""

import numpy as np
import pytest
import torch
from small_images import SPACES, draw, make_images, make_spec

from sknas import (
    Architecture,
    ConvMacroSpace,
    ConvMicroSpace,
    DataSpec,
    TabularSpace,
)
from sknas.modules import BatchNorm
from sknas.training import count_parameters

# published with the official code: the final networks of its two scripts
OFFICIAL_MACRO = """
0 | 3 0 | 0 1 0 | 2 0 0 1 | 2 0 0 0 0 | 3 1 1 0 1 0 | 2 0 0 0 0 0 1 | 2 0 1 1 0 1 1 1
| 1 0 1 1 1 0 1 0 1 | 0 0 0 0 0 0 0 0 0 0 | 2 0 0 0 0 0 1 0 0 0 0
| 0 1 0 0 1 1 0 0 0 0 1 1 | 2 0 1 0 0 0 0 0 1 0 1 1 0 | 1 0 0 1 0 0 0 1 1 1 0 1 0 1
| 0 1 1 0 1 0 1 0 0 0 0 0 1 0 0 | 2 0 0 1 0 0 0 0 0 0 0 1 0 1 0 1
| 2 0 1 0 0 0 1 0 0 1 1 1 1 0 0 1 0 | 2 0 0 0 0 1 0 1 0 1 0 0 1 0 1 0 0 1
| 3 0 1 1 0 1 0 0 0 0 0 1 0 1 0 1 0 0 0 | 3 0 1 1 0 0 0 0 0 0 0 0 0 1 1 0 0 0 0 1
| 0 1 0 0 1 0 1 1 0 0 0 1 0 0 0 0 0 1 1 0 0
| 3 0 1 0 1 1 0 0 1 0 1 1 0 1 1 0 1 0 0 1 0 0
| 0 1 0 1 0 1 0 0 0 0 0 0 0 0 1 0 1 0 0 1 0 0 0
| 0 1 1 0 0 0 1 1 1 0 1 0 0 0 1 0 1 0 0 1 1 0 0 0
"""
OFFICIAL_MICRO = (
    "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1 1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1"
)
CIFAR = make_spec((3, 32, 32), n_outputs=10)


class WithBonus(TabularSpace):
    """A parameter of its own begins with "final_", and is no other's final value."""

    def __init__(self, final_bonus=None):
        super().__init__()
        self.final_bonus = final_bonus


class TestFixedArcs:
    def test_macro_is_read_and_written(self):
        space = ConvMacroSpace(n_layers=24)
        architecture = Architecture.from_fixed_arc(OFFICIAL_MACRO, space)
        space.decisions().check(architecture)
        words = OFFICIAL_MACRO.replace("|", " ").split()
        assert architecture.to_fixed_arc(space).split() == words
        assert architecture["operation_2"] == "separable_conv5x5"
        # "3 1 1 0 1 0": layer 6 skips from the stem and from layers 1 and 3
        skips = [architecture[f"skip_{j}_6"] for j in range(5)]
        assert skips == [True, True, False, True, False]

    def test_micro_is_read_and_written(self):
        space = ConvMicroSpace(n_nodes=5)
        architecture = Architecture.from_fixed_arc(OFFICIAL_MICRO, space)
        space.decisions().check(architecture)
        assert architecture.to_fixed_arc(space) == OFFICIAL_MICRO
        assert architecture["normal_operation_2_1"] == "average_pool3x3"
        assert architecture["reduction_input_4_2"] == 3

    @pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
    def test_what_is_written_is_read(self, space):
        for architecture in draw(space, 20):
            text = architecture.to_fixed_arc(space)
            assert Architecture.from_fixed_arc(text, space) == architecture
            assert Architecture.from_json(architecture.to_json()) == architecture

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("0 | 1", "2 numbers, but a space of this size needs 3"),
            ("0 | 9 0", "9 for 'operation_2'"),
            ("0 | 1 2", "2 for 'skip_0_2'"),
            ("0 | 1 -1", "from 0 up"),
            ("0 | 1 x", "string of whole numbers"),
            ("0 | 1 0_1", "string of whole numbers"),
            (b"0 | 1 0", "string of whole numbers"),
            (None, "string of whole numbers"),
        ],
    )
    def test_another_arc_is_refused(self, text, message):
        with pytest.raises(ValueError, match=message):
            Architecture.from_fixed_arc(text, ConvMacroSpace(n_layers=2))

    def test_an_operation_that_the_space_does_not_offer_is_refused(self):
        space = ConvMacroSpace(n_layers=1, operations=("conv3x3",))
        with pytest.raises(ValueError, match="offers"):
            Architecture.from_fixed_arc("5", space)

    def test_a_space_without_fixed_arcs_is_told(self):
        space = TabularSpace()
        with pytest.raises(TypeError, match="fixed arcs are of a ConvMacroSpace"):
            Architecture.from_fixed_arc("0 1", space)
        with pytest.raises(TypeError, match="fixed arcs are of a ConvMacroSpace"):
            space.default_architecture().to_fixed_arc(space)

    def test_an_architecture_of_another_space_is_not_written(self):
        architecture = SPACES["macro"].default_architecture()
        with pytest.raises(ValueError, match="belongs to the space"):
            architecture.to_fixed_arc(SPACES["micro"])


class TestOfficialNetworks:
    def test_the_macro_one_trains(self):
        space = ConvMacroSpace(n_layers=24, n_filters=96, stem_stride=1)
        architecture = Architecture.from_fixed_arc(OFFICIAL_MACRO, space)
        network = space.network(architecture, CIFAR).train()
        assert network(make_images((3, 32, 32), 2)).shape == (2, 10)
        network(make_images((3, 32, 32), 2)).square().sum().backward()
        assert all(p.grad is not None for p in network.parameters())

    def test_the_micro_one_has_the_parameters_that_the_released_code_counts(self):
        # by hand from its layers: 1x1 convolutions of the inputs, and of what they
        # come to; separable convolutions, twice each; two numbers for each norm
        n_filters, n_cells = 36, 15
        kernels = {
            "normal": [3, 5, 5, 3, 5, 5],
            "reduction": [3, 3, 5, 5, 3, 5],
        }
        loose = {"normal": 5, "reduction": 4}
        n = 3 * 9 * 3 * n_filters + 2 * 3 * n_filters
        inputs = [3 * n_filters] * 2
        filters = n_filters
        for i in range(n_cells + 2):
            kind = "reduction" if i in (5, 11) else "normal"
            filters *= 2 if kind == "reduction" else 1
            n += (sum(inputs) + filters) * filters + 3 * 2 * filters
            for k in kernels[kind]:
                n += 2 * (k * k * filters + filters * filters + 2 * filters)
            if kind == "reduction":  # the identity, of half the size
                n += filters * filters + 2 * filters
            inputs = [inputs[1], loose[kind] * filters]
        n += inputs[1] * 10 + 10
        space = ConvMicroSpace(
            n_cells=n_cells, n_filters=n_filters, n_nodes=5, stem_stride=1
        )
        architecture = Architecture.from_fixed_arc(OFFICIAL_MICRO, space)
        assert count_parameters(space.network(architecture, CIFAR)) == n


class TestSizes:
    @pytest.mark.parametrize(
        ("shape", "stride"),
        [
            ((1, 8, 8), 1),
            ((1, 28, 28), 2),
            ((3, 32, 32), 2),
            ((3, 64, 64), 4),
            ((1, 5, 200), 4),
            ((2, 150), 1),
            ((2, 1000), 4),
        ],
    )
    def test_the_stem_leaves_no_more_than_256_places(self, shape, stride):
        spec = make_spec(shape)
        space = ConvMacroSpace(n_filters=2)
        network = space.network(space.default_architecture(), spec).eval()
        maps = []
        network.stem.register_forward_hook(lambda *call: maps.append(call[-1]))
        assert network(make_images(shape, 2)).shape == (2, 3)
        # series have a height of one
        expected = [1, *(-(-size // stride) for size in shape[1:])][-2:]
        assert list(maps[0].shape[2:]) == expected

    @pytest.mark.parametrize(("size", "expected"), [(8, 24), (10, 24), (11, 16)])
    def test_small_images_get_more_filters(self, size, expected):
        space, spec = ConvMacroSpace(), make_spec((1, size, size))
        network = space.network(space.default_architecture(), spec)
        assert len(network.stem[0].weight) == expected

    @pytest.mark.parametrize("size", range(1, 10))
    @pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
    def test_auto_suits_images_of_any_size(self, space, size):
        for shape in ((1, size, size), (1, size, 9), (2, size)):
            spec = make_spec(shape)
            space.check_data(spec)
            network = space.network(space.default_architecture(), spec).train()
            assert network(make_images(shape, 4)).shape == (4, 3)

    @pytest.mark.parametrize("space", [ConvMacroSpace, ConvMicroSpace])
    def test_too_small_for_the_reductions(self, space):
        with pytest.raises(ValueError, match="too small for n_reductions=2"):
            space(n_reductions=2).check_data(make_spec((1, 2, 9)))
        space(n_reductions=2).check_data(make_spec((1, 3, 9)))

    def test_fewer_layers_than_reductions(self):
        with pytest.raises(ValueError, match="must be below n_layers"):
            ConvMacroSpace(n_layers=2, n_reductions=2).check_data(make_spec((1, 8, 8)))
        spec = make_spec((1, 8, 8))
        for n_layers in (1, 2, 3, 4):
            space = ConvMacroSpace(n_layers=n_layers, n_filters=2)
            network = space.network(space.default_architecture(), spec)
            assert network(make_images((1, 8, 8), 2)).shape == (2, 3)

    @pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
    def test_tables_are_refused(self, space):
        with pytest.raises(ValueError, match="is for images"):
            space.check_data(DataSpec(2, 3))

    def test_a_larger_final_network_has_the_same_decisions(self):
        macro = ConvMacroSpace(n_filters=4, final_n_filters=8)
        assert macro.final_space().n_filters == 8
        assert list(macro.final_space().decisions()) == list(macro.decisions())
        micro = ConvMicroSpace(n_filters=4, final_n_cells=6)
        assert micro.final_space().n_cells == 6
        assert micro.final_space().n_filters == 4
        assert list(micro.final_space().decisions()) == list(micro.decisions())
        own = WithBonus(final_bonus=3)
        assert own.final_space() is own
        assert ConvMacroSpace().final_space().get_params() == (
            ConvMacroSpace().get_params()
        )


@pytest.mark.parametrize(
    ("space", "parameter", "value"),
    [
        (ConvMacroSpace, "n_layers", 0),
        (ConvMacroSpace, "n_layers", "six"),
        (ConvMacroSpace, "operations", ()),
        (ConvMacroSpace, "operations", ("conv3x3", "conv3x3")),
        (ConvMacroSpace, "operations", ("conv7x7",)),
        (ConvMacroSpace, "operations", "conv3x3"),
        (ConvMacroSpace, "n_filters", 5),
        (ConvMacroSpace, "final_n_filters", 5),
        (ConvMacroSpace, "n_reductions", -1),
        (ConvMacroSpace, "n_reductions", "two"),
        (ConvMacroSpace, "stem_stride", 3),
        (ConvMacroSpace, "dropout", 1.0),
        (ConvMicroSpace, "n_cells", 0),
        (ConvMicroSpace, "n_nodes", 1.5),
        (ConvMicroSpace, "final_n_cells", 0),
        (ConvMicroSpace, "drop_path", -0.1),
        (ConvMicroSpace, "auxiliary_weight", True),
    ],
)
def test_a_wrong_parameter_is_named(space, parameter, value):
    message = f"'{parameter}' parameter of {space.__name__}"
    with pytest.raises(ValueError, match=message):
        space(**{parameter: value}).decisions()


class TestWords:
    def test_macro(self):
        space = ConvMacroSpace(n_layers=3)
        found = Architecture.from_fixed_arc("0 | 5 1 | 1 0 1", space)
        assert space.describe(found) == (
            "stem -> conv3x3 -> max_pool3x3 (beside stem) -> separable_conv3x3 "
            "(beside layer 1) -> mean -> output"
        )
        graph = space.graph(found)
        edges = graph.edges
        assert list(graph.nodes)[-1] == "output"
        assert ("layer_0", "join_2") in edges
        assert ("join_2", "layer_3") in edges
        assert ("layer_1", "join_3") in edges


def test_bytes_and_floats_are_the_same_images():
    space, spec = SPACES["macro"], make_spec((1, 8, 8))
    network = space.network(space.default_architecture(), spec).eval()
    image = np.random.RandomState(0).randint(0, 256, (5, 1, 8, 8), dtype=np.uint8)
    with torch.no_grad():
        of_bytes = network(torch.from_numpy(image))
        assert of_bytes.equal(network(torch.from_numpy(image).float()))


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (1, 9), (2, 9)])
def test_all_is_computed_channels_last(space, shape):
    spec = make_spec(shape)
    network = space.network(space.default_architecture(), spec)
    seen = []

    def look(module, inputs, output):
        seen.append(output.is_contiguous(memory_format=torch.channels_last))

    for module in network.modules():
        if isinstance(module, torch.nn.Conv1d | torch.nn.Conv2d | BatchNorm):
            module.register_forward_hook(look)
    network(make_images(shape, 12))
    assert seen
    assert all(seen)
