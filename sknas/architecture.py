"""What a search decides and what it finds: decisions and architectures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Option = str | int | float | bool | None


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
        Whether the options are operations (or sizes, flags, ...); or the numbers
        of earlier nodes, in which case a controller may compare its states at
        those nodes instead of learning one logit for each option; or False and
        True, to a connection from an earlier node, whose state it may then compare.

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
        if self.prior is not None and (
            len(self.prior) != len(self.options)
            or not all(0 < p < math.inf for p in self.prior)
        ):
            raise ValueError(
                f"decision {self.name!r}: prior must be None or a number above 0 for "
                f"each of the {len(self.options)} options, got {self.prior!r}."
            )

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


class Architecture(Mapping):
    """A network's design: the option chosen for each active decision of a space.

    It behaves as a frozen mapping from decision names to options: it can be
    compared, hashed, printed and written to JSON.

    Parameters
    ----------
    space : str
        Name of the search space that it belongs to.

    choices : mapping of str to str, int, float, bool or None
        The option chosen for each active decision, in the space's order.

    Examples
    --------
    >>> from sknas import Architecture
    >>> small = Architecture("tabular", {"n_layers": 1, "width_1": 64})
    >>> small["width_1"]
    64
    >>> Architecture.from_json(small.to_json()) == small
    True
    """

    __slots__ = ("_choices", "_hash", "_space")

    def __init__(self, space: str, choices: Mapping[str, Option]) -> None:
        set_ = object.__setattr__
        set_(self, "_space", space)
        choices = {
            name: option.item() if isinstance(option, np.generic) else option
            for name, option in choices.items()
        }
        set_(self, "_choices", choices)
        # dict equality does not look at the order, and neither may the hash
        set_(self, "_hash", hash((space, frozenset(self._choices.items()))))

    @property
    def space(self) -> str:
        """Name of the search space that the architecture belongs to."""
        return self._space

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("an Architecture cannot be changed; make a new one.")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("an Architecture cannot be changed; make a new one.")

    def __reduce__(self) -> tuple:
        return Architecture, (self._space, self._choices)

    def __getitem__(self, name: str) -> Option:
        return self._choices[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._choices)

    def __len__(self) -> int:
        return len(self._choices)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Architecture):
            return NotImplemented
        return self._space == other._space and self._choices == other._choices

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Architecture({self._space!r}, {self._choices!r})"

    def __str__(self) -> str:
        width = max(map(len, self._choices), default=0)
        lines = [f"Architecture of the {self._space!r} space"]
        lines += [f"  {name:<{width}}  {opt}" for name, opt in self._choices.items()]
        return "\n".join(lines)

    def to_json(self) -> str:
        """Write the architecture as JSON.

        Returns
        -------
        text : str
            An object with the keys ``"space"`` and ``"choices"``.
        """
        return json.dumps({"space": self._space, "choices": self._choices})

    @classmethod
    def from_fixed_arc(cls, text: str, space) -> Architecture:
        """Read an architecture in the format of the official code of ENAS.

        Parameters
        ----------
        text : str
            What its scripts call a fixed arc: numbers and blanks. Bars between
            layers are passed over.

        space : ConvMacroSpace, ConvMicroSpace or RecurrentSpace
            The space that it belongs to, of the arc's numbers of layers or nodes.

        Returns
        -------
        architecture : Architecture
            The architecture.

        Raises
        ------
        ValueError
            If the text is no fixed arc of a space of this size.

        Examples
        --------
        >>> from sknas import Architecture, ConvMacroSpace
        >>> found = Architecture.from_fixed_arc("0 | 5 1", ConvMacroSpace(n_layers=2))
        >>> found["operation_2"]
        'max_pool3x3'
        """
        return space.read_fixed_arc(text)

    def to_fixed_arc(self, space) -> str:
        """Write the architecture in the format of the official code of ENAS.

        Parameters
        ----------
        space : ConvMacroSpace, ConvMicroSpace or RecurrentSpace
            The space that it belongs to.

        Returns
        -------
        text : str
            What :meth:`from_fixed_arc` reads.
        """
        space.decisions().check(self)
        return space.write_fixed_arc(self)

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """Read an architecture from what :meth:`to_json` wrote.

        Parameters
        ----------
        text : str
            The JSON text.

        Returns
        -------
        architecture : Architecture
            The architecture. Whether it fits a space is checked where it is used.

        Raises
        ------
        ValueError
            If the text is not JSON or does not describe an architecture.
        """
        hint = "it should be what Architecture.to_json() returned."
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(
                f"architecture is not valid JSON ({error}); {hint}"
            ) from error
        if not (
            isinstance(value, dict)
            and isinstance(value.get("space"), str)
            and isinstance(value.get("choices"), dict)
        ):
            raise ValueError(
                f"architecture's JSON needs the keys 'space' and 'choices'; {hint}"
            )
        for name, option in value["choices"].items():
            if not isinstance(option, Option):
                raise ValueError(
                    f"architecture's JSON gives {name!r} a {type(option).__name__}; "
                    "an option is a string, a number, a boolean or null."
                )
        return cls(value["space"], value["choices"])


class Decisions(Sequence):
    """All the decisions of a search space, in the order in which they are made.

    Parameters
    ----------
    space : str
        Name of the search space.

    decisions : iterable of Decision
        The decisions. Each `active_if` must name an earlier one.
    """

    def __init__(self, space: str, decisions: Iterable[Decision]) -> None:
        self.space = space
        self._decisions = tuple(decisions)
        seen: dict[str, Decision] = {}
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
            if repr(option) not in map(repr, decision.options):
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
