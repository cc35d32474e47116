"""Architectures as graphs, to be drawn or counted."""

from __future__ import annotations

from dataclasses import dataclass

NODE_KINDS = ("input", "operation", "join", "output")


@dataclass(frozen=True)
class Node:
    """One thing that a network does.

    Parameters
    ----------
    label : str
        What it is, in a word or two.

    kind : {"input", "operation", "join", "output"}, default="operation"
        Whether something enters, is computed, is put together, or leaves.

    shape : tuple of int or None, default=None
        Of what it gives, the axis of rows left out; None: not known.

    parameters : tuple of str, default=()
        Names of the stand-alone network's parameters that it has. A name that ends in a
        dot stands for all that begin with it.

    part : str, default=""
        Which part of the network it belongs to, where parts are shown one by one.
    """

    label: str
    kind: str = "operation"
    shape: tuple[int, ...] | None = None
    parameters: tuple[str, ...] = ()
    part: str = ""

    def has_parameter(self, name: str) -> bool:
        """Whether a parameter of the stand-alone network is the node's.

        Parameters
        ----------
        name : str
            The parameter's name.

        Returns
        -------
        has_parameter : bool
            Whether it is.
        """
        return any(
            name.startswith(own) if own.endswith(".") else name == own
            for own in self.parameters
        )

    def __post_init__(self) -> None:
        if isinstance(self.parameters, str):
            raise TypeError(
                f"parameters of the node {self.label!r} must be a tuple of names, got "
                f"{self.parameters!r}."
            )
        if self.kind not in NODE_KINDS:
            raise ValueError(
                f"kind of the node {self.label!r} must be one of {NODE_KINDS}, got "
                f"{self.kind!r}."
            )


@dataclass(frozen=True)
class Graph:
    """What a network does, step by step.

    Parameters
    ----------
    nodes : dict of str to Node
        The nodes, in topological order.

    edges : list of (str, str)
        Pairs of nodes, from source to target.
    """

    nodes: dict[str, Node]
    edges: list[tuple[str, str]]

    def __post_init__(self) -> None:
        place = {name: i for i, name in enumerate(self.nodes)}
        for source, target in self.edges:
            for name in (source, target):
                if name not in place:
                    raise ValueError(f"the edge {source!r} -> {target!r} has no node.")
            if place[source] >= place[target]:
                raise ValueError(
                    f"the edge {source!r} -> {target!r} goes back: nodes must be in "
                    "topological order."
                )
