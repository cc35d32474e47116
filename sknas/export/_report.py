"""A fitted estimator on one page of HTML."""

from __future__ import annotations

import base64
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

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{{ title }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 60em;
       padding: 0 1em; color: #222; }
h1, h2 { font-weight: 600; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { border-bottom: 1px solid #ddd; padding: .25em .8em; text-align: left;
         vertical-align: top; }
td:first-child { white-space: nowrap; }
img { max-width: 100%; }
pre { background: #f5f5f5; padding: 1em; overflow-x: auto; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
{%- macro facts(values) %}
<table>
{%- for name, value in values.items() %}
<tr><th>{{ name }}</th><td>{{ value }}</td></tr>
{%- endfor %}
</table>
{%- endmacro %}
{%- macro rows(values) %}
<table>
<tr>{% for name in values[0] %}<th>{{ name }}</th>{% endfor %}</tr>
{%- for row in values %}
<tr>{% for name in values[0] %}<td>{{ row.get(name, "") }}</td>{% endfor %}</tr>
{%- endfor %}
</table>
{%- endmacro %}
{%- macro picture(name, text) %}
{%- if name in images %}
<p><img alt="{{ text }}" src="data:image/png;base64,{{ images[name] }}"></p>
{%- endif %}
{%- endmacro %}
<h2>Data</h2>
{{ facts(data) }}
<h2>Budget and times</h2>
{{ facts(budget) }}
{%- if comparison %}
<h2>How good it is</h2>
{{ rows(comparison) }}
{%- endif %}
<h2>The found network</h2>
{{ picture("network", "the best network") }}
<p>What is averaged:</p>
{{ rows(networks) }}
{%- if candidates %}
<h2>The search</h2>
{{ picture("course", "the course of the search") }}
{{ picture("candidates", "the candidates") }}
{{ rows(candidates) }}
{{ picture("policy", "the policy in the end") }}
{%- endif %}
<h2>Versions</h2>
{{ facts(versions) }}
<h2>To reproduce it</h2>
<pre>{{ code }}</pre>
</body>
</html>
"""


def report(
    estimator,
    path: str | os.PathLike | None = None,
    *,
    X=None,
    y=None,
    baselines: Mapping[str, object] | None = None,
) -> str:
    """Write a fitted estimator down as one page of HTML that needs no other file.

    It tells of the data, the budget and the times, the found network, the course of
    the search and its candidates, versions, and how to reproduce it; and, on rows that
    are given, how good it is, beside baselines.

    Parameters
    ----------
    estimator : NASClassifier, NASRegressor or NASLanguageModel
        Fitted.

    path : str, os.PathLike or None, default=None
        The file to write to. None: none is written.

    X, y : array-like or None, default=None
        Rows to judge by, that were not fitted on.

    baselines : mapping of str to estimator, or None, default=None
        Fitted estimators to compare with on `X` and `y`, by their names: one with
        ``architecture=space.default_architecture()``, one with ``strategy="random"``
        and the same budget, ...

    Returns
    -------
    html : str
        The page.

    Raises
    ------
    TypeError
        If it is none of sknas's estimators, or the baselines have no names.

    ValueError
        If there are baselines, but no rows to judge by.

    ImportError
        If matplotlib or jinja2 is not installed; the extra "report" brings both.
    """
    check_has_network(estimator)
    try:
        from jinja2 import Environment
    except ImportError as error:
        raise ImportError(
            'A report needs jinja2: pip install "sknas[report]" brings it.'
        ) from error
    comparison = comparison_rows(estimator, X, y, baselines)
    images = {
        name: base64.b64encode(file).decode()
        for name, file in pictures(estimator).items()
    }
    html = (
        Environment(autoescape=True)
        .from_string(PAGE)
        .render(
            title=f"{type(estimator).__name__}: what it found",
            data=data_facts(estimator),
            budget=budget_facts(estimator),
            comparison=comparison,
            images=images,
            networks=network_rows(estimator),
            candidates=candidate_rows(estimator),
            versions=version_facts(),
            code=reproduction(estimator),
        )
    )
    if path is not None:
        Path(path).write_text(html, encoding="utf-8")
    return html
