"""A killed fit goes on from its folder."""

import os
import signal

import numpy as np
import pytest
from sklearn.datasets import load_iris
from skorch.callbacks import Callback

from sknas import NASClassifier

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
    (killed / "search.sknas-progress").write_bytes(b"")
    with pytest.raises(ValueError, match=r"search\.sknas-progress.*damaged"):
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
