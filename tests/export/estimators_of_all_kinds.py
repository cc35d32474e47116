"""Quickly fitted estimators of all spaces and kinds of data, and what they answer."""

from functools import cache

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes, load_digits

from sknas import (
    ConvMacroSpace,
    ConvMicroSpace,
    NASClassifier,
    NASLanguageModel,
    NASRegressor,
    RecurrentSpace,
    SequenceSpace,
    TabularSpace,
)

ODD = '"quoted" \'twice\' \\ <b>\n{brace}""" #'


def quick(estimator, space, architecture=None, **parameters):
    if architecture is None:
        architecture = [
            space.default_architecture(),
            *space.decisions().sample(2, np.random.RandomState(0)),
        ]
    return estimator(
        space, architecture=architecture, max_epochs=2, random_state=0, **parameters
    )


def make_table(n=60):
    rng = np.random.RandomState(0)
    X = pd.DataFrame(
        {
            "size": rng.normal(size=n),
            ODD: rng.choice(["a", ODD, "c"], n),
            "count": rng.randint(5, size=n),
            "flag": rng.rand(n) < 0.5,
            "kind": pd.Categorical(rng.choice([1, 2, 3], n)),
            "rare": ["common"] * (n - 2) + ["once", "twice"],
        }
    )
    X.loc[::7, "size"] = np.nan
    X.loc[::5, ODD] = None
    return X, rng.choice(["yes", ODD], n)


def make_series(n=40):
    X = np.random.RandomState(0).normal(size=(n, 12, 2))
    X[::3, 8:] = np.nan
    return X, np.arange(n) % 3


def neighbor_cases():
    """Give tables whose rows have twins of the same class, tests, and classes."""
    rng = np.random.RandomState(0)
    places, classes = rng.normal(size=(60, 3)), rng.randint(3, size=60)
    group = rng.randint(60, size=400)
    numbers = places[group] + 0.05 * rng.normal(size=(400, 3))
    yield "of_numbers", numbers, numbers[:40], classes[group]
    kinds = [rng.choice(list("abcde"), 60) for _ in range(4)]
    levels = pd.DataFrame({f"kind_{i}": k[group] for i, k in enumerate(kinds)})
    levels["own"] = rng.choice(list("uvwxyz"), 400)  # or most rows would be equal
    tests = levels[:40].replace({"own": {"u": "new"}})
    yield "of_levels", levels, tests.astype(object), classes[group]
    both = levels.assign(size=numbers[:, 0])
    yield "of_both", both, both[:40].astype(object), classes[group]


@cache
def cases():
    """Give, for each case, a fitted estimator, the rows of a test, and its answer.

    Tests of several files have them, and must not change them.
    """
    return list(_fitted_cases())


def _fitted_cases():
    digits = load_digits()
    images, labels = digits.images[:80], digits.target[:80]
    small = {"n_filters": 4}
    macro, micro = ConvMacroSpace(4, **small), ConvMicroSpace(2, n_nodes=2, **small)
    recurrent = RecurrentSpace(n_nodes=4, hidden_size=8)
    sequence = SequenceSpace(ConvMacroSpace(3, **small), recurrent)
    X, y = make_table()
    clf = quick(NASClassifier, TabularSpace()).fit(X, y)
    test = pd.concat([X.iloc[:20], X.iloc[:2].assign(rare="new", kind=9)])
    yield "mixed", clf, test.astype(object), clf.predict_proba(test)
    labels_only = X[["rare", "flag"]]
    clf = quick(NASClassifier, TabularSpace(n_heads=1)).fit(labels_only, y)
    yield "categories", clf, labels_only.astype(object), clf.predict_proba(labels_only)
    rows = digits.data[:80]
    clf = quick(NASClassifier, TabularSpace()).fit(rows, labels)
    yield "numbers", clf, rows, clf.predict_proba(rows)
    for name, X, test, y in neighbor_cases():
        clf = quick(NASClassifier, TabularSpace(), neighbors=True).fit(X, y)
        assert clf.neighbors_ is not None
        yield f"neighbors_{name}", clf, test, clf.predict_proba(test)
    for name, space in (("macro", macro), ("micro", micro)):
        clf = quick(NASClassifier, space).fit(images, labels)
        yield name, clf, images, clf.predict_proba(images)
    far = images + 1e8
    clf = quick(NASClassifier, macro).fit(far, labels)
    yield "far", clf, far, clf.predict_proba(far)
    series, classes = make_series()
    for family in ("conv-macro", "recurrent"):
        part = sequence.families()[family].default_architecture()
        clf = quick(NASClassifier, sequence, sequence.whole(part)).fit(series, classes)
        yield f"series_{family}", clf, series[:, :9], clf.predict_proba(series[:, :9])
    far = series + [0.0, -1e9]
    clf = quick(NASClassifier, sequence).fit(far, classes)
    yield "series_far", clf, far, clf.predict_proba(far)
    tokens = np.random.RandomState(0).randint(9, size=(40, 7))
    for name, space in (("text", recurrent), ("text_conv", macro)):
        clf = quick(NASClassifier, space, n_tokens=9).fit(tokens, np.arange(40) % 2)
        yield name, clf, tokens, clf.predict_proba(tokens)
    X, y = load_diabetes(return_X_y=True)
    reg = quick(NASRegressor, TabularSpace()).fit(X[:90], y[:90])
    yield "regressor", reg, X, reg.predict(X)
    reg = quick(NASRegressor, TabularSpace()).fit(X[:90], np.c_[y, 1e6 * y][:90])
    yield "targets", reg, X, reg.predict(X) / [1, 1e6]
    writer = quick(
        NASLanguageModel, recurrent, ensemble_size=2, batch_size=4, n_steps=5
    )
    ids = np.random.RandomState(0).randint(6, size=300)
    writer.fit(ids)
    yield "language", writer, ids, writer.log_likelihood(ids)[0]
