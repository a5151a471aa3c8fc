"""Lines that people find in their logs, what they mean, and the cure.

The wordings are those of TensorRT 7 to 11 and its ONNX importer, CUDA, ONNX Runtime, GStreamer, L4T and Linux, as their
users have reported them.
"""

import re
from typing import List, NamedTuple, Optional, Tuple

from edgekit.errors import DataError
from edgekit.runtime.failures.failure import Failure
from edgekit.runtime.failures.machine import MACHINE
from edgekit.runtime.failures.network import NETWORK

__all__ = ["FAILURES", "Failure", "Finding", "explain", "failure_of"]

# A line is explained by the first that fits it.
FAILURES: Tuple[Failure, ...] = MACHINE + NETWORK


class Finding(NamedTuple):
    """A known failure at a line of a log, which tells the particulars: which layer, which file, how much."""

    line: int
    text: str
    failure: Failure


def explain(path: str) -> List[Finding]:
    """Known failures in a log file, in the order of its lines; each failure once, at its first line.

    Raises:
        DataError: the log cannot be read.
    """
    try:
        with open(path, errors="replace") as stream:
            lines = stream.read().splitlines()
    except OSError as error:
        raise DataError("cannot read the log {}: {}".format(path, error.strerror)) from error
    found: List[Finding] = []
    for number, line in enumerate(lines, 1):
        failure = failure_of(line)
        if failure is not None and failure not in [one.failure for one in found]:
            found.append(Finding(number, line.strip(), failure))
    return found


def failure_of(line: str) -> Optional[Failure]:
    """The failure that a line tells of: the first of the table that fits; None for a line that is none."""
    lower = line.strip().lower()
    return next((one for one in FAILURES if any(re.search(sign, lower) for sign in one.signs)), None)
