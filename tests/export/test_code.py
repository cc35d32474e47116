"""The code and weights of fitted estimators, run where sknas cannot be imported."""

import enum
import json
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from estimators_of_all_kinds import ODD, cases
from sklearn.datasets import load_diabetes, load_digits

from sknas import NASClassifier, NASRegressor, SearchSpace, TabularSpace

RUN = """
import json, sys
import numpy as np
sys.modules["sknas"] = None  # an import of it fails
import runpy, torch
folder = sys.argv[1]
errors = {}
for name in json.load(open(folder + "/names.json")):
    space = runpy.run_path(f"{folder}/{name}.py")
    answer = np.load(f"{folder}/{name}_answer.npy")
    inputs = json.load(open(f"{folder}/{name}_inputs.json"))
    if "rows" in inputs:
        inputs = space["read"](inputs["rows"])
    else:
        inputs = [torch.tensor(inputs["array"], dtype=getattr(torch, inputs["dtype"]))]
    for suffix in ("npz", "safetensors"):
        model = space["load"](f"{folder}/{name}.{suffix}")
        with torch.no_grad():
            given = model(*inputs)
        if isinstance(given, tuple):
            given = given[0]
        errors[f"{name}.{suffix}"] = float(np.abs(given.numpy() - answer).max())
assert "sklearn" not in sys.modules
print(json.dumps(errors))
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Fit and export all cases; give the folder, and the estimators by their names."""
    folder = tmp_path_factory.mktemp("export")
    estimators = {}
    for name, estimator, X, answer in cases():
        estimators[name] = estimator
        estimator.export_code(folder / f"{name}.py")
        for suffix in ("npz", "safetensors"):
            estimator.export_weights(folder / f"{name}.{suffix}")
        if isinstance(X, pd.DataFrame):
            rows = X.where(X.notna(), None).to_numpy().tolist()
            inputs = {"rows": rows}
        elif name == "language":  # a stream begins after the end of a document
            inputs = {"array": [[0, *X[:-1].tolist()]], "dtype": "int64"}
        else:
            dtype = "int64" if name.startswith("text") else "float64"
            inputs = {"array": X.tolist(), "dtype": dtype}
        (folder / f"{name}_inputs.json").write_text(json.dumps(inputs))
        np.save(folder / f"{name}_answer.npy", answer)
    return folder, estimators


def test_exported_files_answer_as_the_estimators_do(exported):
    folder, estimators = exported
    names = [name for name in estimators if name not in ("language", "targets")]
    (folder / "names.json").write_text(json.dumps(names))
    command = [sys.executable, "-c", RUN, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    errors = json.loads(done.stdout.strip().split("\n")[-1])
    assert len(errors) == 2 * len(names)
    bound = {name: 1e-6 for name in errors}
    # of predictions, in their units: some hundreds
    bound |= {"regressor.npz": 1e-4, "regressor.safetensors": 1e-4}
    assert {n: e for n, e in errors.items() if not e <= bound[n]} == {}


def run_here(estimator, folder, name):
    namespace = {}
    exec(estimator.export_code(), namespace)
    return namespace["load"](folder / f"{name}.npz")


def test_several_targets_have_their_units(exported):
    folder, estimators = exported
    X, _ = load_diabetes(return_X_y=True)
    model = run_here(estimators["targets"], folder, "targets")
    with torch.no_grad():
        answer = model(torch.tensor(X)).numpy()
    np.testing.assert_allclose(answer, estimators["targets"].predict(X), rtol=1e-5)


def test_a_language_model_gives_probabilities_and_states_to_go_on_from(exported):
    folder, estimators = exported
    writer = estimators["language"]
    ids = np.random.RandomState(1).randint(6, size=40)
    model = run_here(writer, folder, "language")
    given = torch.tensor([[0, *ids[:-1]]])
    with torch.no_grad():
        whole, _ = model(given)
        first, states = model(given[:, :15])
        second, _ = model(given[:, 15:], states)
    joined = torch.cat([first, second], dim=1)
    torch.testing.assert_close(joined, whole, atol=1e-6, rtol=0)
    log_probability = whole[0, torch.arange(40), torch.tensor(ids)].numpy()
    expected = writer.log_likelihood(ids)[0]
    np.testing.assert_allclose(log_probability, expected, atol=1e-6)


def test_equal_architectures_share_a_class(exported):
    _, estimators = exported
    code = estimators["numbers"].export_code()
    assert code.count("class Network") == len(set(estimators["numbers"].architectures_))
    assert "import sknas" not in code and "from sknas" not in code


def test_labels_and_columns_are_in_the_code_whatever_they_are_called(exported):
    _, estimators = exported
    namespace = {}
    exec(estimators["mixed"].export_code(), namespace)
    assert namespace["CLASSES"] == estimators["mixed"].classes_.tolist()
    assert namespace["COLUMNS"][1] == ODD


def test_the_model_can_be_trained_on(exported):
    folder, estimators = exported
    model = run_here(estimators["numbers"], folder, "numbers").train()
    X = torch.tensor(load_digits().data[:80])
    y = torch.tensor(load_digits().target[:80])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(10):
        loss = -model(X)[torch.arange(80), y].log().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_weights_are_written_in_two_formats_only(fitted_digits, tmp_path):
    with pytest.raises(ValueError, match=r"\.npz or \.safetensors"):
        fitted_digits.export_weights(tmp_path / "weights.pt")


def test_export_needs_a_fit():
    with pytest.raises(ValueError, match="not fitted"):
        NASClassifier().export_code()
    with pytest.raises(ValueError, match="not fitted"):
        NASRegressor().export_weights()


def test_export_leaves_random_numbers_alone(fitted_digits):
    before = torch.get_rng_state()
    fitted_digits.export_weights()
    assert before.equal(torch.get_rng_state())


def test_a_space_of_ones_own_is_told_what_it_lacks(digits, quicker, tmp_path):
    class Bare(TabularSpace):
        source = SearchSpace.source

    X, _, y, _ = digits
    clf = NASClassifier(Bare(), **quicker).fit(X, y)
    with pytest.raises(NotImplementedError, match="method 'source' of Bare"):
        clf.export_code()
    weights = clf.export_weights(tmp_path / "weights.npz")
    kept = np.load(tmp_path / "weights.npz")
    for i, network in enumerate(clf.networks_):
        for name, value in network.state_dict().items():
            for given in (weights, kept):
                np.testing.assert_array_equal(given[f"networks.{i}.{name}"], value)


def test_a_source_that_is_no_list_is_told_of(digits, quicker):
    class Joined(TabularSpace):
        def source(self, architecture, spec, name):
            return "\n".join(super().source(architecture, spec, name))

    X, _, y, _ = digits
    clf = NASClassifier(Joined(), **quicker).fit(X, y)
    with pytest.raises(TypeError, match="Joined.source must give a list.*a str"):
        clf.export_code()


def answer_of_code(clf, X):
    """Give what the exported code of a classifier answers."""
    names = {}
    exec(clf.export_code(), names)
    model = names["Model"]().eval()
    weights = clf.export_weights()
    model.load_state_dict({n: torch.from_numpy(w) for n, w in weights.items()})
    with torch.no_grad():
        return model(*names["read"](X.to_numpy(dtype=object).tolist())).numpy()


def test_great_whole_numbers_and_fractions_are_categories(quicker):
    rng = np.random.RandomState(0)
    ids = 1765432109876543210 + rng.randint(3, size=90)
    thirds = pd.Categorical([Fraction(i % 2 + 1, 3) for i in range(90)])
    X = pd.DataFrame({"id": pd.Categorical(ids), "third": thirds})
    clf = NASClassifier(**quicker | {"max_epochs": 40}).fit(X, ids % 3)
    assert clf.score(X, ids % 3) == 1
    np.testing.assert_allclose(answer_of_code(clf, X), clf.predict_proba(X), atol=1e-6)


class Colour(str, enum.Enum):  # noqa: UP042, for such is what is tested
    RED = "red"
    BLUE = "blue"


def test_categories_of_rare_types_are_known_by_the_same_names(quicker):
    numbers = [Decimal("1.0"), Decimal("2.5"), Decimal("NaN"), 7]
    X = pd.DataFrame(
        {
            "colour": [list(Colour)[i % 2] for i in range(80)],
            "number": pd.Series([numbers[i % 4] for i in range(80)], dtype=object),
            "mixed": pd.Series([["a", *numbers][i % 5] for i in range(80)]),
        }
    )
    y = X["colour"] == "red"
    clf = NASClassifier(**quicker | {"max_epochs": 40}).fit(X, y)
    assert clf.score(X, y) == 1
    np.testing.assert_allclose(answer_of_code(clf, X), clf.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize(
    "labels",
    [np.array(["2020-01-01", "2021-01-01"], dtype="datetime64[D]"), list(Colour)],
)
def test_labels_of_rare_types_are_written_by_their_names(quicker, labels):
    rows = np.arange(40) % 2
    X = pd.DataFrame({"letter": np.array(["a", "b"])[rows]})
    y = np.array(labels, dtype=getattr(labels, "dtype", object))[rows]
    clf = NASClassifier(**quicker | {"max_epochs": 40}).fit(X, y)
    np.testing.assert_allclose(answer_of_code(clf, X), clf.predict_proba(X), atol=1e-6)
    names = [getattr(label, "value", str(label)) for label in clf.classes_.tolist()]
    assert f"CLASSES = {names}" in clf.export_code()
