import pytest
from small_tabular import SPECS


@pytest.fixture(params=list(SPECS))
def spec(request):
    """What data may look like: numbers, categories, or both."""
    return SPECS[request.param]
