"""Run ONNX models by onnxruntime, and compare them with the estimators."""

import numpy as np
import pandas as pd
import pytest

onnxruntime = pytest.importorskip("onnxruntime")

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
        missing = X.iloc[:, i].isna().to_numpy()
        values = X.iloc[:, i].to_numpy(dtype=object, copy=True)
        if own.type == "tensor(string)":
            values = np.array([str(value) for value in values], dtype=object)
            values[missing] = ""
        else:
            values[missing] = np.nan
            values = values.astype(TYPES[own.type])
        feeds[own.name] = values.reshape(-1, 1)
    return session.run(None, feeds)


def assert_same_answers(model, estimator, X):
    labels, probability = run(model, X)
    expected = estimator.predict_proba(X)
    assert probability.shape == expected.shape
    np.testing.assert_allclose(probability, expected, atol=1e-5)
    np.testing.assert_array_equal(labels, estimator.predict(X))
