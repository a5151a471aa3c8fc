"""A detector that changes its precision between two frames."""

import numpy as np
import pytest

from edgekit.errors import BackendError, ConfigError
from edgekit.process import Preprocess
from tests.fakes import FakeSession, fake_detector

FRAME = np.zeros((32, 32, 3), np.uint8)


class OwnMemory(FakeSession):
    """A session that keeps its input in memory of its own, as engines do."""

    def __init__(self):
        super().__init__()
        self.memory = np.zeros((1, 3, 32, 32), np.float32)

    def input_array(self, name):
        return self.memory


def test_frames_go_to_the_network_of_the_precision():
    sessions = {8: FakeSession(), 4: FakeSession(), 2: FakeSession()}
    detector = fake_detector(sessions[8], precisions=sessions)
    assert (detector.precision, detector.precisions) == (8, (8, 4, 2))
    for bits in (8, 4, 4, 2, 8):
        detector.set_precision(bits)
        assert len(detector(FRAME)) == 1
        assert detector.precision == bits and detector.session is sessions[bits]
    assert {bits: session.runs for bits, session in sessions.items()} == {8: 2, 4: 2, 2: 1}


def test_each_network_is_fed_from_its_own_memory():
    sessions = {8: OwnMemory(), 4: OwnMemory()}
    with fake_detector(sessions[8], precisions=sessions) as detector:
        detector(np.full((32, 32, 3), 200, np.uint8))
        detector.set_precision(4)
        detector(np.full((32, 32, 3), 100, np.uint8))
        assert sessions[8].memory.max() == 200 and sessions[4].memory.max() == 100
    assert all(session.closed for session in sessions.values())
    assert sessions[4].memory.max() == 100


def test_a_precision_that_is_not_loaded():
    session = FakeSession()
    with pytest.raises(ConfigError, match="3 bits are not loaded; there are 8, 4: open the bundle with this one too"):
        fake_detector(session, precisions={8: session, 4: FakeSession()}).set_precision(3)
    detector = fake_detector()
    assert (detector.precision, detector.precisions) == (None, ())
    with pytest.raises(ConfigError, match="4 bits are not loaded; open a bundle of many precisions with precision="):
        detector.set_precision(4)


def test_a_network_of_another_size_is_found_before_it_is_flown():
    from edgekit.process import DecodeSpec
    from edgekit.runtime.detector import Detector

    session = FakeSession()
    with pytest.raises(BackendError, match=r"its preprocessing gives one float32 \(1, 3, 64, 64\)"):
        Detector(session, ("a", "b"), Preprocess(64, 64), DecodeSpec("yolox", 2), precisions={8: session})
