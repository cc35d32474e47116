from functools import partial

import pytest
from small_search import make_net as make_search_net
from small_search import make_problem


@pytest.fixture
def problem():
    """What is searched."""
    return make_problem()


@pytest.fixture
def make_net(problem):
    """Make the net of a search of it."""
    return partial(make_search_net, problem)
