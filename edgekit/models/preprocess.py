"""What our own detectors take."""

from edgekit.process import Preprocess


def network_preprocess(height: int, width: int, pictures: str = "rgb") -> Preprocess:
    """What our detectors are trained on: BGR scaled to [0, 1], padded with grey at the right and bottom.

    Args:
        height, width: of the input, pixels.
        pictures: the network's, a key of `edgekit.models.detector.PICTURES`; infrared is the last of four channels.
    """
    if pictures != "rgb+ir":
        return Preprocess(height=height, width=width, letterbox="topleft", scale=1 / 255)
    mean, std = (0.0,) * 4, (1.0,) * 4
    return Preprocess(height, width, "topleft", mean=mean, std=std, scale=1 / 255, modality="rgb+ir")
