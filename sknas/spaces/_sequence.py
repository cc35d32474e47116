"""Convolutional or recurrent networks, whichever suits: the space named "sequence"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from sknas.architecture import Architecture
from sknas.decisions import Decision, Decisions
from sknas.spaces._base import DataSpec, SearchSpace
from sknas.spaces._conv_macro import ConvMacroSpace
from sknas.spaces._graph import Graph
from sknas.spaces._recurrent import RecurrentSpace, check_sequences


class SequenceSupernet(nn.Module):
    """The shared networks of both families, side by side.

    Parameters
    ----------
    space : SequenceSpace
        The space.

    spec : DataSpec
        What the data look like.
    """

    may_explode = True
    n_groups = 1  # as its convolutional network has it

    def __init__(self, space: SequenceSpace, spec: DataSpec) -> None:
        super().__init__()
        self.part = space.part
        # of inputs of which all architectures see the same rows
        self.n_axes = len(spec.sizes) + (1 if spec.kind == "text" else 2)
        self.networks = nn.ModuleDict(
            {name: family.supernet(spec) for name, family in space.families().items()}
        )

    def forward(self, architectures: list[Architecture], **inputs: Tensor) -> Tensor:
        """Give logits of shape (n_architectures, n_rows, n_outputs)."""
        return self._joined(self.networks, architectures, inputs)

    def estimate(self, architectures: list[Architecture], **inputs: Tensor) -> Tensor:
        """Give logits sooner, for rewards, by the networks that can."""
        answers = {
            name: getattr(network, "estimate", network)
            for name, network in self.networks.items()
        }
        return self._joined(answers, architectures, inputs)

    def _joined(
        self,
        answers: Mapping[str, Callable[..., Tensor]],
        architectures: list[Architecture],
        inputs: dict[str, Tensor],
    ) -> Tensor:
        """Let each family's network answer for its own architectures."""
        (given,) = inputs.values()
        outputs: list[Tensor | None] = [None] * len(architectures)
        for name, answer in answers.items():
            places = [
                i for i, a in enumerate(architectures) if self.part(a).space == name
            ]
            if not places:
                continue
            own = given if given.ndim == self.n_axes else given[places]
            parts = [self.part(architectures[i]) for i in places]
            logits = answer(**dict.fromkeys(inputs, own), architectures=parts)
            for i, of_one in zip(places, logits, strict=True):
                outputs[i] = of_one
        return torch.stack(outputs)

    def pop_figures(self) -> dict[str, float]:
        """Give what happened in training since the last call, for the history."""
        figures = {}
        for network in self.networks.values():
            if hasattr(network, "pop_figures"):
                figures |= network.pop_figures()
        return figures


class SequenceSpace(SearchSpace):
    """Convolutional and recurrent networks together: the space named "sequence".

    The first decision is between two families, and each family has the decisions of its
    own space: so the search finds out which of them suits the series or texts.

    Parameters
    ----------
    conv : SearchSpace or None, default=None
        The convolutional family. None is :class:`sknas.ConvMacroSpace` with its
        defaults.

    recurrent : RecurrentSpace or None, default=None
        The recurrent family. None is :class:`sknas.RecurrentSpace` with 6 nodes.

    Examples
    --------
    >>> from sknas import SequenceSpace
    >>> space = SequenceSpace()
    >>> space.default_architecture()["family"]
    'conv-macro'
    """

    name = "sequence"

    def __init__(
        self,
        conv: SearchSpace | None = None,
        recurrent: RecurrentSpace | None = None,
    ) -> None:
        self.conv = conv
        self.recurrent = recurrent

    def families(self) -> dict[str, SearchSpace]:
        """Give the spaces of the two families.

        Returns
        -------
        families : dict of str to SearchSpace
            The spaces, by their names.
        """
        for name in ("conv", "recurrent"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, SearchSpace):
                raise ValueError(
                    f"{name} of {type(self).__name__} must be None or a SearchSpace, "
                    f"got {value!r}."
                )
        families = (
            self.conv or ConvMacroSpace(),
            self.recurrent or RecurrentSpace(n_nodes=6),
        )
        if families[0].name == families[1].name:
            raise ValueError(
                f"conv and recurrent of {type(self).__name__} are both the space "
                f"{families[0].name!r}: they must be different ones."
            )
        return {family.name: family for family in families}

    def decisions(self) -> Decisions:
        """List the decisions: the family, then those of each family.

        Returns
        -------
        decisions : Decisions
            "family", and those of the families' own spaces, which begin with its name
            and count where it is chosen.
        """
        families = self.families()
        decisions = [Decision("family", tuple(families))]
        for name, family in families.items():
            for decision in family.decisions():
                condition = "family", (name,)
                if decision.active_if is not None:
                    earlier, options = decision.active_if
                    condition = f"{name}_{earlier}", options
                decisions.append(
                    replace(
                        decision,
                        name=f"{name}_{decision.name}",
                        active_if=condition,
                        graph=name,
                    )
                )
        return Decisions(self.name, decisions)

    def part(self, architecture: Architecture) -> Architecture:
        """Give an architecture as one of its family's own space.

        Parameters
        ----------
        architecture : Architecture
            An architecture of this space.

        Returns
        -------
        part : Architecture
            The same network, as that space writes it.
        """
        name = architecture["family"]
        choices = dict(architecture)
        del choices["family"]
        return Architecture(
            name, {key.removeprefix(f"{name}_"): o for key, o in choices.items()}
        )

    def whole(self, part: Architecture) -> Architecture:
        """Give an architecture of a family's own space as one of this space.

        Parameters
        ----------
        part : Architecture
            The architecture.

        Returns
        -------
        architecture : Architecture
            The same network: what :meth:`part` takes.
        """
        choices = {f"{part.space}_{key}": option for key, option in part.items()}
        return Architecture(self.name, {"family": part.space, **choices})

    def default_architecture(self) -> Architecture:
        """Give the convolutional family's default architecture."""
        family = next(iter(self.families().values()))
        return self.whole(family.default_architecture())

    def final_space(self) -> SequenceSpace:
        """Give the space of the final networks; see the base class."""
        families = self.families().values()
        conv, recurrent = (family.final_space() for family in families)
        parameters = self.get_params(deep=False)
        return type(self)(**(parameters | {"conv": conv, "recurrent": recurrent}))

    def check_data(self, spec: DataSpec) -> None:
        """Check that the data are sequences; see the base class."""
        check_sequences(spec, self.name)
        for family in reversed(self.families().values()):
            family.check_data(spec)

    def supernet(self, spec: DataSpec) -> SequenceSupernet:
        """Build the network that shares its parameters; see the base class."""
        return SequenceSupernet(self, spec)

    def network(self, architecture: Architecture, spec: DataSpec) -> nn.Module:
        """Build the stand-alone network; see the base class."""
        part = self.part(architecture)
        return self.families()[part.space].network(part, spec)

    def copy_shared_weights(
        self, supernet: nn.Module, network: nn.Module, architecture: Architecture
    ) -> None:
        """Copy the shared parameters of the family; see the base class."""
        part = self.part(architecture)
        family = self.families()[part.space]
        family.copy_shared_weights(supernet.networks[part.space], network, part)

    def describe(self, architecture: Architecture) -> str:
        """Say in words what an architecture is."""
        part = self.part(architecture)
        return f"{part.space}: {self.families()[part.space].describe(part)}"

    def source(
        self, architecture: Architecture, spec: DataSpec, name: str
    ) -> list[str]:
        """Write the stand-alone network as code; see the base class."""
        part = self.part(architecture)
        return self.families()[part.space].source(part, spec, name)

    def graph(self, architecture: Architecture, spec: DataSpec | None = None) -> Graph:
        """Give the architecture as a graph; see the base class."""
        part = self.part(architecture)
        return self.families()[part.space].graph(part, spec)
