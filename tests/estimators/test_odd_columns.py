"""Columns of every kind are read as what they are, or refused by name."""

import enum
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from skorch.callbacks import Callback
from small_tables import learnable

from sknas import NASClassifier, NASRegressor, TabularSpace

X, y = learnable(120)


class Colour(str, enum.Enum):  # noqa: UP042, for such is what is tested
    RED = "red"
    BLUE = "blue"


@pytest.fixture
def expected(quick):
    return NASClassifier(**quick).fit(X, y).predict_proba(X)


@pytest.mark.parametrize("dtype", [pd.SparseDtype(float, 0.0), np.longdouble])
def test_rare_types_of_numbers_are_numbers(quick, expected, dtype):
    frame = pd.DataFrame(X, columns=list("abc")).astype(dtype)
    clf = NASClassifier(**quick).fit(frame, y)
    assert clf.data_spec_.category_sizes == ()
    np.testing.assert_allclose(clf.predict_proba(frame), expected, atol=1e-6)


def test_numbers_of_several_types_are_read_the_same_in_one_piece_and_by_column(quick):
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1].astype(np.float32)})
    frame["c"] = np.round(X[:, 2] * 10).astype(np.int16)
    frame["d"] = (np.arange(120) % 7).astype(np.uint64) + np.uint64(2**63)
    frame.loc[::9, "a"] = np.nan
    clf = NASClassifier(**quick).fit(frame, y)
    by_column = pl.DataFrame({name: frame[name].to_numpy() for name in frame})
    np.testing.assert_array_equal(
        clf.predict_proba(frame), clf.predict_proba(by_column)
    )


def test_periods_are_refused_by_name(quick):
    months = pd.period_range("2020-01", periods=120, freq="M")
    for column in (months, months.astype(object)):
        frame = pd.DataFrame({"a": X[:, 0], "month": column})
        with pytest.raises(TypeError, match="'month'.*times into numbers"):
            NASClassifier(**quick).fit(frame, y)


def test_complex_objects_are_refused_by_name(quick):
    frame = pd.DataFrame({"a": X[:, 0], "wave": list(X[:, 1] * 1j)}, dtype=object)
    with pytest.raises(ValueError, match="Complex data not supported: column 'wave'"):
        NASClassifier(**quick).fit(frame, y)


def test_tables_of_arrow(quick):
    pa = pytest.importorskip("pyarrow")
    letters = np.array(["x", "y", "z"])[np.arange(120) % 3]
    frame = pd.DataFrame({"a": X[:, 0], "b": letters, "c": X[:, 1] > 0})
    expected = NASClassifier(**quick).fit(frame, y).predict_proba(frame)
    table = pa.table({name: pa.array(frame[name]) for name in frame})
    clf = NASClassifier(**quick).fit(table, y)
    np.testing.assert_array_equal(clf.predict_proba(table), expected)


def test_columns_of_the_same_name_in_a_table_of_arrow_are_told(quick):
    pa = pytest.importorskip("pyarrow")
    twice = pa.Table.from_arrays([pa.array(X[:, 0])] * 2, names=["a", "a"])
    with pytest.raises(ValueError, match=r"columns of the same name, \['a'\]"):
        NASClassifier(**quick).fit(twice, y)


@pytest.mark.parametrize("when", ["fit", "predict"])
def test_columns_of_the_same_name_are_told(quick, when):
    twice = pd.DataFrame(X, columns=["a", "a", "b"])
    with pytest.raises(ValueError, match=r"columns of the same name, \['a'\]"):
        if when == "fit":
            NASClassifier(**quick).fit(twice, y)
        else:
            NASClassifier(**quick).fit(X, y).predict(twice)


@pytest.mark.parametrize(
    ("one", "same"),
    [
        (Decimal("1.0"), 1.0),
        (Colour.RED, "red"),
        (True, 1),
        (Decimal("nan"), None),
        (Decimal(2**60 + 1), 2**60 + 1),
    ],
)
def test_equal_labels_are_one_category_whatever_came_first(quick, one, same):
    column = np.array([one, "other"] * 60, dtype=object)[:, None]
    clf = NASClassifier(**quick).fit(column, np.arange(120) % 2)
    codes = [
        clf.encode(np.array([[a], [b]], dtype=object))["categorical"][:, 0].tolist()
        for a, b in ((one, same), (same, one))
    ]
    alone = clf.encode(np.array([[same]], dtype=object))["categorical"].item()
    assert codes == [[alone, alone]] * 2
    assert alone < clf.data_spec_.category_sizes[0]


@pytest.mark.parametrize(
    "labels",
    [
        pd.Series([pd.NA, "a", "b"] * 40, dtype="string"),
        pd.Series([pd.NaT, pd.Timestamp("2020"), pd.Timestamp("2021")] * 40),
        np.array(["NaT", "2020", "2021"] * 40, dtype="datetime64[ns]"),
    ],
)
def test_missing_labels_are_told(quick, labels):
    with pytest.raises(ValueError, match="missing labels"):
        NASClassifier(**quick).fit(X, labels)


DEFAULT = TabularSpace().default_architecture()


class TestDesigns:
    """Tables of a few rows, each many times."""

    cells = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])

    @pytest.mark.parametrize("seed", [0, 1])
    def test_a_truth_table(self, seed):
        rows, labels = np.tile(self.cells, (100, 1)), np.tile([0, 1, 1, 0], 100)
        clf = NASClassifier(search_epochs=2, n_candidates=1, random_state=seed)
        assert clf.fit(rows, labels).predict(self.cells).tolist() == [0, 1, 1, 0]

    def test_shares(self):
        rows = np.repeat([[0.0], [1.0]], 1000, axis=0)
        labels = np.r_[np.tile([0, 0, 0, 1], 250), np.tile([0, 1, 1, 1], 250)]
        clf = NASClassifier(search_epochs=2, n_candidates=1, random_state=0)
        probability = clf.fit(rows, labels).predict_proba([[0.0], [1.0]])[:, 1]
        np.testing.assert_allclose(probability, [0.25, 0.75], atol=0.05)

    def test_shares_of_two_columns(self):
        rng = np.random.RandomState(0)
        cells = np.stack(np.meshgrid(range(4), range(3)), axis=-1).reshape(-1, 2)
        shares = rng.permutation(np.linspace(0.04, 0.96, 12))
        rows = rng.permutation(np.repeat(np.arange(12), [30, 300] * 6))
        labels = rng.rand(len(rows)) < shares[rows]
        few = {"ensemble_size": 2, "max_epochs": 50, "random_state": 0}
        clf = NASClassifier(architecture=DEFAULT, **few).fit(cells[rows], labels)
        seen = np.bincount(rows, labels) / np.bincount(rows)
        error = abs(clf.predict_proba(cells)[:, 1] - seen)
        assert error[1::2].max() < 0.08  # of those that came 300 times
        assert error.mean() < 0.08

    def test_numbers_of_categories(self):
        frame = pl.DataFrame({"s": np.repeat(["a", "b", "c"], 200)})
        reg = NASRegressor(search_epochs=2, n_candidates=1, random_state=0)
        reg.fit(frame, np.repeat([1.0, 5.0, 9.0], 200))
        np.testing.assert_allclose(reg.predict(frame[::200]), [1, 5, 9], atol=0.4)

    def test_an_epoch_has_as_many_steps_as_one_of_distinct_rows(self, quick):
        class Steps(Callback):
            def on_train_end(self, net, **kwargs):
                n_steps.append(len(net.history[-1, "batches", :, "train_loss"]))

        rng = np.random.RandomState(0)
        rows = rng.randint(0, 10, (400, 1)).astype(float)
        labels = rows[:, 0] > 4
        medians = []
        for table in (rows, rows + rng.rand(400, 1)):
            n_steps = []
            clf = NASClassifier(architecture=DEFAULT, callbacks=[Steps()], **quick)
            clf.fit(table, labels)
            medians.append(np.median(n_steps))
        assert 0.75 < medians[0] / medians[1] < 1.34

    def test_rows_of_which_all_weigh_ten_are_held_back_whole(self, quick):
        one, ten = (
            NASClassifier(**quick).fit(X, y, sample_weight=np.full(120, weight))
            for weight in (1.0, 10.0)
        )
        np.testing.assert_array_equal(one.predict_proba(X), ten.predict_proba(X))

    def test_a_design_of_which_all_cells_came_ten_times_is_one_of_each_once(
        self, quick
    ):
        cells = np.stack(np.meshgrid(range(6), range(5)), axis=-1).reshape(-1, 2)
        labels = cells.sum(axis=1) % 2
        one, ten = (
            NASClassifier(**quick).fit(cells, labels, sample_weight=np.full(30, weight))
            for weight in (1.0, 10.0)
        )
        np.testing.assert_array_equal(
            one.predict_proba(cells), ten.predict_proba(cells)
        )


class TestHugeWeights:
    def test_they_are_exact_multiplicities(self, quick):
        rng = np.random.RandomState(0)
        weight = 2.0 ** rng.randint(48, 52, size=120)
        once = NASClassifier(**quick).fit(X, y, 2 * weight)
        twice = NASClassifier(**quick).fit(np.tile(X, (2, 1)), [*y, *y], [*weight] * 2)
        np.testing.assert_array_equal(once.predict_proba(X), twice.predict_proba(X))

    def test_they_are_scaled(self, quick):
        rows, labels = np.repeat(X[:2], 2500, axis=0), np.repeat([0, 1], 2500)
        one, many = (
            NASClassifier(**quick)
            .fit(rows, labels, sample_weight=np.full(5000, weight))
            .predict_proba(X)
            for weight in (2.0**40, 1e20)
        )
        np.testing.assert_allclose(one, many, atol=1e-5)

    def test_class_weights_that_overflow_are_refused(self, quick):
        with pytest.raises(ValueError, match="'class_weight'.*too large"):
            NASClassifier(**quick, class_weight={0: 1e308, 1: 1e308}).fit(X, y)


@pytest.mark.parametrize("value", [1e-9, 0.005])
def test_parts_too_small_to_judge_by_are_refused(quick, value):
    with pytest.raises(ValueError, match="validation_fraction"):
        NASClassifier(**quick, validation_fraction=value).fit(X, y)
