"""What examples find, and what they define fits in wherever sknas's own would.

The build of the documentation runs all that are in the gallery.
"""

import copy
import runpy
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris

from sknas import NASClassifier, TabularSpace

EXAMPLES = Path(__file__).parents[1] / "examples"
QUICK = {
    "max_epochs": 5,
    "search_epochs": 4,
    "n_candidates": 6,
    "ensemble_size": 2,
    "random_state": 0,
}


@pytest.fixture
def pyplot(monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    monkeypatch.setattr(pyplot, "show", lambda: None)
    pyplot.close("all")
    yield pyplot
    pyplot.close("all")


@pytest.fixture(scope="module")
def own_strategy():
    return runpy.run_path(str(EXAMPLES / "plot_own_strategy.py"))["Evolution"]


@pytest.fixture(scope="module")
def own_space():
    return runpy.run_path(str(EXAMPLES / "plot_own_search_space.py"))["OneLayerSpace"]


def test_own_strategy_learns_a_known_reward(own_strategy):
    strategy = own_strategy()
    strategy.initialize(TabularSpace().decisions(), np.random.RandomState(0))

    def reward(architecture):
        return (architecture["n_layers"] == 2) + (architecture["dropout"] == 0.3)

    means = []
    for _ in range(60):
        architectures = strategy.ask(8)
        rewards = np.array([reward(a) for a in architectures], dtype=float)
        strategy.tell(architectures, rewards)
        means.append(rewards.mean())
    assert np.mean(means[-10:]) > 1.3 > np.mean(means[:5])
    # in the end it hands in the best
    assert min(map(reward, strategy.candidates(5))) > np.mean(means[-10:])
    strategy.tell(architectures, np.full(8, np.nan))  # a supernet that knows nothing
    assert min(map(reward, strategy.candidates(5))) > np.mean(means[-10:])


def test_own_strategy_is_told_rewards_during_a_search(own_strategy):
    X, y = load_iris(return_X_y=True)
    clf = NASClassifier(strategy=own_strategy(), **QUICK)
    clf.set_params(strategy__population_size=7).fit(X, y)
    assert "controller_reward" in clf.history_[-1]
    assert clf.strategy.population_size == 7
    assert not hasattr(clf.strategy, "population_"), "fit must not touch parameters"


def test_a_strategy_may_tell_nothing(own_strategy):
    class Quiet(own_strategy):
        def tell(self, architectures, rewards):
            super().tell(architectures, rewards)

    X, y = load_iris(return_X_y=True)
    clf = NASClassifier(strategy=Quiet(), **QUICK).fit(X, y)
    assert clf.score(X, y) > 0.5


def test_own_space_is_searched_reused_and_copied(own_space):
    X, y = load_iris(return_X_y=True)
    clf = NASClassifier(own_space(widths=(4, 8)), **QUICK).fit(X, y)
    assert set(clf.architecture_) == {"width", "activation"}
    assert set(clf.search_results_["decision_width"]) <= {4, 8}
    again = clone(clf).set_params(architecture=clf.architecture_).fit(X, y)
    assert again.architectures_ == [clf.architecture_] * 2
    copied = copy.deepcopy(clf)
    np.testing.assert_array_equal(copied.predict_proba(X), clf.predict_proba(X))
    with pytest.raises(ValueError, match="architecture belongs to the space"):
        NASClassifier(architecture=clf.architecture_).fit(X, y)


def test_quickstart_prints_what_it_found(capsys):
    runpy.run_path(str(EXAMPLES / "quickstart.py"))
    printed = capsys.readouterr().out
    accuracy = float(printed.split("test accuracy")[1].split()[0])
    assert accuracy > 0.96
    assert "Architecture of the 'tabular' space" in printed


def test_quantiles_cover_most_of_what_they_should(capsys, pyplot):
    runpy.run_path(str(EXAMPLES / "plot_quantiles.py"))
    printed = capsys.readouterr().out
    assert float(printed.split("test R2")[1].split()[0]) > 0.3
    assert 65 < float(printed.split("in the band")[1].split("%")[0]) < 92
    [figure] = map(pyplot.figure, pyplot.get_fignums())
    assert [axes.get_title() for axes in figure.axes][0] == "Means"
