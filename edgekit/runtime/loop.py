"""The real-time loop: take a frame, ask the gate, detect, track, hand out, write the account."""

import threading
import time
from dataclasses import dataclass, replace
from typing import Any, Callable, List, Optional, Sequence, Tuple

from edgekit.detections import Detections
from edgekit.frames import Frame
from edgekit.runtime.detector import Detector, Stages
from edgekit.runtime.gate import Gate
from edgekit.runtime.record import OK, STALE, Account, FrameRecord, RunSummary
from edgekit.runtime.sinks.background import Background
from edgekit.runtime.sinks.sink import Sink, StreamInfo
from edgekit.runtime.sources.stream import Stream
from edgekit.runtime.tracking.tracker import Tracker
from edgekit.runtime.wake import Look

_WEAKEST_FOR_TRACKS = 0.1  # a tracker continues a track with boxes too weak to begin one
_POLL_S = 0.25  # between looks at a closed window


@dataclass(frozen=True)
class RunOptions:
    """How to run.

    Attributes:
        conf: lowest score; the bundle's where None, and at most 0.1 when there is a tracker.
        deadline_s: without a result for so long, a STALE record goes to the sinks and to `on_record`; None never.
        max_frames: stop after so many results.
    """

    conf: Optional[float] = None
    deadline_s: Optional[float] = None
    max_frames: Optional[int] = None


def run(
    detector: Detector,
    stream: Stream,
    sinks: Sequence[Sink] = (),
    tracker: Optional[Tracker] = None,
    options: RunOptions = RunOptions(),
    on_record: Optional[Callable[[FrameRecord], None]] = None,
    clock: Callable[[], float] = time.monotonic,
    gate: Optional[Gate] = None,
) -> RunSummary:
    """Detect in every frame of `stream` until it ends; Ctrl-C ends it too, with whole files.

    With a gate the detector runs only where the gate's verdict says so. A frame that is slept through has no boxes, and
    the tracker does not hear of it: that nobody looked does not mean that nothing was there. To the tracker it is a
    dropped frame, so its tracks coast over the sleep and go on from where they then should be.

    Args:
        detector: used by this thread alone.
        stream: closed by the caller.
        sinks: closed here, also after an error.
        tracker: gives the boxes their ids.
        options: threshold, deadline and limit.
        on_record: called once for each frame, after the sinks; and for STALE records, then from the watchdog's thread.
        clock: the one that stamps the frames.
        gate: decides which frames the detector sees; used by this thread alone, closed by the caller.

    Raises:
        SourceError: the camera was lost, or a frame cannot be read.
        StorageError: a sink cannot write.
        BackendError: the network failed.
    """
    flight = _Flight(detector, stream, tracker, options, on_record, clock, gate)
    try:
        flight.start(sinks)
        with _Watchdog(flight, options.deadline_s):
            ended = flight.fly()
    finally:
        flight.close()
    return flight.account.summary(stream.dropped, ended)


class _Flight:
    """The state of one run."""

    def __init__(
        self,
        detector: Detector,
        stream: Stream,
        tracker: Optional[Tracker],
        options: RunOptions,
        on_record: Optional[Callable[[FrameRecord], None]],
        clock: Callable[[], float],
        gate: Optional[Gate],
    ) -> None:
        self.account = Account()
        self.clock = clock
        self.last_result_s = clock()
        self._detector = detector
        self._stream = stream
        self._tracker = tracker
        self._gate = gate
        self._options = options
        self._on_record = on_record
        self._sinks: List[Sink] = []
        self._last_index = -1
        self._tracked_index = -1
        self._handing_out = threading.Lock()
        self._conf = options.conf
        if tracker is not None and options.conf is None:
            self._conf = min(_WEAKEST_FOR_TRACKS, detector.decode.conf)

    def start(self, sinks: Sequence[Sink]) -> None:
        source = self._stream.source
        title = " ".join(part for part in (self._detector.name, self._detector.lowering) if part)
        info = StreamInfo(source.name, source.fps, self._detector.classes, title)
        for sink in sinks:
            sink.start(info)
            self._sinks.append(Background(sink, wait=self._stream.policy == "every") if sink.slow else sink)

    def fly(self) -> str:
        """Process frames; say why it ended."""
        done = 0
        try:
            while not any(sink.finished for sink in self._sinks):
                frame = self._stream.poll(_POLL_S)
                if frame is not None:
                    self._process(frame)
                    done += 1
                elif self._stream.ended:
                    return "end"
                if done == self._options.max_frames:
                    return "limit"
        except KeyboardInterrupt:
            return "interrupted"
        return "closed"

    def _process(self, frame: Frame) -> None:
        t_dequeue_s = self.clock()
        look = None if self._gate is None else self._gate.look(frame)
        detections, stages, track_ms = self._detect(frame, look)
        t_result_s = self.clock()
        record = FrameRecord(
            index=frame.index,
            status=OK,
            t_capture_s=frame.t_capture_s,
            t_dequeue_s=t_dequeue_s,
            t_result_s=t_result_s,
            latency_ms=(t_result_s - frame.t_capture_s) * 1e3,
            boxes=len(detections),
            dropped=self._stream.dropped,
            read_ms=self._stream.read_ms,
            queue_ms=(t_dequeue_s - frame.t_capture_s) * 1e3,
            preprocess_ms=stages.preprocess_ms,
            infer_ms=stages.infer_ms,
            postprocess_ms=stages.postprocess_ms,
            track_ms=track_ms,
            gate="" if look is None else look.verdict,
            gate_ms=None if look is None else look.ms,
        )
        self._last_index = frame.index
        self.last_result_s = t_result_s
        self._hand_out(frame, detections, record)

    def _detect(self, frame: Frame, look: Optional[Look]) -> Tuple[Detections, Stages, float]:
        """The boxes of a frame, what the detector took, and the tracker (ms); nothing at all where asleep."""
        if look is not None and not look.awake:
            return Detections.empty(), Stages(), 0.0
        detections = self._detector(frame.image_hwc, conf=self._conf, infrared_hw=frame.infrared)
        t_detected_s = self.clock()
        if self._tracker is not None:
            steps = frame.index - self._tracked_index if self._tracked_index >= 0 else 1
            detections = self._tracker.update(detections, frame.image_hwc, steps)
            self._tracked_index = frame.index
        if self._gate is not None and len(detections):
            self._gate.found(frame)
        return detections, self._detector.stages, (self.clock() - t_detected_s) * 1e3

    def _hand_out(self, frame: Frame, detections: Detections, record: FrameRecord) -> None:
        with self._handing_out:
            for sink in self._sinks:
                sink.write(frame, detections, record)
            self._finish(replace(record, sinks_ms=(self.clock() - record.t_result_s) * 1e3))

    def stale(self, now_s: float) -> None:
        """Say that there is no fresh result; called by the watchdog."""
        age_ms = (now_s - self.last_result_s) * 1e3
        record = FrameRecord(
            self._last_index, STALE, self.last_result_s, now_s, now_s, age_ms, dropped=self._stream.dropped
        )
        with self._handing_out:
            for sink in self._sinks:
                sink.stale(record)
            self._finish(record)

    def _finish(self, record: FrameRecord) -> None:
        self.account.add(record)
        if self._on_record is not None:
            self._on_record(record)

    def close(self) -> None:
        """Close every sink, even if one fails; the first failure is raised."""
        failure: Optional[Exception] = None
        for sink in self._sinks:
            try:
                sink.close()
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure


class _Watchdog:
    """A thread that calls `stale` each time a deadline passes without a result, even when the network hangs."""

    def __init__(self, flight: _Flight, deadline_s: Optional[float]) -> None:
        self._flight = flight
        self._deadline_s = deadline_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="edgekit-watchdog", daemon=True)

    def __enter__(self) -> "_Watchdog":
        if self._deadline_s is not None:
            self._thread.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        deadline_s = self._deadline_s or 0.0
        due_s = self._flight.last_result_s + deadline_s
        while not self._stop.wait(max(due_s - self._flight.clock(), 0.001)):
            now_s = self._flight.clock()
            fresh_until_s = self._flight.last_result_s + deadline_s
            if now_s < due_s:
                continue
            if now_s >= fresh_until_s:
                self._flight.stale(now_s)
                due_s = now_s + deadline_s
            else:
                due_s = fresh_until_s
