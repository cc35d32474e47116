"""Where matplotlib comes in: only when something is drawn."""

from __future__ import annotations


def import_pyplot():
    """Import matplotlib.pyplot, or say which extra brings it.

    Returns
    -------
    pyplot : module
        The module.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            'Displays need matplotlib: pip install "sknas[plot]" brings it.'
        ) from error
    return plt
