"""What the tests of the native operations share."""

import ctypes

import pytest

from edgekit.ops.library import library


def needed() -> ctypes.CDLL:
    """The native library; the test is skipped without it."""
    opened = library()
    if opened is None:
        pytest.skip("the native library is not built: make native")
    return opened
