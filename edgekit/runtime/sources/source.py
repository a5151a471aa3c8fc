"""A source of frames, read by one thread."""

from abc import ABC, abstractmethod
from typing import Optional

from edgekit.frames import Frame


class Source(ABC):
    """Frames one after another.

    Attributes:
        name: how messages call it.
        live: True where frames pass whether they are read or not (cameras, network streams).
        fps: nominal frame rate, or None where there is none.
        frame_count: how many frames it has, or None where it does not say.
    """

    name: str
    live: bool = False
    fps: Optional[float] = None
    frame_count: Optional[int] = None

    @abstractmethod
    def read(self) -> Optional[Frame]:
        """The next frame, waiting for it; None after the last one.

        Raises:
            SourceError: a frame cannot be read, or the camera is gone.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of the device or file."""
