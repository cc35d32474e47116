"""Successive halving: candidates with weights of their own."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from sknas import Architecture
from sknas.search._halving import Candidate, halve, results_table
from sknas.training import Progress, TrainedNetwork, count_parameters, load_weights

SHARED = torch.nn.Identity()  # what is told of while nothing is trained


class Listener:
    """Notes what it is told; asks to stop at some steps."""

    def __init__(self, stop_at=()):
        self.events = []
        self.stop_at = stop_at

    def begin(self, name, n_steps):
        self.events.append((name, n_steps))

    def step(self, fitted):
        self.events.append(fitted())
        return self.n_steps in self.stop_at

    def end(self, fitted):
        self.events.append("end")
        return False

    @property
    def n_steps(self):
        return len([event for event in self.events if isinstance(event, dict)])


def make_candidates(problem, n, seed=0):
    drawn = problem.space.decisions().sample(4 * n, np.random.RandomState(seed))
    architectures = list(dict.fromkeys(drawn))[:n]
    return [
        Candidate(a, -1.0 - 0.01 * i, count_parameters(problem.build(a)))
        for i, a in enumerate(architectures)
    ]


def run(
    problem,
    candidates,
    n_best=1,
    progress=None,
    n_jobs=None,
    callbacks=(),
    epoch_seconds=0.0,
):
    halve(
        problem,
        candidates,
        n_best,
        np.random.RandomState(0),
        progress or Progress(),
        lambda members: {"members": members},
        list(callbacks),
        n_jobs,
        epoch_seconds=epoch_seconds,
        shared_network=lambda architecture: SHARED,
    )
    return candidates


class TestRounds:
    def test_the_best_by_shared_score_are_trained_and_the_worse_half_dropped(
        self, problem
    ):
        candidates = make_candidates(problem, 10)
        first = [c.architecture for c in candidates[:4]]
        run(problem, candidates)
        trained = [c for c in candidates if c.scores]
        assert {c.architecture for c in trained} == set(first)
        survivors = [c.scores[0] for c in trained if len(c.scores) == 2]
        dropped = [c.scores[0] for c in trained if len(c.scores) == 1]
        assert len(survivors) == len(dropped) == 2
        assert min(survivors) >= max(dropped)

    def test_survivors_are_trained_longer(self, problem):
        candidates = run(problem, make_candidates(problem, 10))
        n_epochs = {len(c.scores): c.n_epochs for c in candidates}
        assert n_epochs[0] == 0 < n_epochs[1] < n_epochs[2]
        for candidate in candidates:
            assert (candidate.trained is None) == (not candidate.scores)
            assert candidate.seconds > 0 or not candidate.scores

    def test_a_second_round_goes_on_from_the_weights_of_the_first(self, problem):
        class Weights(Callback):
            begun, ended = [], []

            def on_train_begin(self, net, **kwargs):
                self.begun.append(net.module_.input.weight.detach().clone())

            def on_train_end(self, net, **kwargs):
                self.ended.append(net.module_.input.weight.detach().clone())

        run(problem, make_candidates(problem, 8), callbacks=[Weights()])
        first_round = Weights.ended[:4]
        assert len(Weights.begun) == 4 + 2
        for weight in Weights.begun[4:]:
            assert any(torch.equal(weight, ended) for ended in first_round)

    def test_a_second_round_goes_on_with_the_learning_rates_of_the_recipe(
        self, problem
    ):
        class Rates(Callback):
            rounds = []

            def on_train_begin(self, net, **kwargs):
                self.rounds.append([])

            def on_batch_end(self, net, training=False, **kwargs):
                if training:
                    self.rounds[-1].append(net.optimizer_.param_groups[0]["lr"])

        # long enough for the first round to be over the warm-up
        problem = replace(problem, recipe=replace(problem.recipe, max_epochs=400))
        run(problem, make_candidates(problem, 4), callbacks=[Rates()])
        first, second = Rates.rounds[0], Rates.rounds[-1]
        assert len(first) == len(second)
        assert first[0] < first[-1]  # warming up
        assert second == sorted(second, reverse=True)
        assert second[0] == pytest.approx(first[-1], rel=0.01)

    @pytest.mark.parametrize(
        ("n_best", "n_trained"), [(1, 4), (2, 4), (4, 8), (5, 10), (7, 12), (12, 0)]
    )
    def test_more_are_trained_where_more_are_wanted(self, problem, n_best, n_trained):
        candidates = run(problem, make_candidates(problem, 12), n_best)
        assert len([c for c in candidates if c.scores]) == n_trained

    @pytest.mark.parametrize(("max_epochs", "n_epochs"), [(2, 0), (33, 0), (34, 1)])
    def test_a_round_is_a_share_of_the_epochs_or_none(
        self, problem, max_epochs, n_epochs
    ):
        recipe = replace(problem.recipe, max_epochs=max_epochs)
        problem = replace(problem, recipe=recipe)
        candidates = run(problem, make_candidates(problem, 8), n_best=2)
        assert max(c.n_epochs for c in candidates) == n_epochs

    def test_the_score_is_the_reward_on_the_whole_held_back_part(self, problem):
        candidates = run(problem, make_candidates(problem, 8))
        for candidate in candidates:
            if not candidate.scores:
                continue
            network = problem.build(candidate.architecture).eval()
            load_weights(network, candidate.trained.weights)
            valid = problem.valid
            with torch.no_grad():
                logits = network(**valid.inputs)
            reward = problem.reward(logits, valid.target, valid.weight).item()
            assert candidate.scores[-1] == pytest.approx(reward, rel=1e-5)

    def test_the_score_of_several_predictors_is_that_of_their_mean(self, problem):
        space = clone(problem.space).set_params(n_heads=3)
        problem = replace(problem, space=space)
        candidate = run(problem, make_candidates(problem, 4))[0]
        network = problem.build(candidate.architecture).eval()
        load_weights(network, candidate.trained.weights)
        with torch.no_grad():
            probability = network(**problem.valid.inputs).softmax(dim=2).mean(dim=0)
        own = probability.gather(1, problem.valid.target.unsqueeze(1)).log().mean()
        assert candidate.scores[-1] == pytest.approx(own.item(), rel=1e-4)

    def test_the_same_seed_gives_the_same_weights(self, problem):
        one, other = (run(problem, make_candidates(problem, 5)) for _ in range(2))
        for a, b in zip(one, other, strict=True):
            assert a.scores == b.scores
            if a.scores:
                for name, value in a.trained.weights.items():
                    assert (value == b.trained.weights[name]).all()


class TestProgress:
    def test_every_training_is_a_step(self, problem):
        listener = Listener()
        run(problem, make_candidates(problem, 8), progress=Progress(None, [listener]))
        assert listener.events[0] == ("candidates", 4 + 2)
        assert listener.events[-1] == "end"
        assert listener.n_steps == 4 + 2

    def test_each_step_tells_the_best_so_far_with_a_network(self, problem):
        listener = Listener()
        run(problem, make_candidates(problem, 8), progress=Progress(None, [listener]))
        for event in listener.events:
            if isinstance(event, dict):
                [(architecture, network)] = event["members"]
                assert isinstance(architecture, Architecture)
                assert not network.training
                assert network(**problem.valid.inputs).shape == (1, 50, 2)

    def test_until_one_is_trained_it_is_the_shared_network(self, problem, monkeypatch):
        monkeypatch.setattr(
            "sknas.search._halving.train_network",
            lambda *args, **kwargs: TrainedNetwork({}),
        )
        listener = Listener()
        run(problem, make_candidates(problem, 8), progress=Progress(None, [listener]))
        told = [e["members"] for e in listener.events if isinstance(e, dict)]
        assert told and all(network is SHARED for [(_, network)] in told)

    def test_a_listener_that_asks_to_stop_ends_the_whole_race(self, problem):
        listener = Listener(stop_at={1})
        candidates = run(
            problem, make_candidates(problem, 8), progress=Progress(None, [listener])
        )
        assert listener.n_steps == 1
        assert [len(c.scores) for c in candidates].count(0) == 7

    def test_ctrl_c_stops_the_race_and_the_fit(self, problem):
        class CtrlC(Callback):
            """Lets the first training end, and interrupts the second."""

            trainings = []

            def on_train_begin(self, net, **kwargs):
                self.trainings.append(net)
                if len(self.trainings) == 2:
                    net.module_.register_forward_pre_hook(self.interrupt)

            def interrupt(self, module, args):
                raise KeyboardInterrupt

        progress = Progress()
        candidates = run(
            problem,
            make_candidates(problem, 8),
            progress=progress,
            callbacks=[CtrlC()],
        )
        assert progress.stopped
        assert len(CtrlC.trainings) == 2
        assert max(len(c.scores) for c in candidates) == 1

    def test_no_time_leaves_the_candidates_usable(self, problem):
        progress = Progress(time.monotonic() - 1.0)
        candidates = run(problem, make_candidates(problem, 8), progress=progress)
        assert all(candidate.trained is None for candidate in candidates)
        ordered = sorted(candidates, key=Candidate.order)
        scores = [candidate.shared_score for candidate in ordered]
        assert scores == sorted(scores, reverse=True)


class TestOrder:
    def test_who_came_further_is_before_who_scored_better(self, problem):
        a, b, c, d = make_candidates(problem, 4)
        a.scores, b.scores, c.scores = [-0.1], [-0.9, -0.5], [-0.9, -0.4]
        assert sorted([a, b, c, d], key=Candidate.order) == [c, b, a, d]

    def test_who_has_no_number_as_score_is_last_of_the_equally_far(self, problem):
        a, b, c = make_candidates(problem, 3)
        a.scores, b.scores = [float("nan")], [-9.0]
        c.shared_score = float("nan")
        assert sorted([c, a, b], key=Candidate.order) == [b, a, c]


class TestResultsTable:
    @pytest.fixture
    def decisions(self, problem):
        return problem.space.decisions()

    @pytest.fixture
    def candidates(self, problem):
        candidates = run(problem, make_candidates(problem, 8))
        return sorted(candidates, key=Candidate.order)

    def test_it_has_a_row_for_each_candidate_in_order(self, candidates, decisions):
        table = results_table(candidates, decisions)
        assert {len(column) for column in table.values()} == {8}
        assert table["rank"].tolist() == list(range(1, 9))
        assert all(isinstance(column, np.ndarray) for column in table.values())

    def test_its_columns_agree_with_each_other(self, candidates, decisions, problem):
        table = results_table(candidates, decisions)
        for i, candidate in enumerate(candidates):
            architecture = Architecture.from_json(table["architecture"][i])
            assert architecture == candidate.architecture
            for decision in decisions:
                value = table[f"decision_{decision.name}"][i]
                assert value == architecture.get(decision.name)
                assert type(value) is type(architecture.get(decision.name))
            n_parameters = count_parameters(problem.build(architecture))
            assert table["n_parameters"][i] == n_parameters
        assert (table["trained"] == ~np.isnan(table["score"])).all()
        assert (table["trained"] == (table["n_epochs"] > 0)).all()
        assert (table["trained"] == (table["fit_time"] > 0)).all()
        assert np.isfinite(table["shared_score"]).all()
        assert table["trained"].dtype == bool
        assert table["n_parameters"].dtype.kind == "i"

    def test_the_score_is_the_last_one(self, problem, decisions):
        candidate = make_candidates(problem, 1)[0]
        candidate.trained = TrainedNetwork({})
        candidate.scores = [-3.0, -2.0]
        assert results_table([candidate], decisions)["score"].tolist() == [-2.0]


@pytest.mark.parametrize(("epoch_seconds", "n_trained"), [(1.0, 4), (10.0, 0)])
def test_nothing_is_trained_where_time_is_short(problem, epoch_seconds, n_trained):
    # a quarter of 60 seconds, for half of 4 + 2 trainings of 2 epochs
    candidates = make_candidates(problem, 8)
    progress = Progress(time.monotonic() + 60)
    run(problem, candidates, progress=progress, epoch_seconds=epoch_seconds)
    assert sum(bool(c.scores) for c in candidates) == n_trained


def test_trainings_have_an_equal_part_of_a_quarter_of_the_time(problem, monkeypatch):
    budgets, now = [], time.monotonic()

    def note(*args, budget, **kwargs):
        budgets.append(budget)
        return TrainedNetwork({})

    monkeypatch.setattr("sknas.search._halving.train_network", note)
    run(problem, make_candidates(problem, 8), progress=Progress(now + 2400))
    assert [b.seconds for b in budgets] == pytest.approx([100] * 6, rel=0.01)
    assert [b.deadline - now for b in budgets] == pytest.approx([600] * 6, rel=0.01)
