"""What `verbose` shows."""

import threading

import numpy as np
import pytest
from sklearn.datasets import load_iris
from skorch.callbacks import Callback

from sknas import NASClassifier

X, numbers = load_iris(return_X_y=True)
y = np.array(["setosa", "versicolor", "virginica"])[numbers]


def test_a_progress_bar_goes_to_the_error_stream_only(quick, capfd):
    # as many epochs as candidates are trained for
    NASClassifier(**quick | {"max_epochs": 34}, verbose=1).fit(X, y)
    out, err = capfd.readouterr()
    assert out == ""
    for phase in ("search", "candidates", "training"):
        assert phase in err
    assert "100%" in err
    # tqdm's monitor
    assert "TMonitor" not in {type(t).__name__ for t in threading.enumerate()}


def test_progress_bars_are_closed_when_a_fit_fails_or_stops(quick, capfd):
    model = NASClassifier(**quick, verbose=1, scoring=lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.fit(X, y)
    from tqdm import tqdm

    assert not [bar for bar in tqdm._instances if not bar.disable]

    class Broken(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as kept:  # as an interpreter keeps the last
        model.set_params(scoring=None, callbacks=[Broken()]).fit(X, y)
    assert not [bar for bar in tqdm._instances if not bar.disable]
    assert kept.value.__traceback__ is not None


def test_without_verbose_nothing_is_written_anywhere(
    quick, capfd, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    model = NASClassifier(**quick).fit(X, y)
    model.predict(X)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_the_same_is_found_with_a_bar(quicker, capfd):
    shown = NASClassifier(**quicker, verbose=1).fit(X, y).predict_proba(X)
    hidden = NASClassifier(**quicker).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(shown, hidden)
