"""The account of every frame, and of a whole run."""

import math
from dataclasses import dataclass
from typing import Any, Dict, List, Optional

import numpy as np

from edgekit.runtime.wake import ASLEEP, Look, WakeAccount, WakeSummary

OK = "OK"
STALE = "STALE"

STAGES = ("read", "queue", "gate", "preprocess", "infer", "postprocess", "track", "sinks")
_DETECTION = ("preprocess", "infer", "postprocess", "track")  # what a frame slept through has not
_LATENCY = len(STAGES)
_KEPT = 10000


@dataclass(frozen=True)
class FrameRecord:
    """What happened to one frame; all times are of one monotonic clock.

    Attributes:
        index: the frame's place in the source, dropped ones counted; of the last frame where STALE.
        status: OK, or STALE where no result came within the deadline.
        t_capture_s: when the picture was taken (files: when it was handed over).
        t_dequeue_s: when the work on it began.
        t_result_s: when its boxes were known (STALE: when the deadline passed).
        latency_ms: capture to result; where STALE the age of the last result.
        boxes: how many were found.
        dropped: frames dropped so far.
        read_ms: reading and decoding, in the reader's thread.
        queue_ms: waiting to be taken.
        gate: what a gate decided, one of `edgekit.runtime.wake.VERDICTS`; empty without a gate.
        gate_ms: what it took; None where it was not asked.
        preprocess_ms, infer_ms, postprocess_ms: the detector's stages.
        track_ms: the tracker.
        sinks_ms: handing the result to the sinks; after the result, so not part of the latency.
    """

    index: int
    status: str
    t_capture_s: float
    t_dequeue_s: float
    t_result_s: float
    latency_ms: float
    boxes: int = 0
    dropped: int = 0
    read_ms: float = 0.0
    queue_ms: float = 0.0
    preprocess_ms: float = 0.0
    infer_ms: float = 0.0
    postprocess_ms: float = 0.0
    track_ms: float = 0.0
    sinks_ms: float = 0.0
    gate: str = ""
    gate_ms: Optional[float] = None

    def to_json(self) -> Dict[str, Any]:
        """A plain dict, times rounded to a microsecond."""
        return {key: round(value, 6) if isinstance(value, float) else value for key, value in self.__dict__.items()}


@dataclass(frozen=True)
class RunSummary:
    """A run in numbers.

    Attributes:
        frames: frames with a result.
        dropped: frames replaced by newer ones before the detector was free.
        stale: how often no result came within the deadline.
        seconds: first frame taken to last result.
        fps: results a second.
        latency_ms: p50, p90, p99 and max, capture to result; the last 10,000 frames count.
        stages_ms: the same for each of `STAGES`, over the frames that had it; no `gate` where none was asked.
        ended: "end" of the source, "limit" of frames, "closed" window, or "interrupted".
        wake: what a gate did; None without one.
    """

    frames: int
    dropped: int
    stale: int
    seconds: float
    fps: float
    latency_ms: Dict[str, float]
    stages_ms: Dict[str, Dict[str, float]]
    ended: str
    wake: Optional[WakeSummary] = None

    def to_json(self) -> Dict[str, Any]:
        """A plain dict."""
        return dict(self.__dict__, wake=None if self.wake is None else self.wake.to_json())


class Account:
    """Adds up the records of a run in a fixed amount of memory."""

    def __init__(self) -> None:
        self._table = np.zeros((_KEPT, _LATENCY + 1), dtype=np.float32)
        self._frames = 0
        self._stale = 0
        self._first_s = 0.0
        self._last_s = 0.0
        self._wake = WakeAccount()

    def add(self, record: FrameRecord) -> None:
        """Count one record."""
        if record.status == STALE:
            self._stale += 1
            return
        row = self._table[self._frames % _KEPT]
        row[:_LATENCY] = [_taken(record, stage) for stage in STAGES]
        row[_LATENCY] = record.latency_ms
        if record.gate:
            detector_ms = record.preprocess_ms + record.infer_ms + record.postprocess_ms + record.track_ms
            self._wake.add(Look(record.gate, record.gate_ms), detector_ms, record.boxes)
        if self._frames == 0:
            self._first_s = record.t_dequeue_s
        self._last_s = record.t_result_s
        self._frames += 1

    def summary(self, dropped: int, ended: str) -> RunSummary:
        """The run so far."""
        seconds = self._last_s - self._first_s
        wake = self._wake.summary()
        asked = wake is not None and wake.gate_ms is not None
        kept = self._table[: min(self._frames, _KEPT)]
        columns: List[Dict[str, float]] = [_percentiles(kept[:, column]) for column in range(_LATENCY + 1)]
        return RunSummary(
            frames=self._frames,
            dropped=dropped,
            stale=self._stale,
            seconds=seconds,
            fps=self._frames / seconds if seconds > 0 else 0.0,
            latency_ms=columns[_LATENCY],
            stages_ms={name: spread for name, spread in zip(STAGES, columns) if name != "gate" or asked},
            ended=ended,
            wake=wake,
        )


def _taken(record: FrameRecord, stage: str) -> float:
    """Milliseconds of a stage; NaN where the frame did not have it."""
    if stage == "gate":
        return math.nan if record.gate_ms is None else record.gate_ms
    if stage in _DETECTION and record.gate == ASLEEP:
        return math.nan
    return float(getattr(record, stage + "_ms"))


def _percentiles(ms: np.ndarray) -> Dict[str, float]:
    ms = ms[np.isfinite(ms)]
    if len(ms) == 0:
        return {"p50": 0.0, "p90": 0.0, "p99": 0.0, "max": 0.0}
    p50, p90, p99 = np.percentile(ms, [50, 90, 99])
    return {"p50": float(p50), "p90": float(p90), "p99": float(p99), "max": float(ms.max())}
