"""The two alternating phases of ENAS under skorch."""

import time

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from small_search import flat, make_table

from sknas import ENAS, RandomSearch
from sknas.search import NegativeLoss
from sknas.search._net import N_GROUPS, REWARD_ROWS
from sknas.training import CrossEntropy, Schedule


class Snapshots(Callback):
    """Records after each batch what changed since the batch before."""

    def on_train_begin(self, net, **kwargs):
        self.shared, self.policy = flat(net.module_), flat(net.controller_)
        self.changes = {"train": [], "controller": []}

    def on_batch_end(self, net, **kwargs):
        phase = (
            "train"
            if "train_loss" in net.history[-1, "batches", -1]
            else ("controller")
        )
        shared, policy = flat(net.module_), flat(net.controller_)
        self.changes[phase].append(
            (not shared.equal(self.shared), not policy.equal(self.policy))
        )
        self.shared, self.policy = shared, policy


class Passes:
    """Records what the shared network is called with, and in which mode."""

    def __init__(self, net):
        self.seen = []
        net.module.register_forward_pre_hook(self.note, with_kwargs=True)

    def note(self, module, args, kwargs):
        self.seen.append((module.training, torch.is_grad_enabled(), kwargs))


class CountingReward(NegativeLoss):
    def __init__(self):
        super().__init__(CrossEntropy())
        self.rewards = []

    def __call__(self, logits, target, weight):
        rewards = super().__call__(logits, target, weight)
        self.rewards += rewards.tolist()
        return rewards


class TestTwoPhases:
    def test_the_policy_learns_at_the_end_of_each_epoch_after_the_warm_up(
        self, make_net, problem
    ):
        net = make_net(ENAS(updates_per_epoch=3), max_epochs=10).fit(problem.train)
        assert len(net.history) == 10
        learning = ["controller_reward" in row for row in net.history]
        assert learning == [False] * 3 + [True] * 7
        for row in net.history:
            assert np.isfinite(row["train_loss"])
            phases = [
                "train" if "train_loss" in batch else "controller"
                for batch in row["batches"]
            ]
            n_updates = 3 if "controller_reward" in row else 0
            assert phases == ["train"] * 4 + ["controller"] * n_updates

    def test_the_history_holds_the_means_of_what_the_strategy_tells(
        self, make_net, problem
    ):
        net = make_net().fit(problem.train)
        row = net.history[-1]
        batches = [b for b in row["batches"] if "controller_loss" in b]
        for name in ("loss", "reward", "entropy", "gradient_norm"):
            values = [batch[f"controller_{name}"] for batch in batches]
            assert row[f"controller_{name}"] == pytest.approx(np.mean(values))

    def test_the_training_loss_is_that_of_the_shared_steps_alone(
        self, make_net, problem
    ):
        row = make_net().fit(problem.train).history[-1]
        losses = [b["train_loss"] for b in row["batches"] if "train_loss" in b]
        assert row["train_loss"] == pytest.approx(np.mean(losses))

    def test_a_step_changes_the_parameters_of_its_own_phase_only(
        self, make_net, problem
    ):
        snapshots = Snapshots()
        make_net(callbacks=[snapshots]).fit(problem.train)
        assert len(snapshots.changes["train"]) == 6 * 4
        assert set(snapshots.changes["train"]) == {(True, False)}
        assert len(snapshots.changes["controller"]) == 5 * 2
        assert set(snapshots.changes["controller"]) == {(False, True)}

    def test_the_two_optimizers_share_no_parameter_and_leave_none_out(self, make_net):
        net = make_net().initialize()
        held = [
            {id(p) for group in optimizer.param_groups for p in group["params"]}
            for optimizer in (net.optimizer_, net.controller_optimizer_)
        ]
        assert not held[0] & held[1]
        assert held[0] == {id(p) for p in net.module_.parameters()}
        assert held[1] == {id(p) for p in net.controller_.parameters()}

    def test_random_search_has_no_second_phase(self, make_net, problem):
        net = make_net(RandomSearch()).fit(problem.train)
        assert not [k for row in net.history for k in row if "controller" in k]
        assert not hasattr(net, "controller_")

    def test_the_shared_loss_falls(self, make_net, problem):
        net = make_net(max_epochs=40).fit(problem.train)
        losses = net.history[:, "train_loss"]
        assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


class TestRows:
    def test_the_policy_is_judged_on_held_back_rows_without_gradients(
        self, make_net, problem
    ):
        # the two kinds of rows can be told apart by their first number
        problem.train.inputs["numeric"][:, 0] = 1.0
        problem.valid.inputs["numeric"][:, 0] = 2.0
        net = make_net()
        passes = Passes(net)
        net.fit(problem.train)
        modes = {(training, grad) for training, grad, _ in passes.seen}
        assert modes == {(True, True), (False, False)}
        for training, _, kwargs in passes.seen:
            assert (kwargs["numeric"][..., 0] == (1.0 if training else 2.0)).all()

    def test_a_step_of_the_policy_sees_one_batch_of_held_back_rows(
        self, make_net, problem
    ):
        net = make_net(valid=make_table(2 * REWARD_ROWS, seed=3))
        passes = Passes(net)
        net.fit(problem.train)
        sizes = {len(k["numeric"]) for training, _, k in passes.seen if not training}
        assert sizes == {REWARD_ROWS}

    def test_the_policy_is_judged_by_estimates_where_there_are_some(
        self, make_net, problem
    ):
        net, seen = make_net(), []

        def estimate(architectures, **inputs):
            seen.append(len(architectures))
            return net.module_(architectures=architectures, **inputs)

        net.module.estimate = estimate
        net.fit(problem.train)
        assert seen == [net.strategy.samples_per_update] * len(seen)
        assert len(seen) == 5 * net.strategy.updates_per_epoch

    @pytest.mark.parametrize("n_groups", [N_GROUPS, 2])
    def test_a_batch_is_cut_among_architectures_and_every_row_is_used(
        self, make_net, problem, n_groups
    ):
        net = make_net(max_epochs=1)
        if n_groups != N_GROUPS:
            net.module.n_groups = n_groups  # the supernet says it
        passes = Passes(net)
        net.fit(problem.train)
        steps = [kwargs for training, _, kwargs in passes.seen if training]
        cut = [kwargs["numeric"] for kwargs in steps]
        assert {tensor.shape for tensor in cut} == {(n_groups, 16 // n_groups, 3)}
        for kwargs in steps:
            assert len(kwargs["architectures"]) == n_groups
        rows = torch.cat([tensor.flatten(0, 1) for tensor in cut])
        expected = problem.train.inputs["numeric"]
        assert sorted(rows.tolist()) == sorted(expected.tolist())

    @pytest.mark.parametrize("n_rows", [1, 2, 3, 17, 19])
    def test_a_batch_of_fewer_rows_than_architectures_is_trained_on(
        self, make_net, n_rows
    ):
        net = make_net(max_epochs=2).fit(make_table(n_rows, seed=0))
        assert np.isfinite(net.history[:, "train_loss"]).all()

    def test_rows_keep_their_targets_and_weights(self, make_net, problem):
        # every second row has a wrong target and no weight: the loss can only fall
        # to nothing if no other row gets one of those targets
        problem.train.weight[::2] = 0.0
        problem.train.target[::2] = 1 - problem.train.target[::2]
        losses = make_net(max_epochs=60).fit(problem.train).history[:, "train_loss"]
        assert np.mean(losses[-5:]) < 0.5 * losses[0]


class TestProposals:
    def test_the_warm_up_trains_every_option_equally_often(self, make_net, problem):
        net = make_net(max_epochs=4)
        passes = Passes(net)
        net.fit(problem.train)
        first_epoch = [a for _, _, k in passes.seen[:4] for a in k["architectures"]]
        for decision in net.decisions:
            chosen = [a[decision.name] for a in first_epoch if decision.name in a]
            counts = {chosen.count(option) for option in decision.options}
            if decision.active_if is None or decision.name.endswith("_1"):
                assert counts == {N_GROUPS * 4 // len(decision.options)}

    def test_the_strategy_is_asked_after_the_warm_up_only(self, make_net, problem):
        class Asked(RandomSearch):
            calls = []

            def ask(self, n):
                self.calls.append(n)
                return super().ask(n)

        make_net(Asked(), max_epochs=10).fit(problem.train)
        assert Asked.calls == [N_GROUPS * 4] * 7

    def test_where_time_is_short_it_is_asked_sooner(
        self, make_net, problem, monkeypatch
    ):
        shares = iter([0.4, 0.2])  # when an epoch begins: the first is always early

        class Used(Schedule):
            def used(self):
                return next(shares, 0.5)

        schedule = Used(40)
        net = make_net(max_epochs=10, schedule=schedule).fit(problem.train)
        is_told = ["controller_reward" in row for row in net.history]
        assert is_told == [False, False] + [True] * 8

    def test_the_policy_is_asked_for_and_told_as_many_as_it_wants(
        self, make_net, problem
    ):
        class Told(ENAS):
            told = []

            def tell(self, architectures, rewards):
                self.told.append((len(architectures), rewards.shape))
                return super().tell(architectures, rewards)

        make_net(Told(samples_per_update=5)).fit(problem.train)
        assert Told.told == [(5, (5,))] * 10

    def test_the_best_architecture_is_the_one_of_the_best_reward(
        self, make_net, problem
    ):
        reward = CountingReward()
        net = make_net(reward=reward).fit(problem.train)
        assert net.best_reward_ == max(reward.rewards)
        net.decisions.check(net.best_architecture_)

    def test_each_reward_is_told_with_its_own_architecture(self, make_net, problem):
        # rewards by the shared parameters, before and after the net sorts them
        class Told(ENAS):
            def tell(self, architectures, rewards):
                self.last = list(architectures), rewards
                return super().tell(architectures, rewards)

        # fewer held-back rows than a step asks for: each step sees all of them
        strategy = Told()
        net = make_net(strategy).fit(problem.train)
        architectures, rewards = strategy.last
        # the shared parameters have not changed since the last step
        np.testing.assert_allclose(net.score(architectures), rewards, rtol=1e-4)


class Diverged(CountingReward):
    """Gives no number for the first architectures of each step."""

    def __init__(self, n_without):
        super().__init__()
        self.n_without = n_without

    def __call__(self, logits, target, weight):
        rewards = super().__call__(logits, target, weight)
        rewards[: self.n_without] = np.nan
        self.rewards[-len(rewards) :] = rewards.tolist()
        return rewards


class TestDivergence:
    def test_some_rewards_without_a_number_do_not_hide_the_best(
        self, make_net, problem
    ):
        reward = Diverged(3)
        net = make_net(reward=reward).fit(problem.train)
        assert net.best_reward_ == np.nanmax(reward.rewards)
        net.decisions.check(net.best_architecture_)
        assert flat(net.controller_).isfinite().all()

    def test_no_rewards_at_all_leave_the_search_alive(self, make_net, problem):
        net = make_net(reward=Diverged(100)).fit(problem.train)
        assert len(net.history) == 6
        assert net.best_architecture_ is None
        assert len(net.strategy.ask(3)) == 3

    def test_a_step_without_rewards_leaves_the_records_of_the_others(
        self, make_net, problem
    ):
        class Second(CountingReward):
            """Gives no number in the second step of each epoch."""

            def __call__(self, *args):
                rewards = super().__call__(*args)
                return rewards * (np.nan if len(self.rewards) % 16 == 0 else 1.0)

        net = make_net(reward=Second()).fit(problem.train)
        for row in net.history[1:]:
            assert np.isfinite(row["controller_reward"])


class TestScore:
    @pytest.mark.parametrize("weighted", [False, True])
    def test_it_is_over_the_whole_held_back_part_at_once(
        self, make_net, problem, monkeypatch, weighted
    ):
        monkeypatch.setattr("sknas.training._predict.PREDICTION_ROWS", 32)
        valid = make_table(97, seed=3, weighted=weighted)  # a last chunk of one row
        net = make_net(valid=valid).fit(problem.train)
        architectures = net.decisions.sample(11, np.random.RandomState(0))
        scores = net.score(architectures)
        net.module_.eval()
        with torch.no_grad():
            logits = net.module_(**valid.inputs, architectures=architectures)
        expected = NegativeLoss(CrossEntropy())(logits, valid.target, valid.weight)
        np.testing.assert_allclose(scores, expected, rtol=1e-5)

    def test_it_may_be_over_rows_from_everywhere(self, make_net, problem):
        valid = make_table(97, seed=3)
        net = make_net(valid=valid, ranking_rows=40).fit(problem.train)
        architectures = net.decisions.sample(5, np.random.RandomState(0))
        scores = net.score(architectures)
        net.ranking_rows, net.dataset_valid = 33, valid.subset(torch.arange(0, 97, 3))
        # rows that lie otherwise in memory may be rounded otherwise
        np.testing.assert_allclose(net.score(architectures), scores, rtol=1e-5)
        net.dataset_valid = valid
        np.testing.assert_array_equal(net.score(architectures), scores)

    def test_a_network_that_takes_one_at_a_time_is_asked_so(self, make_net, problem):
        net = make_net().fit(problem.train)
        architectures = net.decisions.sample(5, np.random.RandomState(0))
        scores = net.score(architectures)
        net.module_.n_groups = 1
        seen = []
        net.module_.register_forward_pre_hook(
            lambda module, args, kwargs: seen.append(kwargs["architectures"]),
            with_kwargs=True,
        )
        np.testing.assert_allclose(net.score(architectures), scores, rtol=1e-5)
        assert seen == [[architecture] for architecture in architectures]

    def test_it_is_that_of_the_stand_alone_networks(self, make_net, problem):
        net = make_net().fit(problem.train)
        architectures = net.decisions.sample(5, np.random.RandomState(0))
        for score, architecture in zip(
            net.score(architectures), architectures, strict=True
        ):
            network = problem.build(architecture).eval()
            problem.space.copy_shared_weights(net.module_, network, architecture)
            valid = problem.valid
            with torch.no_grad():
                logits = network(**valid.inputs)
            reward = NegativeLoss(CrossEntropy())(logits, valid.target, valid.weight)
            assert score == pytest.approx(reward.item(), rel=1e-4)


def test_steps_of_an_epoch_go_through_the_space_in_no_order(make_net, problem):
    net = make_net(RandomSearch(), max_epochs=10)
    passes = Passes(net)
    net.fit(problem.train)
    seen = [
        net.decisions.indices(kwargs["architectures"][0]) for *_, kwargs in passes.seen
    ]
    epochs = [seen[i : i + 4] for i in range(0, len(seen), 4)]
    assert sum(epoch == sorted(epoch) for epoch in epochs) < 5


def test_scores_are_left_at_those_that_there_was_time_for(make_net, problem):
    net = make_net(max_epochs=1).fit(problem.train)
    architectures = net.decisions.sample(3 * N_GROUPS, np.random.RandomState(0))
    assert len(net.score(architectures, time.monotonic() - 1.0)) == N_GROUPS
    assert len(net.score(architectures, time.monotonic() + 1e6)) == 3 * N_GROUPS
