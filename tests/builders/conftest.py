import pytest

from edgekit.profiles import read_profile
from tests.nvidia.conftest import tensorrt, trt

__all__ = ["small_board", "tensorrt", "trt"]


@pytest.fixture
def small_board():
    return read_profile("jetson-nano")
