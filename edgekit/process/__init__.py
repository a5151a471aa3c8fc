"""Before and after the network: the one letterbox, the one decoder of each head family."""

from edgekit.process.decode import DecodeSpec, decode, postprocess
from edgekit.process.prepare import Letterbox, Preprocess, letterbox_of, prepare

__all__ = [
    "DecodeSpec",
    "Letterbox",
    "Preprocess",
    "decode",
    "letterbox_of",
    "postprocess",
    "prepare",
]
