"""What our own detectors take."""

from edgekit.process import Preprocess


def network_preprocess(height: int, width: int) -> Preprocess:
    """What our detectors are trained on: BGR scaled to [0, 1], padded with grey at the right and bottom."""
    return Preprocess(height=height, width=width, letterbox="topleft", scale=1 / 255)
