"""A space of one's own is checked as a whole."""

import numpy as np
import pytest
import torch
from small_images import make_spec
from torch import nn

from sknas import (
    ConvMacroSpace,
    ConvMicroSpace,
    DataSpec,
    RecurrentSpace,
    SearchSpace,
    SequenceSpace,
    TabularSpace,
)
from sknas.spaces import check_network, check_search_space

SERIES, IMAGES = make_spec((2, 20)), make_spec((1, 8, 8))
ROWS = {"numeric": torch.zeros(5, 4), "categorical": torch.zeros(5, 2).long()}
EXAMPLE = DataSpec(3, 4, (2, 5), np.linspace(-2, 2, 9)[:, None].repeat(4, 1))
TEXT = DataSpec(4, n_tokens=30, n_steps=15)
NUMBERS = DataSpec(
    1, n_numeric=3, bin_edges=np.linspace(-2, 2, 5)[:, None].repeat(3, 1)
)


@pytest.mark.parametrize(
    ("space", "spec"),
    [
        (TabularSpace(), None),
        (TabularSpace(n_heads=1), NUMBERS),
        (ConvMacroSpace(4, n_filters=4), make_spec((3, 12, 12))),
        (ConvMicroSpace(2, n_filters=4), make_spec((3, 12, 12))),
        (ConvMacroSpace(4, n_filters=4), SERIES),
        (RecurrentSpace(4, hidden_size=8), SERIES),
        (RecurrentSpace(4, hidden_size=8), TEXT),
        (SequenceSpace(), SERIES),
        (SequenceSpace(), TEXT),
    ],
)
def test_our_own_spaces_keep_what_they_must(space, spec):
    check_search_space(space, spec)


class Plain(TabularSpace):
    """One predictor in a network, so that all is checked."""

    def __init__(self, widths=(8, 4)):
        super().__init__(n_heads=1, widths=widths)


class Answering(nn.Module):
    """A supernet whose answers are changed."""

    def __init__(self, supernet, change):
        super().__init__()
        self.supernet, self.change = supernet, change

    def forward(self, architectures, **rows):
        return self.change(self.supernet, architectures, rows)


def only_the_first(supernet, architectures, rows):
    return supernet(**rows, architectures=[architectures[0]] * len(architectures))


def by_those_beside(supernet, architectures, rows):
    logits = supernet(**rows, architectures=architectures)
    return logits - logits.mean(dim=0, keepdim=True) * (len(logits) > 1)


def by_the_first_rows(supernet, architectures, rows):
    if rows["numeric"].ndim == 3:
        rows = {name: tensor[0] for name, tensor in rows.items()}
    return supernet(**rows, architectures=architectures)


def flat(supernet, architectures, rows):
    return supernet(**rows, architectures=architectures).flatten(1)


class OwnSupernet(Plain):
    def __init__(self, change):
        super().__init__()
        self.change = change

    def supernet(self, spec):
        return Answering(super().supernet(spec), self.change)

    def shared_name(self, name, architecture):
        return f"supernet.{super().shared_name(name, architecture)}"


class Misspelt(Plain):
    copy_shared_weights = SearchSpace.copy_shared_weights

    def shared_name(self, name, architecture):
        return super().shared_name(name, architecture).replace("input.", "inputs.")


class Negative(Plain):
    def network(self, architecture, spec):
        network = super().network(architecture, spec)
        network.register_forward_hook(lambda module, rows, logits: -logits)
        return network


class Probabilities(Plain):
    def network(self, architecture, spec):
        network = super().network(architecture, spec)
        network.register_forward_hook(lambda module, rows, logits: logits.softmax(-1))
        return network


class NotANumber(Plain):
    def network(self, architecture, spec):
        network = super().network(architecture, spec)
        network.register_forward_hook(lambda module, rows, logits: logits * np.nan)
        return network


class Losing(Plain):
    """A file of it holds less than it did."""

    def __setstate__(self, state):
        super().__setstate__({**state, "widths": (8,)})


class Blind(Plain):
    """Networks that do not read categories."""

    def supernet(self, spec):
        return self.blind(super().supernet(spec))

    def network(self, architecture, spec):
        return self.blind(super().network(architecture, spec))

    def blind(self, network):
        def without(module, args, inputs):
            unknown = torch.full_like(inputs["categorical"], 99)
            return args, inputs | {"categorical": unknown}

        network.register_forward_pre_hook(without, with_kwargs=True)
        return network


class Normalizing(Plain):
    """Networks that fail where a batch has one row."""

    def network(self, architecture, spec):
        network = super().network(architecture, spec)
        norm = nn.BatchNorm1d(3, affine=False, track_running_stats=False)
        network.register_forward_hook(
            lambda module, rows, logits: norm(logits[0]) if module.training else logits
        )
        return network


class OtherCode(Plain):
    def __init__(self, old, new):
        super().__init__()
        self.old, self.new = old, new

    def source(self, architecture, spec, name):
        definitions = super().source(architecture, spec, name)
        return [text.replace(self.old, self.new) for text in definitions]


class Unknowing(Plain):
    tells_relevance = True
    relevance = SearchSpace.relevance


class Relevant(TabularSpace):
    def __init__(self, given):
        super().__init__(widths=(8,))
        self.given = given

    def relevance(self, network, inputs, weight, join):
        return self.given


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (OwnSupernet(only_the_first), "others beside it"),
        (OwnSupernet(by_those_beside), "others beside it"),
        (OwnSupernet(by_the_first_rows), "rows of its own"),
        (OwnSupernet(flat), r"logits of shape \(n_architectures"),
        (Misspelt(), "no 'inputs.*'shared_name'"),
        (Negative(), "answers otherwise than the supernet"),
        (Probabilities(), "probabilities"),
        (NotANumber(), "no numbers"),
        (Losing(), "a clone or a pickle"),
        (Blind(), "do not read 'categorical'.*check_data"),
        (Normalizing(), "more than 1 value per channel"),
        (OtherCode("relu", "tanh"), "the code answers otherwise"),
        (OtherCode("self.head", "self.exit"), "'exit.bias' is no parameter"),
        (OtherCode("class Written", "class Else"), "call the network's class as asked"),
        (Unknowing(), "has tells_relevance, but no method"),
        (Relevant([1.0, 1.0]), r"Relevant.relevance must give .* \(6,\), 4 numeric"),
        (Relevant([1.0] * 5 + [0.0]), r"Relevant.relevance must give .* above 0"),
    ],
)
def test_what_is_wrong_is_told(space, message):
    with pytest.raises(ValueError, match=message):
        check_search_space(space)


class NoSupernet(Plain):
    def supernet(self, spec):
        return None


class NoWords(Plain):
    def describe(self, architecture):
        return 3


class NoList(Plain):
    def source(self, architecture, spec, name):
        return f"class {name}(nn.Module): ..."


class NoGraph(Plain):
    def graph(self, architecture, spec=None):
        return {"a": 1}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (NoSupernet(), "supernet must give a torch.nn.Module, got None"),
        (NoWords(), "describe must give a string"),
        (NoList(), "source must give a list of definitions, got a str"),
        (NoGraph(), "graph must give a Graph with nodes"),
        (Plain, "must be an instance of SearchSpace"),
    ],
)
def test_what_is_of_another_type_is_told(space, message):
    with pytest.raises(TypeError, match=message):
        check_search_space(space)


def test_networks_that_give_arrays_are_told_of():
    class Arrays(nn.Module):
        def forward(self, numeric, categorical):
            return np.zeros((len(numeric), 3))

    space = Plain()
    space.network = lambda architecture, spec: Arrays()
    with pytest.raises(TypeError, match="must give a torch.Tensor, one gave a ndarray"):
        check_network(space, space.default_architecture(), EXAMPLE, ROWS)


def test_a_space_that_no_file_can_hold_is_told_of():
    class Local(Plain):
        pass

    with pytest.raises(ValueError, match="top level of a module"):
        check_search_space(Local())


class Sum(nn.Module):
    """A network of images and series that takes them as they are."""

    def __init__(self, reads_bytes):
        super().__init__()
        self.reads_bytes = reads_bytes
        self.output = nn.Linear(1, 3)

    def forward(self, image, architectures=None):
        if architectures is None:
            image = image.float() if self.reads_bytes else image
            return self.output(image.flatten(1).mean(dim=1, keepdim=True))
        is_common = image.ndim == self.n_axes
        parts = [image] * len(architectures) if is_common else image
        return torch.stack([self(part) for part in parts])


class Sums(Plain):
    def __init__(self, reads_bytes):
        super().__init__()
        self.reads_bytes = reads_bytes

    def check_data(self, spec): ...

    def supernet(self, spec):
        network = self.network(None, spec)
        network.n_axes = len(spec.image_shape) + 1
        return network

    def network(self, architecture, spec):
        return Sum(self.reads_bytes)

    def source(self, architecture, spec, name):
        raise NotImplementedError


def test_series_may_end_and_images_may_be_bytes():
    check_search_space(Sums(reads_bytes=True), IMAGES)
    with pytest.raises(ValueError, match="must take NaN, for what is missing"):
        check_search_space(Sums(reads_bytes=True), SERIES)
    with pytest.raises(RuntimeError) as caught:
        check_search_space(Sums(reads_bytes=False), IMAGES)
    assert "was given bytes" in "".join(caught.value.__notes__)


class OnlyKnown(Plain):
    """No place for codes that are unknown."""

    def network(self, architecture, spec):
        network = super().network(architecture, spec)
        network.one_hot = nn.Embedding(2, 7)
        return network


def test_an_error_says_what_was_asked():
    with pytest.raises(IndexError) as caught:
        check_search_space(OnlyKnown())
    assert "may equal its column's size" in "".join(caught.value.__notes__)


def test_without_a_spec_a_space_for_other_data_is_told_what_to_give():
    with pytest.raises(ValueError) as caught:
        check_search_space(ConvMacroSpace())
    assert any("give `spec`" in note for note in caught.value.__notes__)


def test_numbers_without_edges_are_told_of():
    with pytest.raises(ValueError, match="'bin_edges'"):
        check_search_space(TabularSpace(), DataSpec(2, n_numeric=3))
    check_search_space(TabularSpace(("none",)), DataSpec(2, n_numeric=3))


@pytest.mark.parametrize("seed", range(3))
def test_small_data_are_no_fault_of_a_space(seed):
    for space, spec in (
        (SequenceSpace(), DataSpec(3, n_tokens=30, n_steps=2)),
        (ConvMacroSpace(4, n_filters=8), make_spec((1, 4, 4))),
    ):
        check_search_space(space, spec, n_architectures=3, random_state=seed)


class InPlace(Plain):
    """A network that gives answers but no gradients."""

    def network(self, architecture, spec):
        def change(module, args, logits):
            changed = logits.exp()
            changed += 0.0
            return changed.log()

        network = super().network(architecture, spec)
        network.register_forward_hook(change)
        return network

    def source(self, architecture, spec, name):
        raise NotImplementedError


def test_networks_must_have_gradients():
    with pytest.raises(RuntimeError, match="inplace operation"):
        check_search_space(InPlace())


def test_images_need_no_mean():
    spec = DataSpec(3, image_shape=(2, 4, 4))
    assert spec.image_mean.tolist() == [0, 0] and spec.image_scale.tolist() == [1, 1]
    check_search_space(ConvMacroSpace(2, n_filters=4), spec, n_architectures=2)


def test_the_callers_random_numbers_are_left_alone():
    before = torch.get_rng_state()
    check_search_space(Plain())
    assert torch.get_rng_state().equal(before)


def test_language_models_are_not_checked():
    spec = DataSpec(30, n_tokens=30, n_steps=5, predicts_tokens=True)
    with pytest.raises(ValueError, match="language models"):
        check_search_space(RecurrentSpace(), spec)
