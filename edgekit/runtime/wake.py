"""When a wake-up cascade runs its large network: the policy and its account, without any network.

A frame gives one of five verdicts, the first that holds:

first   the first frame of a flight: the detector runs, as nobody knows anything yet.
due     the detector has not run for `every` frames: it runs whatever the gate may say, so that a gate that
        is blind to an object cannot silence the detector for ever.
hold    something was seen at most `hold` frames ago, by the gate or by the detector itself: the detector runs, and the
        gate rests. A scene with objects in it therefore costs what it costs without a gate.
seen    the gate looked and found something: the detector runs on this very frame.
asleep  the gate looked and found nothing: the detector does not run.

Frames are counted in the source, dropped ones too: `hold` and `every` are times, in frames.
"""

from dataclasses import dataclass
from typing import Any, Dict, List, NamedTuple, Optional

from edgekit.errors import ConfigError

FIRST, DUE, HOLD, SEEN, ASLEEP = "first", "due", "hold", "seen", "asleep"
VERDICTS = (FIRST, DUE, HOLD, SEEN, ASLEEP)


@dataclass(frozen=True)
class GateOptions:
    """When the detector runs.

    Attributes:
        conf: the gate has seen something where one of its boxes scores this much; the gate bundle's own where None.
        hold: the detector goes on for so many frames after something was seen; 0 asks the gate about each frame.
        every: the detector runs at the latest so many frames after it last did; 1 runs it always.
    """

    conf: Optional[float] = None
    hold: int = 15
    every: int = 30

    def __post_init__(self) -> None:
        if self.conf is not None and not 0 < self.conf <= 1:
            raise ConfigError("a gate's score is above 0 and at most 1, got {:g}".format(self.conf))
        if self.hold < 0 or self.every < 1:
            raise ConfigError(
                "a gate holds for 0 or more frames and wakes every 1 or more, got {} and {}".format(
                    self.hold, self.every
                )
            )


class Look(NamedTuple):
    """What a gate decided about one frame.

    Attributes:
        verdict: one of VERDICTS.
        ms: what the gate took; None where it was not asked.
    """

    verdict: str
    ms: Optional[float] = None

    @property
    def awake(self) -> bool:
        """Whether the detector runs on this frame."""
        return self.verdict != ASLEEP


class Watch:
    """Counts frames: whether the detector runs anyway, or the gate has to be asked; see the head of this file."""

    def __init__(self, options: GateOptions) -> None:
        self._options = options
        self.reset()

    def reset(self) -> None:
        """A new flight."""
        self._last: Optional[int] = None
        self._seen: Optional[int] = None
        self._ran: Optional[int] = None

    def reason(self, index: int) -> Optional[str]:
        """Why the detector runs on frame `index` without asking: FIRST, DUE or HOLD; None where the gate has to look.

        An index that is not above the last one is a source that began again.
        """
        if self._last is not None and index <= self._last:
            self.reset()
        self._last = index
        if self._ran is None:
            return FIRST
        if index - self._ran >= self._options.every:
            return DUE
        if self._seen is not None and index - self._seen <= self._options.hold:
            return HOLD
        return None

    def saw(self, index: int) -> None:
        """The gate or the detector found something in frame `index`."""
        self._seen = index

    def ran(self, index: int) -> None:
        """The detector looks at frame `index`."""
        self._ran = index


@dataclass(frozen=True)
class WakeSummary:
    """A run with a gate in numbers.

    Attributes:
        frames: frames with a result.
        verdicts: verdict -> frames.
        heartbeats: frames on which the detector ran only because it was due after a sleep.
        overlooked: of these, those on which it found something: what the gate had slept through. The gate's recall in
            the field shows here, where nobody knows the truth.
        gate_ms: mean of the frames on which the gate was asked; None where it never was.
        detector_ms: mean of the detector, its tracker included, over the frames on which it ran.
        saved_ms: a frame, on average: the detector's time on the frames slept through less all of the gate's.
    """

    frames: int
    verdicts: Dict[str, int]
    heartbeats: int
    overlooked: int
    gate_ms: Optional[float]
    detector_ms: float
    saved_ms: float

    @property
    def share_awake(self) -> float:
        """Share of the frames on which the detector ran, 0 to 1."""
        return 1.0 - self.verdicts[ASLEEP] / float(self.frames)

    def doubts(self) -> List[str]:
        """What speaks against this gate, a phrase each."""
        found = []
        if self.gate_ms is not None and self.gate_ms >= self.detector_ms:
            found.append(
                "the gate takes {:.2f} ms and the detector {:.2f} ms: it cannot save time; take a smaller gate, or "
                "none".format(self.gate_ms, self.detector_ms)
            )
        if self.overlooked:
            found.append(
                "{} of {} heartbeats found what the gate had slept through: lower its score, or let the detector run "
                "more often".format(self.overlooked, self.heartbeats)
            )
        return found

    def to_json(self) -> Dict[str, Any]:
        """A plain dict."""
        return dict(self.__dict__, share_awake=self.share_awake, doubts=self.doubts())


class WakeAccount:
    """Adds up the frames of a run with a gate, in a fixed amount of memory."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(VERDICTS, 0)
        self._asked = self._heartbeats = self._overlooked = 0
        self._gate_ms = self._detector_ms = 0.0
        self._slept = False

    def add(self, look: Look, detector_ms: float, boxes: int) -> None:
        """Count one frame: what the gate decided, what the detector and its tracker took, what was found."""
        self._counts[look.verdict] += 1
        if look.ms is not None:
            self._asked += 1
            self._gate_ms += look.ms
        if look.verdict == DUE and self._slept:
            self._heartbeats += 1
            self._overlooked += boxes > 0
        self._slept = not look.awake
        self._detector_ms += detector_ms

    def summary(self) -> Optional[WakeSummary]:
        """The run so far; None before its first frame."""
        frames = sum(self._counts.values())
        asleep = self._counts[ASLEEP]
        if frames == 0:
            return None
        detector_ms = self._detector_ms / max(frames - asleep, 1)  # nobody sleeps through the first
        return WakeSummary(
            frames=frames,
            verdicts=dict(self._counts),
            heartbeats=self._heartbeats,
            overlooked=self._overlooked,
            gate_ms=self._gate_ms / self._asked if self._asked else None,
            detector_ms=detector_ms,
            saved_ms=(asleep * detector_ms - self._gate_ms) / frames,
        )
