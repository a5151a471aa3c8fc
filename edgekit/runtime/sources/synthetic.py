"""A rendered flight as a source."""

import time
from dataclasses import replace
from typing import Callable, Optional

from edgekit.data.synth.flight import Flight
from edgekit.data.synth.uri import parse_uri
from edgekit.errors import SourceError
from edgekit.frames import Frame
from edgekit.runtime.sources.source import Source


class SyntheticFlight(Source):
    """The frames of a `Flight`, one after another."""

    def __init__(self, flight: Flight, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._flight = flight
        self._clock = clock
        self._index = 0
        self.name = name
        self.fps = flight.fps
        self.frame_count = flight.frames

    def read(self) -> Optional[Frame]:
        if self._index >= self._flight.frames:
            return None
        rendered = self._flight.render(self._index)
        frame = Frame(rendered.image_hwc, self._index, self._clock(), rendered.infrared_hw)
        self._index += 1
        return frame

    def close(self) -> None:
        self._index = self._flight.frames


def open_flight(uri: str, pairs: bool = False) -> SyntheticFlight:
    """Open `synth://?seed=3&frames=120&size=640x512&fps=30&ir=1`; with `pairs` as if it said `ir=1`.

    Raises:
        SourceError: an unknown key, a value that cannot be used, or a thermal camera alone where pairs are asked for.
    """
    flight = parse_uri(uri)
    if pairs and flight.thermal_only:
        raise SourceError("{} is a thermal camera alone, and the network takes colour too; use ir=1".format(uri))
    return SyntheticFlight(replace(flight, infrared=flight.infrared or pairs), uri)
