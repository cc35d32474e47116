"""sknas: scikit-learn estimators that design their own neural networks."""

from sknas._version import __version__
from sknas.architecture import Architecture
from sknas.decisions import Decision, Decisions
from sknas.estimators import NASClassifier, NASLanguageModel, NASRegressor
from sknas.export import report
from sknas.inspection import (
    ArchitectureDisplay,
    CandidatesDisplay,
    PolicyDisplay,
    SearchHistoryDisplay,
)
from sknas.search import ENAS, RandomSearch, SearchStrategy
from sknas.spaces import (
    ConvMacroSpace,
    ConvMicroSpace,
    DataSpec,
    RecurrentSpace,
    SearchSpace,
    SequenceSpace,
    TabularSpace,
)

__all__ = [
    "ENAS",
    "Architecture",
    "ArchitectureDisplay",
    "CandidatesDisplay",
    "ConvMacroSpace",
    "ConvMicroSpace",
    "DataSpec",
    "Decision",
    "Decisions",
    "NASClassifier",
    "NASLanguageModel",
    "NASRegressor",
    "PolicyDisplay",
    "RandomSearch",
    "RecurrentSpace",
    "SearchHistoryDisplay",
    "SearchSpace",
    "SearchStrategy",
    "SequenceSpace",
    "TabularSpace",
    "__version__",
    "report",
]
