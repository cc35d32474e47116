"""The facts of a fitted estimator that reports and model cards tell."""

from __future__ import annotations

import ast
import io
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from inspect import signature

import numpy as np
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.metrics import log_loss

from sknas.architecture import Architecture
from sknas.inspection import (
    ArchitectureDisplay,
    CandidatesDisplay,
    PolicyDisplay,
    SearchHistoryDisplay,
    check_has_network,
)
from sknas.training import count_parameters

# parameters that a training of given architectures does not need
OF_THE_SEARCH = {
    "strategy",
    "architecture",
    "scoring",
    "search_epochs",
    "n_candidates",
    "time_limit",
    "checkpoint",
    "callbacks",
    "verbose",
    "n_jobs",
}
PACKAGES = ("sknas", "scikit-learn", "torch", "skorch", "numpy")
MANY_NAMES = 30
MANY_CANDIDATES = 10
DPI = 90
KINDS = {
    "table": "rows of a table",
    "image": "images",
    "series": "series",
    "text": "texts",
    "language": "tokens of text",
}


def data_facts(estimator) -> dict[str, str]:
    """Give what is known of the data of the fit.

    Parameters
    ----------
    estimator : NASClassifier, NASRegressor or NASLanguageModel
        Fitted.

    Returns
    -------
    facts : dict of str to str
        The facts, by their names.
    """
    check_has_network(estimator)
    spec = estimator.data_spec_
    facts = {"fitted on": f"{estimator.n_samples_fit_:,} {KINDS[spec.kind]}"}
    if spec.kind == "table":
        facts["columns"] = str(estimator.n_features_in_)
        names = getattr(estimator, "feature_names_in_", None)
        if names is not None:
            shown = ", ".join(map(str, names[:MANY_NAMES]))
            facts["names of columns"] = shown + (", ..." * (len(names) > MANY_NAMES))
    elif spec.image_shape is not None:
        axes = "channels first" if spec.kind == "image" else "features first"
        facts["shape of each"] = f"{' x '.join(map(str, spec.image_shape))}, {axes}"
    else:
        facts["vocabulary"] = f"{spec.n_tokens:,} tokens"
    if is_classifier(estimator):
        classes = [str(label) for label in estimator.classes_]
        shown = ", ".join(classes[:MANY_NAMES])
        facts["classes"] = f"{len(classes)}: {shown}" + (
            ", ..." * (len(classes) > MANY_NAMES)
        )
    elif hasattr(estimator, "n_outputs_"):
        facts["targets"] = str(estimator.n_outputs_)
    neighbors = getattr(estimator, "neighbors_", None)
    if neighbors is not None:
        facts["rows of the training in the model"] = (
            f"{len(neighbors.rows):,}, asked as neighbors, trusted up to "
            f"{float(neighbors.trust):.2f}"
        )
    return facts


def budget_facts(estimator) -> dict[str, str]:
    """Give the budget of the fit, and what it took of it; see :func:`data_facts`."""
    facts = {
        name: str(getattr(estimator, name))
        for name in (
            "time_limit",
            "search_epochs",
            "n_candidates",
            "max_epochs",
            "ensemble_size",
            "n_jobs",
        )
    }
    table = estimator.search_results_
    if table:
        n_epochs = sum("train_loss" in row for row in estimator.history_)
        n_trained = int(np.sum(table["trained"]))
        facts["searched"] = (
            f"{n_epochs} epochs; {len(table['rank'])} candidates "
            f"ranked, {n_trained} trained"
        )
    else:
        facts["searched"] = (
            "no: the architectures were given, or kept from an earlier fit"
        )
    facts["time of the search"] = f"{estimator.search_time_:.3g} s"
    facts["time of the final training"] = f"{estimator.refit_time_:.3g} s"
    return facts


def network_rows(estimator) -> list[dict[str, str]]:
    """Give the final networks, a row each; see :func:`data_facts`."""
    space = estimator.space_
    default = space.default_architecture()
    return [
        {
            "network": str(i),
            "weight": f"{weight:.2f}",
            "parameters": f"{count_parameters(network):,}",
            "architecture": space.describe(architecture),
            "is the space's default": "yes" if architecture == default else "no",
        }
        for i, (architecture, weight, network) in enumerate(
            zip(
                estimator.architectures_,
                estimator.ensemble_weights_,
                estimator.networks_,
                strict=True,
            )
        )
    ]


def candidate_rows(estimator) -> list[dict[str, str]]:
    """Give the first candidates, and the default one; see :func:`data_facts`."""
    table = estimator.search_results_
    if not table:
        return []
    default = estimator.space_.default_architecture().to_json()
    rows = []
    for i, text in enumerate(table["architecture"]):
        if i >= MANY_CANDIDATES and text != default:
            continue
        score = table["score"][i]
        rows.append(
            {
                "rank": str(table["rank"][i])
                + (" (plain default network)" if text == default else ""),
                "reward, shared parameters": f"{table['shared_score'][i]:.4f}",
                "reward, its own": f"{score:.4f}" if np.isfinite(score) else "",
                "epochs": str(table["n_epochs"][i]),
                "parameters": f"{table['n_parameters'][i]:,}",
                "seconds": f"{table['fit_time'][i]:.2f}",
            }
        )
    return rows


def scores(estimator, X, y) -> dict[str, float]:
    """Give the measures of an estimator on some rows.

    Parameters
    ----------
    estimator : classifier or regressor
        Fitted.

    X, y : array-like
        The rows, and what is true of them.

    Returns
    -------
    scores : dict of str to float
        Accuracy and log-loss, R squared, or perplexity.
    """
    if hasattr(estimator, "perplexity"):
        return {"perplexity": float(estimator.perplexity(X))}
    if not is_classifier(estimator):
        return {"R squared": float(estimator.score(X, y))}
    found = {"accuracy": float(estimator.score(X, y))}
    if hasattr(estimator, "predict_proba"):
        probability = estimator.predict_proba(X)
        found["log-loss"] = float(log_loss(y, probability, labels=estimator.classes_))
    return found


def comparison_rows(
    estimator, X, y, baselines: Mapping[str, object] | None
) -> list[dict[str, str]]:
    """Give the measures of an estimator and of baselines, a row each.

    Parameters
    ----------
    estimator : NASClassifier, NASRegressor or NASLanguageModel
        Fitted.

    X, y : array-like or None
        Rows to judge by; texts need no y. None: there are no measures.

    baselines : mapping of str to estimator, or None
        Fitted estimators to compare with, by their names.

    Returns
    -------
    rows : list of dict of str to str
        The measures, and seconds of `fit` where they are known.

    Raises
    ------
    TypeError
        If the baselines have no names.

    ValueError
        If there are baselines, but no rows to judge by, or X without y.
    """
    if not isinstance(baselines, Mapping | None):
        raise TypeError(
            "baselines must be None or a mapping of names to fitted estimators, such "
            f'as {{"random search": estimator}}, got a {type(baselines).__name__}.'
        )
    needs_y = not hasattr(estimator, "perplexity")
    if (X is None and y is not None) or (needs_y and X is not None and y is None):
        raise ValueError("an estimator is judged on X and y: give both, or neither.")
    if X is None:
        if baselines:
            raise ValueError("baselines are compared on X and y: give these too.")
        return []
    rows = []
    models = [(type(estimator).__name__, estimator), *(baselines or {}).items()]
    for name, one in models:
        row = {"model": str(name)}
        row |= {key: f"{value:.4f}" for key, value in scores(one, X, y).items()}
        if hasattr(one, "refit_time_") and hasattr(one, "search_time_"):
            row["seconds of fit"] = f"{one.search_time_ + one.refit_time_:.3g}"
        rows.append(row)
    return rows


def version_facts() -> dict[str, str]:
    """Give the versions of what computes here."""
    versions = {"Python": platform.python_version()}
    return versions | {package: version(package) for package in PACKAGES}


def reproduction(estimator) -> str:
    """Give code that trains the found networks again; see :func:`data_facts`."""
    fitted = estimator
    if fitted.warm_start:  # the networks may be of another space than is set by now
        estimator = clone(fitted).set_params(search_space=fitted.space_)
    parameters = estimator.get_params(deep=False)
    kept = {
        name: parameters[name]
        for name, parameter in signature(type(estimator).__init__).parameters.items()
        if name in parameters
        and name not in OF_THE_SEARCH
        and repr(parameters[name]) != repr(parameter.default)
    }
    used = {type(estimator), Architecture} | {
        type(value)
        for name, value in estimator.get_params().items()
        if name.split("__")[0] in kept and isinstance(value, BaseEstimator)
    }
    names = {one.__name__ for one in used}
    imports: dict[str, list[str]] = {}
    for one in sorted(used, key=lambda one: one.__name__):
        imports.setdefault(_public_module(one), []).append(one.__name__)
    lines = [
        *[f"from {module} import {', '.join(own)}" for module, own in imports.items()],
        "",
        f"# as it was searched: {fitted!r}".replace("\n", "\n# "),
        "found = [",
        *[
            f"    Architecture.from_json({a.to_json()!r}),"
            for a in fitted.architectures_
        ],
        "]",
        "# the same networks, without a search",
        f"again = {type(estimator).__name__}(",
        "    architecture=found,",
        *[_argument(name, value, names) for name, value in kept.items()],
        ")",
    ]
    return "\n".join(lines)


def _public_module(one: type) -> str:
    """Give the shortest name of a module that has a class, to import it from."""
    parts = one.__module__.split(".")
    names = [".".join(parts[: n + 1]) for n in range(len(parts))]
    holders = (
        name
        for name in names
        if getattr(sys.modules.get(name), one.__name__, None) is one
    )
    return next(holders, one.__module__)  # a class of a function is nowhere


def _argument(name: str, value: object, names: set[str]) -> str:
    """Write an argument as code that knows some names, or else as a comment."""
    text = f"{name}={_plain(value)!r},"
    try:
        tree = ast.parse(f"dict({text})")
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        is_code = used <= names | {"dict"}
    except SyntaxError:  # a function, a RandomState
        is_code = False
    return f"    {text}" if is_code else f"    # {text}".replace("\n", " ")


def _plain(value: object) -> object:
    """Make numbers of numpy, also within containers, those of Python."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value) is dict:
        return {_plain(key): _plain(one) for key, one in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value))
    return value


def pictures(estimator) -> dict[str, bytes]:
    """Draw what there is to be drawn.

    Parameters
    ----------
    estimator : NASClassifier, NASRegressor or NASLanguageModel
        Fitted.

    Returns
    -------
    pictures : dict of str to bytes
        PNG files: "network", and of a search "course", "candidates" and "policy".
    """
    drawings = {"network": ArchitectureDisplay}
    if estimator.search_results_:
        drawings |= {"course": SearchHistoryDisplay, "candidates": CandidatesDisplay}
        if estimator.search_policy_:
            drawings["policy"] = PolicyDisplay
    files = {}
    for name, display_class in drawings.items():
        import matplotlib.pyplot as plt  # the display has told if it is missing

        figure = display_class.from_estimator(estimator).figure_
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=DPI)
        plt.close(figure)
        files[name] = file.getvalue()
    return files
