"""Pictures of what was found, and of how it was searched."""

from sknas.inspection._architecture import ArchitectureDisplay
from sknas.inspection._candidates import CandidatesDisplay
from sknas.inspection._checks import check_has_network
from sknas.inspection._html import architecture_block
from sknas.inspection._policy import PolicyDisplay
from sknas.inspection._search_history import SearchHistoryDisplay

__all__ = [
    "ArchitectureDisplay",
    "CandidatesDisplay",
    "PolicyDisplay",
    "SearchHistoryDisplay",
    "architecture_block",
    "check_has_network",
]
