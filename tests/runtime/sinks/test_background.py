import threading

import numpy as np
import pytest

from edgekit.detections import Detections
from edgekit.errors import StorageError
from edgekit.frames import Frame
from edgekit.runtime.record import OK, STALE, FrameRecord
from edgekit.runtime.sinks.background import Background
from edgekit.runtime.sinks.sink import Sink

FRAME = Frame(np.zeros((4, 4, 3), np.uint8), 0, 0.0)


def record(index):
    return FrameRecord(index, OK, 0, 0, 0, 0)


class Gate(Sink):
    """Writes only while its gate is open."""

    def __init__(self, fail_at=None):
        self.gate = threading.Event()
        self.seen = []
        self.closed = False
        self._fail_at = fail_at

    def start(self, info):
        pass

    def write(self, frame, detections, record):
        self.gate.wait()
        if record.index == self._fail_at:
            raise StorageError("the disk is full")
        self.seen.append(record.index)

    def stale(self, record):
        self.seen.append("stale")

    def close(self):
        self.closed = True


def test_everything_is_written_before_close_returns():
    sink = Gate()
    sink.gate.set()
    background = Background(sink, wait=True)
    for index in range(20):
        background.write(FRAME, Detections.empty(), record(index))
    background.stale(FrameRecord(19, STALE, 0, 0, 0, 0))
    background.close()
    assert sink.seen == list(range(20)) + ["stale"]
    assert sink.closed


def test_a_live_source_does_not_wait_for_it(caplog):
    sink = Gate()
    background = Background(sink, wait=False)
    for index in range(20):
        background.write(FRAME, Detections.empty(), record(index))
    assert background.left_out >= 15
    sink.gate.set()
    background.close()
    assert len(sink.seen) + background.left_out == 20
    assert "results were not written" in caplog.text


def test_a_failure_surfaces_in_the_caller():
    sink = Gate(fail_at=1)
    sink.gate.set()
    background = Background(sink, wait=True)
    with pytest.raises(StorageError, match="disk is full"):
        for index in range(100):
            background.write(FRAME, Detections.empty(), record(index))
    background.close()
    assert sink.seen == [0]
    assert sink.closed


def test_a_failure_of_the_last_write_surfaces_in_close():
    sink = Gate(fail_at=0)
    background = Background(sink, wait=True)
    background.write(FRAME, Detections.empty(), record(0))
    sink.gate.set()
    with pytest.raises(StorageError, match="disk is full"):
        background.close()
    assert sink.closed
