"""Checks of spaces: what a fit looks at, and all that a space has to keep."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor, nn

from sknas.architecture import Architecture
from sknas.decisions import Decisions
from sknas.spaces._base import DataSpec, SearchSpace

N_ROWS = 6
SPREAD = 0.1  # of what is added to parameters, so that none is zero
TOLERANCE = 1e-4
EXAMPLE = DataSpec(
    3,
    n_numeric=4,
    category_sizes=(2, 5),
    bin_edges=np.linspace(-2, 2, 9)[:, None].repeat(4, axis=1),
)


def checked_decisions(space: SearchSpace) -> Decisions:
    """Give the decisions of a space; raise an error if its parameters are wrong.

    So is what else it says of itself.
    """
    decisions = space.decisions()
    name = type(space).__name__
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
            f"The networks of {type(space).__name__} must take the inputs of a "
            f"{spec.kind} as keyword arguments, {list(inputs)}: {error}. The method "
            "'check_data' is for data that a space is not for."
        ) from error
    expected = len(next(iter(inputs.values()))), spec.n_outputs
    if logits.ndim not in (2, 3) or logits.shape[-2:] != expected:
        raise ValueError(
            f"The networks of {type(space).__name__} must give logits of shape "
            f"(n_rows, n_outputs), here {expected}, or of (n_heads, n_rows, "
            f"n_outputs); one gave {tuple(logits.shape)}."
        )


def check_search_space(
    space: SearchSpace,
    spec: DataSpec | None = None,
    *,
    n_architectures: int = 16,
    random_state: int = 0,
) -> None:
    """Check that a space keeps what a search relies on, as `check_estimator` does.

    Beside what `fit` checks: that the space can be cloned and pickled; that its
    networks give finite logits, and no probabilities; that the supernet answers for
    each architecture, whatever others are asked for beside it, on rows that all share
    and on rows of their own; and that a network with the supernet's parameters answers
    as the supernet does. The last is not looked at where a network holds several
    predictors.

    Parameters
    ----------
    space : SearchSpace
        The space.

    spec : DataSpec or None, default=None
        What the data look like, such as `data_spec_` of a fitted estimator. None: a
        table of four numbers and two categories, for three classes.

    n_architectures : int, default=16
        How many architectures are looked at, beside the default one.

    random_state : int, default=0
        Decides which these are, the weights, and the rows.

    Raises
    ------
    TypeError, ValueError
        If the space does not keep it; the message says what.

    Examples
    --------
    >>> from sknas import TabularSpace
    >>> from sknas.spaces import check_search_space
    >>> check_search_space(TabularSpace(n_heads=1))
    """
    spec = EXAMPLE if spec is None else spec
    if spec.kind == "language":
        raise ValueError("the networks of language models are not checked.")
    name = type(space).__name__
    decisions = checked_decisions(space)
    space.check_data(spec)
    for copied in (clone(space), pickle.loads(pickle.dumps(space))):
        if list(copied.decisions()) != list(decisions):
            raise ValueError(f"a clone or a pickle of {name} has other decisions.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_state)
        rng = np.random.RandomState(random_state)
        default = space.default_architecture()
        architectures = [default, *decisions.balanced_sample(n_architectures, rng)]
        rows = _example_rows(spec, rng)
        supernet = space.supernet(spec).eval()
        with torch.no_grad():
            for parameter in supernet.parameters():
                parameter += SPREAD * torch.randn_like(parameter)
            _check_supernet(name, supernet, architectures, rows, spec)
            for architecture in architectures:
                _check_stand_alone(space, supernet, architecture, rows, spec)


def _example_rows(spec: DataSpec, rng: np.random.RandomState) -> dict[str, Tensor]:
    """Draw rows of such data."""
    if spec.kind == "table":
        sizes = np.array(spec.category_sizes, dtype=np.int64)
        numeric = rng.normal(size=(N_ROWS, spec.n_numeric)).astype(np.float32)
        codes = rng.randint(sizes + 1, size=(N_ROWS, len(sizes)))  # unknown ones too
        rows = {"numeric": numeric, "categorical": codes.astype(np.int64)}
    elif spec.kind == "text":
        rows = {"tokens": rng.randint(1, spec.n_tokens, size=(N_ROWS, spec.n_steps))}
    else:
        shape = -1, *[1] * len(spec.sizes)
        values = rng.normal(size=(N_ROWS, *spec.image_shape))
        values = values * spec.image_scale.reshape(shape)
        values += spec.image_mean.reshape(shape)
        rows = {"image": values.astype(np.float32)}
    return {name: torch.from_numpy(array) for name, array in rows.items()}


def _is_same(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE)


def _check_supernet(
    name: str,
    supernet: nn.Module,
    architectures: Sequence[Architecture],
    rows: dict[str, Tensor],
    spec: DataSpec,
) -> None:
    """Check that a supernet answers for each architecture by itself."""
    together = supernet(**rows, architectures=architectures)
    expected = len(architectures), N_ROWS, spec.n_outputs
    if together.shape != expected:
        raise ValueError(
            f"the supernet of {name} must give logits of shape (n_architectures, "
            f"n_rows, n_outputs), here {expected}; it gave {tuple(together.shape)}."
        )
    for architecture, answer in zip(architectures, together, strict=True):
        if not _is_same(supernet(**rows, architectures=[architecture])[0], answer):
            raise ValueError(
                f"the supernet of {name} answers otherwise for an architecture where "
                f"it is asked for others beside it: {architecture!r}."
            )
    # row i is the same for all architectures, but in another place for each
    orders = [np.roll(np.arange(N_ROWS), i) for i in range(len(architectures))]
    own_rows = {key: tensor[np.stack(orders)] for key, tensor in rows.items()}
    apart = supernet(**own_rows, architectures=architectures)
    if apart.shape != expected:
        raise ValueError(
            f"the supernet of {name} must take rows of each architecture's own, with "
            f"one axis more, and give {expected}; it gave {tuple(apart.shape)}."
        )
    for order, own, answer in zip(orders, apart, together, strict=True):
        if not _is_same(own, answer[order]):
            raise ValueError(
                f"the supernet of {name} answers otherwise where each architecture has "
                "rows of its own."
            )


def _check_stand_alone(
    space: SearchSpace,
    supernet: nn.Module,
    architecture: Architecture,
    rows: dict[str, Tensor],
    spec: DataSpec,
) -> None:
    """Check a network of its own against the supernet."""
    check_network(space, architecture, spec, rows)
    name = type(space).__name__
    network = space.network(architecture, spec).eval()
    logits = network(**rows)
    if not logits.isfinite().all():
        raise ValueError(f"{name}: the network of {architecture!r} gives no numbers.")
    sums = logits.sum(dim=-1)
    if spec.n_outputs > 1 and (logits >= 0).all() and _is_same(sums, sums.new_ones(())):
        raise ValueError(
            f"the networks of {name} give probabilities: logits are asked for, which "
            "the loss makes probabilities of."
        )
    shared = supernet.state_dict()
    names = [space.shared_name(own, architecture) for own in network.state_dict()]
    is_own = type(space).copy_shared_weights is not SearchSpace.copy_shared_weights
    missing = sorted(set(names) - set(shared))
    if missing and not is_own:
        raise ValueError(
            f"{name}: the supernet has no {missing[0]!r}, which the network of "
            f"{architecture!r} is to have from it: the method 'shared_name' says which "
            "of the supernet's parameters each comes from."
        )
    space.copy_shared_weights(supernet, network, architecture)
    logits = network(**rows)
    several = logits.ndim == 3 and len(logits) > 1
    answer = supernet(**rows, architectures=[architecture])[0]
    if not several and not _is_same(logits.view_as(answer), answer):
        raise ValueError(
            f"{name}: with the supernet's parameters, the network of {architecture!r} "
            "answers otherwise than the supernet does for it."
        )
