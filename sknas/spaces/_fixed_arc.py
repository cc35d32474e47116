"""Architectures as the official code of ENAS writes them."""

from __future__ import annotations

from sknas.architecture import Architecture
from sknas.decisions import Decision


class FixedArcMixin:
    """Reads and writes the fixed arcs of a space: a number for each decision."""

    def _arc_options(self, decision: Decision) -> tuple:
        """Give a decision's options in the order of the official code's numbers."""
        return decision.options

    def read_fixed_arc(self, text: str) -> Architecture:
        """Read what the official code calls a fixed arc.

        Parameters
        ----------
        text : str
            A number for each decision of the space, in their order. Of the macro space:
            for each layer its operation, then 0 or 1 for each skip. Of the micro space:
            for each node of the normal cell, then of the reduction cell, an input and
            its operation, twice. Of the recurrent space: the activation of the first
            node, then for each other one the node that it reads and its activation.

        Returns
        -------
        architecture : Architecture
            The architecture, of as many layers or nodes as the space has.

        Raises
        ------
        ValueError
            If the text is no fixed arc of a space of this size, or has an operation
            that the space does not offer.
        """
        try:
            words = text.replace("|", " ").split()
            numbers = [int(word) for word in words]
            if not all(word.isascii() and word.isdecimal() for word in words):
                raise ValueError("there are other signs than digits")
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                f"a fixed arc is a string of whole numbers from 0 up, got {text!r}."
            ) from error
        decisions = self.decisions()
        if len(numbers) != len(decisions):
            raise ValueError(
                f"the fixed arc has {len(numbers)} numbers, but a space of this size "
                f"needs {len(decisions)}: give the space the sizes of the arc."
            )
        choices = {}
        for decision, number in zip(decisions, numbers, strict=True):
            options = self._arc_options(decision)
            if number >= len(options):
                raise ValueError(
                    f"the fixed arc has {number} for {decision.name!r}, which must be "
                    f"below {len(options)}."
                )
            choices[decision.name] = options[number]
        architecture = Architecture(self.name, choices)
        decisions.check(architecture)
        return architecture

    def write_fixed_arc(self, architecture: Architecture) -> str:
        """Write an architecture as the official code's fixed arc.

        Parameters
        ----------
        architecture : Architecture
            An architecture of this space.

        Returns
        -------
        text : str
            What :meth:`read_fixed_arc` reads.
        """
        return " ".join(
            str(self._arc_options(decision).index(architecture[decision.name]))
            for decision in self.decisions()
        )
