import pytest

from edgekit.profiles import read_profile


@pytest.fixture
def small_board():
    return read_profile("jetson-nano")
