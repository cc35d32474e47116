"""ONNX models, run by onnxruntime, against the estimators and pipelines."""

import numpy as np
import pandas as pd
import pytest
from estimators_of_all_kinds import cases, make_series, make_table
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sknas import NASClassifier, NASRegressor, SearchSpace, TabularSpace
from sknas.export import register_onnx_converters, to_onnx

onnxruntime = pytest.importorskip("onnxruntime")
skl2onnx = pytest.importorskip("skl2onnx")

TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


def run(model, X):
    """Give the outputs of a model; columns of a DataFrame are inputs of their own."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    inputs = session.get_inputs()
    if not isinstance(X, pd.DataFrame):
        return session.run(None, {inputs[0].name: np.asarray(X)})
    feeds = {}
    for i, own in enumerate(inputs):
        column = X.iloc[:, i]
        if own.type == "tensor(string)":
            missing = column.isna().to_numpy()
            values = np.array([str(v) for v in column], dtype=object)
            values[missing] = ""
        else:
            values = column.to_numpy().astype(TYPES[own.type])
        feeds[own.name] = values.reshape(-1, 1)
    return session.run(None, feeds)


def assert_same_answers(model, estimator, X):
    labels, probability = run(model, X)
    expected = estimator.predict_proba(X)
    assert probability.shape == expected.shape
    np.testing.assert_allclose(probability, expected, atol=1e-5)
    np.testing.assert_array_equal(labels, estimator.predict(X))


@pytest.fixture(scope="module")
def fitted():
    """Estimators of all spaces: estimator, rows to answer for."""
    tables = make_table()[0]
    rows = {"mixed": tables, "categories": tables[["rare", "flag"]]}
    estimators = {}
    for name, estimator, X, _ in cases():
        series = name.startswith("series")
        estimators[name] = estimator, make_series()[0] if series else rows.get(name, X)
    return estimators


CLASSIFIERS = [
    "mixed",
    "categories",
    "numbers",
    "macro",
    "micro",
    "series_conv-macro",
    "series_recurrent",
    "text",
    "text_conv",
]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_of_every_space(fitted, name):
    clf, X = fitted[name]
    model = to_onnx(clf, X)
    assert_same_answers(model, clf, X)
    assert_same_answers(model, clf, X[:1])


@pytest.mark.parametrize("name", ["regressor", "targets"])
def test_regressors(fitted, name):
    reg, X = fitted[name]
    (answer,) = run(to_onnx(reg, X), X)
    expected = reg.predict(X)
    np.testing.assert_allclose(answer.reshape(expected.shape), expected, rtol=1e-5)


def test_a_pipeline_with_string_labels(quicker):
    X, y = load_iris(return_X_y=True)
    y = np.array(["setosa", "versicolor", "virginica"])[y]
    pipe = make_pipeline(StandardScaler(), NASClassifier(**quicker)).fit(X, y)
    model = to_onnx(pipe, X.astype(np.float32))
    assert [output.name for output in model.graph.output] == ["label", "probabilities"]
    assert_same_answers(model, pipe, X.astype(np.float32))


def test_a_pipeline_of_columns(quicker):
    X, y = make_table()
    X = X[["size", "count", "rare"]].fillna(0.0).astype({"count": float})
    columns = make_column_transformer(
        (StandardScaler(), ["size", "count"]),
        (OneHotEncoder(sparse_output=False), ["rare"]),
    )
    pipe = make_pipeline(columns, NASClassifier(**quicker)).fit(X, y)
    model = to_onnx(pipe, X, target_opset=18)
    assert_same_answers(model, pipe, X)


def test_numbers_with_missing_values(quicker):
    X, y = load_iris(return_X_y=True)
    X[::4, 1] = np.nan
    clf = NASClassifier(**quicker).fit(X, y)
    assert_same_answers(to_onnx(clf, X), clf, X)


def test_categories_that_are_numbers(quicker):
    rng = np.random.RandomState(0)
    X = pd.DataFrame({"number": rng.normal(size=80), "code": rng.randint(3, size=80)})
    X["code"] = pd.Categorical(X["code"])
    y = (X["number"] + X["code"].astype(int) > 1).to_numpy()
    clf = NASClassifier(**quicker).fit(X, y)
    labels, probability = run(to_onnx(clf, X), X)
    np.testing.assert_allclose(probability, clf.predict_proba(X), atol=1e-5)
    np.testing.assert_array_equal(labels.astype(bool), clf.predict(X))


def test_registered_converters_serve_skl2onnx_itself(fitted):
    register_onnx_converters()
    clf, X = fitted["numbers"]
    model = skl2onnx.to_onnx(clf, X.astype(np.float32))
    labels, maps = run(model, X.astype(np.float32))
    assert set(maps[0]) == set(clf.classes_.tolist())
    expected = clf.predict_proba(X.astype(np.float32))
    given = np.array([[row[c] for c in clf.classes_] for row in maps])
    np.testing.assert_allclose(given, expected, atol=1e-5)


def test_other_estimators_are_converted_as_ever():
    X, y = load_iris(return_X_y=True)
    clf = LogisticRegression(max_iter=500).fit(X, y)
    labels, _ = run(to_onnx(clf, X.astype(np.float32)), X.astype(np.float32))
    np.testing.assert_array_equal(labels, clf.predict(X.astype(np.float32)))


def test_an_old_opset_is_told_of(fitted):
    clf, X = fitted["numbers"]
    with pytest.raises(ValueError, match="target_opset"):
        to_onnx(clf, X, target_opset=15)


def test_labels_that_are_fractions_are_told_of(quicker):
    X, y = load_iris(return_X_y=True)
    clf = NASClassifier(**quicker).fit(X, np.array(["0.5", "1", "2"])[y])
    clf.classes_ = clf.classes_.astype(float)
    with pytest.raises(ValueError, match="fractions"):
        to_onnx(clf, X)


def test_a_space_without_code_is_told_of(quicker):
    class Bare(TabularSpace):
        source = SearchSpace.source

    X, y = load_diabetes(return_X_y=True)
    reg = NASRegressor(Bare(), **quicker).fit(X[:80], y[:80])
    with pytest.raises(NotImplementedError, match="method 'source' of Bare"):
        to_onnx(reg, X)


def test_without_rows_the_inputs_are_not_known(fitted):
    with pytest.raises(ValueError, match="initial_types"):
        to_onnx(fitted["numbers"][0])
