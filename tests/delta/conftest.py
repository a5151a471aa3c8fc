import pytest

from edgekit.delta import write_update
from tests.delta.twins import STUDENT, read_bytes, write_small, write_twin


class Step:
    """Two bundles and the update between them, on disk and as bytes."""

    def __init__(self, old, new, update):
        self.old, self.new, self.update = old, new, update
        self.old_bytes, self.new_bytes, self.update_bytes = (read_bytes(path) for path in (old, new, update))


def _step(folder, old, new):
    update = str(folder / "update.ekd")
    write_update(old, new, update)
    return Step(old, new, update)


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A step between two bundles of a few kB."""
    folder = tmp_path_factory.mktemp("small")
    return _step(folder, write_small(str(folder / "old.ekb")), write_small(str(folder / "new.ekb"), step=1))


@pytest.fixture(scope="session")
def student(tmp_path_factory):
    """A step from the student to a twin with 5 % of its codes moved."""
    folder = tmp_path_factory.mktemp("student")
    return _step(folder, STUDENT, write_twin(str(folder / "new.ekb"), STUDENT, 0.05, seed=1))
