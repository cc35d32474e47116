"""The course of a training: its learning rate, and its time."""

import pytest
from skorch.callbacks import Callback
from small_training import SmallNet, make_recipe, make_table
from torch import nn

from sknas.modules import DropPath
from sknas.training import (
    SCHEDULES,
    Schedule,
    TimeBudget,
    schedule_shape,
    train_network,
)
from sknas.training._progress import StopTraining
from sknas.training._schedule import WARM_UP_STEPS


def factors(schedule, n_steps, used=0.0):
    return [schedule.factor(step, used) for step in range(n_steps)]


class TestLearningRate:
    def test_it_rises_through_the_warm_up_and_then_falls_to_nothing(self):
        course = factors(Schedule(1000), 1000)
        peak = course.index(max(course))
        assert peak == pytest.approx(WARM_UP_STEPS, abs=2)
        assert course[:peak] == sorted(course[:peak])
        assert course[peak:] == sorted(course[peak:], reverse=True)
        assert 0 < course[0] < 0.1 and max(course) > 0.95
        assert 0 < course[-1] < 0.05

    def test_it_is_the_root_of_what_is_left(self):
        schedule = Schedule(1000)
        assert schedule.factor(750, 0.0) == pytest.approx(0.5)
        assert schedule.factor(1000, 0.0) == 0.0
        assert schedule.factor(1200, 0.0) == 0.0

    def test_it_is_never_below_nothing_however_late_it_is(self):
        schedule = Schedule(100, budget=TimeBudget(1.0), shape=lambda done: 1 - done)
        assert schedule.factor(40, 1.3) == 0.0

    def test_a_training_in_two_parts_has_the_course_of_one(self):
        whole = factors(Schedule(100), 100)
        second = factors(Schedule(100, first_step=40), 60)
        assert whole[40:] == pytest.approx(second)

    def test_time_counts_where_it_runs_out_before_the_steps(self):
        budget = TimeBudget(10.0)
        schedule = Schedule(1000, budget=budget)
        assert schedule.factor(100, 0.75) == pytest.approx(0.5)
        assert schedule.factor(750, 0.1) == pytest.approx(0.5)

    def test_time_only_cuts_a_training_that_is_one_of_several_rounds(self):
        schedule = Schedule(1000, budget=TimeBudget(10.0), is_whole=False)
        assert schedule.factor(100, 0.75) == Schedule(1000).factor(100, 0.0)


class TestTimeBudget:
    def test_it_is_used_up_in_its_seconds(self):
        budget = TimeBudget(4.0)
        assert [budget.used(t, 100) for t in (0.0, 1.0, 4.0)] == [0.0, 0.25, 1.0]

    def test_no_seconds_are_used_up_at_once(self):
        assert TimeBudget(0.0).used(1e-6, 1) >= 1

    def test_it_grows_up_to_its_limit_for_the_least_steps(self):
        # a step takes 1 second, so that 20 steps take 20
        assert TimeBudget(4.0, 100.0, 20).used(10.0, 10) == pytest.approx(0.5)
        assert TimeBudget(4.0, 16.0, 20).used(10.0, 10) == pytest.approx(10 / 16)
        assert TimeBudget(40.0, 100.0, 20).used(10.0, 10) == pytest.approx(0.25)

    def test_what_is_granted_is_the_budget_or_what_the_least_steps_need(self):
        budget = TimeBudget(4.0, 100.0, 20)
        assert budget.granted(2.0, 1) == 4
        assert budget.granted(10.0, 10) == 20
        assert budget.granted(1.0, 10) == 4
        assert TimeBudget(4.0, 16.0, 20).granted(10.0, 10) == 16

    def test_an_optional_training_gives_up_once_it_knows_that_it_is_too_short(self):
        budget = TimeBudget(4.0, least_steps=20, is_optional=True)
        assert budget.used(2.0, 1) == pytest.approx(0.5)
        assert budget.used(2.0, 5) >= 1
        assert budget.used(0.9, 5) == pytest.approx(0.9 / 4)

    def test_a_few_steps_do_not_tell_yet_how_long_one_takes(self):
        assert TimeBudget(4.0, 100.0, 20).used(2.0, 1) == pytest.approx(0.5)

    @pytest.mark.parametrize(
        ("budget", "left"),
        [
            (TimeBudget(25), 5),
            (TimeBudget(10, limit=100, least_steps=100), 0),  # for others
            (TimeBudget(25, limit=100, least_steps=100), 5),
            (TimeBudget(10, limit=29, least_steps=100), 9),  # too little for others
        ],
    )
    def test_what_follows_a_training_has_its_rest(self, budget, left):
        rest = budget.after(20.0, 100)
        assert rest.seconds == pytest.approx(left)
        assert rest.granted(1.0, 50) == rest.seconds


class Net:
    """As much of a skorch net as the callback looks at."""

    lr = 0.1

    def __init__(self):
        self.module_ = nn.Sequential(DropPath(0.5), nn.Sequential(DropPath(0.2)))
        self.param_groups = [{"lr": 1.0}, {"lr": 1.0}]
        self.optimizer_ = self


class TestCallback:
    def test_it_writes_the_rate_of_each_step_to_the_optimizer(self):
        schedule, net = Schedule(100), Net()
        schedule.on_train_begin(net)
        for step in range(3):
            schedule.on_batch_begin(net, training=True)
            expected = pytest.approx(0.1 * schedule.factor(step, 0.0))
            assert [group["lr"] for group in net.param_groups] == [expected] * 2

    def test_it_tells_drop_paths_how_far_the_training_is(self):
        schedule, net = Schedule(100, first_step=20), Net()
        schedule.on_train_begin(net)
        for step in range(3):
            schedule.on_batch_begin(net, training=True)
            progress = [
                m.progress for m in net.module_.modules() if type(m) is DropPath
            ]
            assert progress == [(20 + step) / 100] * 2

    def test_batches_without_training_do_not_count(self):
        schedule, net = Schedule(100), Net()
        schedule.on_train_begin(net)
        schedule.on_batch_begin(net, training=True)
        before = net.param_groups[0]["lr"]
        for _ in range(5):
            schedule.on_batch_begin(net, training=False)
            schedule.on_batch_end(net, training=False)
        assert net.param_groups[0]["lr"] == before
        schedule.on_batch_begin(net, training=True)
        assert net.param_groups[0]["lr"] == pytest.approx(2 * before, rel=0.05)

    def test_it_stops_when_time_is_up(self):
        schedule, net = Schedule(100, budget=TimeBudget(0.0)), Net()
        schedule.on_train_begin(net)
        schedule.on_batch_begin(net, training=True)
        with pytest.raises(StopTraining):
            schedule.on_batch_end(net, training=True)

    def test_a_slow_first_step_is_not_taken_for_those_to_come(self, monkeypatch):
        class Clock:
            now = 0.0

            def monotonic(self):
                return self.now

        clock = Clock()
        monkeypatch.setattr("sknas.training._schedule.time", clock)
        schedule = Schedule(1000, budget=TimeBudget(12.0), judging_steps=20)
        net = Net()
        schedule.on_train_begin(net)
        net.time_is_up_ = False
        for seconds in [2.0, *[0.1] * 30]:
            schedule.on_batch_begin(net, training=True)
            clock.now += seconds
            schedule.on_batch_end(net, training=True)
            assert not net.time_is_up_ or clock.now > 5

    def test_it_does_not_stop_without_a_limit(self):
        schedule, net = Schedule(1), Net()
        schedule.on_train_begin(net)
        for _ in range(5):
            schedule.on_batch_begin(net, training=True)
            schedule.on_batch_end(net, training=True)
        assert net.param_groups[0]["lr"] == 0.0


def test_a_trained_network_had_the_whole_course():
    class Rates(Callback):
        seen = []

        def on_batch_end(self, net, training=False, **kwargs):
            if training:
                self.seen.append(net.optimizer_.param_groups[0]["lr"])

    train_network(
        SmallNet,
        make_table(64, 0),
        make_table(20, 1),
        make_recipe(),
        seed=0,
        callbacks=[Rates()],
    )
    schedule = Schedule(5 * 4)
    expected = [0.02 * schedule.factor(step, 0.0) for step in range(20)]
    assert Rates.seen == pytest.approx(expected)


class TestShapes:
    def test_all_begin_at_one_and_stay_between(self):
        for name in SCHEDULES:
            factors = [schedule_shape(name, 30)(i / 100) for i in range(101)]
            assert factors[0] == 1.0
            assert all(0 <= factor <= 1 for factor in factors)

    def test_a_cosine_is_halfway_in_the_middle(self):
        shape = schedule_shape("cosine", 30)
        assert [shape(0.5), shape(1.0)] == pytest.approx([0.5, 0.0])

    def test_restarts_are_those_of_the_paper(self):
        # l_max 0.05, l_min 0.001, T_0 10, T_mul 2: restarts at 10, 30, 70 and 150
        shape = schedule_shape("cosine_restarts", 310)
        lr = [0.05 * shape(epoch / 310) for epoch in range(310)]
        begins = [e for e in range(310) if lr[e] == pytest.approx(0.05)]
        assert begins == [0, 10, 30, 70, 150]
        assert lr[20] == pytest.approx((0.05 + 0.001) / 2)
        assert 0.05 * shape(1.0) == pytest.approx(0.001)

    def test_the_last_cycle_is_not_begun_anew_at_its_end(self):
        assert schedule_shape("cosine_restarts", 30)(1.0) == pytest.approx(0.02)

    def test_constant(self):
        assert schedule_shape("constant", 3)(0.9) == 1.0

    def test_they_are_the_course_of_a_training(self):
        schedule = Schedule(100, shape=schedule_shape("cosine", 5))
        assert schedule.factor(50, 0.0) == pytest.approx(0.5)


class Clock:
    now = 7.0

    def monotonic(self):
        return self.now


def test_a_training_that_begins_late_is_over_by_the_deadline(monkeypatch):
    monkeypatch.setattr("sknas.training._schedule.time", Clock())
    seconds = [TimeBudget(4.0, deadline=d).begin().seconds for d in (20.0, 9.0, 5.0)]
    assert seconds == [4.0, 2.0, 0.0]


def test_time_to_judge_the_epoch_is_kept(monkeypatch):
    clock, net = Clock(), Net()
    monkeypatch.setattr("sknas.training._schedule.time", clock)
    schedule = Schedule(1000, budget=TimeBudget(20.0), judging_steps=5)
    net.time_is_up_, n_steps = False, 0
    schedule.on_train_begin(net)
    while not net.time_is_up_:
        schedule.on_batch_begin(net, training=True)
        clock.now += 1.0
        schedule.on_batch_end(net, training=True)
        n_steps += 1
    assert n_steps == 15
