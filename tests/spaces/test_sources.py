"""The code that networks are written as, against the networks themselves."""

import numpy as np
import pytest
import small_images
import small_sequences
import small_tabular
import torch
from test_graphs import CASES, make_inputs

from sknas import Architecture, ConvMicroSpace, RecurrentSpace, SearchSpace
from sknas.spaces import SPACES

HEADER = "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n"


def run(definitions, name):
    namespace = {}
    exec(compile(HEADER + "\n".join(definitions), "<source>", "exec"), namespace)
    return namespace[name]()


def assert_same_function(space, architecture, spec):
    network = space.network(architecture, spec).eval()
    generator = torch.Generator().manual_seed(0)
    for name, buffer in network.named_buffers():  # as if it had been trained
        if name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5, generator=generator)
    written = run(space.source(architecture, spec, "Found"), "Found").eval()
    state = network.state_dict()
    missing, unknown = written.load_state_dict(state, strict=False)
    assert not missing
    assert all(name.startswith("auxiliary.") for name in unknown)
    inputs = make_inputs(spec)
    with torch.no_grad():
        if spec.predicts_tokens:
            following = inputs.pop("next_tokens")
            logits, _ = written(**inputs)
            answer = logits.log_softmax(dim=-1).gather(2, following.unsqueeze(2))[
                ..., 0
            ]
            expected = network(**inputs, next_tokens=following)
        else:
            answer, expected = written(**inputs), network(**inputs)
            answer = answer.view(expected.shape)
    torch.testing.assert_close(answer, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_the_code_computes_what_the_network_does(case):
    space, spec, _ = CASES[case]
    for architecture in small_images.draw(space, 8):
        assert_same_function(space, architecture, spec)


@pytest.mark.parametrize("n_heads", [1, 3])
def test_several_predictors(n_heads):
    space = type(small_tabular.SPACE)(**small_tabular.OPTIONS, n_heads=n_heads)
    for architecture in small_tabular.draw(space, 5):
        assert_same_function(space, architecture, small_tabular.BOTH)


def test_an_auxiliary_head_is_left_out():
    space = ConvMicroSpace(n_filters=4, n_nodes=2, auxiliary_weight=0.4)
    spec = small_images.make_spec((1, 8, 8))
    assert_same_function(space, space.default_architecture(), spec)


@pytest.mark.parametrize("readout", ["concat", "max", "mean", "last"])
def test_every_readout(readout):
    space = RecurrentSpace(n_nodes=3, hidden_size=5, readout=readout, max_norm=0.3)
    spec = small_sequences.SPECS["series"]
    assert_same_function(space, space.default_architecture(), spec)


@pytest.mark.parametrize("case", CASES)
def test_the_code_is_readable(case):
    space, spec, _ = CASES[case]
    definitions = space.source(space.default_architecture(), spec, "Found")
    text = "\n".join(definitions)
    assert max(map(len, text.split("\n"))) <= 110
    assert len(text.split("\n")) < 250
    assert "sknas" not in text
    assert len(set(definitions)) == len(definitions)


def test_published_architectures():
    arc = "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1"
    arc += " 1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1"
    space = ConvMicroSpace(n_nodes=5, n_cells=4, n_filters=4)
    spec = small_images.make_spec((3, 9, 7))
    assert_same_function(space, Architecture.from_fixed_arc(arc, space), spec)


def test_every_space_of_ours_writes_code():
    for space in SPACES.values():
        assert space.source is not SearchSpace.source


def test_a_space_that_does_not_say_how_is_told_of():
    space = small_tabular.SPACE
    with pytest.raises(NotImplementedError, match="method 'source' of TabularSpace"):
        SearchSpace.source(space, np.nan, small_tabular.BOTH, "Found")
