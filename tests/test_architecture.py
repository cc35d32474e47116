"""Architectures as values, and the decisions that they answer."""

import copy
import itertools
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from sknas import Architecture, Decision, Decisions

# three depths, a decision that depends on a decision that depends on the depth
CONDITIONAL = Decisions(
    "toy",
    [
        Decision("depth", (1, 2, 3)),
        Decision("op_1", ("a", "b")),
        Decision("op_2", ("a", "b", "c"), active_if=("depth", (2, 3))),
        Decision("op_3", (True, False), active_if=("depth", (3,))),
        Decision("rate", (0.5, None), active_if=("op_3", (True,))),
    ],
)
N_CONDITIONAL = 2 + 2 * 3 + 2 * 3 * (2 + 1)


def every_row(decisions):
    return itertools.product(*(range(len(d.options)) for d in decisions))


def every_architecture(decisions):
    return list(dict.fromkeys(map(decisions.architecture, every_row(decisions))))


@pytest.fixture
def architecture():
    return Architecture(
        "tabular",
        {"n_layers": 2, "dropout": 0.1, "skip_2": True, "note": None, "op": "relu"},
    )


class TestArchitectureAsAValue:
    def test_attributes_and_items_cannot_be_set(self, architecture):
        with pytest.raises(AttributeError, match="cannot be changed"):
            architecture.space = "other"
        with pytest.raises(AttributeError, match="cannot be changed"):
            architecture.anything = 1
        with pytest.raises(TypeError):
            architecture["n_layers"] = 3
        with pytest.raises(TypeError):
            del architecture["n_layers"]
        assert architecture.space == "tabular" and architecture["n_layers"] == 2

    def test_attributes_cannot_be_deleted(self, architecture):
        with pytest.raises(AttributeError, match="cannot be changed"):
            del architecture.space

    def test_changing_the_mapping_it_was_made_from_does_not_change_it(self):
        choices = {"n_layers": 2}
        architecture = Architecture("tabular", choices)
        choices["n_layers"] = 3
        choices["more"] = 1
        assert dict(architecture) == {"n_layers": 2}

    def test_it_reads_as_a_mapping_in_the_order_of_its_choices(self, architecture):
        assert list(architecture) == ["n_layers", "dropout", "skip_2", "note", "op"]
        assert len(architecture) == 5
        assert architecture.get("missing") is None
        assert "note" in architecture and "missing" not in architecture
        with pytest.raises(KeyError):
            architecture["missing"]

    def test_order_of_choices_changes_neither_equality_nor_hash(self, architecture):
        turned = Architecture("tabular", dict(reversed(list(architecture.items()))))
        assert list(turned) != list(architecture)
        assert turned == architecture
        assert hash(turned) == hash(architecture)
        assert len({turned, architecture}) == 1

    @pytest.mark.parametrize(
        "other",
        [
            Architecture("other", {"n_layers": 2}),
            Architecture("tabular", {"n_layers": 3}),
            Architecture("tabular", {"n_layers": 2, "width_1": 8}),
            Architecture("tabular", {}),
            {"n_layers": 2},
        ],
    )
    def test_another_space_or_choice_makes_another_architecture(self, other):
        assert Architecture("tabular", {"n_layers": 2}) != other

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_pickling_gives_an_equal_architecture(self, architecture, protocol):
        loaded = pickle.loads(pickle.dumps(architecture, protocol))
        assert loaded == architecture
        assert hash(loaded) == hash(architecture)
        assert repr(loaded) == repr(architecture)

    @pytest.mark.parametrize("copier", [copy.copy, copy.deepcopy])
    def test_copies_are_equal(self, architecture, copier):
        copied = copier(architecture)
        assert copied == architecture and repr(copied) == repr(architecture)

    def test_repr_evaluates_to_the_same_architecture(self, architecture):
        again = eval(repr(architecture), {"Architecture": Architecture})
        assert again == architecture
        assert list(again) == list(architecture)

    def test_str_has_the_space_and_a_line_for_each_choice(self, architecture):
        first, *lines = str(architecture).splitlines()
        assert "'tabular'" in first
        assert [line.split() for line in lines] == [
            [name, str(option)] for name, option in architecture.items()
        ]
        # the options stand in one column
        assert len({line.rindex(line.split()[1]) for line in lines}) == 1

    def test_an_architecture_without_choices_can_be_printed(self):
        assert "'tabular'" in str(Architecture("tabular", {}))


class TestJson:
    @pytest.mark.parametrize(
        "option",
        ["relu", 'größer " \\ \n', "", 0, -3, 2**60, 0.1, 1e-30, 0.1 + 0.2, 2.0]
        + [True, False, None],
    )
    def test_reading_what_was_written_keeps_value_and_type(self, option):
        architecture = Architecture("tabular", {"name": option, "second": 1})
        again = Architecture.from_json(architecture.to_json())
        assert again == architecture
        assert type(again["name"]) is type(option)
        assert list(again) == ["name", "second"]

    def test_options_of_numpy_are_written_as_pythons(self):
        choices = {"width": np.int64(64), "rate": np.float32(0.5), "skip": np.True_}
        text = Architecture("tabular", choices).to_json()
        assert dict(Architecture.from_json(text)) == choices

    def test_what_is_written_is_an_object_with_two_keys(self, architecture):
        value = json.loads(architecture.to_json())
        assert value == {"space": "tabular", "choices": dict(architecture)}

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "tabular",
            "[]",
            "null",
            "3",
            '"tabular"',
            '{"space": "tabular"}',
            '{"choices": {}}',
            '{"space": 1, "choices": {}}',
            '{"space": null, "choices": {}}',
            '{"space": "tabular", "choices": []}',
            '{"space": "tabular", "choices": "relu"}',
            '{"space": "tabular", "choices": {"op": ["relu"]}}',
            '{"space": "tabular", "choices": {"op": {"name": "relu"}}}',
            '{"space": "tabular", "choices": {"op": ' + 5000 * "1" + "}}",
            100_000 * "[",
        ],
    )
    def test_damaged_json_raises_an_error_that_names_the_architecture(self, text):
        with pytest.raises(ValueError, match="architecture"):
            Architecture.from_json(text)

    def test_json_cut_off_anywhere_raises_an_error(self, architecture):
        text = architecture.to_json()
        for end in range(len(text)):
            with pytest.raises(ValueError, match="architecture"):
                Architecture.from_json(text[:end])

    def test_the_error_says_which_choice_is_no_option(self):
        with pytest.raises(ValueError, match="'op' a list"):
            Architecture.from_json('{"space": "t", "choices": {"op": [1]}}')


class TestDecision:
    def test_a_decision_without_options_is_refused(self):
        with pytest.raises(ValueError, match="'op'.*at least one option"):
            Decision("op", ())

    def test_a_decision_with_the_same_option_twice_is_refused(self):
        with pytest.raises(ValueError, match="'op'.*twice"):
            Decision("op", ("a", "b", "a"))

    def test_options_that_are_equal_in_python_are_refused_or_told_apart(self):
        # False == 0 and True == 1, so that looking an option up may find the other
        try:
            decisions = Decisions("toy", [Decision("op", (0, False, 1, True))])
        except ValueError as error:
            assert "'op'" in str(error)
            return
        found = [decisions.indices(decisions.architecture([i])) for i in range(4)]
        assert found == [[0], [1], [2], [3]]

    @pytest.mark.parametrize("option", [(1, 3), [1], b"a", 1j])
    def test_an_option_that_json_does_not_keep_is_refused(self, option):
        with pytest.raises(TypeError, match="'op'.*must be a string"):
            Decision("op", (option,))

    def test_options_of_numpy_are_plain_ones(self):
        decision = Decision("op", tuple(np.arange(1, 3)))
        assert [type(option) for option in decision.options] == [int, int]
        decisions = Decisions("toy", [decision])
        decisions.check(decisions.architecture([1]))

    def test_an_unknown_kind_is_refused(self):
        with pytest.raises(ValueError, match="'op'.*kind.*'node'"):
            Decision("op", ("a",), kind="node")

    def test_a_skip_needs_a_source_and_a_yes_and_no(self):
        Decision("skip", (False, True), kind="skip", node=2, source=0)
        for options, source in [((False, True), None), ((0, 1), 0), (("a",), 0)]:
            with pytest.raises(ValueError, match="'skip'.*source"):
                Decision("skip", options, kind="skip", node=2, source=source)

    @pytest.mark.parametrize("prior", [(1.0,), (1.0, 0.0), (1.0, np.inf), (-1, 1)])
    def test_a_prior_that_is_none_is_refused(self, prior):
        with pytest.raises(ValueError, match="'op'.*prior"):
            Decision("op", ("a", "b"), prior=prior)

    @pytest.mark.parametrize("options", ["relu", 3, None])
    def test_options_that_are_no_tuple_are_refused(self, options):
        with pytest.raises(TypeError, match="'op'.*options must be a tuple"):
            Decision("op", options)

    @pytest.mark.parametrize("condition", ["depth", ("depth", 2), ("depth",)])
    def test_a_condition_that_is_no_pair_is_refused(self, condition):
        with pytest.raises(TypeError, match="'op'.*active_if"):
            Decision("op", ("a", "b"), active_if=condition)

    @pytest.mark.parametrize("options", [{2, 3}, range(2, 4), np.array([2, 3])])
    def test_the_options_of_a_condition_may_be_given_in_any_way(self, options):
        decision = Decision("op", ("a", "b"), active_if=("depth", options))
        assert decision == Decision("op", ("a", "b"), active_if=("depth", (2, 3)))

    def test_a_choice_among_later_nodes_is_refused(self):
        first = Decision("from", (0, 2), kind="index", node=1)
        second = Decision("op", ("a", "b"), node=2)
        with pytest.raises(ValueError, match=r"'from'.*earlier nodes.*\[2\]"):
            Decisions("toy", [first, second])
        Decisions("toy", [second, first])
        Decisions("toy", [first, replace(second, graph="other")])

    def test_two_decisions_of_one_name_are_refused(self):
        with pytest.raises(ValueError, match="'toy'.*'op'"):
            Decisions("toy", [Decision("op", ("a",)), Decision("op", ("b",))])

    def test_a_condition_on_a_later_decision_is_refused(self):
        first = Decision("first", (1, 2), active_if=("second", (1,)))
        with pytest.raises(ValueError, match="'first'.*'second'"):
            Decisions("toy", [first, Decision("second", (1, 2))])

    def test_a_condition_on_an_option_that_is_not_there_is_refused(self):
        second = Decision("second", (1, 2), active_if=("first", (1, 3)))
        with pytest.raises(ValueError, match="'second'.*'first'.*3"):
            Decisions("toy", [Decision("first", (1, 2)), second])


class TestConditions:
    def test_only_active_decisions_enter_an_architecture(self):
        shallow = CONDITIONAL.architecture([0, 1, 2, 0, 0])
        assert dict(shallow) == {"depth": 1, "op_1": "b"}
        deep = CONDITIONAL.architecture([2, 0, 1, 0, 1])
        assert dict(deep) == {
            "depth": 3,
            "op_1": "a",
            "op_2": "b",
            "op_3": True,
            "rate": None,
        }

    def test_what_depends_on_an_inactive_decision_is_inactive(self):
        # "rate" depends on "op_3", which depths below 3 do not have
        assert "rate" not in CONDITIONAL.architecture([1, 0, 0, 0, 0])
        assert "rate" not in CONDITIONAL.architecture([2, 0, 0, 1, 0])

    def test_number_of_architectures_counts_each_active_choice_once(self):
        assert len(every_architecture(CONDITIONAL)) == N_CONDITIONAL

    def test_architecture_and_indices_are_inverse_to_each_other(self):
        for row in every_row(CONDITIONAL):
            architecture = CONDITIONAL.architecture(row)
            indices = CONDITIONAL.indices(architecture)
            assert CONDITIONAL.architecture(indices) == architecture
            for decision, index, chosen in zip(CONDITIONAL, indices, row, strict=True):
                active = decision.name in architecture
                assert index == (chosen if active else -1)

    def test_indices_of_the_wrong_number_are_refused(self):
        with pytest.raises(ValueError):
            CONDITIONAL.architecture([0, 0])


class TestCheck:
    def test_every_architecture_of_the_space_passes(self):
        for architecture in every_architecture(CONDITIONAL):
            CONDITIONAL.check(architecture)

    @pytest.mark.parametrize(
        ("space", "choices", "named"),
        [
            ("other", {"depth": 1, "op_1": "a"}, "'other'.*'toy'"),
            ("toy", {"op_1": "a"}, "'depth'"),
            ("toy", {"depth": 1}, "'op_1'"),
            ("toy", {"depth": 2, "op_1": "a"}, "'op_2'"),
            ("toy", {"depth": 3, "op_1": "a", "op_2": "a", "op_3": True}, "'rate'"),
            ("toy", {"depth": 4, "op_1": "a"}, "depth=4.*1, 2, 3"),
            ("toy", {"depth": 1, "op_1": "z"}, "op_1='z'.*'a', 'b'"),
            ("toy", {"depth": 1, "op_1": "a", "op_2": "a"}, "'op_2'"),
            ("toy", {"depth": 1, "op_1": "a", "extra": 0}, "'extra'"),
            ("toy", {"depth": 3, "op_1": "a", "op_2": "a", "op_3": 1}, "op_3=1"),
            ("toy", {"depth": "1", "op_1": "a"}, "depth='1'"),
        ],
    )
    def test_what_does_not_fit_is_named(self, space, choices, named):
        with pytest.raises(ValueError, match=named):
            CONDITIONAL.check(Architecture(space, choices))


class TestSampling:
    def test_each_option_is_drawn_with_the_same_probability(self):
        n = 6000
        drawn = CONDITIONAL.sample(n, np.random.RandomState(0))
        for decision in CONDITIONAL:
            chosen = [a[decision.name] for a in drawn if decision.name in a]
            p = 1 / len(decision.options)
            spread = (len(chosen) * p * (1 - p)) ** 0.5
            for option in decision.options:
                assert abs(chosen.count(option) - len(chosen) * p) < 4 * spread

    @pytest.mark.parametrize("name", ["sample", "balanced_sample"])
    def test_what_is_drawn_belongs_to_the_space(self, name):
        drawn = getattr(CONDITIONAL, name)(200, np.random.RandomState(0))
        assert len(drawn) == 200
        for architecture in drawn:
            CONDITIONAL.check(architecture)
        assert len(set(drawn)) > N_CONDITIONAL / 2

    @pytest.mark.parametrize("name", ["sample", "balanced_sample"])
    def test_drawing_none_gives_none(self, name):
        assert getattr(CONDITIONAL, name)(0, np.random.RandomState(0)) == []

    @pytest.mark.parametrize("name", ["sample", "balanced_sample"])
    def test_a_space_without_decisions_has_one_architecture(self, name):
        drawn = getattr(Decisions("empty", []), name)(3, np.random.RandomState(0))
        assert drawn == 3 * [Architecture("empty", {})]

    @pytest.mark.parametrize("name", ["sample", "balanced_sample"])
    def test_the_same_seed_draws_the_same_and_another_seed_does_not(self, name):
        first, again, other = (
            getattr(CONDITIONAL, name)(20, np.random.RandomState(seed))
            for seed in (0, 0, 1)
        )
        assert first == again
        assert first != other

    def test_a_balanced_sample_deals_each_option_equally_often(self):
        sizes = {"a": 2, "b": 3, "c": 4}
        decisions = Decisions(
            "flat", [Decision(name, tuple(range(n))) for name, n in sizes.items()]
        )
        drawn = decisions.balanced_sample(24, np.random.RandomState(0))
        for decision in decisions:
            chosen = [a[decision.name] for a in drawn]
            # each block of as many as there are options holds every option once
            size = len(decision.options)
            for start in range(0, 24, size):
                assert sorted(chosen[start : start + size]) == list(decision.options)

    def test_a_balanced_sample_of_any_size_differs_by_one_at_most(self):
        decisions = Decisions("flat", [Decision("a", tuple(range(4)))])
        for n in range(1, 12):
            chosen = [
                a["a"] for a in decisions.balanced_sample(n, np.random.RandomState(n))
            ]
            counts = [chosen.count(option) for option in range(4)]
            assert sum(counts) == n and max(counts) - min(counts) <= 1

    def test_a_balanced_sample_deals_the_decisions_independently(self):
        decisions = Decisions("flat", [Decision("a", (0, 1)), Decision("b", (0, 1))])
        drawn = decisions.balanced_sample(400, np.random.RandomState(0))
        pairs = [(a["a"], a["b"]) for a in drawn]
        for pair in itertools.product((0, 1), (0, 1)):
            assert 60 < pairs.count(pair) < 140  # 100 expected
