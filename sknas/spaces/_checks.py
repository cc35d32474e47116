"""What a fit checks of a space, be it of the user's own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from sknas.architecture import Architecture
from sknas.decisions import Decisions
from sknas.spaces._base import DataSpec, SearchSpace


def checked_decisions(space: SearchSpace) -> Decisions:
    """Give the decisions of a space; raise an error if its parameters are wrong.

    So is what else it says of itself.
    """
    name = type(space).__name__
    if not isinstance(getattr(space, "name", None), str):
        raise TypeError(f"{name} needs a name: a string, unlike those of other spaces.")
    decisions = space.decisions()
    if not isinstance(decisions, Decisions) or decisions.space != space.name:
        raise TypeError(
            f"{name}.decisions must give Decisions({space.name!r}, ...), with the name "
            f"of the space, got {decisions!r}."
        )
    default = space.default_architecture()
    if not isinstance(default, Architecture):
        raise TypeError(
            f"{name}.default_architecture must give an Architecture, got {default!r}."
        )
    try:
        decisions.check(default)
    except ValueError as error:
        raise ValueError(
            f"{name}.default_architecture gives none of the space: {error}"
        ) from error
    final = space.final_space()
    if not isinstance(final, SearchSpace) or list(final.decisions()) != list(decisions):
        raise TypeError(
            f"{name}.final_space must give a space of the same decisions, got "
            f"{final!r}."
        )
    return decisions


def check_network(
    space: SearchSpace,
    architecture: Architecture,
    spec: DataSpec,
    inputs: dict[str, Tensor],
) -> None:
    """Check that an architecture's network gives as many outputs as it must.

    Parameters
    ----------
    space : SearchSpace
        The space.

    architecture : Architecture
        An architecture of it.

    spec : DataSpec
        What the data look like. Language models, which give log-probabilities of
        tokens, are not checked.

    inputs : dict of str to Tensor
        A few rows, on the CPU.

    Raises
    ------
    TypeError, ValueError
        If the network is no module, or its answer has another shape than
        :meth:`SearchSpace.network` says.
    """
    if spec.kind == "language":
        return
    network = space.network(architecture, spec)
    if not isinstance(network, nn.Module):
        raise TypeError(
            f"{type(space).__name__}.network must give a torch.nn.Module, got "
            f"{network!r}."
        )
    try:
        with torch.no_grad():
            logits = network.eval()(**inputs)
    except TypeError as error:
        raise TypeError(
            f"The networks of {type(space).__name__} must take as keyword arguments "
            f"what is the input of kind {spec.kind!r}, {list(inputs)}: {error}. The "
            "method 'check_data' is for data that a space is not for."
        ) from error
    if not isinstance(logits, Tensor):
        raise TypeError(
            f"The networks of {type(space).__name__} must give a torch.Tensor, one "
            f"gave a {type(logits).__name__}."
        )
    expected = len(next(iter(inputs.values()))), spec.n_outputs
    if logits.ndim not in (2, 3) or logits.shape[-2:] != expected:
        raise ValueError(
            f"The networks of {type(space).__name__} must give logits of shape "
            f"(n_rows, n_outputs), here {expected}, or of (n_heads, n_rows, "
            f"n_outputs); one gave {tuple(logits.shape)}."
        )


def checked_supernet(space: SearchSpace, spec: DataSpec) -> nn.Module:
    """Give the supernet of a space; raise an error if it is none."""
    supernet = space.supernet(spec)
    if not isinstance(supernet, nn.Module):
        raise TypeError(
            f"{type(space).__name__}.supernet must give a torch.nn.Module, got "
            f"{supernet!r}."
        )
    return supernet


def checked_relevance(
    space: SearchSpace,
    network: nn.Module,
    spec: DataSpec,
    inputs: dict[str, Tensor],
    weight: Tensor,
    join: Callable[[Tensor], Tensor],
) -> np.ndarray | None:
    """Give what a space says of the columns; raise an error if it cannot be right."""
    relevance = space.relevance(network, inputs, weight, join)
    if relevance is None:
        return None
    if isinstance(relevance, Tensor):
        relevance = relevance.detach().cpu()
    relevance = np.asarray(relevance, dtype=np.float64)
    expected = (spec.n_numeric + len(spec.category_sizes),)
    is_positive = np.isfinite(relevance) & (relevance > 0)
    if relevance.shape != expected or not is_positive.all():
        raise ValueError(
            f"{type(space).__name__}.relevance must give None or an array of shape "
            f"{expected}, {spec.n_numeric} numeric inputs (indicators of missing "
            f"values among them) and {len(spec.category_sizes)} categories, with "
            f"finite numbers above 0, got {relevance!r}."
        )
    return relevance
