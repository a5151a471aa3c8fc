"""The measuring loop: frames through one lane, or through two in turns."""

import time
from typing import Callable, List, NamedTuple, Optional, Sequence, Tuple

from edgekit.bench.memory import MemoryLog
from edgekit.bench.record import Samples
from edgekit.bench.timing import Clock, shuffled_orders
from edgekit.detections import Detections
from edgekit.errors import SourceError
from edgekit.frames import Frame
from edgekit.runtime.detector import Detector, Stages
from edgekit.runtime.gate import Gate
from edgekit.runtime.sources import Stream
from edgekit.runtime.tracking import Tracker

Progress = Callable[[int, int, str], None]

_WEAKEST_FOR_TRACKS = 0.1  # as the loop of `edgekit run` has it


class Span(NamedTuple):
    """The time of the counted frames.

    Attributes:
        dropped: frames that the source dropped in it.
        first_s: when the first frame was taken up, on the clock.
        last_s: when the last result was there.
    """

    dropped: int
    first_s: float
    last_s: float

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.last_s - self.first_s

    def edges_s(self, samples: Samples) -> List[float]:
        """When each counted frame began, and the end of the last; on the clock."""
        return [self.first_s + t_s for t_s in samples.t_s] + [self.last_s]


class Runner:
    """A detector and its tracker, and what they took.

    Args:
        detector: finds the boxes.
        tracker: follows them, or None.
        conf: lowest score of a box; where None the detector's own, and at most 0.1 with a tracker.
        clock: seconds, the one that stamps `Frame.t_capture_s`.
        gate: decides which frames the detector sees; what it sleeps through takes it no time.
    """

    def __init__(
        self,
        detector: Detector,
        tracker: Optional[Tracker] = None,
        conf: Optional[float] = None,
        clock: Clock = time.monotonic,
        gate: Optional[Gate] = None,
    ) -> None:
        self.detector = detector
        self.tracker = tracker
        self.gate = gate
        self.samples = Samples()
        self.last_done_s = 0.0
        self._conf = conf
        if tracker is not None and conf is None:
            self._conf = min(_WEAKEST_FOR_TRACKS, detector.decode.conf)
        self._clock = clock
        self._last_index = -1

    def take(self, frame: Frame, capture_ms: float, age_ms: float, t_s: Optional[float]) -> None:
        """Detect and track in one frame.

        Args:
            frame: what to look at.
            capture_ms: what reading it took, and its time in the queue.
            age_ms: how old it was when it was taken up.
            t_s: when that was, since the first counted frame; None for a frame of the warm-up.
        """
        start = self._clock()
        look = None if self.gate is None else self.gate.look(frame)
        detected = look is None or look.awake
        detections = (
            self.detector(frame.image_hwc, conf=self._conf, infrared_hw=frame.infrared)
            if detected
            else Detections.empty()
        )
        found = self._clock()
        reported = self._track(frame, detections) if detected else detections
        if self.gate is not None and len(reported):
            self.gate.found(frame)
        self.last_done_s = self._clock()
        process_ms = (self.last_done_s - start) * 1e3
        if t_s is None:
            self.samples.warmup_ms.append(capture_ms + process_ms)
            return
        stages = self.detector.stages if detected else Stages()
        taken = {
            "capture": capture_ms,
            "preprocess": stages.preprocess_ms,
            "infer": stages.infer_ms,
            "postprocess": stages.postprocess_ms,
            "track": (self.last_done_s - found) * 1e3 if detected and self.tracker is not None else 0.0,
            "end_to_end": capture_ms + process_ms,
        }
        for stage, value in taken.items():
            self.samples.stages[stage].append(value)
        self.samples.t_s.append(t_s)
        self.samples.frame_age_ms.append(age_ms + process_ms)
        self.samples.objects.append(len(detections))
        if look is not None:
            self.samples.looks.append(look)
        if detected and self.detector.session.last_times is not None:
            self.samples.runs.append(self.detector.session.last_times)

    def _track(self, frame: Frame, detections: Detections) -> Detections:
        if self.tracker is None:
            return detections
        return self.tracker.update(detections, frame.image_hwc, self._steps(frame.index))

    def _steps(self, index: int) -> int:
        """Frames since the last one; a source that starts again is a cut."""
        steps = index - self._last_index
        self._last_index = index
        if steps < 1 and self.tracker is not None:
            self.tracker.reset()
        return max(1, steps)


def measure(
    open_stream: Callable[[], Stream],
    runners: Sequence[Runner],
    frames: int,
    warmup: int,
    seconds: Optional[float] = None,
    seed: int = 0,
    memory: Optional[MemoryLog] = None,
    progress: Optional[Progress] = None,
    clock: Clock = time.monotonic,
) -> Span:
    """Run until `frames` were counted or `seconds` have passed; every runner takes every frame.

    Args:
        open_stream: opens the source; called again whenever the source ends.
        runners: one, or two that are to be compared: they take each frame in an order shuffled anew.
        frames: how many are counted.
        warmup: frames before them.
        seconds: time after which no more frames are counted, or None.
        seed: of the order.
        memory: reads the memory now and then.
        progress: called with (done, total, text).
        clock: seconds, the one that stamps `Frame.t_capture_s`.

    Returns:
        The time of the counted frames, and what was dropped in it.

    Raises:
        SourceError: the source fails, or is empty.
    """
    orders = shuffled_orders([str(number) for number in range(len(runners))], frames + warmup, seed)
    feed = _Feed(open_stream, clock)
    first_s = 0.0
    dropped_before = 0
    try:
        for number, order in enumerate(orders):
            frame, capture_ms = feed.next()
            taken_s = clock()
            if number == warmup:
                first_s, dropped_before = taken_s, feed.dropped
            if seconds is not None and number > warmup and taken_s - first_s >= seconds:
                break
            t_s = taken_s - first_s if number >= warmup else None
            age_ms = (taken_s - frame.t_capture_s) * 1e3
            for name in order:
                runners[int(name)].take(frame, capture_ms, age_ms, t_s)
            if memory is not None:
                memory.note(number)
            if progress is not None:
                progress(number + 1, frames + warmup, "measure" if number >= warmup else "warm up")
        last_s = max(runner.last_done_s for runner in runners)
        return Span(feed.dropped - dropped_before, first_s, last_s)
    finally:
        feed.close()


class _Feed:
    """Frames without end: a source that is over is opened again."""

    def __init__(self, open_stream: Callable[[], Stream], clock: Clock) -> None:
        self._open_stream = open_stream
        self._clock = clock
        self._stream = open_stream()
        self._dropped_by_closed = 0

    @property
    def dropped(self) -> int:
        """Frames that were replaced before anyone took them."""
        return self._dropped_by_closed + self._stream.dropped

    def next(self) -> Tuple[Frame, float]:
        """A frame, and what its capture and its time in the queue took (ms).

        Under "every" the reader works ahead and a frame waits for nobody: what counts is reading it. Under "latest" it
        is the time since the shutter.
        """
        frame = self._poll()
        if frame is None:
            self._dropped_by_closed += self._stream.dropped
            self._stream.close()
            self._stream = self._open_stream()
            frame = self._poll()
        if frame is None:
            raise SourceError("{} holds no frames".format(self._stream.source.name))
        if self._stream.policy == "every":
            return frame, self._stream.read_ms
        return frame, (self._clock() - frame.t_capture_s) * 1e3

    def close(self) -> None:
        """Let go of the source."""
        self._stream.close()

    def _poll(self) -> Optional[Frame]:
        while not self._stream.ended:
            frame = self._stream.poll()
            if frame is not None:
                return frame
        return None
