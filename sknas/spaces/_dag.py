"""Recurrent cells in the format of ENAS-pytorch: `dag.json`."""

from __future__ import annotations

import json

from sknas.modules import CellDesign, loose_ends

THEIR_NAMES = {"relu": "ReLU"}  # of activations, where they differ
OUR_NAMES = {theirs: own for own, theirs in THEIR_NAMES.items()}


def read_dag(text: str, n_nodes: int) -> dict[str, int | str]:
    """Read what each node of a cell reads and applies.

    Parameters
    ----------
    text : str
        The JSON text: for each node, a list of [next node, activation].

    n_nodes : int
        How many nodes the cell must have.

    Returns
    -------
    options : dict of str to int or str
        For each node k, "previous_k" and "activation_k"; the first has no "previous".

    Raises
    ------
    ValueError
        If the text is no such graph, or has another number of nodes.
    """
    nodes: dict[int, dict[str, int | str]] = {}
    try:
        for source, targets in json.loads(text).items():
            for target, name in targets:
                if name in ("avg", "h[t]") or int(source) < -1:
                    continue
                k = int(target) + 1
                if k in nodes or (source == "-1") != (k == 1):
                    raise ValueError(f"node {target} comes after node {source}")
                nodes[k] = {} if k == 1 else {f"previous_{k}": int(source) + 1}
                nodes[k][f"activation_{k}"] = OUR_NAMES.get(name, name)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            "dag must be the JSON of a cell as ENAS-pytorch writes it: for each "
            f"node, a list of [next node, activation]. It is not: {error}"
        ) from error
    if sorted(nodes) != list(range(1, n_nodes + 1)):
        raise ValueError(
            f"the dag has {len(nodes)} nodes, but the space has n_nodes={n_nodes}: "
            "give it as many."
        )
    return {name: option for k in sorted(nodes) for name, option in nodes[k].items()}


def write_dag(design: CellDesign) -> str:
    """Write a cell as JSON; see :func:`read_dag`.

    Parameters
    ----------
    design : CellDesign
        The cell.

    Returns
    -------
    text : str
        The JSON text.
    """
    n_nodes = len(design.activations)
    first, *others = (THEIR_NAMES.get(a, a) for a in design.activations)
    dag: dict[str, list] = {"-1": [[0, first]], "-2": [[0, first]]}
    for k, (previous, name) in enumerate(
        zip(design.previous, others, strict=True), start=1
    ):
        dag.setdefault(str(previous - 1), []).append([k, name])
    for k in loose_ends(design.previous):
        dag[str(k - 1)] = [[n_nodes, "avg"]]
    dag[str(n_nodes)] = [[n_nodes + 1, "h[t]"]]
    return json.dumps(dag)
