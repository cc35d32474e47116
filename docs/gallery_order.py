"""The order of the examples in the gallery."""

ORDER = [
    "quickstart.py",
    "plot_tables.py",
    "plot_quantiles.py",
    "plot_images.py",
    "plot_time_series.py",
    "plot_text.py",
    "plot_language_model.py",
    "plot_displays.py",
    "plot_grid_search.py",
    "plot_reuse.py",
    "plot_callbacks.py",
    "plot_persistence.py",
    "plot_strategies.py",
    "plot_own_search_space.py",
    "plot_own_strategy.py",
    "cifar10.py",
]


def place(file_name: str) -> int:
    """Give the place of an example; one that is not listed is an error."""
    return ORDER.index(file_name)
