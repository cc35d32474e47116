"""What the phases of a fit report to."""

import time

import pytest

from sknas.training import Progress, ProgressBars


class Listener:
    def __init__(self, stop=False):
        self.stop, self.calls = stop, []

    def begin(self, name, n_steps):
        self.calls.append(("begin", name, n_steps))

    def step(self, fitted):
        self.calls.append(("step", fitted()))
        return self.stop

    def end(self, fitted):
        self.calls.append(("end", fitted()))
        return self.stop


class TestProgress:
    def test_every_listener_hears_of_everything_even_if_the_first_wants_to_stop(self):
        listeners = [Listener(stop=True), Listener()]
        progress = Progress(None, listeners)
        progress.begin("search", 3)
        assert progress.step(lambda: {"a": 1}) is True
        assert progress.end(lambda: {"a": 2}) is True
        for listener in listeners:
            assert listener.calls == [
                ("begin", "search", 3),
                ("step", {"a": 1}),
                ("end", {"a": 2}),
            ]

    def test_nobody_wants_to_stop_unless_one_says_so(self):
        progress = Progress(None, [Listener(), Listener()])
        assert not progress.step(dict) and not progress.end(dict)
        assert not Progress().step(dict)
        assert not progress.stopped

    def test_what_is_fitted_is_not_computed_for_nobody(self):
        def fail():
            raise AssertionError

        assert Progress().step(fail) is False

    def test_time_left_runs_to_the_deadline(self):
        assert Progress().time_left() == float("inf")
        left = Progress(time.monotonic() + 1000.0).time_left()
        assert 900 < left <= 1000
        assert Progress(time.monotonic() - 1.0).time_left() < 0

    def test_a_share_is_a_time_by_which_that_part_is_used_up(self):
        assert Progress().share(0.5) is None
        now = time.monotonic()
        assert Progress(now + 1000.0).share(0.25) == pytest.approx(now + 250, abs=50)
        assert Progress(now - 1000.0).share(0.25) == pytest.approx(now, abs=50)


class TestProgressBars:
    def test_a_phase_is_a_bar_that_names_it_and_counts_its_steps(self, capsys):
        bars = ProgressBars()
        bars.begin("search", 2)
        assert bars.step(dict) is False
        assert bars.step(dict) is False
        assert bars.end(dict) is False
        out, err = capsys.readouterr()
        assert out == ""
        assert "search" in err and "2/2" in err

    def test_a_task_inside_a_phase_is_one_step_of_its_bar(self, capsys):
        bars = ProgressBars()
        bars.begin("training", 2)
        for _ in range(2):
            bars.begin("network", 100)
            for _ in range(100):
                bars.step(dict)
            bars.end(dict)
        bars.end(dict)
        err = capsys.readouterr().err
        assert "training" in err and "2/2" in err
        assert "/100" not in err

    def test_there_may_be_no_stream_to_write_to(self, monkeypatch):
        monkeypatch.setattr("sys.stderr", None)
        bars = ProgressBars()
        bars.begin("search", 1)
        assert bars.step(dict) is False and bars.end(dict) is False

    def test_one_phase_after_the_other_has_its_own_bar(self, capsys):
        bars = ProgressBars()
        for name in ("search", "training"):
            bars.begin(name, 1)
            bars.step(dict)
            bars.end(dict)
        err = capsys.readouterr().err
        assert err.index("search") < err.index("training")
        assert err.count("1/1") >= 2
