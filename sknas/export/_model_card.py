"""Model cards, by skops."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from sknas.export._summary import (
    budget_facts,
    candidate_rows,
    comparison_rows,
    data_facts,
    network_rows,
    pictures,
    reproduction,
    version_facts,
)
from sknas.inspection import check_has_network

CAPTIONS = {
    "network": "The best network",
    "course": "The course of the search",
    "candidates": "The candidates",
    "policy": "What the strategy prefers in the end",
}


def model_card(
    estimator,
    folder: str | os.PathLike,
    *,
    X=None,
    y=None,
    baselines: Mapping[str, object] | None = None,
):
    """Make a model card of a fitted estimator, with the figures of its search.

    Parameters
    ----------
    estimator : NASClassifier, NASRegressor or NASLanguageModel
        Fitted.

    folder : str or os.PathLike
        Where the pictures are written, which is where the card is to be saved:
        ``card.save(folder / "README.md")``. It is made if need be.

    X, y : array-like or None, default=None
        Rows to judge by, that were not fitted on.

    baselines : mapping of str to estimator, or None, default=None
        Fitted estimators to compare with on `X` and `y`, by their names.

    Returns
    -------
    card : skops.card.Card
        The card, to which sections can be added.

    Raises
    ------
    TypeError
        If it is none of sknas's estimators, or the baselines have no names.

    ValueError
        If there are baselines, but no rows to judge by.

    ImportError
        If skops or matplotlib is not installed; the extra "card" brings both.
    """
    check_has_network(estimator)
    try:
        from skops.card import Card
    except ImportError as error:
        raise ImportError(
            'A model card needs skops: pip install "sknas[card]" brings it.'
        ) from error
    comparison = comparison_rows(estimator, X, y, baselines)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    card = Card(estimator, model_diagram=False, template=None)
    card.add(
        **{
            "Model description": (
                f"A {type(estimator).__name__} of sknas, an estimator that designs its "
                "own neural network."
            )
        }
    )
    for section, facts in (
        ("Data", data_facts(estimator)),
        ("Budget and times", budget_facts(estimator)),
    ):
        card.add_table(**{section: _columns(facts)}, folded=False)
    if comparison:
        card.add_table(**{"How good it is": _table(comparison)}, folded=False)
    card.add_table(**{"The found networks": _table(network_rows(estimator))})
    for name, file in pictures(estimator).items():
        path = folder / f"{name}.png"
        path.write_bytes(file)
        card.add_plot(**{CAPTIONS[name]: path.name})
    candidates = candidate_rows(estimator)
    if candidates:
        card.add_table(**{"Ranks of the candidates": _table(candidates)}, folded=True)
    card.add_hyperparams(section="Parameters")
    card.add_table(**{"Versions": _columns(version_facts())}, folded=False)
    card.add(**{"To reproduce it": f"```python\n{reproduction(estimator)}\n```"})
    return card


def _columns(facts: Mapping[str, str]) -> dict[str, list[str]]:
    return {"fact": list(facts), "value": [_cell(v) for v in facts.values()]}


def _table(rows: list[dict[str, str]]) -> dict[str, list[str]]:
    return {name: [_cell(row.get(name, "")) for row in rows] for name in rows[0]}


def _cell(text: str) -> str:
    """Write a text so that a table in Markdown stays a table."""
    return str(text).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
