"""One line of JSON a frame."""

import json
import os
from typing import IO, Any, Dict, Optional, Tuple

from edgekit.detections import Detections
from edgekit.files import PathLike, put_in_place, storage_errors
from edgekit.frames import Frame
from edgekit.runtime.record import FrameRecord
from edgekit.runtime.sinks.sink import Sink, StreamInfo


class JsonlSink(Sink):
    """Writes each result as it comes; the file has its own name once it is whole.

    A line is {"frame", "status", "t_capture_s", "t_result_s", "latency_ms", "detections": [{"xyxy", "score",
    "class_id", "class", "track_id"}]}; a STALE line has no detections. With a gate a line has its verdict as "gate":
    where that is "asleep" nobody looked, and no detections says nothing. Until `close` the lines are in `<path>.part`.
    """

    def __init__(self, path: PathLike) -> None:
        self._path = os.fspath(path)
        self._part = self._path + ".part"
        self._classes: Tuple[str, ...] = ()
        self._stream: Optional[IO[str]] = None

    def start(self, info: StreamInfo) -> None:
        self._classes = info.classes
        with storage_errors(self._path):
            self._stream = open(self._part, "w", encoding="utf-8")  # noqa: SIM115 - closed by close()

    def write(self, frame: Frame, detections: Detections, record: FrameRecord) -> None:
        self._opened()
        self._line(dict(_stamps(record), detections=detections.to_rows(self._classes)))

    def stale(self, record: FrameRecord) -> None:
        self._line(_stamps(record))

    def close(self) -> None:
        if self._stream is None:
            return
        stream, self._stream = self._stream, None
        with storage_errors(self._path):
            stream.close()
        put_in_place(self._part, self._path)

    def _opened(self) -> IO[str]:
        if self._stream is None:
            raise ValueError("the sink is not open")
        return self._stream

    def _line(self, value: Dict[str, Any]) -> None:
        stream = self._opened()
        with storage_errors(self._path):
            stream.write(json.dumps(value, separators=(",", ":")) + "\n")
            stream.flush()


def _stamps(record: FrameRecord) -> Dict[str, Any]:
    stamps = {
        "frame": record.index,
        "status": record.status,
        "t_capture_s": round(record.t_capture_s, 6),
        "t_result_s": round(record.t_result_s, 6),
        "latency_ms": round(record.latency_ms, 3),
    }
    return dict(stamps, gate=record.gate) if record.gate else stamps
