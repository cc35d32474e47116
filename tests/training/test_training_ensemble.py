"""Training of the networks that are to be averaged."""

import time

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from small_training import SmallNet, make_recipe, make_table

from sknas.training import (
    Progress,
    TrainedNetwork,
    ensemble_weights,
    load_weights,
    network_weights,
    train_ensemble,
)


@pytest.fixture
def run():
    def run(n=3, seed=0, build=SmallNet, **kwargs):
        kwargs = {
            "progress": Progress(),
            "fitted": lambda networks: {"networks": list(networks)},
        } | kwargs
        return train_ensemble(
            kwargs.pop("builds", [lambda hint: build()] * n),
            lambda i: (make_table(64, 10 + i), make_table(32, 20 + i)),
            kwargs.pop("recipes", [make_recipe()]),
            random_state=np.random.RandomState(seed),
            **kwargs,
        )

    return run


@pytest.fixture
def at_once(monkeypatch):
    """Two at a time; what other processes would do is done here, in turn."""
    monkeypatch.setattr("sknas.training._ensemble.n_workers", lambda *args: 2)
    monkeypatch.setattr(
        "sknas.training._tasks._at_once",
        lambda tasks, n_jobs: (task() for task in tasks),
    )


class SlowNet(SmallNet):
    """Takes its time for each pass."""

    def forward(self, numeric):
        time.sleep(0.01)
        return super().forward(numeric)


class Listener:
    def __init__(self, stop_at=None):
        self.names, self.sizes, self.depth = [], [], 0
        self.n_members = 0
        self.stop_at = stop_at

    def begin(self, name, n_steps):
        self.names.append((name, n_steps))
        self.depth += 1

    def step(self, fitted):
        self.sizes.append(len(fitted()["networks"]))
        return False

    def end(self, fitted):
        self.depth -= 1
        if self.depth != 1:
            return False
        self.n_members += 1
        assert len(fitted()["networks"]) == self.n_members
        return self.n_members == self.stop_at


def test_each_network_is_trained_on_rows_and_with_a_seed_of_its_own(run):
    members = run()
    assert len(members) == 3
    first = [member.weights["heads"] for member in members]
    assert not np.allclose(first[0], first[1]) and not np.allclose(first[1], first[2])
    assert all(member.n_epochs == 5 for member in members)


def test_networks_take_recipes_in_turn(run):
    recipes = [make_recipe(max_epochs=n) for n in (2, 4)]
    assert [m.n_epochs for m in run(recipes=recipes)] == [2, 4, 2]


def test_the_same_seed_gives_the_same_networks(run):
    one, same, other = run(), run(), run(seed=1)
    for a, b in zip(one, same, strict=True):
        assert all((a.weights[n] == b.weights[n]).all() for n in a.weights)
    assert not np.allclose(one[0].weights["heads"], other[0].weights["heads"])


def test_at_the_same_time_they_become_what_they_become_one_by_one(run, at_once):
    parallel = run(n_jobs=2)
    for a, b in zip(run(), parallel, strict=True):
        assert all((a.weights[n] == b.weights[n]).all() for n in a.weights)


class Hints:
    """Networks that note what they are built with, and who hinted."""

    def __init__(self):
        self.of_builds, self.given = [], []

    def build(self, hint):
        self.of_builds.append(hint)
        return SmallNet()

    def hint(self, weights):
        self.given.append(weights)
        return "hint"


@pytest.mark.parametrize(("n", "n_first"), [(1, 1), (2, 2), (3, 2), (4, 2), (5, 3)])
def test_the_first_half_of_the_networks_hints_at_the_second(run, n, n_first):
    hints = Hints()
    members = run(n=n, builds=[hints.build] * n, hint=hints.hint)
    assert len(members) == n
    if n > n_first:
        [given] = hints.given
        assert all(w is m.weights for w, m in zip(given, members, strict=False))
        assert len(given) == n_first
    assert hints.of_builds[: 2 * n_first] == [None] * 2 * n_first  # trained, then kept
    assert hints.of_builds[2 * n_first :] == ["hint"] * 2 * (n - n_first)


@pytest.mark.parametrize("stop_at", [1, 2])
def test_there_are_no_hints_where_the_first_half_was_stopped(run, stop_at):
    hints = Hints()
    members = run(
        builds=[hints.build] * 4,
        hint=hints.hint,
        progress=Progress(None, [Listener(stop_at=stop_at)]),
    )
    assert len(members) == stop_at and not hints.given


def test_no_network_is_begun_after_hints_that_took_all_the_time(run):
    progress = Progress(time.monotonic() + 1e6)

    def hint(weights):
        progress.deadline = time.monotonic()

    members = run(n=4, hint=hint, progress=progress)
    assert len(members) == 2 and all(member.n_epochs == 5 for member in members)


def test_they_start_from_given_weights(run):
    weights = [network_weights(SmallNet()) for _ in range(3)]
    members = run(weights=weights, recipes=[make_recipe(lr=1e-12)])
    for member, start in zip(members, weights, strict=True):
        np.testing.assert_allclose(member.weights["heads"], start["heads"], atol=1e-6)


def test_a_listener_hears_of_each_network_and_each_epoch(run):
    listener = Listener()
    run(progress=Progress(None, [listener]))
    assert listener.names == [("training", 3)] + [("network", 5)] * 3
    # the network in training counts with those that are done
    assert listener.sizes == [1] * 5 + [2] * 5 + [3] * 5
    assert listener.depth == 0


def test_networks_that_are_done_predict_as_they_were_trained(run):
    kept = []

    class Keep(Listener):
        def end(self, fitted):
            kept[:] = fitted()["networks"]
            return super().end(fitted)

    members = run(progress=Progress(None, [Keep()]))
    x = torch.randn(4, 3)
    for network, member in zip(kept, members, strict=True):
        expected = SmallNet()
        load_weights(expected, member.weights)
        assert network(x).equal(expected(x))


def test_a_listener_can_stop_after_a_network(run):
    members = run(progress=Progress(None, [Listener(stop_at=2)]))
    assert len(members) == 2


def test_ctrl_c_ends_with_the_network_in_training(run):
    builds = []

    def build():
        # the networks that are trained and those that are kept, in turn
        builds.append(SmallNet(interrupt_at=12 if len(builds) == 2 else None))
        return builds[-1]

    members = run(build=build)
    assert [member.interrupted for member in members] == [False, True]


def test_a_callback_that_ends_one_net_does_not_end_the_others(run):
    class StopFirst(Callback):
        n_begun = 0

        def on_train_begin(self, net, **kwargs):
            self.n_begun += 1

        def on_epoch_end(self, net, **kwargs):
            if self.n_begun == 1 and len(net.history) == 2:
                raise KeyboardInterrupt

    members = run(callbacks=[StopFirst()])
    assert [member.n_epochs for member in members] == [2, 5, 5]


def test_one_network_comes_out_even_if_the_time_is_over(run):
    members = run(progress=Progress(time.monotonic() - 1.0))
    assert len(members) == 1
    assert np.isfinite(members[0].weights["heads"]).all()


def test_time_that_suffices_gives_all_networks(run):
    members = run(progress=Progress(time.monotonic() + 1e6))
    assert [member.n_epochs for member in members] == [5, 5, 5]


@pytest.mark.flaky(reruns=2)  # seconds that another process may take
def test_one_network_is_trained_well_before_others_are_begun(run):
    # five passes in an epoch: a network takes a second, and half of one is not left
    plan = make_recipe(max_epochs=20)
    progress = Progress(time.monotonic() + 1.3)
    [member] = run(build=SlowNet, recipes=[plan], progress=progress)
    assert member.n_epochs > 10


@pytest.mark.flaky(reruns=2)  # seconds that another process may take
def test_time_that_is_too_short_for_another_network_goes_to_the_cooldown(run):
    # a network takes half a second, and half of one is not left
    plan = make_recipe(max_epochs=10, cooldown=0.4)
    [member] = run(
        build=SlowNet,
        recipes=[plan],
        progress=Progress(time.monotonic() + 0.75),
        everything=lambda i: make_table(32, 30 + i),
    )
    assert member.n_epochs > 11


class TestWeights:
    def weights(self, *losses, errors=(0, 0, 0)):
        members = [
            TrainedNetwork({}, score=-loss, score_error=error)
            for loss, error in zip(losses, errors, strict=True)
        ]
        return ensemble_weights(members)

    def test_they_fall_with_the_square_of_the_loss(self):
        weights = self.weights(0.2, 0.4, 0.4)
        assert weights.sum() == pytest.approx(1)
        assert weights[1] == weights[2]
        # a hundredth of the mean loss is added to each
        ratio = (0.4 + 0.01 / 3) ** 2 / (0.2 + 0.01 / 3) ** 2
        assert weights[0] / weights[1] == pytest.approx(ratio)

    def test_losses_that_are_hardly_known_make_them_alike(self):
        known, hardly, not_at_all = (
            self.weights(0.2, 0.4, 0.4, errors=[error] * 3) for error in (0, 0.1, 100)
        )
        assert known[0] > hardly[0] + 0.05 > not_at_all[0] + 0.1
        np.testing.assert_allclose(not_at_all, 1 / 3, rtol=0.01)

    def test_no_network_is_taken_to_know_its_own_loss_best(self):
        # easy held-back rows make both small, the loss and its error
        weights = self.weights(0.001, 0.05, 0.05, errors=(0.0005, 0.03, 0.03))
        assert weights[0] < 0.9

    def test_the_unit_of_the_loss_does_not_matter(self):
        np.testing.assert_allclose(
            self.weights(1, 2, 5, errors=(0.1, 0.2, 0.3)),
            self.weights(1e-9, 2e-9, 5e-9, errors=(1e-10, 2e-10, 3e-10)),
        )

    @pytest.mark.parametrize(
        ("losses", "errors"),
        [
            ((0, 0, 0), (0, 0, 0)),
            ((np.nan, 0.1, 5), (np.nan, 0.1, 0.1)),
            ((np.inf, 0.1, 1), (np.nan, 0.1, 0.1)),
            ((0.1, 0.1, 5), (np.nan, 0.1, 0.1)),
        ],
    )
    def test_they_are_equal_where_losses_tell_nothing(self, losses, errors):
        weights = self.weights(*losses, errors=errors)
        np.testing.assert_array_equal(weights, np.full(3, 1 / 3))

    def test_no_network_is_taken_to_be_perfect(self):
        weights = self.weights(0.0, 0.1, 0.1)
        assert 1e-5 < weights[1] < 0.5 < weights[0] < 1


@pytest.fixture
def budgets(monkeypatch):
    found = []

    def note(*args, budget, **kwargs):
        found.append(budget)
        return TrainedNetwork(network_weights(SmallNet()))

    monkeypatch.setattr("sknas.training._ensemble.train_network", note)
    return found


def test_each_network_has_an_equal_part_of_the_time_left(run, budgets):
    progress = Progress(time.monotonic() + 3000)
    run(progress=progress, recipes=[make_recipe(max_epochs=100)])
    assert [b.seconds for b in budgets] == pytest.approx([1000, 1500, 3000], rel=0.01)
    assert [b.limit for b in budgets] == pytest.approx([3000] * 3, rel=0.01)
    assert [b.least_steps for b in budgets] == [30 * 4] * 3


def test_networks_at_the_same_time_share_it_by_rounds(run, budgets, at_once):
    now = time.monotonic()
    run(n=5, hint=lambda weights: None, progress=Progress(now + 3000), n_jobs=2)
    assert [b.seconds for b in budgets] == pytest.approx(
        [1000] * 3 + [3000] * 2, rel=0.01
    )
    ends = [b.deadline - now for b in budgets]
    assert ends == pytest.approx([1000, 1000, 2000, 3000, 3000], rel=0.01)


def test_at_the_same_time_too_the_first_half_hints(run, at_once):
    hints = Hints()
    members = run(n=4, builds=[hints.build] * 4, hint=hints.hint, n_jobs=2)
    assert len(members) == 4 and [len(given) for given in hints.given] == [2]
    assert hints.of_builds == [None] * 4 + ["hint"] * 4


def test_at_the_same_time_too_there_are_no_hints_where_it_was_stopped(run, at_once):
    class Stop:
        def begin(self, name, n_steps): ...

        def step(self, fitted):
            return True

        def end(self, fitted): ...

    hints = Hints()
    members = run(
        n=4,
        builds=[hints.build] * 4,
        hint=hints.hint,
        n_jobs=2,
        progress=Progress(None, [Stop()]),
    )
    assert len(members) == 1 and not hints.given


def test_no_network_is_begun_after_ctrl_c_among_the_hints(run):
    progress = Progress()

    def hint(weights):
        progress.stopped = True

    assert len(run(n=4, hint=hint, progress=progress)) == 2
