import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import check_is_fitted

from sknas import NASClassifier


@pytest.mark.parametrize("table", ["mixed", "digits"])
def test_probabilities_and_labels_agree(request, table):
    model = request.getfixturevalue(f"fitted_{table}")
    X = request.getfixturevalue(table)[0]
    probability = model.predict_proba(X)
    assert probability.dtype == np.float64
    assert probability.shape == (len(X), len(model.classes_))
    assert (probability >= 0).all() and (probability <= 1).all()
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(
        model.predict(X), model.classes_[probability.argmax(axis=1)]
    )
    log_probability = model.predict_log_proba(X)
    np.testing.assert_allclose(log_probability, np.log(probability), atol=1e-12)


def test_it_learns_what_digits_look_like(fitted_digits, digits):
    _, X, _, y = digits
    assert fitted_digits.score(X, y) > 0.85
    assert fitted_digits.score(X, y) == accuracy_score(y, fitted_digits.predict(X))


def test_the_callers_precision_does_not_matter(fitted_digits, digits):
    X = digits[1]
    expected = fitted_digits.predict_proba(X)
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(fitted_digits.predict_proba(X), expected)


def test_a_row_alone_is_predicted_as_among_others(fitted_digits, digits):
    X = digits[1]
    together = fitted_digits.predict_proba(X)
    alone = np.concatenate([fitted_digits.predict_proba(row[None]) for row in X[:50]])
    np.testing.assert_allclose(alone, together[:50], atol=1e-6)


def test_a_row_of_a_mixed_table_alone_is_predicted_as_among_others(fitted_mixed, mixed):
    X, _ = mixed
    together = fitted_mixed.predict_proba(X)
    for i in (0, 7, 31):
        alone = fitted_mixed.predict_proba(X.iloc[[i]])
        np.testing.assert_allclose(alone[0], together[i], atol=1e-6)


def test_large_batches_are_predicted_as_small_ones(fitted_digits, digits):
    X = digits[1]
    large = fitted_digits.predict_proba(np.tile(X, (20, 1)))
    assert len(large) == 6000
    np.testing.assert_allclose(
        large, np.tile(fitted_digits.predict_proba(X), (20, 1)), atol=1e-6
    )


def test_predictions_do_not_depend_on_the_order_of_rows(fitted_digits, digits):
    X = digits[1]
    order = np.random.RandomState(0).permutation(len(X))
    np.testing.assert_allclose(
        fitted_digits.predict_proba(X[order]),
        fitted_digits.predict_proba(X)[order],
        atol=1e-6,
    )


def test_predicting_twice_gives_the_same_bits_and_changes_nothing(
    fitted_digits, digits
):
    X = digits[1]
    before = dict(vars(fitted_digits))
    np.testing.assert_array_equal(
        fitted_digits.predict_proba(X), fitted_digits.predict_proba(X)
    )
    assert vars(fitted_digits).keys() == before.keys()
    assert all(vars(fitted_digits)[name] is before[name] for name in before)


def test_the_ensemble_is_the_weighted_mean_of_its_networks(fitted_digits, digits):
    import torch

    X = digits[1]
    inputs = {k: torch.from_numpy(v) for k, v in fitted_digits.encode(X).items()}
    parts = []
    for network in fitted_digits.networks_:
        assert not network.training
        logits = network(**inputs).double()
        probability = logits.softmax(dim=-1)
        joint = probability.mean(dim=0) if logits.ndim == 3 else probability
        parts.append(joint.numpy())
    np.testing.assert_allclose(
        np.average(parts, axis=0, weights=fitted_digits.ensemble_weights_),
        fitted_digits.predict_proba(X),
        atol=1e-6,
    )


@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "predict_log_proba", "encode"]
)
def test_an_unfitted_classifier_says_so(method, digits):
    model = NASClassifier()
    with pytest.raises(NotFittedError, match="NASClassifier"):
        getattr(model, method)(digits[0])
    with pytest.raises(NotFittedError):
        model.score(digits[0], digits[2])
    with pytest.raises(NotFittedError):
        check_is_fitted(model)


def test_an_unfitted_classifier_says_so_even_of_nonsense():
    with pytest.raises(NotFittedError):
        NASClassifier().predict("nonsense")


def test_fit_returns_the_classifier_itself(digits, quick):
    X, _, y, _ = digits
    model = NASClassifier(**quick | {"max_epochs": 1, "search_epochs": 1})
    assert model.fit(X, y) is model


def test_a_fitted_classifier_shows_itself(fitted_mixed):
    html = fitted_mixed._repr_html_()
    assert "architecture_" in html
    assert "random_state=0" in repr(fitted_mixed)
    assert "width_1" in str(fitted_mixed.architecture_)
