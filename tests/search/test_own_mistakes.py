"""Mistakes in strategies and spaces of one's own are told of."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_iris
from skorch.callbacks import Callback

from sknas import (
    Architecture,
    ConvMacroSpace,
    Decisions,
    NASClassifier,
    NASRegressor,
    RandomSearch,
    SearchStrategy,
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


class Settable(RandomSearch):
    """Says what it is told to."""

    samples_per_update = 4

    def __init__(self, ask=None, tell=None, policy=None, updates_per_epoch=1):
        self.given = {"ask": ask, "tell": tell, "policy": policy}
        self.ask_, self.tell_, self.policy_ = ask, tell, policy
        self.updates_per_epoch = updates_per_epoch

    def get_params(self, deep=True):
        return {**self.given, "updates_per_epoch": self.updates_per_epoch}

    def ask(self, n):
        return super().ask(n) if self.ask_ is None else self.ask_(n)

    def tell(self, architectures, rewards):
        return self.tell_

    def policy(self):
        return super().policy() if self.policy_ is None else self.policy_


def one_too_many(n):
    default = TabularSpace().default_architecture()
    return [Architecture("tabular", {**default, "extra": 3})] * n


def unknown(n):
    default = TabularSpace().default_architecture()
    return [Architecture("tabular", {**default, "n_layers": 99})] * n


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"ask": lambda n: None}, "Settable.ask must give a list"),
        ({"ask": one_too_many}, "Settable.ask.*extra"),
        ({"ask": unknown}, "Settable.ask.*n_layers=99"),
        ({"tell": 3}, "Settable.tell must give"),
        ({"tell": {"loss": "low"}}, "Settable.tell must give"),
        ({"updates_per_epoch": 2.5}, "updates_per_epoch of Settable"),
        ({"updates_per_epoch": -1}, "updates_per_epoch of Settable"),
    ],
)
def test_what_a_strategy_says_wrongly_is_told_of(parameters, message, quick):
    with pytest.raises((TypeError, ValueError), match=message):
        NASClassifier(strategy=Settable(**parameters), **quick).fit(X, y)


class Forgetful(SearchStrategy):
    """It learns, but does not say how often."""

    def initialize(self, decisions, random_state):
        self.decisions_, self.random_state_ = decisions, random_state

    def ask(self, n):
        return self.decisions_.sample(n, self.random_state_)

    def tell(self, architectures, rewards):
        raise AssertionError


def test_a_strategy_that_would_never_be_told_is_told_of(quick):
    with pytest.raises(ValueError, match="Forgetful.*'updates_per_epoch'"):
        NASClassifier(strategy=Forgetful(), **quick).fit(X, y)


class Late(RandomSearch):
    """It says so when it begins."""

    def initialize(self, decisions, random_state):
        super().initialize(decisions, random_state)
        self.updates_per_epoch = 2

    def tell(self, architectures, rewards):
        return {"told": 1.0}


def test_a_strategy_may_say_how_often_it_learns_when_it_begins(quick):
    clf = NASClassifier(strategy=Late(), **quick).fit(X, y)
    assert clf.history_[-1]["controller_told"] == 1.0


class Remembering(RandomSearch):
    """In the end it hands in what it likes."""

    def __init__(self, n_candidates=2):
        self.n_candidates = n_candidates

    def candidates(self, n):
        first = self.decisions_.architecture([1] * len(self.decisions_))
        last = self.decisions_.architecture([-1] * len(self.decisions_))
        return [first, last, first, last][: self.n_candidates]


def test_a_strategy_hands_in_the_candidates_that_it_likes(quicker):
    strategy = Remembering()
    clf = NASClassifier(strategy=strategy, **quicker | {"n_candidates": 9}).fit(X, y)
    decisions = TabularSpace().decisions()
    expected = [
        TabularSpace().default_architecture(),
        *[decisions.architecture([i] * len(decisions)) for i in (1, -1)],
    ]
    assert sorted(clf.search_results_["architecture"]) == sorted(
        architecture.to_json() for architecture in expected
    )
    few = quicker | {"n_candidates": 3}
    with pytest.raises(ValueError, match="Remembering.candidates.*2.*at most.*4"):
        NASClassifier(strategy=Remembering(4), **few).fit(X, y)


@pytest.mark.parametrize("policy", [5, [[1.0]], [[0.9, 0.9]] * 15])
def test_a_policy_of_no_probabilities_does_not_lose_the_search(policy, quicker):
    strategy = Settable(policy=policy)
    with pytest.warns(UserWarning, match="Settable.policy must give"):
        clf = NASClassifier(strategy=strategy, **quicker).fit(X, y)
    assert clf.search_policy_ == {}
    assert clf.score(X, y) > 0.3


class OtherName(TabularSpace):
    def decisions(self):
        return Decisions("other", super().decisions())


class NoDecisions(TabularSpace):
    def decisions(self):
        return list(super().decisions())


class NoModule(TabularSpace):
    def network(self, architecture, spec):
        return None


class NoSupernet(TabularSpace):
    def supernet(self, spec):
        return None


class ForTables(TabularSpace):
    """It forgets to say that it is not for images."""

    def check_data(self, spec):
        pass


# torch warns of the layer without inputs that it is asked for
@pytest.mark.filterwarnings("ignore:Initializing zero-element:UserWarning")
def test_data_that_a_space_is_not_for_are_told_of(quicker):
    images = np.zeros((20, 4, 4))
    with pytest.raises(TypeError, match="ForTables must.*image.*'check_data'"):
        NASClassifier(ForTables(), **quicker).fit(images, np.arange(20) % 2)


class Narrow(TabularSpace):
    """Its supernet has fewer units than its networks."""

    def supernet(self, spec):
        return TabularSpace(widths=(16,)).supernet(spec)


def test_parameters_that_the_supernet_lacks_are_told_of_before_any_training(quick):
    seen = Untrained()
    with pytest.raises(ValueError, match="'input.weight'.*Narrow.*'shared_name'"):
        NASClassifier(Narrow(), callbacks=[seen], **quick).fit(X, y)
    assert seen.batches == []


class NoDefault(TabularSpace):
    def default_architecture(self):
        return None


class StrangeDefault(TabularSpace):
    def default_architecture(self):
        default = super().default_architecture()
        return Architecture("tabular", {**default, "width_1": 77})


class NoFinalSpace(TabularSpace):
    def final_space(self):
        return None


class OtherFinalSpace(TabularSpace):
    def final_space(self):
        return TabularSpace(depths=(1,))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (NoDefault(), "NoDefault.default_architecture must give"),
        (StrangeDefault(), "StrangeDefault.default_architecture.*width_1=77"),
        (NoFinalSpace(), "NoFinalSpace.final_space must give"),
        (OtherFinalSpace(), "OtherFinalSpace.final_space must give"),
        (OtherName(), "OtherName.decisions must give"),
        (NoDecisions(), "NoDecisions.decisions must give"),
        (NoModule(), "NoModule.network must give"),
        (NoSupernet(), "NoSupernet.supernet must give"),
    ],
)
def test_what_a_space_gives_wrongly_is_told_of(space, message, quicker):
    with pytest.raises((TypeError, ValueError), match=message):
        NASClassifier(space, **quicker).fit(X, y)


class OneWay(TabularSpace):
    """Nothing is left open."""

    def __init__(self):
        super().__init__(
            numeric_embeddings=("none",),
            normalizations=("none",),
            dropouts=(0.0,),
            depths=(1,),
            activations=("relu",),
            widths=(8,),
        )

    def decisions(self):
        return Decisions(self.name, [])

    def default_architecture(self):
        return Architecture(self.name, {})

    def network(self, architecture, spec):
        whole = TabularSpace.decisions(self)
        return super().network(whole.architecture([0] * len(whole)), spec)


@pytest.mark.parametrize("strategy", ["enas", "random"])
def test_a_space_without_decisions_is_trained(strategy, quicker):
    clf = NASClassifier(OneWay(), strategy=strategy, **quicker).fit(X, y)
    assert clf.search_results_ == {}
    assert len(clf.networks_) == 2
