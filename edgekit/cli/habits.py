"""Options that people bring along from other tools: accepted and checked, so that none is silently ignored."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Optional

from edgekit.errors import ConfigError

if TYPE_CHECKING:
    from edgekit.process import DecodeSpec


def check_device(device: str) -> None:
    """Accept `cpu`, the one device that runs bundles so far.

    Raises:
        ConfigError: another device.
    """
    if device.lower() != "cpu":
        raise ConfigError("--device {} is not available; bundles run on cpu (ONNX Runtime) here".format(device))


def check_imgsz(imgsz: Optional[int], height: int, width: int) -> None:
    """Accept the size that the graph was exported with; it is part of the graph.

    Args:
        imgsz: what was asked for, pixels, or None.
        height, width: of the network's input.

    Raises:
        ConfigError: another size.
    """
    if imgsz is not None and imgsz not in (height, width):
        raise ConfigError(
            "--imgsz {}: this bundle's network takes {}x{} and nothing else; export another one from a model of "
            "that size".format(imgsz, width, height)
        )


def with_thresholds(decode: "DecodeSpec", iou: Optional[float], max_det: Optional[int]) -> "DecodeSpec":
    """The same head with another overlap and count of the suppression, where given."""
    changed: Any = {}
    if iou is not None:
        changed["iou"] = iou
    if max_det is not None:
        changed["max_det"] = max_det
    return replace(decode, **changed)
