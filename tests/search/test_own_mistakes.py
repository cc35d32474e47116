"""Mistakes in strategies and spaces of one's own are told of."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_iris
from skorch.callbacks import Callback

from sknas import (
    ConvMacroSpace,
    NASClassifier,
    NASRegressor,
    RandomSearch,
    TabularSpace,
)

X, y = load_iris(return_X_y=True)


class TooFew(RandomSearch):
    def ask(self, n):
        return super().ask(n)[:-1]


class Dictionaries(RandomSearch):
    def ask(self, n):
        return [dict(architecture) for architecture in super().ask(n)]


class OfAnotherSpace(RandomSearch):
    def ask(self, n):
        return ConvMacroSpace().decisions().sample(n, self.random_state_)


class Flat(TabularSpace):
    def supernet(self, spec):
        supernet = super().supernet(spec)
        forward = supernet.forward
        supernet.forward = lambda *args, **kwargs: forward(*args, **kwargs).flatten(1)
        return supernet


class OneOutput(TabularSpace):
    """Its networks do not look at the number of outputs that they are asked for."""

    def __init__(self, of="network"):
        super().__init__()
        self.of = of

    def supernet(self, spec):
        few = replace(spec, n_outputs=1)
        return super().supernet(few if self.of == "supernet" else spec)

    def network(self, architecture, spec):
        few = replace(spec, n_outputs=1)
        return super().network(architecture, few if self.of == "network" else spec)


class Untrained(Callback):
    """Notes whether anything was trained."""

    def __init__(self):
        self.batches = []

    def on_batch_end(self, net, **kwargs):
        self.batches.append(net)


class TestNumberOfOutputs:
    # numbers of several targets would be compared with one answer, without an error
    y = np.stack([y, y + 1.0, 2.0 - y], axis=1)

    @pytest.mark.parametrize("estimator", [NASClassifier, NASRegressor])
    @pytest.mark.parametrize("of", ["network", "supernet"])
    def test_is_checked_before_anything_is_trained(self, estimator, of, quicker):
        seen = Untrained()
        nas = estimator(OneOutput(of), callbacks=[seen], **quicker)
        with pytest.raises(ValueError, match=r"n_outputs\), here \(.*3\)"):
            nas.fit(X, y if estimator is NASClassifier else self.y)
        assert seen.batches == []

    def test_is_checked_where_there_is_no_search(self, quicker):
        space = OneOutput()
        given = space.default_architecture()
        with pytest.raises(ValueError, match="The networks of OneOutput must give"):
            NASRegressor(space, architecture=given, **quicker).fit(X, self.y)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"strategy": TooFew()}, ValueError, "was asked for"),
        ({"strategy": Dictionaries()}, TypeError, "must give architectures"),
        ({"strategy": OfAnotherSpace()}, TypeError, "of the space 'tabular'"),
        ({"search_space": Flat()}, ValueError, "logits of shape"),
    ],
)
def test_mistakes_are_told_of(parameters, error, message, quicker):
    with pytest.raises(error, match=message):
        NASClassifier(**parameters, **quicker).fit(X, y)


def test_decisions_are_readable():
    text = repr(TabularSpace(depths=(1, 2)).decisions())
    assert "Decisions of the 'tabular' space" in text
    assert "n_layers" in text and "1, 2" in text
