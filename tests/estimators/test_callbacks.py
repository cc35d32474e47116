import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    GradientNormClipping,
    LRScheduler,
)

from sknas import ConvMacroSpace, NASClassifier

callback = pytest.importorskip("sklearn.callback")

X, numbers = load_iris(return_X_y=True)
y = np.array(["setosa", "versicolor", "virginica"])[numbers]


class Recorder(Callback):
    """Notes what the nets of a fit do; those of the search hold a controller."""

    def __init__(self):
        self.events_ = []

    def note(self, name, net):
        phase = "search" if hasattr(net, "controller_") else "training"
        self.events_.append((name, phase))

    def on_train_begin(self, net, **kwargs):
        self.note("train", net)

    def on_epoch_end(self, net, **kwargs):
        assert len(net.history) > 0
        self.note("epoch", net)

    def on_grad_computed(self, net, named_parameters, **kwargs):
        assert any(parameter.grad is not None for _, parameter in named_parameters)
        self.note("gradient", net)


class Stopper:
    """A scikit-learn callback that ends a task by its name and its parent's name."""

    def __init__(self, task, parent, after=1):
        self.task, self.parent, self.after = task, parent, after
        self.seen = []

    def setup(self, estimator, context):
        self.seen.append(("setup", None))

    def teardown(self, estimator, context):
        self.seen.append(("teardown", None))

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        parent = context.parent.task_name if context.parent is not None else None
        self.seen.append((context.task_name, parent))
        here = (self.task, self.parent)
        return (context.task_name, parent) == here and self.seen.count(
            here
        ) >= self.after


class Predictions:
    """A scikit-learn callback that predicts with what is fitted so far."""

    def __init__(self):
        self.scores = []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
        if fitted_estimator is None:
            return
        again = pickle.loads(pickle.dumps(fitted_estimator))
        probability = fitted_estimator.predict_proba(X)
        np.testing.assert_array_equal(again.predict_proba(X), probability)
        assert fitted_estimator.architecture_ in fitted_estimator.architectures_
        self.scores.append(fitted_estimator.score(X, y))


@pytest.fixture
def tiny(quick):
    return NASClassifier(
        **quick | {"ensemble_size": 1, "max_epochs": 10, "search_epochs": 2},
        batch_size=64,
    )


# Callbacks of skorch.


def test_skorch_callbacks_see_the_nets_of_search_and_training(quick):
    recorder = Recorder()
    NASClassifier(**quick, callbacks=[recorder]).fit(X, y)
    assert recorder.events_.count(("train", "search")) == 1
    assert recorder.events_.count(("epoch", "search")) == quick["search_epochs"]
    assert recorder.events_.count(("train", "training")) >= quick["ensemble_size"]
    assert recorder.events_.count(("gradient", "search")) > 3
    assert recorder.events_.count(("gradient", "training")) > 3


def test_skorch_callbacks_hear_of_the_epoch_in_which_a_training_stops_early(tiny):
    class Count(Callback):
        n_begun = n_ended = 0

        def on_epoch_begin(self, net, **kwargs):
            self.n_begun += 1

        def on_epoch_end(self, net, **kwargs):
            self.n_ended += 1

    count = Count()
    tiny.set_params(max_epochs=1000, n_iter_no_change=2, callbacks=[count]).fit(X, y)
    assert len(tiny.net_.history) < 1000
    assert count.n_begun == count.n_ended > 0


def test_a_callback_that_only_looks_changes_nothing(quicker):
    plain = NASClassifier(**quicker).fit(X, y).predict_proba(X)
    watched = NASClassifier(**quicker, callbacks=[Recorder(), EpochTimer()]).fit(X, y)
    np.testing.assert_array_equal(watched.predict_proba(X), plain)


def test_skorch_callbacks_of_all_kinds_work(quick):
    model = NASClassifier(
        **quick,
        callbacks=[
            GradientNormClipping(1.0),
            EpochTimer(),
            EarlyStopping(monitor="train_loss", patience=2, sink=lambda text: None),
        ],
    )
    assert model.fit(X, y).score(X, y) > 0.7
    assert "dur" in model.history_[0] and "dur" in model.net_.history[0]


def test_two_skorch_callbacks_of_one_kind_work(quick):
    one, other = Recorder(), Recorder()
    NASClassifier(**quick, callbacks=[one, other]).fit(X, y)
    assert one.events_ == other.events_ != []


def test_skorch_scores_can_be_recorded(tiny):
    scoring = EpochScoring(
        lambda net, data, labels: 0.5, name="mine", on_train=True, use_caching=False
    )
    tiny.set_params(callbacks=[scoring]).fit(X, y)
    assert tiny.net_.history[-1]["mine"] == 0.5


@pytest.mark.parametrize("kind", [EarlyStopping, Checkpoint])
def test_callbacks_that_look_for_a_loss_that_is_not_there_are_told_so(
    tiny, kind, tmp_path
):
    callback = kind(dirname=tmp_path) if kind is Checkpoint else kind()
    with pytest.raises(Exception, match="valid_loss") as raised:
        tiny.set_params(callbacks=[callback]).fit(X, y)
    assert "n_iter_no_change" in raised.value.__notes__[0]


def test_a_scheduler_of_learning_rates_is_refused(quick):
    model = NASClassifier(**quick, callbacks=[LRScheduler()])
    with pytest.raises(ValueError, match="LRScheduler.*'lr_schedule'"):
        model.fit([[0.0], [1.0]], [0, 1])


@pytest.mark.parametrize("scoring", [EpochScoring, BatchScoring])
def test_scorers_of_scikit_learn_are_told_where_they_belong(tiny, scoring):
    with pytest.raises(ValueError, match="'callbacks'.*ScoringMonitor"):
        tiny.set_params(callbacks=[scoring("accuracy")]).fit(X, y)


def test_an_error_in_a_skorch_callback_is_not_hidden(tiny):
    class Broken(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise ZeroDivisionError("broken")

    tiny.set_params(callbacks=[Broken()])
    with pytest.raises(ZeroDivisionError, match="broken"):
        tiny.fit(X, y)


def test_clones_do_not_share_callbacks(quick):
    model = NASClassifier(**quick, callbacks=[Recorder()])
    other = clone(model)
    other.fit(X, y)
    assert model.callbacks[0].events_ == []
    assert other.callbacks[0].events_ != []


def test_skorch_callbacks_work_in_processes(quick):
    model = NASClassifier(**quick, callbacks=[EpochTimer()], n_jobs=2)
    assert model.fit(X, y).score(X, y) > 0.7


# Callbacks of scikit-learn.


def test_scikit_learns_callbacks_alone(tiny, capsys):
    monitor = callback.ScoringMonitor(scoring="accuracy")
    tiny.set_params(max_epochs=20)
    tiny.set_callbacks(callback.ProgressBar(), monitor).fit(X, y)
    assert "NASClassifier" in capsys.readouterr().out
    log = monitor.get_logs().data_as_pandas
    assert log["accuracy"].between(0, 1).all()
    steps = log[log["task_name"] == "step"]
    assert len(steps) >= 2 + 1
    # the labels are the user's, in the user's order
    assert log["accuracy"].max() > 0.8
    last = log[log["parent_task_id_path"].map(len) == 0]["accuracy"].item()
    assert last == tiny.score(X, y)


def test_callbacks_change_no_result(tiny):
    plain = clone(tiny).set_params(search_epochs=4, n_candidates=6).fit(X, y)
    tiny.set_params(search_epochs=4, n_candidates=6)
    tiny.set_callbacks(callback.ScoringMonitor(scoring="accuracy"), Predictions())
    tiny.fit(X, y)
    np.testing.assert_array_equal(tiny.predict_proba(X), plain.predict_proba(X))
    losses = [[epoch["train_loss"] for epoch in m.history_] for m in (tiny, plain)]
    assert losses[0] == losses[1]
    scores = [m.search_results_["shared_score"].tolist() for m in (tiny, plain)]
    assert scores[0] == scores[1]


def test_callbacks_change_no_result_of_networks_with_dropout(digits):
    images, _, labels, _ = digits
    images = images.reshape(-1, 8, 8)
    space = ConvMacroSpace(n_layers=2, n_filters=4, n_reductions=1, dropout=0.5)
    model = NASClassifier(space, search_epochs=6, max_epochs=1, random_state=0)
    losses = []
    for own in (clone(model), clone(model).set_callbacks(Predictions())):
        own.fit(images, labels)
        losses.append([epoch["train_loss"] for epoch in own.history_])
    assert losses[0] == losses[1]


def test_a_classifier_with_callbacks_is_pickled(tiny):
    tiny.set_callbacks(callback.ScoringMonitor(scoring="accuracy")).fit(X, y)
    again = pickle.loads(pickle.dumps(tiny))
    np.testing.assert_array_equal(again.predict_proba(X), tiny.predict_proba(X))


def test_what_is_fitted_so_far_predicts_at_every_step(quick):
    predictions = Predictions()
    model = NASClassifier(**quick).set_callbacks(predictions)
    model.fit(X, y, sample_weight=None)
    # search, candidates, training, the networks in it, and their steps
    assert len(predictions.scores) > 3 + 2 + 2 + 3
    assert predictions.scores[-1] == model.score(X, y)
    assert np.mean(predictions.scores) > 0.5


def test_what_is_fitted_so_far_predicts_on_mixed_tables(tiny, mixed):
    predictions = Predictions()
    tiny.set_callbacks(predictions).fit(*mixed)
    assert predictions.scores[-1] == tiny.score(*mixed)


def test_weights_reach_the_scorer(tiny):
    monitor = callback.ScoringMonitor(scoring="accuracy")
    weight = np.where(y == "setosa", 1.0, 0.0)
    weight[-1] = 1e-9  # a second class
    tiny.set_callbacks(monitor).fit(X, y, sample_weight=weight)
    log = monitor.get_logs().data_as_pandas
    assert log["accuracy"].iloc[0] > 0.99


def test_scikit_learns_callbacks_in_a_pipeline(tiny, capsys):
    monitor = callback.ScoringMonitor(scoring="accuracy")
    tiny.set_callbacks(monitor)
    model = make_pipeline(StandardScaler(), tiny)
    model.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(X, y)
    assert "NASClassifier" in capsys.readouterr().out
    assert monitor.get_logs().data_as_pandas["accuracy"].max() > 0.8


def test_scikit_learns_callbacks_in_a_grid_search(tiny):
    monitor = callback.ScoringMonitor(scoring="accuracy")
    tiny.set_callbacks(monitor)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), tiny),
        {"nasclassifier__lr": [1e-3, 3e-3]},
        cv=2,
    )
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=None))
    search.fit(X, y)
    log = monitor.get_logs().data_as_pandas
    assert log["accuracy"].between(0, 1).all()
    # two candidates on two folds, and the refit
    assert (log["estimator_name"] == "NASClassifier").sum() >= 5 * 5


def test_a_callback_may_end_the_search(tiny):
    stopper = Stopper("step", "search")
    tiny.set_params(search_epochs=2000, n_candidates=1)
    tiny.set_callbacks(stopper).fit(X, y)
    assert len(tiny.history_) == 1
    assert stopper.seen.count(("step", "search")) == 1
    assert ("training", "fit") in stopper.seen
    assert tiny.score(X, y) > 0.6
    assert stopper.seen[0][0] == "setup" and stopper.seen[-1][0] == "teardown"


def test_a_callback_may_end_the_training_of_a_network(tiny):
    stopper = Stopper("step", "network", after=3)
    tiny.set_params(max_epochs=3000, early_stopping=False, n_candidates=1)
    tiny.set_callbacks(stopper).fit(X, y)
    assert tiny.n_iter_ == 3
    assert len(tiny.net_.history) == 3


def test_a_callback_may_end_the_training_of_further_networks(quick):
    stopper = Stopper("network", "training")
    quick |= {"ensemble_size": 5, "n_candidates": 1}
    model = NASClassifier(**quick).set_callbacks(stopper).fit(X, y)
    assert len(model.networks_) == len(model.architectures_) == 1
    assert stopper.seen.count(("network", "training")) == 1


def test_a_callback_may_end_the_fit_after_the_search(quick):
    stopper = Stopper("search", "fit")
    model = NASClassifier(**quick).set_callbacks(stopper).fit(X, y)
    assert model.predict(X).shape == y.shape
    assert ("step", "network") not in stopper.seen


def test_an_error_in_a_callback_is_not_hidden(tiny):
    class Broken(Stopper):
        def on_fit_task_end(self, estimator, context):
            raise ZeroDivisionError("broken")

    tiny.set_callbacks(Broken(None, None))
    with pytest.raises(ZeroDivisionError, match="broken"):
        tiny.fit(X, y)
    tiny.set_callbacks().fit(X, y)


def test_callbacks_with_reused_architectures_and_warm_start(tiny):
    monitor = callback.ScoringMonitor(scoring="accuracy")
    tiny.set_params(warm_start=True).set_callbacks(monitor).fit(X, y)
    tiny.fit(X, y)
    other = clone(tiny).set_params(architecture=tiny.architecture_)
    other.fit(X, y)
    assert len(monitor.get_logs("all")) in (2, 3)


# What is shown.


def test_cross_validation_in_processes_with_callbacks(tiny):
    monitor = callback.ScoringMonitor(scoring="accuracy")
    tiny.set_callbacks(monitor)
    scores = cross_val_score(tiny, X, y, cv=2, n_jobs=2)
    np.testing.assert_array_equal(scores, cross_val_score(tiny, X, y, cv=2))
