"""The grammar of sources: what a user types for a camera, a file or a stream."""

import os
import re
from typing import Dict, Optional
from urllib.parse import parse_qsl, urlsplit

from edgekit.data.dataset import IMAGE_SUFFIXES
from edgekit.data.pairs import LAYOUTS
from edgekit.errors import SourceError
from edgekit.runtime.sources.capture import open_camera, open_csi, open_network, open_video
from edgekit.runtime.sources.images import open_images
from edgekit.runtime.sources.source import Source
from edgekit.runtime.sources.stream import Stream

_CSI_DEFAULTS = {"width": 1920, "height": 1080, "fps": 30, "flip": 0}
_GRAMMAR = "a file, a folder, /dev/video0, csi://0, rtsp://…, udp://… or synth://?…"


def open_source(uri: str, policy: Optional[str] = None, lost_after_s: float = 5.0, pairs: bool = False) -> Stream:
    """Open whatever `uri` names, read by a thread of its own.

    Args:
        uri: a video file, an image, a folder of images; a camera as `0` or `/dev/video0`; `csi://0` (with
            `?width=1280&height=720&fps=60&flip=2`); `rtsp://…`, `udp://…`; `synth://?…` for a rendered flight.
        policy: "every" frame waits to be taken, or only the "latest" one is kept; by default what suits the source:
            files "every", cameras "latest". A file under "latest" plays at its own frame rate, as a camera would.
        lost_after_s: a camera silent for so long is lost.
        pairs: frames come with their infrared image, as a network of colour and infrared needs them.

    Raises:
        SourceError: there is no such source, it cannot be read, or it has no infrared where pairs are asked for.
    """
    return Stream(_source(uri, pairs), policy, lost_after_s)


def _source(uri: str, pairs: bool) -> Source:
    scheme = uri.split("://", 1)[0] if "://" in uri else ""
    if pairs and scheme in ("rtsp", "udp", "csi"):
        raise _no_infrared(uri)
    if scheme in ("rtsp", "udp"):
        return open_network(uri)
    if scheme == "csi":
        return _csi(uri)
    if scheme == "synth":
        from edgekit.runtime.sources.synthetic import open_flight  # the renderer is large, and few runs need it

        return open_flight(uri, pairs)
    if scheme not in ("", "file"):
        raise SourceError("unknown source {}; expected {}".format(uri, _GRAMMAR))
    return _local(uri[len("file://") :] if scheme else uri, pairs)


def _no_infrared(uri: str) -> SourceError:
    return SourceError(
        "{} gives no infrared, and the network takes colour and infrared; give a folder of pairs ({}), or synth:// for "
        "rendered ones".format(uri, LAYOUTS)
    )


def _local(path: str, pairs: bool) -> Source:
    camera = re.match(r"^(?:/dev/video)?(\d+)$", path)
    if camera and not os.path.isfile(path):
        if pairs:
            raise _no_infrared(path)
        return open_camera(int(camera.group(1)))
    if os.path.isdir(path) or path.lower().endswith(tuple(IMAGE_SUFFIXES)):
        return open_images(path, pairs)
    if not os.path.exists(path):
        raise SourceError("there is no source {}; expected {}".format(path, _GRAMMAR))
    if pairs:
        raise _no_infrared(path)
    return open_video(path)


def _csi(uri: str) -> Source:
    parts = urlsplit(uri)
    options: Dict[str, int] = dict(_CSI_DEFAULTS)
    try:
        for key, value in parse_qsl(parts.query, keep_blank_values=True):
            if key not in options:
                raise SourceError("{}: unknown option {!r}; known: {}".format(uri, key, ", ".join(options)))
            options[key] = int(value)
        sensor = int(parts.netloc or 0)
    except ValueError as error:
        raise SourceError("{}: the sensor and its options are whole numbers ({})".format(uri, error)) from error
    return open_csi(sensor, options["width"], options["height"], options["fps"], options["flip"])
