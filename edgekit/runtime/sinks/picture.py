"""The annotated picture that video and window show."""

from typing import Tuple

import numpy as np

from edgekit.detections import Detections
from edgekit.frames import Frame
from edgekit.runtime.record import FrameRecord
from edgekit.runtime.sinks.draw import draw_detections, draw_status


class Picture:
    """Annotates frames; keeps one buffer and the running frame rate."""

    def __init__(self, classes: Tuple[str, ...], title: str) -> None:
        self._classes = classes
        self._title = title
        self._buffer = np.zeros((0, 0, 3), dtype=np.uint8)
        self._last_s = 0.0
        self._period_s = 0.0

    def draw(self, frame: Frame, detections: Detections, record: FrameRecord) -> np.ndarray:
        """The frame with boxes and status (H, W, 3) uint8 BGR; overwritten by the next call."""
        if self._buffer.shape != frame.image_hwc.shape:
            self._buffer = np.empty_like(frame.image_hwc)
        np.copyto(self._buffer, frame.image_hwc)
        draw_detections(self._buffer, detections, self._classes)
        draw_status(self._buffer, detections, self._classes, self._status(record))
        return self._buffer

    def _status(self, record: FrameRecord) -> str:
        if self._last_s:
            period_s = record.t_result_s - self._last_s
            self._period_s = period_s if not self._period_s else 0.9 * self._period_s + 0.1 * period_s
        self._last_s = record.t_result_s
        parts = [self._title] if self._title else []
        parts.append("{:.1f} ms".format(record.latency_ms))
        if self._period_s > 0:
            parts.append("{:.0f} fps".format(1.0 / self._period_s))
        if record.gate:
            parts.append("gate: {}".format(record.gate))
        if record.dropped:
            parts.append("{} dropped".format(record.dropped))
        return " | ".join(parts)
