"""Pictures of what was found, and of how it was searched."""

from sknas.inspection._architecture import ArchitectureDisplay

__all__ = ["ArchitectureDisplay"]
