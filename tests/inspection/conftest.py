import matplotlib
import pytest

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def closed_figures():
    """Leave no figure open."""
    yield
    import matplotlib.pyplot as plt

    plt.close("all")
