"""The course of a whole search."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from small_search import make_table

from sknas import ENAS, Architecture, RandomSearch
from sknas.search import search
from sknas.training import Progress, load_weights


def run(problem, strategy=None, seed=0, **kwargs):
    kwargs = {
        "search_epochs": 6,
        "n_candidates": 8,
        "n_best": 2,
        "progress": Progress(),
        "fitted": lambda members: {"members": members},
    } | kwargs
    torch.manual_seed(seed)
    return search(
        problem,
        ENAS() if strategy is None else strategy,
        random_state=np.random.RandomState(seed),
        **kwargs,
    )


def rewards_of(problem, result):
    """The rewards of what was found, with the weights that it came with."""
    rewards = []
    for architecture, weights in zip(result.architectures, result.weights, strict=True):
        network = problem.build(architecture).eval()
        load_weights(network, weights)
        valid = problem.valid
        with torch.no_grad():
            logits = network(**valid.inputs)
        rewards.append(problem.reward(logits, valid.target, valid.weight).item())
    return rewards


class TestResult:
    @pytest.mark.parametrize("strategy", [ENAS(), RandomSearch()])
    def test_it_holds_the_best_with_weights_of_their_own(self, problem, strategy):
        result = run(problem, strategy)
        assert len(result.architectures) == 2
        best = [Architecture.from_json(a) for a in result.table["architecture"][:2]]
        assert result.architectures == best
        np.testing.assert_allclose(
            rewards_of(problem, result), result.table["score"][:2], rtol=1e-4
        )
        assert len(result.history) == 6
        assert not any("batches" in row for row in result.history)
        assert not result.interrupted

    def test_the_default_architecture_is_always_a_candidate(self, problem):
        table = run(problem).table
        default = problem.space.default_architecture()
        assert default.to_json() in table["architecture"]

    def test_no_architecture_is_a_candidate_twice(self, problem):
        table = run(problem, n_candidates=400).table
        assert len(set(table["architecture"])) == len(table["architecture"])
        assert 8 < len(table["architecture"]) < 400

    def test_one_candidate_is_the_default_architecture(self, problem):
        result = run(problem, n_candidates=1, n_best=1)
        assert result.architectures == [problem.space.default_architecture()]
        assert not result.table["trained"].any()
        # it was not trained: its weights are its part of the shared ones
        np.testing.assert_allclose(
            rewards_of(problem, result), result.table["shared_score"], rtol=1e-4
        )

    def test_more_cannot_be_found_than_there_are_candidates(self, problem):
        assert 1 <= len(run(problem, n_candidates=3, n_best=5).architectures) <= 3

    def test_the_same_seed_gives_the_same_result(self, problem):
        first, same, other = (run(problem, seed=seed) for seed in (0, 0, 1))
        assert first.architectures == same.architectures
        for a, b in zip(first.weights, same.weights, strict=True):
            assert all((a[name] == b[name]).all() for name in a)
        assert first.table["architecture"].tolist() != (
            other.table["architecture"].tolist()
        )

    def test_a_strategy_may_be_used_again_and_begins_anew(self, problem):
        strategy = ENAS()
        first, again = (run(problem, strategy) for _ in range(2))
        assert first.architectures == again.architectures


class TestSharedTraining:
    def test_every_step_of_it_has_a_learning_rate(self, problem):
        class Rates(Callback):
            seen = []

            def on_batch_end(self, net, **kwargs):
                if "train_loss" in net.history[-1, "batches", -1]:
                    self.seen.append(net.optimizer_.param_groups[0]["lr"])

        run(
            problem,
            ENAS(updates_per_epoch=4),
            search_epochs=12,
            n_candidates=1,
            n_best=1,
            callbacks=[Rates()],
        )
        assert len(Rates.seen) == 12 * 4
        assert min(Rates.seen) > 0

    def test_the_policy_grows_surer_in_the_course_of_a_search(self, problem):
        result = run(problem, search_epochs=40)
        entropies = [
            row["controller_entropy"]
            for row in result.history
            if "controller_entropy" in row
        ]
        assert np.mean(entropies[-3:]) < np.mean(entropies[:3])


class Steps:
    """Listens, and stops the fit at a step."""

    def __init__(self, stop_at=None):
        self.names, self.members = [], []
        self.stop_at = stop_at

    def begin(self, name, n_steps):
        self.names.append(name)

    def step(self, fitted):
        self.members.append(fitted()["members"])
        return len(self.members) == self.stop_at

    def end(self, fitted):
        return False


class TestProgress:
    def test_each_epoch_can_give_a_fitted_estimator(self, problem):
        steps = Steps()
        run(problem, progress=Progress(None, [steps]))
        assert steps.names == ["search", "candidates"]
        assert len(steps.members) > 6
        for members in steps.members:
            for architecture, network in members:
                problem.space.decisions().check(architecture)
                assert network(**problem.valid.inputs).shape == (1, 50, 2)

    def test_a_listener_can_end_the_shared_training(self, problem):
        result = run(problem, progress=Progress(None, [Steps(stop_at=3)]))
        assert len(result.history) == 3
        assert len(result.architectures) == 2

    def test_ctrl_c_gives_the_best_so_far_with_shared_weights(self, problem):
        class Interrupt(Callback):
            def on_train_begin(self, net, **kwargs):
                net.module_.register_forward_pre_hook(
                    lambda module, args: self.interrupt(net)
                )

            def interrupt(self, net):
                if len(net.history) == 4 and net.module_.training:
                    raise KeyboardInterrupt

        progress = Progress()
        result = run(problem, progress=progress, callbacks=[Interrupt()])
        assert progress.stopped and result.interrupted
        assert len(result.architectures) == 1
        assert np.isfinite(rewards_of(problem, result)).all()
        assert not result.table["trained"].any()

    def test_a_search_without_time_for_three_epochs_gives_way_at_once(
        self, problem, monkeypatch
    ):
        class Slow(Callback):
            seconds = 0.0  # by a clock that only these steps move

            def on_batch_begin(self, net, training=False, **kwargs):
                self.seconds += 0.06 * training

        slow = Slow()
        monkeypatch.setattr(time, "monotonic", lambda: slow.seconds)
        # 0.6 seconds for the shared part: ten steps, but three epochs have twelve
        result = run(problem, progress=Progress(2.0), callbacks=[slow])
        assert slow.seconds == pytest.approx(5 * 0.06)
        assert result.architectures == [problem.space.default_architecture()]

    def test_a_deadline_in_the_past_gives_something_usable(self, problem):
        result = run(problem, progress=Progress(time.monotonic() - 1.0))
        assert len(result.architectures) >= 1
        assert np.isfinite(rewards_of(problem, result)).all()


def test_candidates_are_ranked_without_dropout(problem):
    # random search leaves the shared network in training mode
    problem = replace(problem, space=clone(problem.space).set_params(dropouts=(0.5,)))
    result = run(problem, RandomSearch(), n_candidates=1, n_best=1)
    np.testing.assert_allclose(
        rewards_of(problem, result), result.table["shared_score"], rtol=1e-4
    )


def test_steps_of_the_shared_network_that_were_undone_are_told_of(problem):
    problem.train.inputs["numeric"][3] = np.nan
    result = run(problem, n_candidates=1, n_best=1)
    assert result.n_rolled_back == 6  # one of four steps, in each epoch


@pytest.mark.parametrize(("n_rows", "n_in_a_step"), [(64, 16), (300, 25), (800, 32)])
def test_steps_of_the_shared_network_take_up_to_twice_the_rows(
    problem, n_rows, n_in_a_step
):
    class Sizes(Callback):
        seen = []

        def on_batch_begin(self, net, batch=None, training=False, **kwargs):
            if training:
                self.seen.append(len(batch[1][0]))

    problem = replace(problem, train=make_table(n_rows, seed=0))
    run(problem, search_epochs=1, n_candidates=1, n_best=1, callbacks=[Sizes()])
    assert max(Sizes.seen) == n_in_a_step
    assert sum(Sizes.seen) == n_rows
