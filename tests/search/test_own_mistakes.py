"""Mistakes in strategies and spaces of one's own are told of."""

import pytest
from sklearn.datasets import load_iris

from sknas import ConvMacroSpace, NASClassifier, RandomSearch, TabularSpace

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
