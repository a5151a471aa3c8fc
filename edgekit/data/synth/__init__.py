"""Rendered drone flights: no download, exact boxes, tracks and masks, colour and thermal images."""

from edgekit.data.synth.actors import SYNTH_CLASSES
from edgekit.data.synth.flight import Flight, SynthFrame
from edgekit.data.synth.stream import HIT_UAV_CLASSES, as_hit_uav, hit_uav_flight, samples
from edgekit.data.synth.uri import parse_uri
from edgekit.data.synth.writer import write_dataset, write_video

__all__ = [
    "HIT_UAV_CLASSES",
    "SYNTH_CLASSES",
    "Flight",
    "SynthFrame",
    "as_hit_uav",
    "hit_uav_flight",
    "parse_uri",
    "samples",
    "write_dataset",
    "write_video",
]
