"""Several trainings after or beside each other, and what is done with weights."""

import os
import threading
import time
from functools import partial

import numpy as np
import pytest
import torch
from joblib import parallel_config
from small_training import SmallNet, make_recipe, make_table, same

from sknas import DataSpec, TabularSpace
from sknas.training import (
    Progress,
    TrainedNetwork,
    count_parameters,
    load_weights,
    network_weights,
    predict_logits,
    private_random_state,
    run_tasks,
    train_network,
)


def process(seconds=0.0):
    time.sleep(seconds)
    return TrainedNetwork({}, n_epochs=os.getpid())


class TestRunTasks:
    quantiles = np.linspace(-2, 2, 4)[:, None].repeat(3, axis=1)
    spec = DataSpec(2, 3, (), quantiles)

    def tasks(self, n=2):
        space = TabularSpace(widths=(8,), depths=(2, 1), n_heads=2)
        architectures = space.decisions().sample(n, np.random.RandomState(0))
        tables = []
        for i in range(2):
            data = make_table(48, i)
            data.inputs["categorical"] = torch.zeros(48, 0, dtype=torch.int64)
            tables.append(data)
        return [
            partial(
                train_network,
                partial(space.network, architecture, self.spec),
                *tables,
                make_recipe(max_epochs=3),
                i,
            )
            for i, architecture in enumerate(architectures)
        ]

    # Python warns of threads that a fork does not take along
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    @pytest.mark.parametrize("backend", ["threading", "loky", "multiprocessing"])
    def test_at_the_same_time_they_give_what_they_give_one_by_one(self, backend):
        tasks = self.tasks()
        serial = list(run_tasks(tasks, None, Progress(), dict))
        with parallel_config(backend):
            parallel = list(run_tasks(tasks, 2, Progress(), dict))
        assert len(parallel) == len(serial) == 2
        for one, other in zip(serial, parallel, strict=True):
            assert same(one.weights, other.weights)
            assert one.score == other.score

    @pytest.mark.parametrize(("seconds", "n_others"), [(1000, 2), (5, 0)])
    def test_no_process_is_started_where_it_might_not_be_ready_in_time(
        self, seconds, n_others
    ):
        progress = Progress(time.monotonic() + seconds)
        results = run_tasks([process] * 2, 2, progress, dict)
        others = [r for r in results if r.n_epochs != os.getpid()]
        assert len(others) == n_others

    @pytest.mark.parametrize(("seconds", "n_others"), [(1000, 2), (5, 0)])
    def test_nor_where_it_might_not_be_ready_before_the_deadline(
        self, seconds, n_others
    ):
        deadline = time.monotonic() + seconds
        results = run_tasks([process] * 2, 2, Progress(), dict, deadline)
        others = [r for r in results if r.n_epochs != os.getpid()]
        assert len(others) == n_others

    def test_those_that_are_given_up_are_not_warned_of(self, recwarn):
        class Listener:
            def step(self, fitted):
                return True

        progress, tasks = Progress(None, [Listener()]), [partial(process, 0.5)] * 6
        assert len(list(run_tasks(tasks, 2, progress, dict))) == 1
        assert [str(warning.message) for warning in recwarn] == []

    def test_threads_do_not_wait_for_the_fit_that_started_them(self, monkeypatch):
        # joblib takes threads within the processes of a parallel grid search, and a
        # fit holds torch's generator while it waits for its trainings; a lock of
        # this test's own, so that no other test waits for it
        monkeypatch.setattr(
            "sknas.training._isolation._generator_lock", threading.RLock()
        )
        tasks, results = self.tasks(), []

        def fit():
            with private_random_state(0), parallel_config("threading"):
                results.extend(run_tasks(tasks, 2, Progress(), dict))

        thread = threading.Thread(target=fit, daemon=True)
        thread.start()
        thread.join(8)
        assert len(results) == 2

    def test_each_is_reported_as_a_step_after_its_result_was_taken(self):
        class Listener:
            n_steps = 0

            def step(self, fitted):
                self.n_steps += 1
                return False

        listener = Listener()
        tasks = [lambda: TrainedNetwork({})] * 3
        seen = []
        for _ in run_tasks(tasks, None, Progress(None, [listener]), dict):
            seen.append(listener.n_steps)
        assert seen == [0, 1, 2] and listener.n_steps == 3

    def test_a_listener_may_stop_those_that_have_not_begun(self):
        class Listener:
            def step(self, fitted):
                return True

        begun = []

        def task():
            begun.append(1)
            return TrainedNetwork({})

        progress = Progress(None, [Listener()])
        assert len(list(run_tasks([task] * 3, None, progress, dict))) == 1
        assert len(begun) == 1

    def test_an_interrupted_training_ends_them_all(self):
        tasks = [
            lambda: TrainedNetwork({}),
            lambda: TrainedNetwork({}, interrupted=True),
            lambda: TrainedNetwork({}),
        ]
        progress = Progress()
        assert len(list(run_tasks(tasks, None, progress, dict))) == 2
        assert progress.stopped

    def test_ctrl_c_between_two_trainings_ends_them_all(self):
        def interrupt():
            raise KeyboardInterrupt

        progress = Progress()
        tasks = [lambda: TrainedNetwork({}), interrupt, lambda: TrainedNetwork({})]
        assert len(list(run_tasks(tasks, None, progress, dict))) == 1
        assert progress.stopped

    def test_none_begins_after_the_deadline(self):
        tasks = [lambda: TrainedNetwork({})] * 3
        assert len(list(run_tasks(tasks, None, Progress(), dict, deadline=0.0))) == 1
        assert len(list(run_tasks(tasks, None, Progress(), dict, deadline=1e12))) == 3


class TestWeights:
    def test_loading_what_was_taken_gives_the_same_network(self):
        network, other = SmallNet(n_heads=2), SmallNet(n_heads=2)
        load_weights(other, network_weights(network))
        x = torch.randn(5, 3)
        assert other(x).equal(network(x))

    def test_what_was_taken_does_not_change_with_the_network(self):
        network = SmallNet()
        weights = network_weights(network)
        before = {name: value.copy() for name, value in weights.items()}
        with torch.no_grad():
            network.hidden.weight.add_(1.0)
        assert same(weights, before)

    def test_copied_weights_are_the_networks_own(self):
        weights = network_weights(SmallNet())
        before = weights["hidden.bias"].copy()
        network = SmallNet()
        load_weights(network, weights)
        with torch.no_grad():
            network.hidden.bias.add_(1.0)
        assert (weights["hidden.bias"] == before).all()

    def test_weights_that_are_not_copied_are_the_arrays_themselves(self):
        weights = network_weights(SmallNet())
        network = SmallNet()
        load_weights(network, weights, copy=False)
        weights["hidden.bias"][:] = 7.0
        assert (network.hidden.bias == 7.0).all()

    def test_read_only_weights_need_no_copy(self):
        # as from a file mapped into memory, by several processes at once
        weights = network_weights(SmallNet())
        for value in weights.values():
            value.flags.writeable = False
        network = SmallNet()
        load_weights(network, weights, copy=False)
        assert network(torch.randn(2, 3)).isfinite().all()

    def test_parameters_are_counted(self):
        assert count_parameters(SmallNet(n_heads=2)) == 3 * 8 + 8 + 2 * 8 * 2


class TestPredictLogits:
    @pytest.mark.parametrize("n_rows", [1, 31, 32, 33, 100])
    def test_chunks_give_what_one_pass_gives(self, monkeypatch, n_rows):
        monkeypatch.setattr("sknas.training._predict.PREDICTION_ROWS", 32)
        network = SmallNet(n_heads=2).eval()
        x = torch.randn(n_rows, 3)
        logits = predict_logits(network, {"numeric": x}, "cpu")
        assert network.n_passes == -(-n_rows // 32)
        assert logits.shape == (2, n_rows, 2) and not logits.requires_grad
        torch.testing.assert_close(logits, network(x))

    def test_no_rows_give_no_logits(self):
        logits = predict_logits(SmallNet(), {"numeric": torch.zeros(0, 3)}, "cpu")
        assert logits.shape == (1, 0, 2)
