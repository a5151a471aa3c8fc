"""Options that people bring along from other tools: accepted, and checked, so that none is silently ignored."""

from typing import Optional

from edgekit.errors import ConfigError


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


def halves(half: bool, int8: bool) -> Optional[str]:
    """The lowering that --half or --int8 mean for a bundle that is already there, or None for the best here.

    Raises:
        ConfigError: both.
    """
    if half and int8:
        raise ConfigError("--half and --int8 exclude each other; choose one, or name the graph with --lowering")
    return "fp16" if half else None
