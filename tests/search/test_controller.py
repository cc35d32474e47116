"""The policy: probabilities, entropies and samples agree with each other."""

import math

import numpy as np
import pytest
import torch

from sknas import Decision, Decisions
from sknas.search._controller import Controller
from sknas.training import private_random_state

CONDITIONAL = Decisions(
    "conditional",
    [
        Decision("depth", (1, 2, 3)),
        Decision("op_1", ("a", "b")),
        Decision("op_2", ("a", "b", "c"), active_if=("depth", (2, 3))),
        Decision("op_3", (True, False), active_if=("depth", (3,))),
        Decision("rate", (0.5, None), active_if=("op_3", (True,))),
    ],
)
# node 0 is an input: no decision belongs to it
CELL = Decisions(
    "cell",
    [
        Decision("op_1", ("tanh", "relu"), node=1),
        Decision("input_2", (0, 1), kind="index", node=2),
        Decision("op_2", ("tanh", "relu", "none"), node=2),
        Decision("input_3", (0, 1, 2), kind="index", node=3),
        Decision("op_3", ("tanh", "relu"), node=3, active_if=("op_2", ("none",))),
    ],
)


def make_controller(decisions, scale=10.0, **parameters):
    """A controller that has strong opinions, unlike an untrained one."""
    parameters = {
        "hidden_size": 16,
        "temperature": 1.0,
        "tanh_constant": 2.5,
    } | parameters
    with private_random_state(0):
        controller = Controller(decisions, **parameters)
    with torch.no_grad():
        for parameter in controller.parameters():
            parameter *= scale
    return controller


def every_row(decisions):
    """The indices of every architecture, each once."""
    grid = np.ndindex(*(len(d.options) for d in decisions))
    architectures = dict.fromkeys(map(decisions.architecture, grid))
    return torch.tensor([decisions.indices(a) for a in architectures])


# the layers of the macro space: node 0 is the stem
LAYERS = Decisions(
    "layers",
    [
        Decision("op_1", ("conv", "pool"), node=1),
        Decision("op_2", ("conv", "pool"), node=2),
        Decision("skip_0_2", (False, True), kind="skip", node=2, source=0),
        Decision("op_3", ("conv", "pool"), node=3),
        Decision("skip_0_3", (False, True), kind="skip", node=3, source=0),
        Decision("skip_1_3", (False, True), kind="skip", node=3, source=1),
    ],
)


each = pytest.mark.parametrize(
    "decisions", [CONDITIONAL, CELL, LAYERS], ids=["conditional", "index", "skip"]
)


class TestProbabilities:
    @each
    def test_of_all_architectures_sum_to_one(self, decisions):
        controller = make_controller(decisions)
        rows = every_row(decisions)
        probability = controller.evaluate(rows)[0].exp()
        assert probability.sum().item() == pytest.approx(1.0, abs=1e-5)
        assert probability.max() > 3 / len(rows)  # far from uniform

    @each
    def test_agree_with_the_frequencies_of_samples(self, decisions):
        controller = make_controller(decisions)
        n = 20_000
        drawn = controller.sample(n, torch.Generator().manual_seed(0))
        rows = every_row(decisions)
        for row, p in zip(rows, controller.evaluate(rows)[0].exp(), strict=True):
            p = p.item()
            count = (drawn == row).all(dim=1).sum().item()
            assert abs(count - n * p) <= 5 * math.sqrt(n * p * (1 - p)) + 1

    @each
    def test_are_uniform_for_a_controller_without_weights(self, decisions):
        policies = make_controller(decisions, scale=0.0).log_policies(
            every_row(decisions)
        )
        for i, decision in enumerate(decisions):
            n = len(decision.options)
            expected = torch.full((len(policies), n), -math.log(n))
            torch.testing.assert_close(policies[:, i, :n], expected)

    def test_begin_at_the_prior_and_depart_from_it(self):
        decisions = Decisions(
            "prior",
            [
                Decision("op_1", ("a", "b", "c"), prior=(6.0, 3.0, 1.0)),
                Decision("op_2", ("a", "b")),
            ],
        )
        rows = every_row(decisions)
        policies = make_controller(decisions, scale=0.0).log_policies(rows).exp()
        expected = torch.tensor([0.6, 0.3, 0.1])
        torch.testing.assert_close(policies[0, 0], expected)
        torch.testing.assert_close(policies[0, 1, :2], torch.tensor([0.5, 0.5]))
        opinionated = make_controller(decisions, scale=100.0)
        departed = opinionated.log_policies(rows).exp()[0, 0]
        assert departed[2] < 0.01  # of 0.1

    @each
    def test_of_options_that_do_not_exist_are_zero(self, decisions):
        policies = make_controller(decisions).log_policies(every_row(decisions)).exp()
        for i, decision in enumerate(decisions):
            assert (policies[:, i, len(decision.options) :] == 0).all()
        torch.testing.assert_close(policies.sum(dim=2), torch.ones(policies.shape[:2]))

    @each
    def test_of_one_decision_differ_with_what_was_decided_before(self, decisions):
        rows = every_row(decisions)
        policies = make_controller(decisions).log_policies(rows).exp()
        assert torch.allclose(policies[:, 0], policies[:1, 0])
        for i in range(1, len(decisions)):
            assert policies[:, i].std(dim=0).max() > 1e-3

    @each
    def test_do_not_look_ahead(self, decisions):
        controller = make_controller(decisions)
        rows = every_row(decisions)
        policies = controller.log_policies(rows)
        for i in range(len(decisions)):
            same = (rows[:, :i] == rows[0, :i]).all(dim=1)
            own = policies[same, i]
            torch.testing.assert_close(own, own[:1].expand_as(own))

    def test_of_a_skip_depend_on_what_was_decided_at_its_source(self):
        controller = make_controller(LAYERS)
        rows = torch.tensor([[0, 0, 0, 0, 0, 0]])
        before = controller.log_policies(rows)[0, 5, :2].detach()
        # yes and no are equally far from zero, on both sides of it
        squashed = before - before.mean()
        assert squashed[0] == pytest.approx(-squashed[1].item(), abs=1e-6)
        with torch.no_grad():
            controller.anchor_key.weight.zero_()
        after = controller.log_policies(rows)[0, 5, :2]
        assert not torch.allclose(before, after)

    def test_of_an_index_depend_on_what_was_decided_at_that_node(self):
        # section 2.3 of the paper: the state is compared with those at the nodes
        controller = make_controller(CELL)
        with torch.no_grad():
            for name in ("anchor_key", "anchor_query", "anchor_score"):
                getattr(controller, name).weight.zero_()
        policies = controller.log_policies(every_row(CELL)).exp()
        torch.testing.assert_close(
            policies[:, 3], torch.full_like(policies[:, 3], 1 / 3)
        )

    def test_of_two_inputs_that_no_decision_belongs_to_can_differ(self):
        # as the two inputs of a cell: a policy must be able to prefer one of them
        decisions = Decisions(
            "cell",
            [
                Decision("input_2", (0, 1), kind="index", node=2),
                Decision("op_2", ("a", "b"), node=2),
                Decision("input_3", (0, 1, 2), kind="index", node=3),
            ],
        )
        policies = make_controller(decisions).log_policies(every_row(decisions)).exp()
        assert (policies[:, 0, 0] - policies[:, 0, 1]).abs().min() > 1e-4
        assert (policies[:, 2, 0] - policies[:, 2, 1]).abs().min() > 1e-4


class TestBoundOfLogits:
    @each
    @pytest.mark.parametrize("tanh_constant", [0.5, 2.5])
    def test_the_tanh_constant_bounds_them(self, decisions, tanh_constant):
        controller = make_controller(decisions, scale=1e4, tanh_constant=tanh_constant)
        policies = controller.log_policies(every_row(decisions))
        widest = 0.0
        for i, decision in enumerate(decisions):
            own = policies[:, i, : len(decision.options)]
            spread = (own.max(dim=1).values - own.min(dim=1).values).max().item()
            assert spread <= 2 * tanh_constant + 1e-4
            widest = max(widest, spread)
        assert widest > 1.9 * tanh_constant  # the bound is reached

    @each
    def test_a_higher_temperature_makes_the_policy_flatter(self, decisions):
        rows = every_row(decisions)
        entropies = [
            make_controller(decisions, temperature=t).evaluate(rows)[1].mean().item()
            for t in (0.5, 5.0, 50.0)
        ]
        assert entropies[0] < entropies[1] - 0.01 < entropies[2] - 0.02

    def test_weights_start_within_a_tenth(self):
        controller = make_controller(CONDITIONAL, scale=1.0, hidden_size=64)
        for parameter in controller.parameters():
            assert parameter.abs().max().item() <= 0.1 + 1e-6
            assert parameter.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.3)


class TestEntropy:
    @pytest.mark.parametrize("n", [2, 5])
    def test_of_one_uniform_decision_is_the_logarithm_of_its_options(self, n):
        decisions = Decisions("one", [Decision("op", tuple(range(n)))])
        controller = make_controller(decisions, scale=0.0)
        entropy = controller.evaluate(torch.arange(n).unsqueeze(1))[1]
        torch.testing.assert_close(entropy, torch.full((n,), math.log(n)))

    def test_is_that_of_the_whole_distribution_not_of_the_option_drawn(self):
        # bug (i) of the released ENAS: -p log p of the one option drawn
        decisions = Decisions("one", [Decision("op", ("a", "b", "c"))])
        controller = make_controller(decisions)
        view = controller.evaluate(torch.tensor([[0], [1], [2]]))
        log_probability, entropy = view.log_probability, view.entropy
        expected = -(log_probability.exp() * log_probability).sum()
        torch.testing.assert_close(entropy, expected.expand(3))

    @each
    def test_in_the_mean_is_that_of_the_distribution_over_architectures(
        self, decisions
    ):
        # the chain rule of entropy, which holds with conditions too
        view = make_controller(decisions).evaluate(every_row(decisions))
        log_probability, entropy = view.log_probability, view.entropy
        probability = log_probability.exp()
        torch.testing.assert_close(
            (probability * entropy).sum(), -(probability * log_probability).sum()
        )

    @each
    def test_has_a_finite_gradient(self, decisions):
        controller = make_controller(decisions)
        controller.evaluate(every_row(decisions)).entropy.sum().backward()
        for name, parameter in controller.named_parameters():
            if parameter.grad is not None:
                assert parameter.grad.isfinite().all(), name
        assert controller.heads.grad.any()


class TestSkipDivergence:
    def test_is_none_where_the_policy_is_as_the_prior(self):
        prior = (0.7, 0.3)
        decisions = Decisions(
            "one",
            [
                Decision("op_1", ("a", "b"), node=1),
                Decision(
                    "skip", (False, True), kind="skip", node=2, source=1, prior=prior
                ),
            ],
        )
        rows = every_row(decisions)
        even = make_controller(decisions, scale=0.0).evaluate(rows)
        torch.testing.assert_close(even.skip_divergence, torch.zeros(len(rows)))
        assert (make_controller(decisions).evaluate(rows).skip_divergence > 0.001).any()

    def test_is_that_of_skips_alone_summed_over_them(self):
        controller = make_controller(LAYERS)
        rows = every_row(LAYERS)
        probability = controller.log_policies(rows).exp()
        expected = torch.zeros(len(rows))
        for i, decision in enumerate(LAYERS):
            if decision.kind == "skip":  # whose prior is even
                p = probability[:, i, :2]
                expected += (p * (p / 0.5).log()).sum(dim=1)
        divergence = controller.evaluate(rows).skip_divergence
        torch.testing.assert_close(divergence, expected)
        assert divergence.std() > 0

    @each
    def test_is_zero_without_skips_and_has_a_finite_gradient(self, decisions):
        controller = make_controller(decisions)
        divergence = controller.evaluate(every_row(decisions)).skip_divergence
        assert bool(divergence.any()) == (decisions is LAYERS)
        if decisions is LAYERS:
            divergence.sum().backward()
            for parameter in controller.parameters():
                assert parameter.grad is None or parameter.grad.isfinite().all()
            assert controller.anchor_score.weight.grad.any()


class TestInactiveDecisions:
    shallow = torch.tensor([[0, 1, -1, -1, -1]])

    def test_add_nothing_to_probability_and_entropy(self):
        controller = make_controller(CONDITIONAL)
        log_probability, entropy, _ = controller.evaluate(self.shallow)
        policies = controller.log_policies(self.shallow)[0]
        own = [-(p.exp() * p)[p.isfinite()].sum() for p in policies]
        assert log_probability.item() == pytest.approx(
            (policies[0, 0] + policies[1, 1]).item(), abs=1e-5
        )
        assert entropy.item() == pytest.approx((own[0] + own[1]).item(), abs=1e-5)

    def test_get_no_gradient(self):
        controller = make_controller(CONDITIONAL)
        log_probability, entropy, _ = controller.evaluate(self.shallow)
        (log_probability + entropy).sum().backward()
        reached = controller.heads.grad.flatten(1).any(dim=1)
        assert reached.tolist() == [True, True, False, False, False]

    def test_are_drawn_as_minus_one_and_no_others_are(self):
        drawn = make_controller(CONDITIONAL).sample(
            500, torch.Generator().manual_seed(0)
        )
        for row in drawn.tolist():
            architecture = CONDITIONAL.architecture(row)
            CONDITIONAL.check(architecture)
            assert CONDITIONAL.indices(architecture) == row
        assert (drawn == -1).any() and not (drawn == -1).all(dim=0).any()


class TestSamples:
    @each
    def test_come_from_the_given_generator_alone(self, decisions):
        controller = make_controller(decisions)
        before = torch.get_rng_state()
        first, same, other = (
            controller.sample(30, torch.Generator().manual_seed(seed))
            for seed in (0, 0, 1)
        )
        assert first.equal(same) and not first.equal(other)
        assert torch.get_rng_state().equal(before)

    def test_none_can_be_drawn(self):
        drawn = make_controller(CONDITIONAL).sample(0, torch.Generator())
        assert drawn.shape == (0, 5)
