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
from sknas.spaces import check_search_space

SERIES = make_spec((2, 20))
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
    ],
)
def test_what_is_wrong_is_told(space, message):
    with pytest.raises(ValueError, match=message):
        check_search_space(space)


def test_the_callers_random_numbers_are_left_alone():
    before = torch.get_rng_state()
    check_search_space(Plain())
    assert torch.get_rng_state().equal(before)


def test_language_models_are_not_checked():
    spec = DataSpec(30, n_tokens=30, n_steps=5, predicts_tokens=True)
    with pytest.raises(ValueError, match="language models"):
        check_search_space(RecurrentSpace(), spec)
