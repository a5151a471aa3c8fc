"""Stand-ins for the machine: a clock, a camera, a network."""

import threading
import time

import cv2
import numpy as np

from edgekit.errors import SourceError
from edgekit.frames import Frame
from edgekit.process import DecodeSpec, Preprocess
from edgekit.runtime.detector import Detector
from edgekit.runtime.session import Session
from edgekit.runtime.sources.source import Source
from edgekit.tensors import TensorSpec


class FakeClock:
    """A clock that moves by `tick_s` at every look, and by `advance`."""

    def __init__(self, tick_s=0.0):
        self.now_s = 100.0
        self.tick_s = tick_s

    def __call__(self):
        self.now_s += self.tick_s
        return self.now_s

    def advance(self, seconds):
        self.now_s += seconds


class FakeSession(Session):
    """A YOLOX network of 2 classes on 32 x 32 that sees one box: class 1, score 0.81, in every frame."""

    def __init__(self, work_s=0.0, fail_at=None):
        self.inputs = (TensorSpec("images", (1, 3, 32, 32)),)
        self.outputs = (TensorSpec("output", (1, 21, 7)),)
        self.backend = "fake 1.0"
        self.threads = 1
        self.runs = 0
        self.closed = False
        self._work_s = work_s
        self._fail_at = fail_at
        self._output = np.zeros((1, 21, 7), np.float32)
        self._output[0, 5] = [0.5, 0.5, 0, 0, 0.9, 0.1, 0.9]

    def run(self, feeds):
        self.inputs[0].check(feeds["images"])
        if self.runs == self._fail_at:
            raise RuntimeError("the network broke")
        self.runs += 1
        time.sleep(self._work_s)
        return [self._output]

    def close(self):
        self.closed = True


def fake_detector(session=None, **options):
    """A detector over `FakeSession`; its one box is (8, 8, 16, 16) in a 32 x 32 frame."""
    return Detector(
        session or FakeSession(), ("blue", "red"), Preprocess(32, 32), DecodeSpec("yolox", 2), "fake", "fp32", **options
    )


class FakeCamera(Source):
    """A live source of 32 x 32 frames, one every `period_s`.

    After `frames` of them it ends as `then` says: "end", "error" (a SourceError), "silence" (read never returns).
    """

    live = True

    def __init__(self, frames, then="end", period_s=0.0, live=True, fps=None):
        self.name = "fake camera"
        self.live = live
        self.fps = fps
        self.frame_count = None
        self.closed = False
        self.released = threading.Event()
        self._frames = frames
        self._then = then
        self._period_s = period_s
        self._index = 0

    def read(self):
        if self._index == self._frames:
            if self._then == "silence":
                self.released.wait()
            if self._then == "error":
                raise SourceError("fake camera was lost after {} frames".format(self._index))
            return None
        time.sleep(self._period_s)
        image = np.full((32, 32, 3), self._index % 256, np.uint8)
        frame = Frame(image, self._index, time.monotonic())
        self._index += 1
        return frame

    def close(self):
        self.closed = True
        self.released.set()


class FakeCapture:
    """A `cv2.VideoCapture` of `frames` frames that then gives nothing more."""

    def __init__(self, frames, fps=30.0, count=0):
        self._left = frames
        self._properties = {cv2.CAP_PROP_FPS: fps, cv2.CAP_PROP_FRAME_COUNT: count}
        self.released = False

    def get(self, name):
        return self._properties.get(name, 0.0)

    def grab(self):
        self._left -= 1
        return self._left >= 0

    def retrieve(self):
        return True, np.zeros((4, 6, 3), np.uint8)

    def release(self):
        self.released = True
