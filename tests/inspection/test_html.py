import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_html_repr

from sknas import ENAS, ConvMicroSpace, NASClassifier, NASRegressor

HOSTILE = "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'


def test_an_unfitted_estimator_is_a_box_of_scikit_learn():
    html = estimator_html_repr(NASClassifier(strategy=ENAS()))
    assert "NASClassifier" in html and "Decisions" not in html
    assert estimator_html_repr(NASRegressor()).count("sk-estimator ") >= 1


def test_a_fitted_one_shows_its_network(fitted_digits):
    html = fitted_digits._repr_html_()
    for name, option in fitted_digits.architecture_.items():
        assert f'<td class="param">{name}</td><td class="value">{option}</td>' in html
    width = fitted_digits.architecture_["width_1"]
    activation = fitted_digits.architecture_["activation_1"]
    assert f"{width} {activation}" in html
    assert "<details>" in html and "sk-toggleable" in html


def test_in_a_pipeline_too(quicker, digits):
    X, _, y, _ = digits
    pipe = make_pipeline(FunctionTransformer(), NASClassifier(**quicker)).fit(X, y)
    assert "Decisions" in pipe._repr_html_()


def test_branches_stand_side_by_side(quicker):
    from sklearn.datasets import load_digits

    digits = load_digits()
    space = ConvMicroSpace(n_cells=1, n_filters=4, n_nodes=1)
    clf = NASClassifier(space, **quicker).fit(digits.images[:60], digits.target[:60])
    html = clf._repr_html_()
    assert "reduction cell" in html and "stem" in html


@pytest.mark.parametrize("where", ["columns", "labels", "categories"])
def test_hostile_names_are_harmless(where, quicker):
    rng = np.random.RandomState(0)
    names = HOSTILE if where == "columns" else ("a", "b")
    X = pd.DataFrame(rng.normal(size=(60, 2)), columns=names)
    if where == "categories":
        X["b"] = rng.choice(HOSTILE, 60)
    y = rng.choice(HOSTILE if where == "labels" else ("yes", "no"), 60)
    pipe = make_pipeline(FunctionTransformer(), NASClassifier(**quicker)).fit(X, y)
    for html in (pipe._repr_html_(), pipe[-1]._repr_html_()):
        assert "<script>alert" not in html and "<img" not in html
