import pytest

from edgekit.data.synth import Flight


@pytest.fixture(scope="session")
def flight():
    """A flight small enough to render many frames of."""
    return Flight(seed=4, width=320, height=256, frames=90, fps=30.0)


@pytest.fixture(scope="session")
def frames(flight):
    """Every tenth frame, with everything."""
    return [flight.render(index, infrared=True, masks=True) for index in range(0, 90, 10)]
