"""A source read by a thread of its own, with a rule for frames that nobody has taken yet.

every    files: the reader waits; each frame is delivered.
latest   cameras: the newest frame replaces the one that waits, and the drop is counted.
"""

import logging
import threading
import time
from collections import deque
from dataclasses import replace
from typing import Any, Callable, Deque, Iterator, Optional, Tuple

from edgekit.errors import SourceError
from edgekit.frames import Frame
from edgekit.runtime.sources.source import Source

_log = logging.getLogger(__name__)

POLICIES = ("every", "latest")
_READ_AHEAD = 1
_JOIN_S = 2.0


class Stream:
    """Frames of a source; the caller's thread takes them with `poll` or a `for` loop.

    Attributes:
        source: where the frames come from.
        policy: "every" or "latest".
        dropped: frames that were replaced before anyone took them.
        ended: True once the source has ended and every waiting frame was taken.
        read_ms: what reading and decoding the last taken frame took.
    """

    def __init__(
        self,
        source: Source,
        policy: Optional[str] = None,
        lost_after_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if policy is None:
            policy = "latest" if source.live else "every"
        if policy not in POLICIES:
            raise SourceError("the policy is one of {}, got {!r}".format(", ".join(POLICIES), policy))
        if policy == "latest" and not source.live and not source.fps:
            raise SourceError("{} has no frame rate to play at; use the policy every".format(source.name))
        self.source = source
        self.policy = policy
        self.dropped = 0
        self.ended = False
        self.read_ms = 0.0
        self._lost_after_s = lost_after_s
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: Deque[Tuple[Frame, float]] = deque()
        self._arrived = 0
        self._last_arrival_s = clock()
        self._finished = False
        self._closing = False
        self._error: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._read_all, name="edgekit-reader", daemon=True)
        self._started = False

    def poll(self, timeout_s: Optional[float] = None) -> Optional[Frame]:
        """The next frame; None when `timeout_s` passes without one, or at the end (then `ended` is True).

        A file under "every" has its frames captured when this call returns: that they were read ahead is nobody's
        latency.

        Raises:
            SourceError: the source failed, or a camera was silent for too long.
        """
        self._start()
        with self._changed:
            self._wait(timeout_s)
            if self._waiting:
                return self._take()
            if self._finished:
                self.ended = True
                if self._error is not None:
                    raise self._error
            elif self._silent_s() >= self._lost_after_s:
                self.ended = True
                raise SourceError(
                    "{} was lost after {} frames: nothing for {:.1f} s; check its cable, power and network".format(
                        self.source.name, self._arrived, self._silent_s()
                    )
                )
        return None

    def __iter__(self) -> Iterator[Frame]:
        while True:
            frame = self.poll()
            if frame is not None:
                yield frame
            elif self.ended:
                return

    def close(self) -> None:
        """Stop the reader and let go of the source; a reader that hangs in the driver is left behind."""
        with self._changed:
            self._closing = True
            self._waiting.clear()
            self._changed.notify_all()
        if self._started:
            self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            _log.warning("%s does not answer; its reader is left behind", self.source.name)
            return
        self.source.close()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._last_arrival_s = self._clock()
            self._thread.start()

    def _wait(self, timeout_s: Optional[float]) -> None:
        """Wait for a frame, the end, `timeout_s`, or for a camera to count as lost."""
        end_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not (self._waiting or self._finished):
            patience = self._lost_after_s - self._silent_s() if self.source.live else None
            if end_s is not None:
                left = end_s - time.monotonic()
                patience = left if patience is None else min(left, patience)
            if patience is not None and patience <= 0:
                return
            self._changed.wait(patience)

    def _silent_s(self) -> float:
        return self._clock() - self._last_arrival_s if self.source.live else 0.0

    def _take(self) -> Frame:
        frame, self.read_ms = self._waiting.popleft()
        self._changed.notify_all()
        if self.policy == "latest" or self.source.live:
            return frame
        return replace(frame, t_capture_s=self._clock())

    def _read_all(self) -> None:
        try:
            first_s = self._clock()
            while not self._closing:
                start_s = self._clock()
                frame = self.source.read()
                if frame is None:
                    break
                read_ms = (self._clock() - start_s) * 1e3
                if self._replays:
                    frame = self._pace(frame, first_s)
                self._put(frame, read_ms)
        except BaseException as error:  # whatever it is, it surfaces in the caller's thread
            self._error = error
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    @property
    def _replays(self) -> bool:
        """A file that plays as a camera would."""
        return self.policy == "latest" and not self.source.live and bool(self.source.fps)

    def _pace(self, frame: Frame, first_s: float) -> Frame:
        """Wait until `frame` is due, and call that its capture."""
        due_s = first_s + frame.index / (self.source.fps or 1.0)
        with self._changed:
            while not self._closing and self._clock() < due_s:
                self._changed.wait(due_s - self._clock())
        return replace(frame, t_capture_s=self._clock())

    def _put(self, frame: Frame, read_ms: float) -> None:
        with self._changed:
            if self.policy == "latest":
                self.dropped += len(self._waiting)
                self._waiting.clear()
            while len(self._waiting) >= _READ_AHEAD and not self._closing:
                self._changed.wait()
            self._waiting.append((frame, read_ms))
            self._arrived += 1
            self._last_arrival_s = self._clock()
            self._changed.notify_all()
