"""A killed fit goes on from its folder."""

import os
import signal
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score
from skorch.callbacks import Callback

from sknas import NASClassifier
from sknas.estimators._checkpoint import Checkpoint

QUICK = {
    "max_epochs": 6,
    "search_epochs": 3,
    "n_candidates": 2,
    "ensemble_size": 3,
    "random_state": 0,
}
X, y = load_iris(return_X_y=True)


class Killed(RuntimeError):
    pass


class CountTrainings(Callback):
    """Counts the nets that begin to train, and kills the fit at one of them."""

    def __init__(self, fatal=None):
        self.fatal = fatal
        self.n_trainings = 0

    def on_train_begin(self, net, **kwargs):
        self.n_trainings += 1
        if self.n_trainings == self.fatal:
            raise Killed


@pytest.fixture
def killed(tmp_path):
    """A folder with the search, and one of three networks."""
    # the search trains one net; two candidates for two places are not raced, and the
    # third network has the default architecture; two nets train each, one with a part
    # of the rows, one with all
    with pytest.raises(Killed):
        NASClassifier(checkpoint=tmp_path, callbacks=[CountTrainings(4)], **QUICK).fit(
            X, y
        )
    return tmp_path


def test_killed_fit_goes_on_to_the_same_result(killed):
    counted = CountTrainings()
    clf = NASClassifier(checkpoint=killed, callbacks=[counted], **QUICK).fit(X, y)
    whole = NASClassifier(**QUICK).fit(X, y)
    np.testing.assert_array_equal(clf.predict_proba(X), whole.predict_proba(X))
    assert counted.n_trainings == 4, "only the two networks that were missing"
    assert clf.architectures_ == whole.architectures_


def test_progress_is_removed_when_the_fit_is_complete(killed):
    assert any(killed.iterdir())
    other = killed / "notes.unfinished-draft"
    other.touch()
    NASClassifier(checkpoint=str(killed), **QUICK).fit(X, y)
    assert list(killed.iterdir()) == [other]


@pytest.mark.parametrize("change", ["parameters", "data"])
def test_progress_of_another_fit_is_refused(killed, change):
    other = {**QUICK, "lr": 0.01} if change == "parameters" else QUICK
    rows = slice(0, 120) if change == "data" else slice(None)
    with pytest.raises(ValueError, match="'checkpoint' folder"):
        NASClassifier(checkpoint=killed, **other).fit(X[rows], y[rows])


def test_checkpoint_that_is_a_file_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ValueError, match="'checkpoint' parameter"):
        NASClassifier(checkpoint=file, **QUICK).fit(X, y)


def test_a_fit_that_is_refused_leaves_no_trace(tmp_path):
    with pytest.raises(ValueError, match="'scoring'"):
        NASClassifier(checkpoint=tmp_path, scoring="roc_auc", **QUICK).fit(X, y)
    NASClassifier(checkpoint=tmp_path, scoring="roc_auc_ovr", **QUICK).fit(X, y)


def test_a_fit_goes_on_with_the_same_random_state(tmp_path):
    def make(**parameters):
        return NASClassifier(**QUICK | {"random_state": state} | parameters)

    state = np.random.RandomState(3)
    with pytest.raises(Killed):
        make(checkpoint=tmp_path, callbacks=[CountTrainings(4)]).fit(X, y)
    counted = CountTrainings()
    clf = make(checkpoint=tmp_path, callbacks=[counted]).fit(X, y)
    assert counted.n_trainings == 4
    state = np.random.RandomState(3)
    np.testing.assert_array_equal(
        clf.predict_proba(X), make().fit(X, y).predict_proba(X)
    )


def test_progress_of_another_model_that_went_on_is_refused(tmp_path):
    first, other = (
        NASClassifier(**QUICK, warm_start=True).fit(X, labels) for labels in (y, 2 - y)
    )
    first.set_params(checkpoint=tmp_path, callbacks=[CountTrainings(3)])
    with pytest.raises(Killed):
        first.fit(X, y)
    with pytest.raises(ValueError, match="'checkpoint' folder"):
        other.set_params(checkpoint=tmp_path).fit(X, y)


def test_parameters_that_cannot_be_pickled_are_told(tmp_path):
    clf = NASClassifier(checkpoint=tmp_path, scoring=lambda e, X, y: 0.0, **QUICK)
    with pytest.raises(ValueError, match="'checkpoint'.*can be pickled"):
        clf.fit(X, y)


def test_a_damaged_file_is_named(killed):
    (search,) = killed.glob("search*")
    search.write_bytes(b"")
    with pytest.raises(ValueError, match=r"search.*\.sknas-progress.*damaged"):
        NASClassifier(checkpoint=killed, **QUICK).fit(X, y)


def test_progress_of_an_unknown_fit_is_refused(killed):
    (killed / "identity.sknas-progress").unlink()
    with pytest.raises(ValueError, match="not known which"):
        NASClassifier(checkpoint=killed, **QUICK).fit(X, y)


def test_a_network_that_ctrl_c_cut_off_in_a_callback_is_not_kept(tmp_path):
    class CtrlC(CountTrainings):
        def on_epoch_end(self, net, **kwargs):
            if self.n_trainings == 4 and len(net.history) == 2:
                os.kill(os.getpid(), signal.SIGINT)

    clf = NASClassifier(checkpoint=tmp_path, callbacks=[CtrlC()], **QUICK).fit(X, y)
    assert len(clf.networks_) == 2
    again = NASClassifier(checkpoint=tmp_path, **QUICK).fit(X, y)
    whole = NASClassifier(**QUICK).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), whole.predict_proba(X))


meanwhile = []


def accuracy(estimator, X, y):
    """Score, after what is to happen between the start of a fit and its search."""
    while meanwhile:
        meanwhile.pop()()
    return accuracy_score(y, estimator.predict(X))


@pytest.mark.parametrize("change", ["parameters", "data"])
def test_a_fit_that_another_overtakes_is_refused(tmp_path, change):
    def overtake():
        with pytest.raises(Killed):
            NASClassifier(
                checkpoint=tmp_path, callbacks=[CountTrainings(4)], **QUICK
            ).fit(X, y)
        before.update({path: path.read_bytes() for path in tmp_path.iterdir()})

    before = {}
    meanwhile.append(overtake)
    other = {**QUICK, "lr": 0.01} if change == "parameters" else QUICK
    rows = slice(0, 120) if change == "data" else slice(None)
    clf = NASClassifier(checkpoint=tmp_path, scoring=accuracy, **other)
    with pytest.raises(ValueError, match="'checkpoint' folder.*give another folder"):
        clf.fit(X[rows], y[rows])
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


def test_the_same_fit_twice_at_the_same_time(tmp_path):
    def make(**parameters):
        return NASClassifier(**QUICK | {"ensemble_size": 1} | parameters)

    class Overtake(CountTrainings):
        def on_train_end(self, net, **kwargs):
            if self.n_trainings == 2:  # of the search, and a network
                made.append(make(checkpoint=tmp_path).fit(X, y))

    made = []
    made.append(make(checkpoint=tmp_path, callbacks=[Overtake()]).fit(X, y))
    whole = make().fit(X, y)
    for clf in made:
        np.testing.assert_array_equal(clf.predict_proba(X), whole.predict_proba(X))
    assert len(made) == 2
    assert not list(tmp_path.iterdir())


def no_hard_links(*args):
    raise OSError("Operation not supported")


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_one_of_two_fits_gets_the_folder(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", no_hard_links)
    first, second = (Checkpoint(tmp_path, [data], seed=0) for data in "ab")
    first.begin()
    with pytest.raises(ValueError, match="'checkpoint' folder.*give another folder"):
        second.begin()
    first.step("search", lambda: "of the first")
    assert second.step("search", lambda: "of the second") == "of the second"
    second.clear()
    assert first.step("search", lambda: "anew") == "of the first"
    again = Checkpoint(tmp_path, ["a"], seed=0)
    assert again.step("search", lambda: "anew") == "of the first"
    first.clear()
    assert not list(tmp_path.iterdir())


def test_a_fit_with_other_random_numbers_is_refused(tmp_path):
    first, second = (Checkpoint(tmp_path, ["data"], seed=seed) for seed in (1, 2))
    first.begin()
    with pytest.raises(ValueError, match="'checkpoint' folder.*other random numbers"):
        second.begin()
    assert Checkpoint(tmp_path, ["data"], seed=2).seed == 1


class Meanwhile:
    """A result that is only written when something else has happened."""

    def __init__(self, happen):
        self.happen = happen

    def __reduce__(self):
        self.happen()
        return str, ("written",)


def test_a_fit_goes_on_where_the_same_fit_has_cleared_the_folder(tmp_path):
    first, second = (Checkpoint(tmp_path, ["data"], seed=0) for _ in range(2))
    first.begin()
    second.begin()
    result = Meanwhile(second.clear)
    assert first.step("search", lambda: result) is result
    assert not list(tmp_path.iterdir())
    first.begin()
    assert Checkpoint(tmp_path, ["data"], seed=1).seed == 0


def test_the_same_fit_twice_has_one_search(tmp_path):
    # with a limit of time they may find different architectures
    first, second = (Checkpoint(tmp_path, ["data"], seed=0) for _ in range(2))
    first.begin()
    second.begin()

    def search():
        return first.step("search", lambda: "of the first") and "of the second"

    assert second.step("search", search) == "of the first"


def test_files_that_are_gone_are_tolerated(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path, ["data"], seed=0)
    checkpoint.begin()
    checkpoint.step("search", lambda: "found")
    unlink = Path.unlink

    def unlink_second(path, missing_ok=False):
        unlink(path)  # by the same fit, a moment before
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink_second)
    checkpoint.clear()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_a_fit_goes_on_wherever_it_was_killed(tmp_path, monkeypatch, links):
    def counted(operation):
        def run(*args, **kwargs):
            nonlocal n_left
            n_left -= 1
            if n_left <= 0:  # a fit that is killed does not tidy up
                raise Killed
            return operation(*args, **kwargs)

        return run

    def fit():
        checkpoint = Checkpoint(tmp_path, ["data"], seed=0)
        checkpoint.begin()
        results = [checkpoint.step(name, lambda name=name: name) for name in names]
        checkpoint.clear()
        return results == names

    names = ["search", "network_0", "network_1"]
    n_left = 100
    monkeypatch.setattr(os, "link", counted(os.link if links else no_hard_links))
    monkeypatch.setattr(joblib, "dump", counted(joblib.dump))
    for name in ("mkdir", "write_bytes", "replace", "unlink"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    for n_done in range(1, 100):
        n_left = n_done
        try:
            assert fit()
            break  # it was complete before it could be killed
        except Killed:
            pass
        files = tmp_path.glob("*.sknas-progress")
        kept = {path.stem.partition("-")[0] for path in files}
        assert not kept or "identity" in kept
        assert "search" in kept or kept.isdisjoint(names)
        n_left = 100
        assert fit()
        assert not list(tmp_path.iterdir())
    assert 12 < n_done < 99
