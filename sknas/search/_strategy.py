"""The interface of a search strategy."""

from __future__ import annotations

import numbers
from abc import ABCMeta, abstractmethod
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import nn

from sknas.architecture import Architecture
from sknas.decisions import Decisions
from sknas.notices import warn_caller
from sknas.rules import is_integer


class SearchStrategy(BaseEstimator, metaclass=ABCMeta):
    """How a space is searched: proposes architectures, and learns from rewards.

    A strategy sees decisions and rewards only. A subclass stores its constructor's
    arguments under their own names, as every scikit-learn estimator does; what it
    learns it sets in :meth:`initialize`, :meth:`ask` and :meth:`tell`, under names
    that end in an underscore.

    A search calls :meth:`initialize`, and in the first three tenths of its epochs
    nothing else: until then the shared parameters are trained on options in turn. In
    each epoch after that, it asks once for the architectures that all the epoch's
    batches are trained on, for which no rewards are told; then, `updates_per_epoch`
    times, it asks for `samples_per_update` architectures and tells their rewards. In
    the end it takes the :meth:`candidates`.

    Attributes
    ----------
    updates_per_epoch : int, default=0
        How often in an epoch of the search it wants rewards; 0 if it learns nothing.

    samples_per_update : int, default=8
        Of how many architectures at a time.

    controller_ : torch.nn.Module or None, default=None
        The policy's network, if there is one. skorch sees it beside the shared one.

    optimizer_ : torch.optim.Optimizer or None, default=None
        The optimizer of the policy's network, if there is one.
    """

    updates_per_epoch: int = 0
    samples_per_update: int = 8
    controller_: nn.Module | None = None
    optimizer_: torch.optim.Optimizer | None = None

    def check_parameters(self) -> None:
        """Check the constructor's arguments, before any data are looked at.

        Raises
        ------
        TypeError, ValueError
            If one is wrong; the message names it.
        """

    @abstractmethod
    def initialize(self, decisions: Decisions, random_state: np.random.RandomState):
        """Forget all that was learnt and begin a search.

        Parameters
        ----------
        decisions : Decisions
            What is to be decided.

        random_state : numpy.random.RandomState
            The strategy's source of randomness, for the whole search.
        """

    @abstractmethod
    def ask(self, n: int) -> list[Architecture]:
        """Propose architectures.

        Parameters
        ----------
        n : int
            How many. They need not differ from each other.

        Returns
        -------
        architectures : list of Architecture
            The proposals.
        """

    def tell(
        self, architectures: list[Architecture], rewards: np.ndarray
    ) -> dict[str, float] | None:
        """Learn from the rewards of architectures.

        Parameters
        ----------
        architectures : list of Architecture
            What was proposed, or any others of the space.

        rewards : ndarray of shape (n_architectures,)
            Their rewards; greater is better. NaN where there is none: a network gave no
            finite numbers, or a scorer could not judge it.

        Returns
        -------
        records : dict of str to float, or None
            What the search's history is to keep of the step, such as the loss.
        """
        return {}

    def candidates(self, n: int) -> list[Architecture]:
        """Propose the architectures that are ranked when the search ends.

        Parameters
        ----------
        n : int
            How many, at most. Equal ones are ranked once.

        Returns
        -------
        architectures : list of Architecture
            The proposals. The base class asks for them as for any others; a strategy
            that remembers rewards may give the best that it was told of.
        """
        return self.ask(n)

    def policy(self) -> list[np.ndarray] | None:
        """Give how likely each option of each decision is to be proposed by now.

        Returns
        -------
        probabilities : list of ndarray of shape (n_options,), or None
            For each decision, the probabilities where it counts; NaN if it never does.
            None, as from the base class, if they are not known.
        """
        return None


def propose(
    strategy: SearchStrategy, n: int, decisions: Decisions, *, in_the_end: bool = False
) -> list[Architecture]:
    """Ask a strategy for architectures, and check that it gives such.

    Parameters
    ----------
    strategy : SearchStrategy
        The strategy.

    n : int
        How many.

    decisions : Decisions
        Those of the space.

    in_the_end : bool, default=False
        Whether to ask for the candidates, which may be fewer.

    Returns
    -------
    architectures : list of Architecture
        The proposals.

    Raises
    ------
    TypeError, ValueError
        If they are not `n` architectures of the space.
    """
    method = "candidates" if in_the_end else "ask"
    name = f"{type(strategy).__name__}.{method}"
    proposals = getattr(strategy, method)(n)
    if not isinstance(proposals, Iterable):
        raise TypeError(f"{name} must give a list, got {proposals!r}.")
    proposals = list(proposals)
    for proposal in proposals:
        if not isinstance(proposal, Architecture) or proposal.space != decisions.space:
            raise TypeError(
                f"{name} must give architectures of the space {decisions.space!r}, as "
                f"decisions.architecture makes them, got {proposal!r}."
            )
        try:
            decisions.check(proposal)
        except ValueError as error:
            raise ValueError(f"{name} gave no architecture: {error}") from error
    if len(proposals) > n or (len(proposals) < n and not in_the_end):
        most = " at most" if in_the_end else ""
        raise ValueError(
            f"{name} was asked for {n} architectures{most} and gave {len(proposals)}."
        )
    return proposals


def tell(
    strategy: SearchStrategy, architectures: list[Architecture], rewards: np.ndarray
) -> dict[str, float]:
    """Tell a strategy rewards, and check what it gives to keep.

    Parameters
    ----------
    strategy : SearchStrategy
        The strategy.

    architectures, rewards
        See :meth:`SearchStrategy.tell`.

    Returns
    -------
    records : dict of str to float
        What the history is to keep.

    Raises
    ------
    TypeError
        If it gives anything else.
    """
    records = strategy.tell(architectures, rewards)
    if records is None:
        return {}
    if not isinstance(records, Mapping) or not all(
        isinstance(value, numbers.Real) for value in records.values()
    ):
        raise TypeError(
            f"{type(strategy).__name__}.tell must give None or a dictionary of "
            f"numbers, got {records!r}."
        )
    return dict(records)


def final_policy(strategy: SearchStrategy, decisions: Decisions) -> dict[str, dict]:
    """Give, for each decision, its options and how likely each is in the end.

    Parameters
    ----------
    strategy : SearchStrategy
        The strategy.

    decisions : Decisions
        Those of the space.

    Returns
    -------
    policy : dict of str to dict
        Empty if the strategy does not tell, or tells what are no probabilities, of
        which a warning tells: the search is over and not to be lost.
    """
    probabilities = strategy.policy()
    if probabilities is None:
        return {}
    sizes = [(len(decision.options),) for decision in decisions]
    try:
        arrays = [np.asarray(p, dtype=np.float64) for p in probabilities]
        is_right = [array.shape for array in arrays] == sizes and all(
            np.isnan(array).all() or np.isclose(array.sum(), 1) for array in arrays
        )
    except (TypeError, ValueError):
        is_right = False
    if not is_right:
        warn_caller(
            f"{type(strategy).__name__}.policy must give, for each decision, "
            "probabilities of its options that add up to one. It does not, so that "
            "search_policy_ is empty."
        )
        return {}
    return {
        decision.name: {"options": list(decision.options), "probability": probability}
        for decision, probability in zip(decisions, arrays, strict=True)
    }


def check_strategy(strategy: SearchStrategy) -> None:
    """Check what a strategy says of itself.

    Parameters
    ----------
    strategy : SearchStrategy
        The strategy.

    Raises
    ------
    TypeError, ValueError
        If one of its parameters is wrong, or how often it learns is no number.
    """
    strategy.check_parameters()
    for name, least in (("updates_per_epoch", 0), ("samples_per_update", 1)):
        value = getattr(strategy, name)
        if not is_integer(value) or value < least:
            raise ValueError(
                f"{name} of {type(strategy).__name__} must be an integer from {least} "
                f"up, got {value!r}."
            )


def check_begun_strategy(strategy: SearchStrategy) -> None:
    """Check that a strategy that learns has said how often, once it is initialized.

    Parameters
    ----------
    strategy : SearchStrategy
        The strategy.

    Raises
    ------
    ValueError
        If it has a method `tell`, and nothing but the base class says that it would
        never be called.
    """
    kind = type(strategy)
    own = strategy, *kind.__mro__[: kind.__mro__.index(SearchStrategy)]
    says = any("updates_per_epoch" in vars(one) for one in own)
    if kind.tell is not SearchStrategy.tell and not says:
        raise ValueError(
            f"{kind.__name__} has a method 'tell', but would never be told: set its "
            "'updates_per_epoch' to how often in an epoch it wants rewards."
        )
