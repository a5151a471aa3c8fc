"""A window on the screen."""

from typing import Optional

import cv2

from edgekit.detections import Detections
from edgekit.errors import BackendError
from edgekit.frames import Frame
from edgekit.runtime.record import FrameRecord
from edgekit.runtime.sinks.picture import Picture
from edgekit.runtime.sinks.sink import Sink, StreamInfo

_STOP_KEYS = (ord("q"), 27)


class WindowSink(Sink):
    """Shows the annotated frames; q, Escape or the close button end the run."""

    def __init__(self, title: str = "edgekit") -> None:
        self._title = title
        self._picture: Optional[Picture] = None

    def start(self, info: StreamInfo) -> None:
        self._picture = Picture(info.classes, info.title)
        try:
            cv2.namedWindow(self._title, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise BackendError(
                "cannot open a window: this OpenCV has none, or there is no screen; write a file such as out.mp4 "
                "instead, or install opencv-python in place of opencv-python-headless"
            ) from error

    def write(self, frame: Frame, detections: Detections, record: FrameRecord) -> None:
        if self._picture is None:
            raise ValueError("the sink is not open")
        cv2.imshow(self._title, self._picture.draw(frame, detections, record))
        pressed = cv2.waitKey(1) & 0xFF
        shown = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
        self.finished = pressed in _STOP_KEYS or not shown

    def close(self) -> None:
        if self._picture is not None:
            self._picture = None
            cv2.destroyAllWindows()
