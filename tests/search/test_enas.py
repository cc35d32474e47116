"""ENAS learns by REINFORCE from rewards alone."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from sknas import ENAS, ConvMacroSpace, Decision, Decisions, TabularSpace
from sknas.training import private_random_state

FLAT = Decisions("flat", [Decision(f"op_{i}", tuple("abcd")) for i in range(6)])
TABULAR = TabularSpace().decisions()
TARGETS = {
    "flat": FLAT.architecture([1, 3, 0, 2, 1, 0]),
    # two layers: the decisions of the third and fourth are inactive
    "tabular": TABULAR.architecture([1, 1, 2, 2, 1, 1, 2, 2, 1] + [0] * 6),
}


def started(decisions=FLAT, seed=0, **parameters):
    enas = ENAS(**parameters)
    enas.initialize(decisions, np.random.RandomState(seed))
    return enas


def likeness(architectures, target):
    """The share of the target's choices that each architecture has: 1 is best."""
    return np.array(
        [np.mean([a.get(n) == o for n, o in target.items()]) for a in architectures]
    )


def learn(enas, target, n_steps, scale=1.0, shift=0.0):
    records = []
    for _ in range(n_steps):
        asked = enas.ask(enas.samples_per_update)
        records.append(enas.tell(asked, scale * likeness(asked, target) + shift))
    return records


def parameters_of(enas):
    return torch.cat([p.detach().flatten() for p in enas.controller_.parameters()])


def gradient_norm(enas):
    grads = [p.grad for p in enas.controller_.parameters() if p.grad is not None]
    return torch.cat([g.flatten() for g in grads]).norm().item()


class TestLearning:
    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize(
        ("decisions", "n_steps"), [(FLAT, 80), (TABULAR, 240)], ids=["flat", "tabular"]
    )
    def test_it_finds_the_best_of_a_known_reward(self, decisions, n_steps, seed):
        target = TARGETS[decisions.space]
        enas = started(decisions, seed)
        before = likeness(enas.ask(100), target).mean()
        learn(enas, target, n_steps)
        asked = enas.ask(100)
        assert before < 0.6
        assert likeness(asked, target).mean() > 0.85
        assert max(set(asked), key=asked.count) == target

    @pytest.mark.parametrize(("scale", "shift"), [(1e-4, 0.0), (1e4, -5e4)])
    def test_it_does_so_whatever_the_scale_of_the_rewards(self, scale, shift):
        enas = started()
        learn(enas, TARGETS["flat"], 80, scale, shift)
        assert likeness(enas.ask(100), TARGETS["flat"]).mean() > 0.85

    def test_it_learns_which_of_earlier_nodes_to_read(self):
        decisions = Decisions(
            "cell",
            [Decision("op_1", ("a", "b"), node=1)]
            + [Decision("input_2", (0, 1), kind="index", node=2)]
            + [Decision("input_3", (0, 1, 2), kind="index", node=3)],
        )
        target = decisions.architecture([1, 0, 1])
        enas = started(decisions)
        learn(enas, target, 80)
        asked = enas.ask(100)
        assert max(set(asked), key=asked.count) == target

    def test_rewards_that_are_all_equal_leave_the_policy_open(self):
        enas = started()
        for _ in range(30):
            asked = enas.ask(8)
            enas.tell(asked, np.ones(8))
        assert len(set(enas.ask(50))) > 40

    def test_a_first_batch_of_equal_rewards_does_no_harm(self):
        # as accuracies on few rows often are; the spread of the rewards is then 0
        enas = started()
        asked = enas.ask(8)
        enas.tell(asked, np.full(8, 0.5))
        records = learn(enas, TARGETS["flat"], 80)
        assert likeness(enas.ask(100), TARGETS["flat"]).mean() > 0.85
        assert max(abs(record["loss"]) for record in records) < 1e3

    def test_one_sample_for_each_step_has_advantages_of_unit_spread_too(self):
        enas = started(samples_per_update=1)
        records = learn(enas, TARGETS["flat"], 30)
        assert max(abs(record["loss"]) for record in records) < 1e3

    def test_a_reward_that_is_no_number_does_not_spoil_the_policy(self):
        # the loss of shared parameters that diverged
        enas = started()
        asked = enas.ask(8)
        enas.tell(asked, np.array([np.nan] + [0.5] * 7))
        learn(enas, TARGETS["flat"], 80)
        assert likeness(enas.ask(100), TARGETS["flat"]).mean() > 0.85


class TestBaseline:
    """Bug (h) of the released ENAS: a baseline that starts at zero."""

    def test_it_starts_at_the_first_reward(self):
        enas = started()
        assert enas.baseline_ is None
        asked = enas.ask(4)
        enas.tell(asked, np.array([1.0, 2.0, 3.0, 6.0]))
        assert enas.baseline_ == pytest.approx(3.0)

    @pytest.mark.parametrize("normalize", [False, True])
    def test_first_rewards_that_are_all_equal_teach_nothing(self, normalize):
        enas = started(entropy_weight=0.0, normalize_advantage=normalize)
        before = parameters_of(enas)
        record = enas.tell(enas.ask(8), np.full(8, 100.0))
        assert record["gradient_norm"] == pytest.approx(0.0, abs=1e-6)
        assert parameters_of(enas).equal(before)

    def test_it_is_a_moving_average_of_the_mean_rewards(self):
        enas = started(baseline_decay=0.75)
        expected = None
        for rewards in ([1.0, 3.0], [5.0, 5.0], [-2.0, 0.0]):
            enas.tell(enas.ask(2), np.array(rewards))
            mean = np.mean(rewards)
            expected = mean if expected is None else 0.75 * expected + 0.25 * mean
            assert enas.baseline_ == pytest.approx(expected)

    def test_an_architecture_above_it_becomes_more_likely_and_one_below_less(self):
        enas = started(entropy_weight=0.0)
        good, bad = FLAT.architecture([0] * 6), FLAT.architecture([1] * 6)
        rows = torch.tensor([FLAT.indices(a) for a in (good, bad)])
        before = enas.controller_.evaluate(rows)[0].tolist()
        enas.tell([good, bad], np.array([-1.0, -2.0]))
        after = enas.controller_.evaluate(rows)[0].tolist()
        assert after[0] > before[0]
        assert after[1] < before[1]


class TestObjective:
    def test_it_is_reinforce_with_an_entropy_bonus(self):
        enas = started(entropy_weight=0.3, normalize_advantage=False)
        enas.tell(enas.ask(2), np.array([1.0, 2.0]))
        asked, rewards = enas.ask(3), np.array([0.5, 2.5, 4.0])
        with torch.no_grad():
            rows = torch.tensor([FLAT.indices(a) for a in asked])
            log_p, entropy, _ = (t.numpy() for t in enas.controller_.evaluate(rows))
        record = enas.tell(asked, rewards)
        expected = -np.mean((rewards - 1.5) * log_p + 0.3 * entropy)
        assert record["loss"] == pytest.approx(expected, rel=1e-4)
        assert record["reward"] == pytest.approx(rewards.mean())
        assert record["entropy"] == pytest.approx(entropy.mean(), rel=1e-5)

    def test_normalized_advantages_do_not_depend_on_the_scale_of_rewards(self):
        losses = []
        for scale in (1.0, 1000.0):
            enas = started()
            records = learn(enas, TARGETS["flat"], 5, scale)
            losses.append([record["loss"] for record in records])
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)

    def test_advantages_as_they_are_depend_on_it(self):
        losses = []
        for scale in (1.0, 1000.0):
            enas = started(normalize_advantage=False, entropy_weight=0.0)
            losses.append(learn(enas, TARGETS["flat"], 1, scale)[0]["loss"])
        assert losses[1] == pytest.approx(1000 * losses[0], rel=1e-2)

    def test_a_penalty_keeps_skip_connections_near_the_rate_they_begin_with(self):
        decisions = ConvMacroSpace(n_layers=5).decisions()
        is_skip = [decision.kind == "skip" for decision in decisions]
        rates = {}
        for weight in (0.0, 0.8, 8.0):
            enas = started(decisions, skip_weight=weight)
            for _ in range(60):  # rewards for skips, as untrained networks give them
                asked = enas.ask(8)
                rows = np.array([decisions.indices(a) for a in asked])
                enas.tell(asked, rows[:, is_skip].mean(axis=1))
            policy = enas.policy()
            rates[weight] = np.mean(
                [p[1] for p, skips in zip(policy, is_skip, strict=True) if skips]
            )
        assert rates[0.0] > 0.8
        assert 0.4 < rates[0.8] < 0.7
        assert 0.35 < rates[8.0] < 0.5

    @pytest.mark.parametrize("samples", [8, 1])
    def test_the_entropy_bonus_keeps_the_policy_open(self, samples):
        entropies = []
        for weight in (0.0, 10.0):
            enas = started(entropy_weight=weight, samples_per_update=samples)
            entropies.append(learn(enas, TARGETS["flat"], 60)[-1]["entropy"])
        assert entropies[1] > entropies[0] + 1.0
        assert entropies[1] > 0.9 * 6 * np.log(4)


class TestGradientClipping:
    """Bug (c) of the released ENAS: clipped gradients were thrown away."""

    def test_the_step_is_taken_with_the_clipped_gradient(self):
        enas = started(max_gradient_norm=1e-3)
        record = learn(enas, TARGETS["flat"], 1)[0]
        assert record["gradient_norm"] > 1e-2  # before it was clipped
        assert gradient_norm(enas) == pytest.approx(1e-3, rel=1e-2)

    def test_a_smaller_gradient_is_left_as_it_is(self):
        enas = started(max_gradient_norm=1e6)
        record = learn(enas, TARGETS["flat"], 1)[0]
        assert gradient_norm(enas) == pytest.approx(record["gradient_norm"], rel=1e-4)

    def test_gradients_do_not_add_up_over_steps(self):
        enas = started(max_gradient_norm=1e6)
        record = learn(enas, TARGETS["flat"], 5)[-1]
        assert gradient_norm(enas) == pytest.approx(record["gradient_norm"], rel=1e-4)


class TestRandomState:
    def test_the_same_seed_gives_the_same_search(self):
        asked = []
        for seed in (0, 0, 1):
            enas = started(TABULAR, seed)
            learn(enas, TARGETS["tabular"], 3)
            asked.append(enas.ask(20))
        assert asked[0] == asked[1]
        assert asked[0] != asked[2]

    def test_the_random_state_alone_decides(self):
        asked = []
        for torch_seed, seed in ((0, 0), (1, 0), (0, 1)):
            with private_random_state(torch_seed):
                enas = started(seed=seed)
                learn(enas, TARGETS["flat"], 3)
            asked.append(enas.ask(20))
        assert asked[0] == asked[1]
        assert asked[0] != asked[2]

    def test_torchs_generator_is_left_as_it_was(self):
        before = torch.get_rng_state()
        learn(started(), TARGETS["flat"], 3)
        torch.testing.assert_close(torch.get_rng_state(), before)

    def test_initializing_again_forgets_what_was_learnt(self):
        enas = started()
        first = enas.ask(20)
        learn(enas, TARGETS["flat"], 20)
        enas.initialize(FLAT, np.random.RandomState(0))
        assert enas.baseline_ is None
        assert enas.ask(20) == first

    def test_what_it_learns_does_not_change_its_parameters(self):
        enas = started(controller_lr=0.02)
        learn(enas, TARGETS["flat"], 2)
        copy = clone(enas)
        assert copy.get_params() == ENAS(controller_lr=0.02).get_params()
        assert not hasattr(copy, "baseline_")


class TestAsking:
    @pytest.mark.parametrize("n", [0, 1, 7])
    def test_it_gives_as_many_architectures_of_the_space_as_asked(self, n):
        enas = started(TABULAR)
        asked = enas.ask(n)
        assert len(asked) == n
        for architecture in asked:
            TABULAR.check(architecture)

    def test_architectures_of_others_can_be_told_too(self):
        enas = started(TABULAR)
        others = TABULAR.sample(5, np.random.RandomState(0))
        assert np.isfinite(enas.tell(others, np.arange(5.0))["loss"])


class TestParameters:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            (name, value)
            for name in ("controller_lr", "temperature", "tanh_constant")
            for value in (0, -1.0, "high", None, float("nan"))
        ]
        + [("max_gradient_norm", value) for value in (0.0, -5, "5", float("inf"))]
        + [("normalize_advantage", value) for value in (1, "yes", None)]
        + [("samples_per_update", True)]
        + [
            (name, value)
            for name in (
                "controller_hidden_size",
                "updates_per_epoch",
                "samples_per_update",
            )
            for value in (0, -1, 1.5, "8", None)
        ]
        + [
            (name, value)
            for name in ("entropy_weight", "skip_weight")
            for value in (-0.1, "0", float("nan"))
        ]
        + [("baseline_decay", value) for value in (1.0, -0.1, "0.9", 2)],
    )
    def test_a_wrong_one_raises_an_error_that_names_it(self, name, value):
        enas = ENAS(**{name: value})  # nothing is checked here
        with pytest.raises((TypeError, ValueError), match=f"{name}.*{value!r}"):
            enas.initialize(FLAT, np.random.RandomState(0))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("entropy_weight", 0),
            ("baseline_decay", 0.0),
            ("controller_lr", np.float64(0.01)),
            # as randomized searches give them
            ("samples_per_update", np.int64(4)),
            ("controller_hidden_size", np.int32(16)),
            ("controller_lr", np.float32(0.01)),
        ],
    )
    def test_a_value_at_the_edge_or_of_numpy_is_taken(self, name, value):
        enas = started(**{name: value})
        assert len(enas.ask(2)) == 2


def test_a_batch_of_wider_spread_than_before_takes_no_longer_step():
    rewards, norms = np.linspace(-1.0, 1.0, 8), []
    for earlier in (None, 1e-3):
        enas = started(entropy_weight=0.0, controller_lr=1e-9, max_gradient_norm=1e9)
        asked = enas.ask(8)
        if earlier is not None:
            enas.tell(asked, earlier * rewards)  # of the same mean
        norms.append(enas.tell(asked, rewards)["gradient_norm"])
    np.testing.assert_allclose(norms[1], norms[0], rtol=1e-3)


def test_looking_at_the_policy_changes_nothing():
    looked, not_looked = started(), started()
    for one, other in zip(looked.policy(), looked.policy(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert looked.ask(20) == not_looked.ask(20)
