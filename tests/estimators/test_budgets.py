import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback

from sknas import NASClassifier, RandomSearch, TabularSpace

X, y = load_iris(return_X_y=True)
ENDLESS = 1_000_000  # epochs

# another process of the machine may take them
counts_seconds = pytest.mark.flaky(reruns=2)


class InterruptLater(Callback):
    """Sends Ctrl-C, from another thread, a while after a phase's first epoch."""

    def __init__(self, phase, seconds=0.3):
        self.phase = phase
        self.seconds = seconds

    def on_epoch_end(self, net, **kwargs):
        phase = "search" if hasattr(net, "controller_") else "training"
        if phase == self.phase:
            self.phase = None  # once only
            arguments = (os.getpid(), signal.SIGINT)
            threading.Timer(self.seconds, os.kill, arguments).start()


class InterruptNow(Callback):
    """Sends Ctrl-C while the callbacks of the search's first epoch run."""

    def on_epoch_end(self, net, **kwargs):
        if hasattr(net, "controller_"):
            os.kill(os.getpid(), signal.SIGINT)


class InterruptFirstEpoch(Callback):
    """Sends Ctrl-C in the first epoch of a training that has no search's controller."""

    def __init__(self, training):
        self.training = training
        self.n_trainings = 0

    def on_train_begin(self, net, **kwargs):
        self.n_trainings += not hasattr(net, "controller_")

    def on_batch_end(self, net, training=False, **kwargs):
        if self.n_trainings == self.training and training:
            self.training = None  # once only
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module", autouse=True)
def first_fit():
    """Let torch import the rest of itself, as it does with a first optimizer."""
    NASClassifier(search_epochs=1, max_epochs=1, n_candidates=1).fit(X, y)


@pytest.fixture
def endless():
    """A classifier that never ends by itself, nor takes more than a minute."""
    return NASClassifier(
        search_epochs=ENDLESS,
        max_epochs=ENDLESS,
        n_iter_no_change=ENDLESS,
        n_candidates=1,
        ensemble_size=2,
        time_limit=60,
        random_state=0,
    )


def fit_in_seconds(model, X, y):
    started = time.monotonic()
    model.fit(X, y)
    return time.monotonic() - started


def is_usable(model):
    assert len(model.networks_) == len(model.architectures_) >= 1
    assert model.architecture_ in model.architectures_
    assert model.n_iter_ >= 1
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)
    return True


@counts_seconds
def test_ctrl_c_in_the_search_ends_the_fit(endless):
    endless.set_params(callbacks=[InterruptLater("search")])
    assert fit_in_seconds(endless, X, y) < 5
    assert is_usable(endless)
    assert 0 < len(endless.history_) < ENDLESS
    assert len(endless.search_results_["rank"]) >= 1


@counts_seconds
def test_ctrl_c_in_the_search_is_told_to_callbacks(endless):
    class Tasks:
        begun, ended = [], []

        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            self.begun.append(context.task_name)

        def on_fit_task_end(self, estimator, context):
            self.ended.append(context.task_name)

    tasks = Tasks()
    endless.set_params(callbacks=[InterruptLater("search")], batch_size=4)
    endless.set_callbacks(tasks)
    assert fit_in_seconds(endless, X, y) < 5
    for name in ("search", "fit"):
        assert tasks.begun.count(name) == tasks.ended.count(name) == 1


@counts_seconds
def test_fits_in_threads_take_turns_and_each_has_its_time(endless):
    models = [clone(endless).set_params(time_limit=3) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        for model in threads.map(lambda model: model.fit(X, y), models):
            assert model.score(X, y) > 0.8


def test_ctrl_c_while_a_callback_runs_ends_the_fit_and_not_one_net_only(endless):
    endless.set_params(callbacks=[InterruptNow()], time_limit=3)
    endless.fit(X, y)
    assert is_usable(endless)
    assert len(endless.history_) == 1
    assert len(endless.net_.history) == 0  # nothing was trained any more


@counts_seconds
def test_ctrl_c_among_the_candidates_ends_the_fit(endless):
    endless.set_params(
        search_epochs=2, n_candidates=8, callbacks=[InterruptLater("training")]
    )
    assert fit_in_seconds(endless, X, y) < 5
    assert is_usable(endless)
    assert endless.score(X, y) > 0.5


@pytest.mark.parametrize("early_stopping", [True, False])
@counts_seconds
def test_ctrl_c_in_the_training_keeps_what_was_trained(endless, early_stopping):
    architecture = NASClassifier(
        max_epochs=1, search_epochs=1, n_candidates=1, ensemble_size=1, random_state=0
    )
    architecture = architecture.fit(X, y).architecture_
    endless.set_params(
        architecture=architecture,
        early_stopping=early_stopping,
        callbacks=[InterruptLater("training")],
    )
    assert fit_in_seconds(endless, X, y) < 5
    assert is_usable(endless)
    assert len(endless.networks_) == 1
    assert endless.score(X, y) > 0.5


def test_candidates_that_ctrl_c_cut_in_their_first_epoch_have_shared_weights(endless):
    endless.set_params(
        search_epochs=20, n_candidates=8, callbacks=[InterruptFirstEpoch(1)]
    ).fit(X, y)
    table = endless.search_results_
    assert not table["trained"].any() and np.isnan(table["score"]).all()
    assert table["shared_score"][0] == table["shared_score"].max()
    assert endless.score(X, y) > 0.9


def test_a_network_that_ctrl_c_cut_in_its_first_epoch_is_left_out(quick):
    model = NASClassifier(
        **quick | {"ensemble_size": 3},
        architecture=TabularSpace().default_architecture(),
        early_stopping=False,
        callbacks=[InterruptFirstEpoch(2)],
    ).fit(X, y)
    assert is_usable(model)
    assert len(model.networks_) == 1
    assert model.n_iter_ == quick["max_epochs"]


def test_an_interrupted_fit_leaves_signals_and_threads_as_they_were(endless):
    before = signal.getsignal(signal.SIGINT), threading.active_count()
    endless.set_params(callbacks=[InterruptLater("search", 0.1)]).fit(X, y)
    time.sleep(0.01)
    assert (signal.getsignal(signal.SIGINT), threading.active_count()) == before
    # and it can be fitted again
    endless.set_params(
        callbacks=None, search_epochs=1, max_epochs=3, n_candidates=1
    ).fit(X, y)
    assert is_usable(endless)


@pytest.mark.parametrize("time_limit", [1e-9, 0.01, 3])
@pytest.mark.parametrize("ensemble_size", [1, 3])
@counts_seconds
def test_a_short_time_limit_is_kept_on_a_small_table(time_limit, ensemble_size):
    model = NASClassifier(
        time_limit=time_limit,
        max_epochs=ENDLESS,
        search_epochs=ENDLESS,
        n_iter_no_change=ENDLESS,
        ensemble_size=ensemble_size,
        random_state=0,
    )
    if time_limit >= 1:
        assert fit_in_seconds(model, X, y) < time_limit + 1.5
        assert model.score(X, y) > 0.6
    else:
        with pytest.warns(ConvergenceWarning, match="no better than chance"):
            assert fit_in_seconds(model, X, y) < time_limit + 1.5
    assert is_usable(model)


def test_a_time_limit_that_is_not_reached_changes_nothing(quicker):
    plain = NASClassifier(**quicker).fit(X, y)
    limited = NASClassifier(**quicker, time_limit=3600).fit(X, y)
    np.testing.assert_array_equal(limited.predict_proba(X), plain.predict_proba(X))


@counts_seconds
def test_a_time_limit_is_kept_with_a_given_architecture(quick):
    architecture = NASClassifier(**quick).fit(X, y).architecture_
    model = NASClassifier(
        architecture=architecture,
        time_limit=2,
        max_epochs=ENDLESS,
        n_iter_no_change=ENDLESS,
        random_state=0,
    )
    assert fit_in_seconds(model, X, y) < 3.5
    assert is_usable(model)
    assert model.score(X, y) > 0.8


@counts_seconds
def test_half_a_second_is_not_all_kept_for_the_end(quick):
    model = NASClassifier(**quick, time_limit=0.5).fit(X, y)
    assert len(model.history_) >= 1


@counts_seconds
def test_a_time_limit_is_kept_in_processes(monkeypatch):
    monkeypatch.setattr("sknas.training._tasks.START_SECONDS", 0.0)
    # the first use of processes takes as long as their imports
    quick = NASClassifier(max_epochs=1, search_epochs=1, n_jobs=2, random_state=0)
    quick.fit(X, y)
    model = NASClassifier(
        time_limit=2,
        max_epochs=ENDLESS,
        n_iter_no_change=ENDLESS,
        n_jobs=2,
        random_state=0,
    )
    assert fit_in_seconds(model, X, y) < 4
    assert is_usable(model)
    assert model.score(X, y) > 0.8


@counts_seconds
def test_a_time_limit_is_kept_on_a_large_table():
    # the slow one: 20,000 rows in 5 seconds
    X, y = make_classification(
        20_000, 30, n_informative=10, n_classes=4, random_state=0
    )
    model = NASClassifier(time_limit=5, random_state=0)
    assert fit_in_seconds(model, X[:-2000], y[:-2000]) < 5 + 2
    assert model.score(X[-2000:], y[-2000:]) > 0.6


class InterruptedBetween(RandomSearch):
    """Gets Ctrl-C where nothing is trained: as the search begins, or as it ends."""

    def __init__(self, when="begin"):
        self.when = when

    def initialize(self, decisions, random_state):
        super().initialize(decisions, random_state)
        if self.when == "begin":
            os.kill(os.getpid(), signal.SIGINT)

    def ask(self, n):
        if self.when == "end" and n == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return super().ask(n)


@pytest.mark.parametrize("when", ["begin", "end"])
@counts_seconds
def test_ctrl_c_between_two_trainings_ends_the_fit(endless, when):
    endless.set_params(strategy=InterruptedBetween(when), n_candidates=8)
    if when == "end":
        endless.set_params(search_epochs=2)
    if when == "begin":  # there is nothing yet
        with pytest.raises(KeyboardInterrupt):
            endless.fit(X, y)
        assert not hasattr(endless, "networks_")
        return
    assert fit_in_seconds(endless, X, y) < 5
    assert is_usable(endless)
    assert len(endless.history_) == 2


def test_a_second_ctrl_c_is_not_put_off(endless):
    class Twice(InterruptedBetween):
        def initialize(self, decisions, random_state):
            super().initialize(decisions, random_state)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        endless.set_params(strategy=Twice()).fit(X, y)
    assert not hasattr(endless, "networks_")


class InterruptWorkers(InterruptLater):
    """Sends Ctrl-C to this process while others train the candidates, or networks."""

    def __init__(self, seconds):
        super().__init__("search", seconds)


@counts_seconds
def test_ctrl_c_while_processes_train_keeps_what_was_found(endless):
    endless.set_params(search_epochs=2, n_jobs=2, callbacks=[InterruptWorkers(1.5)])
    assert fit_in_seconds(endless, X, y) < 30
    assert is_usable(endless)
    assert endless.score(X, y) > 0.3


def test_networks_that_time_does_not_reach_stay_as_they_were(quick):
    model = NASClassifier(**quick | {"ensemble_size": 4}, warm_start=True).fit(X, y)
    before = [network.state_dict() for network in model.networks_]
    model.set_params(time_limit=1e-3).fit(X, y)
    assert len(model.networks_) == 4
    after = model.networks_[-1].state_dict()
    assert all(after[name].equal(value) for name, value in before[-1].items())


def test_a_network_that_diverged_is_left_out(quick, monkeypatch):
    from sknas.training import TrainedNetwork, _ensemble

    train = _ensemble.train_network

    def train_one_badly(*args, **kwargs):
        trained = train(*args, **kwargs)
        if kwargs.get("progress") is None or calls:
            return trained
        calls.append(1)
        weights = {name: value * np.nan for name, value in trained.weights.items()}
        return TrainedNetwork(weights, trained.history, -np.inf, trained.n_epochs)

    calls = []
    monkeypatch.setattr(_ensemble, "train_network", train_one_badly)
    with pytest.warns(ConvergenceWarning, match="1 of 3 networks diverged"):
        model = NASClassifier(**quick | {"ensemble_size": 3}).fit(X, y)
    assert len(model.networks_) == len(model.architectures_) == 2
    assert model.score(X, y) > 0.5


def test_one_network_is_a_found_one_however_long_the_search_took():
    class Wait(Callback):
        def on_train_end(self, net, **kwargs):
            if hasattr(net, "controller_"):
                time.sleep(2)

    rng = np.random.RandomState(0)
    X = rng.normal(size=(60, 3))
    model = NASClassifier(
        search_epochs=3,
        n_candidates=6,
        max_epochs=1,
        ensemble_size=1,
        random_state=0,
        callbacks=[Wait()],
        time_limit=5,
    ).fit(X, X[:, 0] > 0)
    best = model.search_results_["architecture"][0]
    assert [a.to_json() for a in model.architectures_] == [best]
