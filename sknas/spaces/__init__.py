"""What can be built: one file for each search space."""

from sknas.spaces._base import DataSpec, SearchSpace
from sknas.spaces._tabular import TabularSpace

SPACES: dict[str, type[SearchSpace]] = {"tabular": TabularSpace}

__all__ = ["SPACES", "DataSpec", "SearchSpace", "TabularSpace"]
