"""Random search draws uniformly and learns nothing."""

import numpy as np

from sknas import RandomSearch, TabularSpace

DECISIONS = TabularSpace().decisions()


def started(seed=0):
    strategy = RandomSearch()
    strategy.initialize(DECISIONS, np.random.RandomState(seed))
    return strategy


def test_each_option_is_proposed_with_the_same_probability():
    asked = started().ask(3000)
    for decision in DECISIONS:
        chosen = [a[decision.name] for a in asked if decision.name in a]
        p = 1 / len(decision.options)
        for option in decision.options:
            spread = (len(chosen) * p * (1 - p)) ** 0.5
            assert abs(chosen.count(option) - p * len(chosen)) < 4 * spread


def test_rewards_change_nothing():
    told, untold = started(), started()
    for _ in range(3):
        asked = told.ask(5)
        assert asked == untold.ask(5)
        assert told.tell(asked, np.arange(5.0)) == {}
    assert told.ask(5) == untold.ask(5)


def test_it_asks_for_no_rewards_and_has_no_controller():
    strategy = started()
    assert strategy.updates_per_epoch == 0
    assert strategy.controller_ is None and strategy.optimizer_ is None


def test_the_seed_decides_what_is_proposed():
    assert started(0).ask(10) == started(0).ask(10) != started(1).ask(10)


def test_initializing_again_begins_anew():
    strategy = started()
    first = strategy.ask(10)
    strategy.initialize(DECISIONS, np.random.RandomState(0))
    assert strategy.ask(10) == first
