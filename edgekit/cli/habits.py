"""What people bring along: options of other tools, machines that lack a library. Checked, never silently ignored."""

import contextlib
import platform
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Iterator, Optional

from edgekit.errors import BackendError, ConfigError

if TYPE_CHECKING:
    from edgekit.process import DecodeSpec


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


@contextlib.contextmanager
def workstation(verb: str, extra: str) -> Iterator[None]:
    """Import the workstation's side inside this block; what is missing becomes one line that says how to get it.

    Args:
        verb: for the message.
        extra: of the package, which brings the libraries.

    Raises:
        BackendError: the interpreter is too old, or a library is not installed.
    """
    if sys.version_info < (3, 10):
        raise BackendError(
            "edgekit {} takes Python 3.10 or later, this is {}; run it on the workstation".format(
                verb, platform.python_version()
            )
        )
    try:
        yield
    except ImportError as error:
        if error.name and error.name.startswith("edgekit"):
            raise  # a mistake of ours, not a missing library
        raise BackendError(
            "cannot {} here: {}. Install its libraries with: pip install 'edgekit[{}]'".format(verb, error, extra)
        ) from error
