"""Where frames come from: files, folders, cameras, streams and rendered flights."""

from edgekit.runtime.sources.source import Source
from edgekit.runtime.sources.stream import Stream
from edgekit.runtime.sources.uri import open_source

__all__ = ["Source", "Stream", "open_source"]
