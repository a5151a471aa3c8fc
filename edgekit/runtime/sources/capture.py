"""Videos, cameras and network streams: everything that OpenCV's VideoCapture reads."""

import contextlib
import logging
import os
import time
from typing import Any, Callable, Iterator, List, Optional, Tuple

import cv2

from edgekit.errors import SourceError
from edgekit.frames import Frame
from edgekit.runtime.sources.source import Source

_log = logging.getLogger(__name__)

# FFmpeg's own complaints stay out of the terminal: ours say the same in one line. OpenCV looks at this once only.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


class Capture(Source):
    """An opened `cv2.VideoCapture` (or anything with its `grab`, `retrieve`, `get` and `release`)."""

    def __init__(self, capture: Any, name: str, live: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._capture = capture
        self._clock = clock
        self._index = 0
        self.name = name
        self.live = live
        fps = capture.get(cv2.CAP_PROP_FPS)
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.fps = float(fps) if 0 < fps < 1000 else None
        self.frame_count = count if count > 0 and not live else None

    def read(self) -> Optional[Frame]:
        grabbed = self._capture.grab()
        t_capture_s = self._clock()  # before decoding: a camera's picture is already old
        good, image = self._capture.retrieve() if grabbed else (False, None)
        if not good or image is None:
            self._check_end()
            return None
        frame = Frame(image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), self._index, t_capture_s)
        self._index += 1
        return frame

    def _check_end(self) -> None:
        """Raise if this is no proper end."""
        if self.live:
            raise SourceError(
                "{} was lost after {} frames; check its cable, power and network".format(self.name, self._index)
            )
        if self._index == 0:
            raise SourceError("{} holds no frame that OpenCV can decode; is it a whole video file?".format(self.name))
        if self.frame_count is not None and self._index < self.frame_count // 2:
            raise SourceError(
                "{} broke off after {} of {} frames: it is damaged there".format(
                    self.name, self._index, self.frame_count
                )
            )
        if self.frame_count is not None and self._index < self.frame_count - 1:
            _log.warning("%s ended after %d of %d frames", self.name, self._index, self.frame_count)

    def close(self) -> None:
        self._capture.release()


def open_video(path: str) -> Capture:
    """Open a video file.

    Raises:
        SourceError: there is no such file, or OpenCV cannot decode it.
    """
    if not os.path.isfile(path):
        raise SourceError("there is no video {}".format(path))
    capture = _open([(path, cv2.CAP_FFMPEG), (path, cv2.CAP_ANY)])
    if capture is None or _fourcc(capture) == b"ANSI":  # FFmpeg plays a text file as the film of a terminal
        raise SourceError(
            "{} is not a video that OpenCV can decode; re-encode it, for example as H.264 in .mp4".format(path)
        )
    return Capture(capture, path, live=False)


def open_camera(index: int) -> Capture:
    """Open the USB camera /dev/video`index`.

    Raises:
        SourceError: there is no such camera, or another program holds it.
    """
    name = "/dev/video{}".format(index)
    capture = _open([(index, cv2.CAP_V4L2)]) if os.path.exists(name) else None
    if capture is None:
        raise SourceError("cannot open the camera {}; is it plugged in and not in use elsewhere?".format(name))
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # where the driver listens: the newest picture, not the oldest
    return Capture(capture, name, live=True)


def open_csi(sensor: int, width: int, height: int, fps: int, flip: int) -> Capture:
    """Open a Jetson's CSI camera.

    Raises:
        SourceError: OpenCV has no GStreamer, or the camera does not start.
    """
    name = "csi://{}".format(sensor)
    if not has_gstreamer():
        raise SourceError(
            "{} needs an OpenCV with GStreamer, which pip's is not; use JetPack's own OpenCV".format(name)
        )
    capture = _open([(csi_pipeline(sensor, width, height, fps, flip), cv2.CAP_GSTREAMER)])
    if capture is None:
        raise SourceError(
            "{} does not start; is the sensor connected, nvargus-daemon running, and in a container "
            "/tmp/argus_socket mounted?".format(name)
        )
    return Capture(capture, name, live=True)


def open_network(url: str) -> Capture:
    """Open an rtsp:// or udp:// stream, with the Jetson's hardware decoder where it is there.

    Raises:
        SourceError: nothing answers at `url`, or its format is not known.
    """
    attempts: List[Tuple[Any, int]] = []
    if url.startswith("rtsp://") and has_gstreamer():
        attempts.append((rtsp_pipeline(url), cv2.CAP_GSTREAMER))
    attempts.append((url, cv2.CAP_FFMPEG))
    with _ffmpeg_options("rtsp_transport;tcp|fflags;nobuffer|flags;low_delay"):
        capture = _open(attempts)
    if capture is None:
        raise SourceError("cannot open the stream {}; is the sender running and reachable from here?".format(url))
    return Capture(capture, url, live=True)


@contextlib.contextmanager
def _ffmpeg_options(text: str) -> Iterator[None]:
    """Hand FFmpeg these options while a stream is opened, unless the user has set some.

    They are the process's: a file opened with them loses its last frame.
    """
    name = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
    if name in os.environ:
        yield
        return
    os.environ[name] = text
    try:
        yield
    finally:
        del os.environ[name]


def csi_pipeline(sensor: int, width: int, height: int, fps: int, flip: int) -> str:
    """GStreamer text for a CSI camera; the newest frame wins in its last element too."""
    return (
        "nvarguscamerasrc sensor-id={} ! video/x-raw(memory:NVMM),width={},height={},format=NV12,framerate={}/1 ! "
        "nvvidconv flip-method={} ! video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR ! "
        "appsink drop=true max-buffers=1 sync=false"
    ).format(sensor, width, height, fps, flip)


def rtsp_pipeline(url: str) -> str:
    """GStreamer text for an RTSP stream on a Jetson's decoder, without the default two seconds of buffer."""
    return (
        "rtspsrc location={} latency=0 drop-on-latency=true protocols=tcp ! rtph264depay ! h264parse ! "
        "nvv4l2decoder enable-max-performance=1 ! nvvidconv ! video/x-raw,format=BGRx ! videoconvert ! "
        "video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
    ).format(url)


def has_gstreamer() -> bool:
    """True where this OpenCV was built with GStreamer."""
    for line in cv2.getBuildInformation().splitlines():
        if line.strip().startswith("GStreamer:"):
            return "YES" in line
    return False


def _fourcc(capture: Any) -> bytes:
    return int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").upper()


def _open(attempts: List[Tuple[Any, int]]) -> Any:
    """The first capture that opens, or None."""
    with _silent_opencv():
        for target, backend in attempts:
            capture = cv2.VideoCapture(target, backend)
            if capture.isOpened():
                return capture
            capture.release()
    return None


@contextlib.contextmanager
def _silent_opencv() -> Iterator[None]:
    """OpenCV logs to the terminal what we report in our own words."""
    log: Any = getattr(getattr(cv2, "utils", None), "logging", cv2)  # moved there in OpenCV 5
    if not hasattr(log, "setLogLevel"):
        yield
        return
    before = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(before)
