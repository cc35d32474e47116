"""How a space is searched: one file for each strategy, and the search itself."""

from sknas.search._enas import ENAS
from sknas.search._engine import SearchResult, search
from sknas.search._problem import Problem
from sknas.search._random import RandomSearch
from sknas.search._reward import (
    ClassifierReward,
    InversePerplexity,
    NegativeLoss,
    RegressorReward,
    ScorerReward,
)
from sknas.search._strategy import SearchStrategy, check_strategy

STRATEGIES: dict[str, type[SearchStrategy]] = {"enas": ENAS, "random": RandomSearch}

__all__ = [
    "ENAS",
    "STRATEGIES",
    "ClassifierReward",
    "InversePerplexity",
    "NegativeLoss",
    "Problem",
    "RandomSearch",
    "RegressorReward",
    "ScorerReward",
    "SearchResult",
    "SearchStrategy",
    "check_strategy",
    "search",
]
