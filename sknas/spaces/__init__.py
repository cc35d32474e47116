"""What can be built: the search spaces, and their networks."""

from sknas.spaces._base import DataSpec, SearchSpace
from sknas.spaces._check_search_space import check_search_space
from sknas.spaces._checks import (
    check_network,
    checked_decisions,
    checked_relevance,
    checked_supernet,
)
from sknas.spaces._conv_macro import ConvMacroSpace
from sknas.spaces._conv_micro import ConvMicroSpace
from sknas.spaces._graph import Graph, Node
from sknas.spaces._recurrent import RecurrentSpace
from sknas.spaces._sequence import SequenceSpace
from sknas.spaces._tabular import TabularSpace

SPACES: dict[str, type[SearchSpace]] = {
    space.name: space
    for space in (
        TabularSpace,
        ConvMacroSpace,
        ConvMicroSpace,
        RecurrentSpace,
        SequenceSpace,
    )
}

__all__ = [
    "SPACES",
    "ConvMacroSpace",
    "ConvMicroSpace",
    "DataSpec",
    "Graph",
    "Node",
    "RecurrentSpace",
    "SearchSpace",
    "SequenceSpace",
    "TabularSpace",
    "check_network",
    "check_search_space",
    "checked_decisions",
    "checked_relevance",
    "checked_supernet",
]
