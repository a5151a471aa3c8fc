"""The grammar of sinks: what a user types for a file or the screen."""

from edgekit.errors import ConfigError
from edgekit.runtime.sinks.jsonl import JsonlSink
from edgekit.runtime.sinks.sink import Sink
from edgekit.runtime.sinks.video import CODECS, VideoSink
from edgekit.runtime.sinks.window import WindowSink


def open_sink(uri: str) -> Sink:
    """The sink that `uri` names: a video file, a `.jsonl` file, or `display://` for a window.

    Raises:
        ConfigError: nothing is known that writes this.
    """
    if uri.startswith("display://"):
        return WindowSink()
    path = uri[len("file://") :] if uri.startswith("file://") else uri
    if path.lower().endswith(".jsonl"):
        return JsonlSink(path)
    if path.lower().endswith(tuple(CODECS)):
        return VideoSink(path)
    raise ConfigError("unknown sink {}; expected {}, .jsonl or display://".format(uri, ", ".join(CODECS)))
