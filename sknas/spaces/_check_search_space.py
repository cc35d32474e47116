"""Check of all that a search space has to keep, for those who write one."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor, nn
from torch.nn import functional as F

from sknas.architecture import Architecture
from sknas.spaces._base import DataSpec, SearchSpace
from sknas.spaces._checks import (
    check_network,
    checked_decisions,
    checked_relevance,
    checked_supernet,
)
from sknas.spaces._graph import Graph

N_ROWS = 6
SPREAD = 0.1  # of what is added to parameters, so that none is zero
TOLERANCE = 1e-4
FORMS = (
    "Numbers are float32; a code may equal its column's size, which means unknown; 0 "
    "follows the end of a text. Constants of a module are buffers (register_buffer)."
)
EXAMPLE = DataSpec(
    3,
    n_numeric=4,
    category_sizes=(2, 5),
    bin_edges=np.linspace(-2, 2, 9)[:, None].repeat(4, axis=1),
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
    networks read all inputs, in each of the forms that they may have, give finite
    logits, and no probabilities, and can be trained on a single row; that the supernet
    answers for each architecture, whatever others are asked for beside it, on rows that
    all share and on rows of their own; and that a network with the supernet's
    parameters answers as the supernet does. The last is not looked at where a network
    holds several predictors. What the space says in words, as a graph, as code and of
    the columns' relevance is tried out too.

    Parameters
    ----------
    space : SearchSpace
        The space.

    spec : DataSpec or None, default=None
        What the data look like, such as `data_spec_` of a fitted estimator, or
        ``DataSpec(3, image_shape=(1, 8, 8))`` for images of three classes,
        ``image_shape=(2, 20)`` for series, ``n_tokens=30, n_steps=15`` for texts.
        None: a table of four numbers and two categories, for three classes.

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
    if not isinstance(space, SearchSpace):
        raise TypeError(f"space must be an instance of SearchSpace, got {space!r}.")
    is_example = spec is None
    spec = EXAMPLE if is_example else spec
    if spec.kind == "language":
        raise ValueError("the networks of language models are not checked.")
    name = type(space).__name__
    decisions = checked_decisions(space)
    with _noting("this was a table: give `spec` for other data." if is_example else ""):
        space.check_data(spec)
    for other in (clone(space), _unpickled(space)):
        if list(other.decisions()) != list(decisions):
            raise ValueError(f"a clone or a pickle of {name} has other decisions.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_state)
        rng = np.random.RandomState(random_state)
        default = space.default_architecture()
        architectures = [default, *decisions.balanced_sample(n_architectures, rng)]
        rows = _example_rows(spec, rng)
        supernet = checked_supernet(space, spec)
        with torch.no_grad():
            for parameter in supernet.parameters():
                parameter += SPREAD * torch.randn_like(parameter)
            with _noting(f"the supernet of {name} was asked for {list(rows)}. {FORMS}"):
                _check_supernet(name, supernet.eval(), architectures, rows, spec)
                _check_one_row(supernet, rows, architectures=architectures)
            for architecture in architectures:
                with _noting(f"{name} was asked for {architecture!r}. {FORMS}"):
                    network = _check_stand_alone(
                        space, supernet, architecture, rows, spec
                    )
                    _check_inputs(name, network, rows, spec)
                    _check_one_row(network, rows)
                    _check_words(space, architecture, spec)
                    _check_source(space, network.eval(), architecture, spec, rows)
                _check_relevance(space, network, architecture, spec, rows)


@contextmanager
def _noting(text: str) -> Iterator[None]:
    """Add to an error what was done."""
    try:
        yield
    except Exception as error:
        if text:
            error.add_note(text)
        raise


def _unpickled(space: SearchSpace) -> SearchSpace:
    try:
        return pickle.loads(pickle.dumps(space))
    except Exception as error:
        raise ValueError(
            f"{type(space).__name__} cannot be pickled: define it at the top level of "
            f"a module, and store only its parameters in it ({error})."
        ) from error


def _example_rows(spec: DataSpec, rng: np.random.RandomState) -> dict[str, Tensor]:
    """Draw rows of such data."""
    if spec.kind == "table":
        sizes = np.array(spec.category_sizes, dtype=np.int64)
        numeric = rng.normal(size=(N_ROWS, spec.n_numeric)).astype(np.float32)
        codes = rng.randint(sizes + 1, size=(N_ROWS, len(sizes)))  # unknown ones too
        rows = {"numeric": numeric, "categorical": codes.astype(np.int64)}
    elif spec.kind == "text":
        tokens = rng.randint(1, spec.n_tokens, size=(N_ROWS, spec.n_steps))
        tokens[0, (spec.n_steps + 1) // 2 :] = 0  # a shorter one
        rows = {"tokens": tokens}
    else:
        shape = -1, *[1] * len(spec.sizes)
        values = rng.normal(size=(N_ROWS, *spec.image_shape))
        values = values * spec.image_scale.reshape(shape)
        values += spec.image_mean.reshape(shape)
        rows = {"image": values.astype(np.float32)}
    return {name: torch.from_numpy(array) for name, array in rows.items()}


def _check_inputs(
    name: str, network: nn.Module, rows: dict[str, Tensor], spec: DataSpec
) -> None:
    """Check that a network reads all inputs, in the forms that they may have."""
    logits = network(**rows)
    for key, tensor in rows.items():
        is_constant = (tensor == tensor[:1]).all()
        if not is_constant and _is_same(
            network(**rows | {key: tensor.roll(1, 0)}), logits
        ):
            raise ValueError(
                f"the networks of {name} do not read {key!r}: the method 'check_data' "
                "is for data that a space is not for."
            )
    forms = {}
    if spec.kind in ("image", "series"):
        forms["bytes"] = rows["image"].clamp(0, 255).to(torch.uint8)
    if spec.kind == "series":
        missing = rows["image"].clone()
        missing[0, 0, 0] = missing[1, :, -1] = torch.nan
        forms["NaN, for what is missing or beyond its end,"] = missing
    for form, image in forms.items():
        with _noting(f"{name} was given {form}"):
            logits = network(image=image)
        if not logits.isfinite().all():
            raise ValueError(
                f"the networks of {name} must take {form} too, and give finite logits."
            )


def _check_one_row(network: nn.Module, rows: dict[str, Tensor], **options) -> None:
    """Check that a batch, or an architecture's part of one, may have a single row."""
    n_parts = len(options["architectures"]) if options else 1
    one = {
        key: tensor[:1].repeat(n_parts, *[1] * (tensor.ndim - 1))
        for key, tensor in rows.items()
    }
    if options:  # each has a row of its own
        one = {key: tensor.unsqueeze(1) for key, tensor in one.items()}
    network = copy.deepcopy(network).train()  # whose statistics may change
    with (
        torch.enable_grad(),
        _noting(
            "in training, a batch, or an architecture's part of it, may have a single "
            "row, on which torch's BatchNorm fails: LayerNorm does not."
        ),
    ):
        network(**one, **options).sum().backward()


def _check_words(
    space: SearchSpace, architecture: Architecture, spec: DataSpec
) -> None:
    """Check what a space says of an architecture, in words and as a graph."""
    name = type(space).__name__
    if not isinstance(space.describe(architecture), str):
        raise TypeError(f"{name}.describe must give a string.")
    for known in (spec, None):
        graph = space.graph(architecture, known)
        if not isinstance(graph, Graph) or not graph.nodes:
            raise TypeError(
                f"{name}.graph must give a Graph with nodes, got {graph!r}."
            )


def _check_source(
    space: SearchSpace,
    network: nn.Module,
    architecture: Architecture,
    spec: DataSpec,
    rows: dict[str, Tensor],
) -> None:
    """Check that the code of a network answers as it does."""
    name = type(space).__name__
    try:
        definitions = space.source(architecture, spec, "Written")
    except NotImplementedError:
        return
    if isinstance(definitions, str):
        raise TypeError(f"{name}.source must give a list of definitions, got a str.")
    code = "\n\n".join(definitions)
    names: dict[str, object] = {"torch": torch, "nn": nn, "F": F}
    with _noting(f"{name}.source gave this code:\n{code}"):
        exec(compile(code, f"<{name}.source>", "exec"), names)
        if "Written" not in names:
            raise ValueError(f"{name}.source must call the network's class as asked.")
        written = names["Written"]().eval()
        state = network.state_dict()
        own = written.state_dict()
        strange = sorted(set(own) - set(state))
        if strange:
            raise ValueError(
                f"{name}.source: the code's {strange[0]!r} is no parameter or buffer "
                f"of the network: {sorted(state)}."
            )
        written.load_state_dict({key: state[key] for key in own})
        if not _is_same(written(*rows.values()), network(**rows)):
            raise ValueError(f"{name}.source: the code answers otherwise.")


def _check_relevance(
    space: SearchSpace,
    network: nn.Module,
    architecture: Architecture,
    spec: DataSpec,
    rows: dict[str, Tensor],
) -> None:
    """Check what a space says of the columns, and that networks can be told."""
    if not space.tells_relevance or spec.kind != "table":
        return
    if type(space).relevance is SearchSpace.relevance:
        raise ValueError(
            f"{type(space).__name__} has tells_relevance, but no method 'relevance'."
        )
    with torch.enable_grad():
        relevance = checked_relevance(
            space,
            network,
            spec,
            rows,
            torch.ones(N_ROWS),
            lambda outputs: outputs if outputs.ndim == 2 else outputs.mean(dim=0),
        )
    told = space.network(architecture, replace(spec, relevance=relevance))
    told.load_state_dict(network.state_dict())


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
) -> nn.Module:
    """Check a network of its own against the supernet; give it, with its parameters."""
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
    return network
