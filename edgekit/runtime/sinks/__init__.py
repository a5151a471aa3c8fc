"""Where results go: annotated video, JSON lines, a window."""

from edgekit.runtime.sinks.draw import draw_detections, draw_status
from edgekit.runtime.sinks.jsonl import JsonlSink
from edgekit.runtime.sinks.sink import Sink, StreamInfo
from edgekit.runtime.sinks.uri import open_sink
from edgekit.runtime.sinks.video import VideoSink
from edgekit.runtime.sinks.window import WindowSink

__all__ = [
    "JsonlSink",
    "Sink",
    "StreamInfo",
    "VideoSink",
    "WindowSink",
    "draw_detections",
    "draw_status",
    "open_sink",
]
