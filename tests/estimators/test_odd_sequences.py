"""What is odd about images, series and texts, yet can be learnt from, is."""

import numpy as np
import pytest
from torch import nn

from sknas import (
    ConvMacroSpace,
    ConvMicroSpace,
    Decision,
    Decisions,
    NASClassifier,
    NASRegressor,
    RecurrentSpace,
    SearchSpace,
    SequenceSpace,
)
from sknas.preprocessing import TokenIds

CONV = ConvMacroSpace(n_layers=2, n_filters=4)
RECURRENT = RecurrentSpace(n_nodes=2, hidden_size=8)
SPACES = {
    "macro": CONV,
    "micro": ConvMicroSpace(n_cells=1, n_filters=4, n_nodes=2),
    "recurrent": RECURRENT,
    "sequence": SequenceSpace(CONV, RECURRENT),
}
each_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)


def waves(n_rows=80, n_steps=20):
    """Waves, fast or slow."""
    rng = np.random.RandomState(0)
    y = np.arange(n_rows) % 2
    frequency = np.where(y, 1.2, 0.5)[:, None]
    X = np.sin(6 * rng.rand(n_rows, 1) + frequency * np.arange(n_steps))
    return X[:, :, None], y


def bars(n_rows=60):
    """Images of 9 x 7 pixels with a bar that stands or lies."""
    rng = np.random.RandomState(0)
    X = rng.rand(n_rows, 1, 9, 7)
    y = np.arange(n_rows) % 2
    X[y == 0, :, 4] += 2
    X[y == 1, :, :, 3] += 2
    return X, y


class TestLengths:
    @each_space
    def test_what_a_series_gets_does_not_depend_on_longer_ones(self, space, quick):
        X, y = waves()
        reg = NASRegressor(space, **quick).fit(X, 100 * X[:, 0, 0])
        expected = reg.predict(X)
        longer = np.pad(X, ((0, 0), (0, 9), (0, 0)), constant_values=np.nan)
        np.testing.assert_array_equal(reg.predict(longer), expected)
        longer[::7, 20:26] = 0.5
        beside = reg.predict(longer)
        is_short = np.arange(len(X)) % 7 > 0
        np.testing.assert_array_equal(beside[is_short], expected[is_short])
        alone = [reg.predict(longer[i : i + 1, :26])[0] for i in range(0, len(X), 7)]
        np.testing.assert_array_equal(beside[~is_short], alone)


class TestScale:
    @pytest.mark.parametrize("offset", [1e8, -3e12])
    def test_series_far_from_zero(self, offset, quick):
        X, y = waves()
        two = np.concatenate([X + offset, X[:, ::-1]], axis=2)
        quick |= {"max_epochs": 15}
        clf = NASClassifier(CONV, **quick).fit(two, y)
        assert clf.score(two, y) > 0.9
        assert clf.data_spec_.kind == "series"

    def test_images_far_from_zero(self, quick):
        X, y = bars()
        quick |= {"max_epochs": 15}
        assert NASClassifier(CONV, **quick).fit(X + 1e9, y).score(X + 1e9, y) > 0.9

    @pytest.mark.parametrize("kind", [waves, bars])
    def test_rows_without_weight_change_no_offset(self, kind, quick):
        X, y = kind()
        X = X + 1e8
        expected = NASClassifier(CONV, **quick).fit(X, y).predict_proba(X)
        more = np.concatenate([X, np.zeros_like(X[:1])])
        labels, weight = np.append(y, 0), np.append(np.ones(len(y)), 0)
        clf = NASClassifier(CONV, **quick).fit(more, labels, sample_weight=weight)
        np.testing.assert_array_equal(clf.predict_proba(X), expected)
        twice = np.repeat(X, 2, axis=0), np.repeat(y, 2)
        clf = NASClassifier(CONV, **quick).fit(*twice)
        double = NASClassifier(CONV, **quick).fit(X, y, np.full(len(y), 2.0))
        np.testing.assert_array_equal(clf.predict_proba(X), double.predict_proba(X))

    @pytest.mark.parametrize("kind", [waves, bars])
    def test_wild_values_leave_the_others_their_spread(self, kind, quick):
        X, y = kind()
        wild = X.copy()
        wild.reshape(len(X), -1)[::9, 3] = 1e12
        quick |= {"max_epochs": 15}
        clf = NASClassifier(CONV, **quick).fit(wild, y)
        assert clf.score(X, y) > 0.9
        assert clf.score(wild, y) > 0.8

    @pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64, np.float64])
    def test_whole_numbers_far_from_zero(self, dtype, quick):
        X, y = waves()
        X = (1_700_000_000 + 30 * X).astype(dtype)
        clf = NASClassifier(CONV, **quick).fit(X, y)
        assert len(np.unique(clf.encode(X)["image"])) > 50
        assert abs(clf.encode(X)["image"]).max() <= 60

    def test_whole_pixels_among_others_that_are_far_from_zero(self, quick):
        rng = np.random.RandomState(0)
        X = 200 + 0.01 * rng.rand(60, 6, 6)
        clf = NASClassifier(CONV, **quick).fit(X, np.arange(60) % 2)
        whole = np.full((1, 6, 6), 200.0)
        beside = clf.predict_proba(np.concatenate([whole, X]))[:1]
        np.testing.assert_array_equal(clf.predict_proba(whole), beside)

    @pytest.mark.parametrize("space", [CONV, RECURRENT], ids=["macro", "recurrent"])
    def test_extremes_at_prediction_only(self, space, quick):
        X, y = waves()
        clf = NASClassifier(space, **quick).fit(X, y)
        extreme = np.concatenate([X[:2] * 3e38, X[:2] * -1e38])
        assert np.isfinite(clf.predict_proba(extreme)).all()

    def test_extreme_pixels_at_prediction_only(self, quick):
        X, y = bars()
        clf = NASClassifier(CONV, **quick).fit(X, y)
        assert np.isfinite(clf.predict_proba(X * 1e38)).all()

    @pytest.mark.filterwarnings("error")
    def test_a_feature_that_is_missing_altogether(self, quick):
        X, y = waves()
        X = np.concatenate([X, np.full_like(X, np.nan)], axis=2)
        clf = NASClassifier(CONV, **quick).fit(X, y)
        assert np.isfinite(clf.predict_proba(X)).all()

    def test_the_users_series_stay_as_they_are(self, quick):
        X, y = waves()
        X = X.astype(np.float32)
        X[::3, 15:] = -np.float32("nan")
        before = X.tobytes()
        NASClassifier(CONV, **quick).fit(X, y).predict(X)
        assert X.tobytes() == before


class TestShapes:
    def test_an_array_of_series(self, quick):
        X, y = waves()
        arrays = np.empty(len(X), dtype=object)
        arrays[:] = list(X)
        expected = NASClassifier(CONV, **quick).fit(X, y).predict_proba(X)
        clf = NASClassifier(CONV, **quick).fit(arrays, y)
        np.testing.assert_array_equal(clf.predict_proba(arrays), expected)

    @pytest.mark.parametrize(
        "shape", [(60, 0, 8, 8), (60, 1, 0, 8), (60, 0, 3), (60, 5, 0)]
    )
    def test_nothing_is_refused(self, shape, quick):
        y = np.arange(60) % 2
        with pytest.raises(ValueError, match=r"shape \(60.*at least 1"):
            NASClassifier(**quick).fit(np.zeros(shape), y)

    def test_series_of_no_steps_are_refused(self, quick):
        X, y = waves()
        clf = NASClassifier(CONV, **quick).fit(X, y)
        with pytest.raises(ValueError, match="at least 1"):
            clf.predict(X[:, :0])


def test_an_augmentation_must_give_a_tensor(quick):
    X, y = bars()
    clf = NASClassifier(CONV, augmentation=(lambda x: x.numpy(),), **quick)
    with pytest.raises(ValueError, match="a ndarray of shape"):
        clf.fit(X, y)


def test_rows_of_another_length_are_refused_in_lists_too(quick):
    ids = np.random.RandomState(0).randint(9, size=(40, 10))
    clf = NASClassifier(CONV, n_tokens=9, **quick).fit(ids, ids[:, 0] > 4)
    for rows in (ids[:, :7], ids[:, :7].tolist()):
        with pytest.raises(ValueError, match="expecting 10"):
            clf.predict(rows)


@pytest.mark.parametrize("ids", [[[1, 10**11]], [[2**62, 3]]])
def test_ids_too_many_to_embed_are_refused(ids, quick):
    with pytest.raises(ValueError, match="too many to embed"):
        NASClassifier(**quick).fit(TokenIds(ids * 40, None), np.arange(40) % 2)


class Means(nn.Module):
    """A linear model of the means of the steps, for one or for all architectures."""

    def __init__(self, spec):
        super().__init__()
        self.linear = nn.Linear(spec.image_shape[0], spec.n_outputs)

    def forward(self, image, architectures=None):
        logits = self.linear(image.nan_to_num().float().mean(dim=-1))
        if architectures is None or logits.ndim == 3:
            return logits
        return logits.expand(len(architectures), -1, -1)


class MeansSpace(SearchSpace):
    name = "means"

    def decisions(self):
        return Decisions(self.name, [Decision("nothing", ("this", "that"))])

    def supernet(self, spec):
        return Means(spec)

    def network(self, architecture, spec):
        return Means(spec)


def test_any_space_is_a_family_of_the_sequence_space(quick):
    X, y = waves()

    class Own(SequenceSpace):
        pass

    space = Own(MeansSpace(), RECURRENT)
    assert type(space.final_space()) is Own
    clf = NASClassifier(space, **quick).fit(X, y)
    families = clf.search_results_["decision_family"]
    assert set(families) <= {"means", "recurrent"}
    assert clf.architectures_[1]["family"] == "means"


def test_what_follows_a_gap_of_a_long_series_counts():
    X, y = waves(40, 16)
    clf = NASClassifier(
        CONV,
        architecture=CONV.default_architecture(),
        max_epochs=1,
        ensemble_size=1,
        random_state=0,
    ).fit(X, y)
    long = np.random.RandomState(0).normal(size=(1, 32, 1))
    long[:, 4:20] = np.nan
    other = long.copy()
    other[:, -4:] += 5
    one, another = clf.predict_proba(long), clf.predict_proba(other)
    assert not np.allclose(one, another, atol=1e-6)
