"""Trackers: boxes in, the same boxes with ids out."""

from typing import Callable, Dict

from edgekit.errors import ConfigError
from edgekit.runtime.tracking.byte import ByteConfig, ByteTracker
from edgekit.runtime.tracking.tracker import NO_TRACK, Tracker

__all__ = ["NO_TRACK", "TRACKERS", "ByteConfig", "ByteTracker", "Tracker", "open_tracker"]


def _bytetrack() -> Tracker:
    return ByteTracker(ByteConfig(camera_motion="off"))


def _bytetrack_flow() -> Tracker:
    return ByteTracker(ByteConfig(camera_motion="flow"))


# The last two are what Ultralytics' users type: botsort there is ByteTrack with the same motion compensation.
TRACKERS: Dict[str, Callable[[], Tracker]] = {
    "bytetrack": _bytetrack,
    "bytetrack-flow": _bytetrack_flow,
    "bytetrack.yaml": _bytetrack,
    "botsort.yaml": _bytetrack_flow,
}


def open_tracker(name: str) -> Tracker:
    """A new tracker by its name in `TRACKERS`.

    Raises:
        ConfigError: no tracker has this name.
    """
    if name not in TRACKERS:
        raise ConfigError("unknown tracker '{}'; choose from {}".format(name, ", ".join(TRACKERS)))
    return TRACKERS[name]()
