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


def panels(plt, ax, n: int) -> list:
    """Make axes for several panels, two in a row.

    Parameters
    ----------
    plt : module
        matplotlib.pyplot.

    ax : matplotlib.axes.Axes or None
        Axes whose place is divided among them. None: a new figure.

    n : int
        How many.

    Returns
    -------
    axes : list of matplotlib.axes.Axes
        The axes.
    """
    n_rows = -(-n // 2)
    if ax is None:
        figure = plt.figure(figsize=(9.0, 3.1 * n_rows), layout="constrained")
        grid = figure.add_gridspec(n_rows, 2)
        return [figure.add_subplot(grid[i // 2, i % 2]) for i in range(n)]
    ax.set_axis_off()
    box = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
    # inches for what stands around a panel, at most half of its place
    left, right = (min(size / box.width, 0.12) for size in (0.7, 0.1))
    bottom, top = (min(size / box.height, 0.25 / n_rows) for size in (0.5, 0.3))
    width, height = 0.5 - left - right, 1 / n_rows - bottom - top
    return [
        ax.inset_axes(
            (i % 2 / 2 + left, 1 - (i // 2 + 1) / n_rows + bottom, width, height)
        )
        for i in range(n)
    ]
