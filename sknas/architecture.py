"""What a search finds: architectures, as values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import numpy as np

Option = str | int | float | bool | None


def plain_option(option: object) -> object:
    """Give a numpy scalar as a plain one."""
    return option.item() if isinstance(option, np.generic) else option


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
        set_(self, "_choices", {name: plain_option(o) for name, o in choices.items()})
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
        try:
            return self._choices[name]
        except KeyError:
            raise KeyError(
                f"{name!r} is not decided in this architecture, which has "
                f"{list(self._choices)}; decisions that do not count are left out."
            ) from None

    # not by way of an error and its text: searches ask for much that does not count

    def __contains__(self, name: object) -> bool:
        return name in self._choices

    def get(self, name: str, default=None):
        """Give the option of a decision, or a default where it does not count."""
        return self._choices.get(name, default)

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
        return _space_of_fixed_arcs(space).read_fixed_arc(text)

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
        _space_of_fixed_arcs(space).decisions().check(self)
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
        except (TypeError, ValueError, RecursionError) as error:
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


def _space_of_fixed_arcs(space):
    if not hasattr(space, "read_fixed_arc"):
        raise TypeError(
            "fixed arcs are of a ConvMacroSpace, a ConvMicroSpace or a RecurrentSpace, "
            f"got {space!r}."
        )
    return space
