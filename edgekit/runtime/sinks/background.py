"""A slow sink in a thread of its own, behind a short queue."""

import logging
import queue
import threading
from typing import Any, Callable, Optional, Tuple

from edgekit.detections import Detections
from edgekit.frames import Frame
from edgekit.runtime.record import FrameRecord
from edgekit.runtime.sinks.sink import Sink, StreamInfo

_log = logging.getLogger(__name__)

_WAITING = 4
_Job = Tuple[Callable[..., None], Tuple[Any, ...]]


class Background(Sink):
    """Writes to a started sink from a thread; when that falls behind, frames wait or are left out.

    Attributes:
        left_out: results that the sink was too slow for.
    """

    def __init__(self, sink: Sink, wait: bool) -> None:
        self.left_out = 0
        self._sink = sink
        self._wait = wait
        self._jobs: "queue.Queue[Optional[_Job]]" = queue.Queue(_WAITING)
        self._error: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._work, name="edgekit-writer", daemon=True)
        self._thread.start()

    def start(self, info: StreamInfo) -> None:
        raise ValueError("the sink inside has started already")

    def write(self, frame: Frame, detections: Detections, record: FrameRecord) -> None:
        self._put((self._sink.write, (frame, detections, record)))

    def stale(self, record: FrameRecord) -> None:
        self._put((self._sink.stale, (record,)))

    def close(self) -> None:
        self._jobs.put(None)
        self._thread.join()
        if self.left_out:
            _log.warning("%d results were not written: the sink is slower than the source", self.left_out)
        self._sink.close()
        self._raise()

    def _put(self, job: _Job) -> None:
        self._raise()
        try:
            self._jobs.put(job, block=self._wait)
        except queue.Full:
            self.left_out += 1

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _work(self) -> None:
        failed = False
        for call, arguments in iter(self._jobs.get, None):
            if failed:
                continue  # keep emptying the queue, so that nobody waits for it
            try:
                call(*arguments)
            except BaseException as error:  # whatever it is, it surfaces in the caller's thread
                self._error = error
                failed = True
