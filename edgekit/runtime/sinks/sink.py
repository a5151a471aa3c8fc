"""What the loop asks of a sink."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Optional, Tuple

from edgekit.detections import Detections
from edgekit.frames import Frame
from edgekit.runtime.record import FrameRecord


@dataclass(frozen=True)
class StreamInfo:
    """What a sink may want to know before the first frame.

    Attributes:
        source: name of the source.
        fps: its nominal frame rate, or None.
        classes: class names by class id.
        title: name of the model and its lowering.
    """

    source: str
    fps: Optional[float]
    classes: Tuple[str, ...]
    title: str


class Sink(ABC):
    """Takes the result of every frame.

    Attributes:
        slow: True where writing takes milliseconds: the loop then gives the sink a thread of its own.
        finished: True once nobody wants more frames (a closed window): the loop then ends.
    """

    slow: bool = False
    finished: bool = False

    @abstractmethod
    def start(self, info: StreamInfo) -> None:
        """Get ready; called once, before the first frame."""

    @abstractmethod
    def write(self, frame: Frame, detections: Detections, record: FrameRecord) -> None:
        """Take one result; nothing may be written into its arrays.

        Raises:
            StorageError: the disk is full.
        """

    def stale(self, record: FrameRecord) -> None:  # noqa: B027 - most sinks show results only
        """There was no result within the deadline."""

    @abstractmethod
    def close(self) -> None:
        """Make what was written whole; called once, also after an error."""

    def __enter__(self) -> "Sink":
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()
