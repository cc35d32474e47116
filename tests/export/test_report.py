"""Reports and model cards."""

import html
import re
import subprocess
import sys

import joblib
import matplotlib
import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from estimators_of_all_kinds import cases
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sknas
from sknas import (
    Architecture,
    NASClassifier,
    NASLanguageModel,
    NASRegressor,
    RecurrentSpace,
    TabularSpace,
)
from sknas.export import model_card, report
from sknas.preprocessing import TokenEncoder

matplotlib.use("Agg")


class OwnSpace(TabularSpace):
    """A space of one's own."""


HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def searched():
    X, y = load_iris(return_X_y=True)
    clf = NASClassifier(search_epochs=4, n_candidates=12, max_epochs=20, random_state=0)
    return clf.fit(X[::2], y[::2])


@pytest.fixture(scope="module")
def estimators():
    return {name: (estimator, X) for name, estimator, X, _ in cases()}


def test_a_report_tells_what_there_is_to_tell(searched, tmp_path):
    X, y = load_iris(return_X_y=True)
    baseline = LogisticRegression(max_iter=500).fit(X[::2], y[::2])
    default = NASClassifier(
        architecture=searched.space_.default_architecture(),
        max_epochs=4,
        random_state=0,
    ).fit(X[::2], y[::2])
    page = report(
        searched,
        tmp_path / "page.html",
        X=X[1::2],
        y=y[1::2],
        baselines={"by hand": baseline, "plain default network": default},
    )
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    text = html.unescape(page)
    assert "75 rows of a table" in text
    assert f"{searched.search_time_:.3g} s" in text
    for estimator in (searched, baseline, default):
        assert f"{estimator.score(X[1::2], y[1::2]):.4f}" in text
    for architecture in searched.architectures_:
        assert searched.space_.describe(architecture) in text
    assert "(plain default network)" in text  # among the candidates
    assert sknas.__version__ in text
    assert page.count("data:image/png;base64,") == 4


def test_a_report_needs_no_other_file(searched):
    page = report(searched)
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", page)
    assert "http" not in page.replace("http-equiv", "")


def test_the_code_in_a_report_trains_the_same_networks_again(searched):
    page = html.unescape(report(searched))
    code = re.search(r"<pre>(.*?)</pre>", page, flags=re.DOTALL).group(1)
    namespace = {}
    exec(code, namespace)
    assert namespace["found"] == searched.architectures_
    X, y = load_iris(return_X_y=True)
    again = namespace["again"].fit(X[::2], y[::2])
    assert again.get_params()["max_epochs"] == 20
    np.testing.assert_array_equal(again.predict_proba(X), searched.predict_proba(X))


def test_a_space_of_ones_own_is_imported_from_where_it_is(quicker):
    X, y = load_iris(return_X_y=True)
    clf = NASClassifier(OwnSpace(depths=(1, 2)), **quicker).fit(X, y)
    page = html.unescape(report(clf))
    assert f"from {OwnSpace.__module__} import OwnSpace" in page
    assert "search_space=OwnSpace(depths=(1, 2))" in page


def test_an_encoder_is_imported_from_where_it_is():
    words = "the cat sat on the mat and the dog sat on the cat " * 8
    space = RecurrentSpace(n_nodes=2, hidden_size=4)
    writer = NASLanguageModel(
        space,
        encoder=TokenEncoder(max_features=6),
        architecture=space.default_architecture(),
        max_epochs=1,
        batch_size=4,
        n_steps=5,
    ).fit(words)
    page = html.unescape(report(writer))
    namespace = {}
    exec(re.search(r"<pre>(.*?)</pre>", page, flags=re.DOTALL).group(1), namespace)
    assert namespace["again"].encoder.max_features == 6


def test_a_space_that_is_nowhere_to_be_imported_from_does_no_harm(quicker):
    class LocalSpace(TabularSpace):
        pass

    X, y = load_iris(return_X_y=True)
    page = report(NASClassifier(LocalSpace(), **quicker).fit(X, y))
    assert f"from {__name__} import LocalSpace" in html.unescape(page)


def test_what_is_no_code_is_a_comment_in_the_code(quicker):
    X, y = load_iris(return_X_y=True)
    quicker = quicker | {"random_state": np.random.RandomState(0)}
    scorer = make_scorer(accuracy_score)
    weights = {np.int64(0): np.float64(1.5), np.int64(1): 1, np.int64(2): 1}
    clf = NASClassifier(**quicker, scoring=scorer, class_weight=weights)
    clf.set_params(lr=np.float64(0.01), device=torch.device("cpu")).fit(X, y)
    page = html.unescape(report(clf))
    code = re.search(r"<pre>(.*?)</pre>", page, flags=re.DOTALL).group(1)
    namespace = {}
    exec(code, namespace)
    again = namespace["again"]
    assert again.lr == 0.01 and again.class_weight == {0: 1.5, 1: 1, 2: 1}
    assert "# device=device(" in code and "# random_state=RandomState" in code
    assert "scoring=" not in code[code.index("again =") :]  # there is no search


def test_hostile_names_are_harmless(quicker):
    rng = np.random.RandomState(0)
    X = pd.DataFrame(rng.normal(size=(60, 2)), columns=[HOSTILE, "b"])
    clf = NASClassifier(**quicker).fit(X, rng.choice([HOSTILE, "no"], 60))
    assert "<script>" not in report(
        clf, X=X, y=clf.predict(X), baselines={HOSTILE: clf}
    )


NAMES = [
    "mixed",
    "neighbors_of_both",
    "macro",
    "micro",
    "series_recurrent",
    "text",
    "regressor",
    "language",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_estimator_has_a_report_and_a_card(name, estimators, tmp_path):
    estimator, _ = estimators[name]
    page = report(estimator)
    assert page.count("data:image/png;base64,") == 1  # it has not searched
    assert "the architectures were given" in page
    assert ("asked as neighbors" in page) == name.startswith("neighbors")
    code = html.unescape(re.search(r"<pre>(.*?)</pre>", page, flags=re.DOTALL).group(1))
    namespace = {}
    exec(code, namespace)
    assert repr(namespace["again"].get_params()) == repr(
        clone(estimator).set_params(architecture=namespace["found"]).get_params()
    )
    card = model_card(estimator, tmp_path).render()
    assert "network.png" in card and (tmp_path / "network.png").exists()


def test_a_language_model_is_judged_by_its_perplexity(estimators):
    writer, ids = estimators["language"]
    page = report(writer, X=ids, baselines={"the same": writer})
    assert page.count(f"{writer.perplexity(ids):.4f}") == 2
    assert page.count("<th>perplexity</th>") == 1


def test_a_card_has_the_figures_and_pictures_of_the_search(searched, tmp_path):
    X, y = load_iris(return_X_y=True)
    card = model_card(searched, tmp_path / "card", X=X, y=y)
    card.save(tmp_path / "card" / "README.md")
    text = (tmp_path / "card" / "README.md").read_text()
    assert f"{searched.score(X, y):.4f}" in text
    for name in ("network", "course", "candidates", "policy"):
        assert f"]({name}.png)" in text
        assert (tmp_path / "card" / f"{name}.png").stat().st_size > 1000
    found = re.findall(r"Architecture.from_json\('(.*?)'\)", text)
    assert [Architecture.from_json(t) for t in found] == searched.architectures_
    assert "ensemble_size" in text


def test_rows_need_labels(searched):
    X, y = load_iris(return_X_y=True)
    for rows in ({"X": X}, {"y": y}):
        with pytest.raises(ValueError, match="X and y"):
            report(searched, **rows)


def test_baselines_need_rows(searched, tmp_path):
    for write in (report, lambda *a, **k: model_card(a[0], tmp_path, **k)):
        with pytest.raises(ValueError, match="give these too"):
            write(searched, baselines={"itself": searched})


def test_a_baseline_may_be_called_as_the_estimator_is(searched):
    X, y = load_iris(return_X_y=True)
    dummy = DummyClassifier().fit(X, y)
    page = report(searched, X=X, y=y, baselines={"NASClassifier": dummy})
    for estimator in (searched, dummy):
        assert f"<td>{estimator.score(X, y):.4f}</td>" in page
    assert page.count("<tr><td>NASClassifier</td>") == 2


def test_what_is_no_estimator_of_ours_is_told_of(searched, tmp_path):
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), searched)
    for write in (report, lambda e, **k: model_card(e, tmp_path / "card", **k)):
        with pytest.raises(TypeError, match=r"pipeline\[-1\]"):
            write(pipeline)
        with pytest.raises(TypeError, match="baselines must be"):
            write(searched, X=X, y=y, baselines=[searched])
    assert not (tmp_path / "card").exists()


def test_a_second_fit_by_warm_start_is_told_of(quicker):
    X, y = load_iris(return_X_y=True)
    clf = NASClassifier(**quicker, warm_start=True).fit(X, y).fit(X, y)
    clf.set_params(search_space=TabularSpace(depths=(1,), widths=(16,))).fit(X, y)
    page = html.unescape(report(clf))
    assert "kept from an earlier fit" in page
    code = re.search(r"<pre>(.*?)</pre>", page, flags=re.DOTALL).group(1)
    namespace = {}
    exec(code, namespace)
    namespace["again"].fit(X, y)


def test_an_unfitted_estimator_has_nothing_to_tell(tmp_path):
    with pytest.raises(ValueError, match="not fitted"):
        report(NASRegressor())
    with pytest.raises(ValueError, match="not fitted"):
        model_card(NASRegressor(), tmp_path)


def test_what_is_missing_is_named(searched, tmp_path):
    joblib.dump(searched, tmp_path / "model.joblib")
    code = (
        "import sys\n"
        "sys.modules['jinja2'] = sys.modules['skops'] = None\n"
        "import joblib; from sknas import export\n"
        f"clf = joblib.load({str(tmp_path / 'model.joblib')!r})\n"
        "for write in (export.report, export.model_card):\n"
        "    try:\n"
        f"        write(clf, {str(tmp_path / 'out')!r})\n"
        "    except ImportError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "sknas[report]" in done.stdout, done.stderr
    assert "sknas[card]" in done.stdout


OWN = {"sknas.estimators._classifier.NASClassifier"}
OWN |= {"sknas.estimators._regressor.NASRegressor"}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "language"])
def test_skops_trusts_our_own_class_alone(name, estimators, tmp_path):
    estimator, X = estimators[name]
    file = tmp_path / "model.skops"
    skops.io.dump(estimator, file)
    unknown = set(skops.io.get_untrusted_types(file=file))
    assert len(unknown) == 1 and unknown <= OWN
    loaded = skops.io.load(file, trusted=sorted(unknown))
    assert repr(loaded) == repr(estimator)
    assert loaded.architecture == estimator.architecture
    np.testing.assert_array_equal(loaded.predict(X), estimator.predict(X))
