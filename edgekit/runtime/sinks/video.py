"""An annotated video file."""

import os
from typing import Any, Optional

import cv2

from edgekit.detections import Detections
from edgekit.errors import ConfigError, StorageError
from edgekit.files import PathLike, put_in_place, storage_errors
from edgekit.frames import Frame
from edgekit.runtime.record import FrameRecord
from edgekit.runtime.sinks.picture import Picture
from edgekit.runtime.sinks.sink import Sink, StreamInfo

# suffix -> codec; those that OpenCV's wheels and JetPack's OpenCV both write without a licence fee
CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}
_DEFAULT_FPS = 25.0


class VideoSink(Sink):
    """Draws boxes, labels and a status line; the file has its own name once it is whole.

    The size is that of the first frame; later frames of another size are scaled to it. A frame stands in for those that
    were dropped before it, so that the video plays at the speed of the flight.
    """

    slow = True

    def __init__(self, path: PathLike, fps: Optional[float] = None) -> None:
        self._path = os.fspath(path)
        folder, name = os.path.split(self._path)
        suffix = os.path.splitext(name)[1].lower()
        if suffix not in CODECS:
            raise ConfigError("cannot write the video {}; expected {}".format(self._path, ", ".join(CODECS)))
        self._codec = CODECS[suffix]
        self._part = os.path.join(folder, ".{}.part{}".format(name, suffix))
        self._fps = fps
        self._writer: Any = None
        self._size = (0, 0)
        self._last_index: Optional[int] = None
        self._picture: Optional[Picture] = None

    def start(self, info: StreamInfo) -> None:
        self._fps = self._fps or info.fps or _DEFAULT_FPS
        self._picture = Picture(info.classes, info.title)
        with storage_errors(self._path):  # now, not after the first frame
            open(self._part, "wb").close()

    def write(self, frame: Frame, detections: Detections, record: FrameRecord) -> None:
        if self._picture is None:
            raise ValueError("the sink is not open")
        image = self._picture.draw(frame, detections, record)
        if self._writer is None:
            self._size = (image.shape[1], image.shape[0])
            self._writer = self._open()
        if (image.shape[1], image.shape[0]) != self._size:
            image = cv2.resize(image, self._size)
        repeat = 1 if self._last_index is None else frame.index - self._last_index
        self._last_index = frame.index
        for _ in range(repeat):
            self._writer.write(image)

    def close(self) -> None:
        if self._writer is None:
            if os.path.exists(self._part):
                os.unlink(self._part)
            return
        writer, self._writer = self._writer, None
        writer.release()
        self._check_whole()
        put_in_place(self._part, self._path)

    def _check_whole(self) -> None:
        """OpenCV's writer says nothing of a failed write, but leaves a file that cannot be opened."""
        reader = cv2.VideoCapture(self._part)
        whole = reader.isOpened()
        reader.release()
        if not whole:
            os.unlink(self._part)
            raise StorageError("cannot write {} to its end; is the disk full?".format(self._path))

    def _open(self) -> Any:
        writer = cv2.VideoWriter(
            self._part, int.from_bytes(self._codec.encode(), "little"), self._fps or _DEFAULT_FPS, self._size
        )
        if not writer.isOpened():
            raise StorageError(
                "cannot write {} as {} of {}x{}; choose another suffix ({}) or folder".format(
                    self._path, self._codec, self._size[0], self._size[1], ", ".join(CODECS)
                )
            )
        return writer
