import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sknas import (
    ENAS,
    ArchitectureDisplay,
    CandidatesDisplay,
    ConvMacroSpace,
    Decision,
    Decisions,
    NASClassifier,
    PolicyDisplay,
    RandomSearch,
    SearchHistoryDisplay,
    SearchStrategy,
    TabularSpace,
)
from sknas.spaces import Graph, Node

DISPLAYS = [CandidatesDisplay, PolicyDisplay, SearchHistoryDisplay]


@pytest.fixture(scope="module")
def searched():
    X, y = load_iris(return_X_y=True)
    clf = NASClassifier(n_candidates=12, search_epochs=8, max_epochs=40, random_state=0)
    return clf.fit(X, y)


@pytest.fixture(scope="module")
def without_policy():
    X, y = load_iris(return_X_y=True)
    return NASClassifier(
        strategy="random", search_epochs=4, max_epochs=4, random_state=0
    ).fit(X, y)


class TestSearchHistory:
    def test_rewards_and_what_was_the_best_so_far(self, searched):
        display = SearchHistoryDisplay.from_estimator(searched)
        assert list(display.axes_) == ["reward", "entropy", "loss", "time"]
        mean, best = (line.get_ydata() for line in display.axes_["reward"].get_lines())
        rows = [row for row in searched.history_ if "controller_reward" in row]
        assert mean.tolist() == [row["controller_reward"] for row in rows]
        assert (np.diff(best) >= 0).all() and (best >= mean).all()
        entropy = display.axes_["entropy"].get_lines()[0].get_ydata()
        assert entropy.tolist() == [row["controller_entropy"] for row in rows]
        loss = display.axes_["loss"].get_lines()[0].get_ydata()
        assert loss.tolist() == [row["train_loss"] for row in searched.history_]

    def test_phases_add_up_to_the_time_of_the_fit(self, searched):
        display = SearchHistoryDisplay.from_estimator(searched)
        total = searched.search_time_ + searched.refit_time_
        assert sum(display.seconds.values()) == pytest.approx(total)
        assert all(value > 0 for value in display.seconds.values())
        # an epoch's time has that of its controller in it
        both = display.seconds["shared parameters"] + display.seconds["strategy"]
        assert both == pytest.approx(sum(row["dur"] for row in searched.history_))
        widths = [bar.get_width() for bar in display.axes_["time"].patches]
        assert widths == list(display.seconds.values())

    def test_a_strategy_that_learns_nothing_has_no_rewards(self, without_policy):
        display = SearchHistoryDisplay.from_estimator(without_policy)
        assert list(display.axes_) == ["loss", "time"]


class TestCandidates:
    def test_scores_are_those_of_the_table(self, searched):
        display = CandidatesDisplay.from_estimator(searched)
        table = searched.search_results_
        trained = table["trained"]
        marks = display.ax_.collections[0].get_offsets()
        assert marks[:, 0].tolist() == table["shared_score"][trained].tolist()
        assert marks[:, 1].tolist() == table["first_score"][trained].tolist()
        rings = display.ax_.collections[1].get_offsets()
        chosen = [a.to_json() in table["architecture"] for a in searched.architectures_]
        assert 1 <= len(rings) <= sum(chosen)
        assert -1 <= display.rank_correlation_ <= 1
        assert f"{display.rank_correlation_:.2f}" in display.ax_.get_title()

    def test_first_scores_are_of_equal_training(self, searched):
        table = searched.search_results_
        first, last = table["first_score"], table["score"]
        trained = table["trained"]
        assert np.isfinite(first[trained]).all() and np.isnan(first[~trained]).all()
        least = table["n_epochs"][trained].min()
        once = trained & (table["n_epochs"] == least)
        assert (first[once] == last[once]).all()

    def test_the_correlation_is_spearmans(self):
        shared, own = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 8.0, 9.0, np.nan])
        rest = np.ones(4), np.ones(4), np.zeros(4, dtype=bool)
        display = CandidatesDisplay(shared, own, *rest).plot()
        assert display.rank_correlation_ == pytest.approx(1.0)
        own[2] = np.nan
        display = CandidatesDisplay(shared, own, *rest).plot()
        assert np.isnan(display.rank_correlation_)


class TestPolicy:
    def test_probabilities_add_up_to_one(self, searched):
        policy = searched.search_policy_
        names = [decision.name for decision in TabularSpace().decisions()]
        assert list(policy) == names
        for row in policy.values():
            assert row["probability"].sum() == pytest.approx(1.0)
            assert len(row["options"]) == len(row["probability"])

    def test_a_row_for_each_decision_and_a_frame_for_the_best(self, searched):
        display = PolicyDisplay.from_estimator(searched)
        assert len(display.rows) == len(searched.search_policy_)
        framed = {
            row.label: option
            for row in display.rows
            for option, chosen in zip(row.options, row.chosen, strict=True)
            if chosen
        }
        best = {n: str(option) for n, option in searched.architecture_.items()}
        assert framed == best

    def test_the_policy_has_learnt_from_the_prior_on(self):
        decisions = TabularSpace().decisions()
        strategy = ENAS()
        strategy.initialize(decisions, np.random.RandomState(0))
        place = [d.name for d in decisions].index("activation_1")
        before = strategy.policy()[place]
        assert before[0] == pytest.approx(6 / 15, abs=0.05)  # the prior's share
        for _ in range(40):
            proposals = strategy.ask(8)
            strategy.tell(
                proposals, np.array([a["activation_1"] == "tanh" for a in proposals])
            )
        tanh = decisions[place].options.index("tanh")
        assert strategy.policy()[place][tanh] > before[tanh] + 0.2

    def test_looking_at_the_policy_changes_nothing(self):
        strategies = [ENAS(), ENAS()]
        for strategy in strategies:
            strategy.initialize(TabularSpace().decisions(), np.random.RandomState(0))
        strategies[0].policy()
        assert strategies[0].ask(20) == strategies[1].ask(20)

    def test_random_search_prefers_nothing(self, without_policy):
        row = without_policy.search_policy_["n_layers"]
        assert row["probability"].tolist() == [0.25] * 4
        strategy = RandomSearch()
        decisions = TabularSpace().decisions()
        strategy.initialize(decisions, np.random.RandomState(0))
        assert len(strategy.policy()) == len(decisions)

    def test_skips_into_a_layer_share_a_row(self):
        digits = load_digits()
        space = ConvMacroSpace(n_layers=4, n_filters=4)
        clf = NASClassifier(
            space, max_epochs=1, search_epochs=2, ensemble_size=1, random_state=0
        ).fit(digits.images[:60], digits.target[:60])
        rows = PolicyDisplay.from_estimator(clf).rows
        assert [row.label for row in rows if row.label.startswith("skips")] == [
            f"skips into layer {k} from" for k in (2, 3, 4)
        ]
        assert rows[-1].options == ["stem", "layer 1", "layer 2"]

    def test_some_decisions_only(self, searched):
        display = PolicyDisplay.from_estimator(searched, decisions=["dropout"])
        assert [row.label for row in display.rows] == ["dropout"]
        with pytest.raises(ValueError, match="decisions has"):
            PolicyDisplay.from_estimator(searched, decisions=["colour"])

    def test_a_strategy_without_a_policy_is_told_of(self, quicker):
        class Silent(RandomSearch):
            policy = SearchStrategy.policy

        X, y = load_iris(return_X_y=True)
        clf = NASClassifier(strategy=Silent(), **quicker).fit(X, y)
        assert clf.search_policy_ == {}
        with pytest.raises(ValueError, match="method 'policy'"):
            PolicyDisplay.from_estimator(clf)


@pytest.mark.parametrize("display_class", DISPLAYS)
def test_conventions(display_class, searched):
    figure, axes = plt.subplots(1, 2)
    display = display_class.from_estimator(searched, ax=axes[0])
    assert display.figure_ is figure
    again = display.plot()
    assert again is display
    assert display.ax_.figure is display.figure_ is not figure
    display.figure_.canvas.draw()


@pytest.mark.parametrize("display_class", DISPLAYS)
def test_without_a_search_there_is_nothing_to_draw(display_class):
    X, y = load_iris(return_X_y=True)
    given = TabularSpace().default_architecture()
    clf = NASClassifier(architecture=given, max_epochs=1, ensemble_size=1).fit(X, y)
    with pytest.raises(ValueError, match="has not searched"):
        display_class.from_estimator(clf)
    with pytest.raises(ValueError, match="not fitted"):
        display_class.from_estimator(NASClassifier())


@pytest.mark.parametrize("display_class", [*DISPLAYS, ArchitectureDisplay])
def test_axes_of_all_kinds_will_do(display_class, searched):
    figure = plt.figure()
    display_class.from_estimator(searched, ax=figure.add_axes((0.1, 0.1, 0.8, 0.8)))
    inset = plt.subplots()[1].inset_axes((0.5, 0.5, 0.4, 0.4))
    display_class.from_estimator(searched, ax=inset).figure_.canvas.draw()
    figure, axes = plt.subplots(1, 2, figsize=(14, 6), layout="constrained")
    display = display_class.from_estimator(searched, ax=axes[1])
    figure.canvas.draw()  # warns where nothing is left of the axes
    drawn = getattr(display, "axes_", {}).values() or [display.ax_]
    assert all(ax.get_window_extent().width > 150 for ax in drawn)


@pytest.mark.parametrize("display_class", [*DISPLAYS, ArchitectureDisplay])
def test_what_is_no_estimator_of_ours_is_told_of(display_class, searched):
    for other in (make_pipeline(searched), LogisticRegression()):
        with pytest.raises(TypeError, match="is needed, got"):
            display_class.from_estimator(other)


def test_a_search_that_had_no_time_is_drawn(quicker):
    X, y = load_iris(return_X_y=True)
    clf = NASClassifier(**quicker, time_limit=0.01)
    with pytest.warns(ConvergenceWarning):
        clf.fit(X, y)
    display = SearchHistoryDisplay.from_estimator(clf)
    assert "loss" not in display.axes_
    display = CandidatesDisplay.from_estimator(clf)
    assert "no candidate" in display.ax_.get_title()


@pytest.mark.parametrize("decisions", [[], "n_layers", ["n_layer"]])
def test_wrong_decisions_are_told_of(decisions, searched):
    with pytest.raises(ValueError, match="decisions"):
        PolicyDisplay.from_estimator(searched, decisions=decisions)


def test_dollars_are_dollars(quicker):
    class Priced(TabularSpace):
        def decisions(self):
            decisions = [*super().decisions(), Decision("cost", ("$1", "$\\foo$"))]
            return Decisions(self.name, decisions)

    X, y = load_iris(return_X_y=True)
    clf = NASClassifier(Priced(), **quicker).fit(X, y)
    PolicyDisplay.from_estimator(clf).figure_.canvas.draw()
    graph = Graph({"a": Node("$\\foo$")}, [])
    ArchitectureDisplay(graph, {"a": 1}, "$\\bar$").plot().figure_.canvas.draw()
