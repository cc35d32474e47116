"""What a search decides: decisions, as values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sknas.architecture import Architecture, Option, plain_option


@dataclass(frozen=True)
class Decision:
    """One choice that a search space leaves open.

    Parameters
    ----------
    name : str
        Name of the decision, unique within its space.

    options : tuple of str, int, float, bool or None
        What can be chosen. The first option is the one that the space's plain
        default architecture takes unless the space says otherwise.

    kind : {"operation", "index", "skip"}, default="operation"
        What the options are. "operation": operations, sizes, flags, ... "index": the
        numbers of earlier nodes; a controller may compare its states at these nodes
        instead of learning a logit for each option. "skip": (False, True), whether
        there is a connection from the earlier node `source`; a controller may compare
        its states at the two nodes.

    node : int or None, default=None
        The node of the network that the decision belongs to. Needed only in
        spaces that have decisions of kind "index" or "skip".

    active_if : tuple of (str, tuple) or None, default=None
        Name of an earlier decision and those of its options that make this
        decision count. An architecture holds active decisions only.

    prior : tuple of float or None, default=None
        How likely each option is to be a good one, before any data are seen, up to
        a common factor: a policy may begin there. None: all are alike.

    source : int or None, default=None
        Of a decision of kind "skip", the node that the connection comes from.

    graph : str, default=""
        Which graph the nodes belong to, in spaces that have several: the same number
        stands for another node in each of them.
    """

    name: str
    options: tuple[Option, ...]
    kind: str = "operation"
    node: int | None = None
    active_if: tuple[str, tuple[Option, ...]] | None = None
    prior: tuple[float, ...] | None = None
    source: int | None = None
    graph: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"the name of a decision must be a string: {self.name!r}.")
        if isinstance(self.options, str) or not isinstance(self.options, Iterable):
            raise TypeError(
                f"decision {self.name!r}: options must be a tuple of what can be "
                f"chosen, got {self.options!r}."
            )
        options = tuple(map(plain_option, self.options))
        object.__setattr__(self, "options", options)
        for option in options:
            if not isinstance(option, Option):
                raise TypeError(
                    f"decision {self.name!r} has the option {option!r}; an option must "
                    "be a string, a number, a boolean or None."
                )
        if not self.options:
            raise ValueError(f"decision {self.name!r} needs at least one option.")
        if len(set(self.options)) < len(self.options):
            raise ValueError(
                f"decision {self.name!r} has the same option twice: {self.options}."
            )
        if self.kind not in ("operation", "index", "skip"):
            raise ValueError(
                f"decision {self.name!r}: kind must be 'operation', 'index' or 'skip', "
                f"got {self.kind!r}."
            )
        if self.kind == "skip" and (
            list(map(repr, self.options)) != ["False", "True"] or self.source is None
        ):
            raise ValueError(
                f"decision {self.name!r} of kind 'skip' needs a source and the options "
                f"(False, True), got {self.source!r} and {self.options!r}."
            )
        self._check_prior()
        self._check_condition()

    def _check_prior(self) -> None:
        if self.prior is None:
            return
        prior = tuple(map(plain_option, self.prior))
        if len(prior) != len(self.options) or not all(0 < p < math.inf for p in prior):
            raise ValueError(
                f"decision {self.name!r}: prior must be None or a number above 0 for "
                f"each of the {len(self.options)} options, got {self.prior!r}."
            )
        object.__setattr__(self, "prior", prior)

    def _check_condition(self) -> None:
        if self.active_if is None:
            return
        is_pair = isinstance(self.active_if, tuple | list) and len(self.active_if) == 2
        name, options = self.active_if if is_pair else (None, None)
        if isinstance(options, str) or not isinstance(options, Iterable):
            raise TypeError(
                f"decision {self.name!r}: active_if must be None or (name, options), "
                f"the options as a tuple, got {self.active_if!r}."
            )
        condition = name, tuple(map(plain_option, options))
        object.__setattr__(self, "active_if", condition)

    @property
    def compared(self) -> list[tuple[str, int]]:
        """Give the earlier nodes whose states it is made by: graphs and numbers."""
        if self.kind == "operation":
            return []
        numbers = [self.source] if self.kind == "skip" else self.options
        return [(self.graph, number) for number in numbers]

    def is_active(self, choices: Mapping[str, Option]) -> bool:
        """Tell whether the decision counts, given what was chosen before it.

        Parameters
        ----------
        choices : mapping of str to str, int, float, bool or None
            The options chosen so far.

        Returns
        -------
        is_active : bool
            Whether it counts.
        """
        if self.active_if is None:
            return True
        name, options = self.active_if
        return name in choices and choices[name] in options


class Decisions(Sequence):
    """All the decisions of a search space, in the order in which they are made.

    Parameters
    ----------
    space : str
        Name of the search space.

    decisions : iterable of Decision
        The decisions. Each `active_if` must name an earlier one, and each decision of
        kind "index" or "skip" nodes whose own decisions, if any, come before it.
    """

    def __init__(self, space: str, decisions: Iterable[Decision]) -> None:
        if not isinstance(space, str):
            raise TypeError(f"the name of a space must be a string, got {space!r}.")
        self.space = space
        self._decisions = tuple(decisions)
        strange = [one for one in self._decisions if not isinstance(one, Decision)]
        if strange:
            raise TypeError(f"decisions must be Decision objects, got {strange[0]!r}.")
        seen: dict[str, Decision] = {}
        self._check_nodes()
        for decision in self._decisions:
            if decision.name in seen:
                raise ValueError(f"space {space!r} has two decisions {decision.name!r}")
            if decision.active_if is not None:
                name, options = decision.active_if
                if name not in seen:
                    raise ValueError(
                        f"decision {decision.name!r} depends on {name!r}, which is no "
                        "earlier decision of the space."
                    )
                strange = [o for o in options if o not in seen[name].options]
                if strange:
                    raise ValueError(
                        f"decision {decision.name!r} depends on {name!r} being one of "
                        f"{strange}, which it never is."
                    )
            seen[decision.name] = decision
        # what is equal, such as 1 and True, need not be the same option
        self._offered = {
            name: {(type(option), option) for option in decision.options}
            for name, decision in seen.items()
        }

    def _check_nodes(self) -> None:
        """Check that what compares nodes comes after the decisions of these nodes."""
        later = {(d.graph, d.node) for d in self._decisions if d.node is not None}
        for decision in self._decisions:
            strange = [
                number
                for graph, number in decision.compared
                if (graph, number) in later
            ]
            if strange:
                raise ValueError(
                    f"decision {decision.name!r} of kind {decision.kind!r} must name "
                    f"earlier nodes, but the decisions of {strange} come after it."
                )
            later.discard((decision.graph, decision.node))

    def __repr__(self) -> str:
        width = max((len(decision.name) for decision in self), default=0)
        lines = [f"Decisions of the {self.space!r} space"]
        for decision in self:
            options = ", ".join(map(str, decision.options))
            lines.append(f"  {decision.name:<{width}}  {options}")
        return "\n".join(lines)

    def __getitem__(self, index):
        return self._decisions[index]

    def __len__(self) -> int:
        return len(self._decisions)

    def architecture(self, indices: Sequence[int]) -> Architecture:
        """Build the architecture in which option ``indices[i]`` is chosen for i.

        Parameters
        ----------
        indices : sequence of int, of length n_decisions
            One option number for each decision; those of decisions that turn out
            to be inactive are ignored.

        Returns
        -------
        architecture : Architecture
            The architecture, holding the active decisions only.
        """
        choices: dict[str, Option] = {}
        for decision, index in zip(self._decisions, indices, strict=True):
            if decision.is_active(choices):
                choices[decision.name] = decision.options[index]
        return Architecture(self.space, choices)

    def indices(self, architecture: Architecture) -> list[int]:
        """Give the number of the chosen option of each decision, -1 if inactive.

        Parameters
        ----------
        architecture : Architecture
            An architecture of this space.

        Returns
        -------
        indices : list of int, of length n_decisions
            The inverse of :meth:`architecture`.
        """
        return [
            decision.options.index(architecture[decision.name])
            if decision.name in architecture
            else -1
            for decision in self._decisions
        ]

    def check(self, architecture: Architecture) -> None:
        """Check that an architecture belongs to this space.

        Parameters
        ----------
        architecture : Architecture
            The architecture to check.

        Raises
        ------
        ValueError
            If it belongs to another space, lacks a decision, has one too many or
            an option that the space does not offer.
        """
        if architecture.space != self.space:
            raise ValueError(
                f"architecture belongs to the space {architecture.space!r}, but "
                f"search_space is {self.space!r}."
            )
        left = dict(architecture)
        for decision in self._decisions:
            if not decision.is_active(architecture):
                continue
            if decision.name not in left:
                raise ValueError(f"architecture lacks the decision {decision.name!r}.")
            option = left.pop(decision.name)
            if (type(option), option) not in self._offered[decision.name]:
                raise ValueError(
                    f"architecture has {decision.name}={option!r}, but the space "
                    f"{self.space!r} offers {list(decision.options)}."
                )
        if left:
            raise ValueError(
                f"architecture has decisions that the space {self.space!r} does not "
                f"make here: {sorted(left)}."
            )

    def sample(self, n: int, rng: np.random.RandomState) -> list[Architecture]:
        """Draw architectures at random, each decision uniformly.

        Parameters
        ----------
        n : int
            How many.

        rng : numpy.random.RandomState
            Source of randomness.

        Returns
        -------
        architectures : list of Architecture
            They need not differ from each other.
        """
        columns = [rng.randint(len(d.options), size=n) for d in self._decisions]
        return self._architectures(columns, n)

    def balanced_sample(self, n: int, rng: np.random.RandomState) -> list[Architecture]:
        """Draw architectures so that each option is drawn equally often.

        Each decision's options are dealt out without replacement, which trains
        all of them the same number of times (strict fairness, FairNAS,
        arXiv:1907.01845) as far as `n` and the conditions of the space allow.

        Parameters
        ----------
        n : int
            How many.

        rng : numpy.random.RandomState
            Source of randomness.

        Returns
        -------
        architectures : list of Architecture
            The architectures.
        """
        columns = []
        for decision in self._decisions:
            size = len(decision.options)
            deals = [rng.permutation(size) for _ in range(n // size + 1)]
            columns.append(np.concatenate(deals)[:n])
        return self._architectures(columns, n)

    def _architectures(self, columns: list[np.ndarray], n: int) -> list[Architecture]:
        rows = zip(*columns, strict=True) if columns else [()] * n
        return [self.architecture(row) for row in rows]
