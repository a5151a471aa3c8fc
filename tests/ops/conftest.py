import ctypes

import pytest

from edgekit.ops.library import library


@pytest.fixture
def opened() -> ctypes.CDLL:
    """The native library; the test is skipped without it."""
    found = library()
    if found is None:
        pytest.skip("the native library is not built: make native")
    return found
