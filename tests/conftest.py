import os
import signal

import pytest

import tests  # noqa: F401  pytest 7.0 on Python 3.6 finds the package only once it is imported

# A shell starts its background jobs with Ctrl-C ignored; what is tested here is what a terminal starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def _reference_folder():
    named = os.environ.get("EDGEKIT_REFERENCE_DATA")
    if named:
        return named
    checkout = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return os.path.join(os.path.dirname(checkout), "shared", "data")


@pytest.fixture(scope="session")
def reference_data():
    """Folder of real images, labels and weights that cannot be redistributed; the test skips without it."""
    import pathlib

    folder = pathlib.Path(_reference_folder())
    if not folder.is_dir():
        pytest.skip("no reference data: set EDGEKIT_REFERENCE_DATA to its folder (docs/testing.md)")
    return folder
