"""Fakes of everything that measuring touches: clock, stream, detector, tracker."""

from types import SimpleNamespace

import numpy as np
import pytest

from edgekit.detections import Detections
from edgekit.frames import Frame
from edgekit.runtime.detector import Stages


class FakeClock:
    """Seconds that pass only when told to."""

    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s

    def pass_ms(self, ms):
        self.now_s += ms / 1e3


class FakeStream:
    """`count` frames; reading each takes `read_ms` (policy every), or it waited `queue_ms` (policy latest)."""

    def __init__(self, clock, count=5, read_ms=4.0, queue_ms=3.0, policy="every", drops_per_frame=0):
        self.source = SimpleNamespace(name="fake.mp4")
        self.policy = policy
        self.dropped = 0
        self.ended = False
        self.read_ms = 0.0
        self.closed = False
        self._clock, self._count = clock, count
        self._read_ms, self._queue_ms, self._drops = read_ms, queue_ms, drops_per_frame
        self._index = 0

    def poll(self):
        if self._index >= self._count:
            self.ended = True
            return None
        self.read_ms = self._read_ms
        self.dropped += self._drops
        index = self._index
        self._index += 1 + self._drops
        captured_s = self._clock() if self.policy == "every" else self._clock() - self._queue_ms / 1e3
        return Frame(np.zeros((4, 4, 3), np.uint8), index, captured_s)

    def close(self):
        self.closed = True


class FakeDetector:
    """Takes pre + infer + post milliseconds, plus 0.5 between them; finds `boxes` boxes."""

    def __init__(self, clock, pre=1.0, infer=10.0, post=2.0, boxes=3, log=None, name="fake"):
        self.decode = SimpleNamespace(conf=0.25)
        self.session = SimpleNamespace(last_times=None)
        self.stages = Stages()
        self.confs = []
        self._clock, self._times, self._boxes = clock, (pre, infer, post), boxes
        self._log, self._name = log, name

    def __call__(self, image_hwc, conf=None, infrared_hw=None):
        self.confs.append(conf)
        if self._log is not None:
            self._log.append(self._name)
        self._clock.pass_ms(sum(self._times) + 0.5)
        self.stages = Stages(*self._times)
        return Detections(
            np.tile(np.float32([0, 0, 2, 2]), (self._boxes, 1)),
            np.full(self._boxes, 0.9, np.float32),
            np.zeros(self._boxes, np.int64),
        )


class FakeTracker:
    """Takes `track` milliseconds; remembers the steps and the resets."""

    def __init__(self, clock, track=0.75):
        self.steps = []
        self.resets = 0
        self._clock, self._track = clock, track

    def update(self, detections, image_hwc=None, steps=1):
        self._clock.pass_ms(self._track)
        self.steps.append(steps)
        return detections

    def reset(self):
        self.resets += 1


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def fakes():
    return SimpleNamespace(Clock=FakeClock, Stream=FakeStream, Detector=FakeDetector, Tracker=FakeTracker)
