"""What is odd, yet can be learnt from, is."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import balanced_accuracy_score, log_loss
from small_tables import learnable, refuses

from sknas import NASClassifier


@pytest.fixture
def quick(quick):
    """Without a race of candidates, which no odd table makes another one."""
    return quick | {"n_candidates": 1}


@pytest.mark.parametrize("n_rows", [2, 3, 5])
@pytest.mark.parametrize("early_stopping", [True, False])
def test_a_handful_of_rows(quick, n_rows, early_stopping):
    X, _ = learnable(n_rows)
    y = np.arange(n_rows) % 2
    model = NASClassifier(**quick, early_stopping=early_stopping).fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all()


def test_as_many_classes_as_rows(quick):
    X, _ = learnable(6)
    model = NASClassifier(**quick).fit(X, np.arange(6))
    assert model.predict_proba(X).shape == (6, 6)


def test_the_same_row_again_and_again_with_other_labels(quick):
    X, y = np.ones((50, 2)), np.arange(50) % 5 == 0
    # an epoch has one step
    model = NASClassifier(**quick | {"max_epochs": 60}, early_stopping=False).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], 0.2, atol=0.05)


def test_a_class_with_a_single_row(quick):
    X, y = learnable()
    y[0] = 7
    model = NASClassifier(**quick).fit(X, y)
    assert list(model.classes_) == [0, 1, 7]
    assert model.score(X, y) > 0.8


def test_a_batch_of_one_row_and_more_groups_than_rows(quick):
    X, _ = learnable(9)
    y = np.arange(9) % 2
    for batch_size in (1, 3, 8):
        NASClassifier(**quick, batch_size=batch_size).fit(X, y).predict(X)


@pytest.mark.parametrize("value", [np.nan, 0.0, -3e5])
def test_a_column_that_says_nothing(quick, value):
    X, y = learnable()
    X[:, 1] = value
    assert NASClassifier(**quick).fit(X, y).score(X, y) > 0.8


@pytest.mark.parametrize("value", [np.nan, 1.0])
def test_a_table_that_says_nothing(quick, value):
    X, y = np.full((60, 2), value), np.arange(60) % 3 > 0
    model = NASClassifier(**quick).fit(X, y)
    probability = model.predict_proba(X)
    assert np.isfinite(probability).all()
    assert (probability == probability[0]).all()


def test_a_column_of_strings_that_are_all_missing(quick):
    X, y = learnable(100)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    for empty in (
        pd.Series([None] * 100, dtype=object),
        pd.Series([None] * 100, dtype="string"),
        pd.Series([None] * 100, dtype="category"),
        pd.Series([pd.NA] * 100, dtype="Int64"),
        pd.Series([pd.NA] * 100, dtype="boolean"),
    ):
        model = NASClassifier(**quick).fit(frame.assign(empty=empty), y)
        assert model.score(frame.assign(empty=empty), y) > 0.8


@pytest.mark.parametrize("n_missing", [20, 100, 190])
def test_missing_values_carry_information(quick, n_missing):
    X, _ = learnable()
    X[:n_missing, 1] = np.nan
    y = np.isnan(X[:, 1])
    quick |= {"max_epochs": 16}
    assert NASClassifier(**quick).fit(X, y).score(X, y) > 0.95


def test_more_columns_than_rows(quick):
    X = np.random.RandomState(0).normal(size=(40, 3000))
    y = (X[:, :300].mean(axis=1) > 0).astype(int)
    model = NASClassifier(**quick).fit(X, y)
    assert model.score(X, y) > 0.5


@pytest.mark.parametrize("scale", [1e300, 1e150, 1e39, 1e-39, 1e-150, 1e-300])
@pytest.mark.parametrize("frame", [False, True])
def test_extreme_scales_are_learnt(quick, scale, frame):
    X, y = learnable()
    X *= scale
    if frame:
        X = pd.DataFrame(X, columns=list("abc"))
    assert NASClassifier(**quick).fit(X, y).score(X, y) > 0.8


@pytest.mark.parametrize("scale", [1e38, 1e30, 1e-30, 1e-37])
def test_extreme_scales_of_single_precision_are_learnt(quick, scale):
    X, y = learnable()
    X = (X * scale).astype(np.float32)
    assert NASClassifier(**quick).fit(X, y).score(X, y) > 0.8


@pytest.mark.parametrize("offset", [1e9, -1e12, 1e15])
def test_a_huge_offset_is_learnt(quick, offset):
    X, y = learnable()
    X = X * 10 + offset
    assert NASClassifier(**quick).fit(X, y).score(X, y) > 0.8


def test_a_huge_offset_of_whole_numbers_is_learnt(quick):
    X, y = learnable()
    X = (X * 100).astype(np.int64) + 2**50
    assert NASClassifier(**quick).fit(X, y).score(X, y) > 0.8
    frame = pd.DataFrame(X, columns=list("abc"))
    assert NASClassifier(**quick).fit(frame, y).score(frame, y) > 0.8


def test_a_few_huge_outliers_do_no_harm(quick):
    X, y = learnable()
    X[:3] = 1e300, -1e200, 1e25
    assert NASClassifier(**quick).fit(X, y).score(X, y) > 0.8


def test_a_column_that_is_almost_always_zero(quick):
    X, y = learnable()
    X[:, 0] = np.where(np.arange(200) % 10 == 0, 1e-5, 0.0)
    y = (X[:, 0] > 0).astype(int)
    quick |= {"max_epochs": 16}
    assert NASClassifier(**quick).fit(X, y).score(X, y) > 0.95


def test_very_many_categories():
    X, y = learnable(200_000, 1)
    frame = pd.DataFrame({"x": X[:, 0], "id": [f"row {i}" for i in range(len(y))]})
    model = NASClassifier(
        batch_size=4096,
        max_epochs=1,
        search_epochs=1,
        n_candidates=1,
        ensemble_size=1,
        random_state=0,
    )
    model.fit(frame, y)
    assert model.score(frame, y) > 0.8


def titanic():
    """Make a table with 16 distinct rows, each with both labels, and their chances."""
    rng = np.random.RandomState(0)
    n_rows = 2000
    place, sex = rng.choice(4, n_rows), rng.choice(2, n_rows, p=[0.8, 0.2])
    chance = np.array([[0.3, 0.15, 0.2, 0.2], [0.97, 0.88, 0.46, 0.87]])[sex, place]
    X = pd.DataFrame(
        {
            "place": np.array(["1st", "2nd", "3rd", "crew"])[place],
            "sex": np.array(["male", "female"])[sex],
            "age": rng.choice(["child", "adult"], n_rows, p=[0.05, 0.95]),
        }
    )
    return X, rng.rand(n_rows) < chance, chance


@pytest.mark.parametrize("weights", ["none", "whole", "halves", "all kinds"])
def test_few_distinct_rows_with_noisy_labels_are_learnt(weights):
    X, y, chance = titanic()
    rng = np.random.RandomState(1)
    weight = {
        "none": None,
        "whole": rng.randint(1, 4, len(y)),
        "halves": np.full(len(y), 0.5),
        "all kinds": 0.5 + rng.rand(len(y)),
    }[weights]
    model = NASClassifier(ensemble_size=2, search_epochs=5, random_state=0)
    model.fit(X, y, sample_weight=weight)
    reached = log_loss(y, model.predict_proba(X), sample_weight=weight)
    assert reached < log_loss(y, chance, sample_weight=weight) + 0.03


def test_rows_that_come_again_with_noisy_labels_are_learnt():
    # 324 cells with about 25 rows of both labels in each
    rng = np.random.RandomState(0)
    row, column = rng.choice(18, (2, 8000))
    chance = expit(2 * rng.normal(size=(18, 18)))[row, column]
    y = rng.rand(8000) < chance
    X = pd.DataFrame(
        {
            "row": [f"row {i}" for i in row],
            "column": [f"column {i}" for i in column],
        }
    )
    model = NASClassifier(
        ensemble_size=1, search_epochs=3, n_candidates=1, random_state=0
    ).fit(X, y)
    assert log_loss(y, model.predict_proba(X)) < log_loss(y, chance) + 0.05


@pytest.mark.parametrize("n_single", [1, 2, 3, 4])
def test_a_few_single_rows_among_many_copies(quick, n_single):
    X = np.repeat([[0.0], [1.0], [2.0]], 50, axis=0)
    y = np.repeat([0, 1, 2], 50)
    single = 7.0 + np.arange(n_single)[:, None]
    X, y = np.concatenate([X, single]), np.concatenate([y, np.arange(n_single) % 3])
    model = NASClassifier(**quick | {"max_epochs": 100}).fit(X, y)
    assert model.score(X[3:150], y[3:150]) > 0.9


@pytest.mark.parametrize("n_levels", [2, 4, 20])
def test_a_single_column_of_categories_is_learnt(n_levels):
    rng = np.random.RandomState(0)
    level = rng.choice(n_levels, 1000)
    y = level % 2
    X = pd.DataFrame({"level": np.array([f"level {i}" for i in range(20)])[level]})
    model = NASClassifier(ensemble_size=1, search_epochs=3, random_state=0)
    assert model.fit(X, y).score(X, y) > 0.95


def test_columns_of_objects_of_all_kinds(quick):
    X, y = learnable()
    values = [1, "one", 2.5, None, True, b"bytes", (1, 2), np.nan, "", pd.NaT, pd.NA]
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame["odd"] = pd.Series((values * 20)[:200], dtype=object)
    assert NASClassifier(**quick).fit(frame, y).score(frame, y) > 0.8
    array = frame.to_numpy(dtype=object)
    assert NASClassifier(**quick).fit(array, y).score(array, y) > 0.8


def test_numbers_among_many_missing_objects_are_numbers(quick):
    X, y = learnable()
    column = pd.Series([None] * 150 + X[150:, 0].tolist(), dtype=object)
    model = NASClassifier(**quick).fit(pd.DataFrame({"late": column}), y)
    encoded = model.encode(pd.DataFrame({"late": column}))
    assert encoded["categorical"].shape == (200, 0)
    assert encoded["numeric"].shape == (200, 2)  # with an indicator of missing values


def test_empty_strings_are_a_category_and_not_missing(quick):
    text = np.array(["", "a"] * 100, dtype=object)
    text[::10] = None
    y = [0 if t == "" else 1 if t == "a" else 2 for t in text]
    frame = pd.DataFrame({"text": text})
    quick |= {"max_epochs": 100, "early_stopping": False}
    assert NASClassifier(**quick).fit(frame, y).score(frame, y) == 1


def test_strings_that_look_like_what_stands_for_missing(quick):
    X, y = learnable()
    frame = pd.DataFrame({"a": X[:, 0], "text": ["\0missing", "nan", None, "-1"] * 50})
    model = NASClassifier(**quick).fit(frame, y)
    assert model.score(frame, y) > 0.8


def test_numbers_written_as_strings_in_an_array_are_numbers(quick):
    X, y = learnable()
    model = NASClassifier(**quick).fit(X.astype(str), y)
    assert model.score(X.astype(str), y) > 0.8
    assert model.encode(X.astype(str))["numeric"].shape == (200, 3)


def test_decimals_are_numbers(quick):
    X, y = learnable(200, 1)
    decimals = [Decimal(str(value)) for value in X[:, 0]]
    frame = pd.DataFrame({"price": decimals})
    assert NASClassifier(**quick).fit(frame, y).score(frame, y) > 0.8


def test_integers_beyond_all_floats_are_refused_and_their_column_named(quick):
    X, y = learnable()
    X = X.astype(object)
    X[0, 1] = 10**400
    refuses(quick, X, y, ValueError, "column 1")


@pytest.mark.parametrize(
    "scoring", ["neg_log_loss", "roc_auc_ovr", "balanced_accuracy", "f1_macro"]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_classes_that_the_held_back_rows_lack_are_no_trouble_for_a_scorer(
    quick, scoring
):
    X, _ = learnable(30)
    y = np.array([0] * 24 + [1] * 4 + [2] * 2)
    assert NASClassifier(**quick, scoring=scoring).fit(X, y).score(X, y) > 0.5


@pytest.mark.parametrize("odd", ["wild", "dust"])
def test_numbers_are_learnt_where_most_are_zero(quick, odd):
    rng = np.random.RandomState(0)
    column = np.where(rng.rand(2500) < 0.8, 0.0, rng.exponential(10, 2500))
    y = (column > 7).astype(int)
    if odd == "wild":
        column[0] = 1e9
    else:  # sums that ought to be zero
        column[column == 0] = 1e-16 * rng.normal(size=2500)[column == 0]
    X = np.stack([column, rng.normal(size=2500)], axis=1)
    model = NASClassifier(**quick | {"max_epochs": 20}).fit(X[:1500], y[:1500])
    assert balanced_accuracy_score(y[1500:], model.predict(X[1500:])) > 0.95


def test_levels_that_are_not_rare_are_told_apart(quick):
    rng = np.random.RandomState(0)
    level = rng.permutation(np.arange(300).repeat(8))
    X = pd.DataFrame({"level": [f"level {i}" for i in level]})
    y = rng.randint(0, 2, 300)[level]
    model = NASClassifier(**quick | {"max_epochs": 20}).fit(X, y)
    assert model.score(X, y) > 0.95
