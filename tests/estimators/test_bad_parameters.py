import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EpochTimer

from sknas import ENAS, Architecture, NASClassifier, NASRegressor, TabularSpace

X = np.random.RandomState(0).normal(size=(40, 3))
y = (X[:, 0] > 0).astype(int)

NOT_A_COUNT = [0, -1, 2.0, 1.5, "many", None, True, np.nan, [1], (3,), np.array([1, 2])]
NOT_A_FLAG = [None, 2, "yes", [True], 1.0, np.array([True, False])]

WRONG = {
    "search_space": ["images", None, 3, TabularSpace, ["tabular"], "", np.zeros(2)],
    "strategy": ["enass", None, 3, ENAS, ["enas"], "", np.zeros(2)],
    "architecture": [3, [3], [], "", "{}", b"{}", {"space": "tabular"}, [None], True],
    "search_epochs": NOT_A_COUNT,
    "n_candidates": NOT_A_COUNT,
    "ensemble_size": NOT_A_COUNT,
    "neighbors": NOT_A_FLAG,
    "max_epochs": NOT_A_COUNT,
    "batch_size": NOT_A_COUNT,
    "lr": [0, -1, np.nan, np.inf, "fast", None, True, [0.1], 1j, np.zeros(2)],
    "weight_decay": [-1e-9, np.nan, np.inf, "some", None, True, [0.1], 1j],
    "optimizer": ["adamm", None, 3, "Adam", ["adam"], dict],
    "lr_schedule": ["cosinus", None, 3, ["cosine"], ""],
    "max_gradient_norm": [0, -1, np.nan, np.inf, "some", True, [5]],
    "augmentation": ["flip", 3, ["flipp"], (None,), True, {"flip"}, np.zeros(2)],
    "image_shape": [3, (3, 2), (1, 1, 2.0), "auto", (0, 3, 1), (1, 1, 3, 1), True],
    "validation_fraction": [0, 1, 0.51, -0.1, np.nan, "some", None, True, [0.2]],
    "early_stopping": NOT_A_FLAG,
    "n_iter_no_change": NOT_A_COUNT,
    "n_steps": [v for v in NOT_A_COUNT if v is not None],
    "n_features": [v for v in NOT_A_COUNT if v is not None],
    "n_tokens": [v for v in NOT_A_COUNT if v is not None],
    "scoring": ["acuracy", 3, ["accuracy"], {"a": "accuracy"}, True, b"accuracy"],
    "class_weight": ["balance", 3, [1, 2], {0: "a", 1: 2}, True, {0: -1}, np.ones(2)],
    "time_limit": [0, -1, np.nan, "long", True, [5], np.zeros(2)],
    "checkpoint": [3, True, ["folder"], 1.5, np.zeros(2)],
    "callbacks": [EpochTimer, [EpochTimer], "all", 3, [None], EpochTimer(), {}],
    "verbose": [-1, 1.5, "loud", None, [1], np.zeros(2)],
    "device": ["gpu", "cpuu", None, 3.5, ["cpu"], "", np.zeros(2)],
    "n_jobs": [0, 1.5, "all", True, [2], np.zeros(2)],
    "random_state": ["seed", -1, 1.5, [[1]], 2**33],
    "warm_start": NOT_A_FLAG,
}


def fails_at_once(model, error=(ValueError, TypeError), match=None):
    """Check that a fit raises before it does anything."""
    with pytest.raises(error, match=match):
        model.fit(X, y)
    assert not [name for name in vars(model) if name.endswith("_")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(name, value, id=f"{name}-{i}")
        for name, values in WRONG.items()
        for i, value in enumerate(values)
    ],
)
def test_a_wrong_parameter_is_named(name, value):
    fails_at_once(NASClassifier(**{name: value}), match=name)


def test_every_parameter_was_given_wrongly():
    assert set(WRONG) == set(NASClassifier().get_params(deep=False))


def test_a_parameter_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="n_epochs"):
        NASClassifier().set_params(n_epochs=3)
    with pytest.raises(TypeError, match="n_epochs"):
        NASClassifier(n_epochs=3)


def test_parameters_are_not_looked_at_before_fit():
    model = NASClassifier(**{name: values[0] for name, values in WRONG.items()})
    assert model.get_params(deep=False)["lr"] == 0
    model.set_params(lr=-1)
    repr(model)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("entropy_weight", -1),
        ("entropy_weight", "high"),
        ("entropy_weight", np.nan),
        ("controller_lr", 0),
        ("controller_lr", None),
        ("controller_lr", np.inf),
        ("controller_hidden_size", 0),
        ("controller_hidden_size", 8.0),
        ("controller_hidden_size", True),
        ("updates_per_epoch", 0),
        ("samples_per_update", 0),
        ("baseline_decay", 1.0),
        ("baseline_decay", np.nan),
        ("temperature", 0),
        ("temperature", np.nan),
        ("tanh_constant", -1),
        ("max_gradient_norm", 0),
        ("normalize_advantage", "yes"),
    ],
)
def test_a_wrong_parameter_of_the_strategy_is_named(name, value):
    fails_at_once(NASClassifier(strategy=ENAS(**{name: value})), match=name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("widths", ()),
        ("widths", (0,)),
        ("widths", (16.0,)),
        ("widths", 16),
        ("widths", "16"),
        ("widths", (16, 16)),
        ("widths", (True,)),
        ("depths", ()),
        ("depths", (0, 1)),
        ("depths", (None,)),
        ("depths", 2),
        ("dropouts", (1.0,)),
        ("dropouts", (np.nan,)),
        ("dropouts", ("a",)),
        ("dropouts", 0.5),
        ("dropouts", ()),
        ("activations", ("gelu!",)),
        ("activations", "relu"),
        ("activations", ()),
        ("numeric_embeddings", ("fourier",)),
        ("numeric_embeddings", None),
        ("normalizations", ("batch",)),
        ("skips", ("yes",)),
        ("skips", True),
        ("n_heads", 0),
        ("n_heads", 2.0),
        ("n_heads", True),
    ],
)
def test_a_wrong_parameter_of_the_space_is_named(name, value):
    fails_at_once(NASClassifier(TabularSpace(**{name: value})), match=name)


@pytest.mark.parametrize(
    "values",
    [
        {"lr": np.float32(1e-3), "weight_decay": 0, "time_limit": np.int64(60)},
        {"ensemble_size": np.int64(2), "max_epochs": np.uint8(3), "verbose": False},
        {"batch_size": 10**9, "n_jobs": np.int64(1), "early_stopping": np.True_},
        {"validation_fraction": np.float64(0.5), "callbacks": ()},
        {"class_weight": {0: np.int64(2), 1: np.float32(1)}},
        {"device": "cpu", "random_state": np.int64(3)},
        {"optimizer": np.str_("sgd"), "class_weight": np.str_("balanced")},
        {"strategy": ENAS(samples_per_update=np.int64(4))},
        {"strategy": ENAS(entropy_weight=np.float32(0.1), controller_lr=1)},
        {"search_space": TabularSpace(widths=[16, 32], skips=[False], n_heads=2)},
    ],
)
def test_numpy_scalars_and_their_like_are_taken(quick, values):
    model = NASClassifier(**quick | {"max_epochs": 2, "search_epochs": 1} | values)
    assert model.fit(X, y).predict(X).shape == (40,)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told_so():
    fails_at_once(NASClassifier(device="cuda"), ValueError, "device.*GPU")
    fails_at_once(NASClassifier(device="cuda:1"), ValueError, "device.*GPU")


@pytest.mark.parametrize("device", ["meta", "xpu", "mps"])
def test_a_device_that_cannot_compute_here_is_refused(device):
    if device != "meta" and getattr(torch, device).is_available():
        pytest.skip(f"there is {device}")
    fails_at_once(NASClassifier(device=device), ValueError, "device")


PLAIN = {
    "numeric_embedding": "none",
    "normalization": "none",
    "dropout": 0.0,
    "n_layers": 1,
    "activation_1": "relu",
    "width_1": 64,
}


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (Architecture("conv", PLAIN), "conv"),
        (Architecture("tabular", PLAIN | {"width_1": 63}), "width_1=63"),
        (Architecture("tabular", PLAIN | {"width_1": 64.0}), "width_1=64.0"),
        (Architecture("tabular", PLAIN | {"dropout": 0}), "dropout=0"),
        (Architecture("tabular", PLAIN | {"activation_2": "relu"}), "activation_2"),
        (Architecture("tabular", PLAIN | {"n_layers": 2}), "activation_2"),
        (Architecture("tabular", {}), "numeric_embedding"),
        (Architecture("tabular", PLAIN | {"flavour": "mint"}), "flavour"),
        (Architecture("tabular", PLAIN).to_json()[:-3], "JSON"),
        (Architecture("tabular", PLAIN).to_json().replace("relu", "rulu"), "rulu"),
        (Architecture("tabular", PLAIN).to_json().replace("64", "[64]"), "width_1"),
        ('{"space": "tabular"}', "choices"),
        ("[1, 2]", "choices"),
        ("null", "choices"),
    ],
)
def test_an_architecture_that_does_not_fit_is_refused(architecture, message):
    fails_at_once(NASClassifier(architecture=architecture), ValueError, message)
    fails_at_once(NASClassifier(architecture=[architecture]), match="rchitecture")


def test_an_architecture_that_is_a_dictionary_is_told_how_to_be_one():
    model = NASClassifier(architecture={"n_layers": 1})
    fails_at_once(model, TypeError, r"Architecture\('tabular', \{'n_layers': 1\}\)")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"strategy__entropy_weight": 0.1}, r"'enas'.*strategy=ENAS\(\)"),
        ({"search_space__depths": (1,)}, r"'auto'.*search_space=TabularSpace\(\)"),
        ({"strategy": "random", "strategy__entropy_weight": 0.1}, "'random'"),
    ],
)
def test_a_name_has_no_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        NASClassifier().set_params(**parameters)
    model = NASRegressor().set_params(strategy=ENAS(), strategy__entropy_weight=0.1)
    assert model.strategy.entropy_weight == 0.1


def test_an_architecture_must_fit_the_given_space():
    space = TabularSpace(widths=(16, 32))
    architecture = Architecture("tabular", PLAIN)
    fails_at_once(
        NASClassifier(space, architecture=architecture), ValueError, "width_1=64"
    )


@pytest.mark.parametrize("scoring", [lambda *args: 1 / 0, lambda estimator: 1.0])
def test_an_error_in_the_users_scorer_is_not_hidden(quick, scoring):
    with pytest.raises((ZeroDivisionError, TypeError)):
        NASClassifier(**quick, scoring=scoring).fit(X, y)


@pytest.mark.parametrize(
    "scoring",
    [
        "accuracy",
        "roc_auc",
        "f1",
        "neg_log_loss",
        "average_precision",
        "matthews_corrcoef",
    ],
)
def test_all_kinds_of_scorers_are_rewards(quick, scoring):
    model = NASClassifier(**quick, scoring=scoring).fit(X, y)
    assert np.isfinite(model.search_results_["shared_score"]).all()


class NothingIsTrained(Callback):
    def on_train_begin(self, net, **kwargs):
        raise AssertionError("a training began")


@pytest.mark.parametrize(
    ("model", "targets", "match"),
    [
        (NASClassifier(scoring="f1"), np.arange(40) % 3, "multiclass"),
        (NASRegressor(scoring="accuracy"), X[:, 0], "continuous"),
        (NASRegressor(scoring="roc_auc"), X[:, 0], "NASRegressor has none of"),
    ],
)
def test_a_scorer_that_does_not_fit_the_targets_says_so(model, targets, match):
    model.set_params(callbacks=[NothingIsTrained()])
    with pytest.raises(ValueError, match=f"'scoring' parameter.*{match}"):
        model.fit(X, targets)
