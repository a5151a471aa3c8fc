"""What every reader does with one label: check it, clip it to the image, or say what is wrong with it."""

import logging
import math
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from edgekit.errors import DataError

_log = logging.getLogger(__name__)

Box = Tuple[float, float, float, float]


class BadLabels:
    """What happens to labels that cannot be used: the first stops the reading, or all are left out and counted."""

    def __init__(self, source: str, on_bad: str) -> None:
        """Start counting.

        Args:
            source: the file or folder that is read, for messages.
            on_bad: 'raise' or 'drop'.
        """
        if on_bad not in ("raise", "drop"):
            raise ValueError(f"on_bad is {on_bad!r}, expected 'raise' or 'drop'")
        self._source = source
        self._drop = on_bad == "drop"
        self._counts: Dict[str, int] = {}
        self._first: Dict[str, str] = {}

    def add(self, where: str, problem: str, seen: str) -> None:
        """Count a label that has `problem`, or raise.

        Args:
            where: file and line or annotation id.
            problem: the kind of mistake, the same words each time.
            seen: the value that was found.

        Raises:
            DataError: the policy is 'raise'.
        """
        if not self._drop:
            raise DataError(f"{where}: {problem} ({seen}); correct or remove it, or read with on_bad='drop'")
        self._counts[problem] = self._counts.get(problem, 0) + 1
        self._first.setdefault(problem, where)

    def notes(self) -> Tuple[str, ...]:
        """One sentence for each kind of mistake; each is logged as a warning too."""
        notes = []
        for problem, count in sorted(self._counts.items()):
            notes.append(f"{count} left out: {problem} (first: {self._first[problem]})")
            _log.warning("%s: %s", self._source, notes[-1])
        return tuple(notes)


def box_problem(xyxy: Box, width: int, height: int) -> Optional[str]:
    """What is wrong with a box in pixels of an image of that size, or None; leaning over the edge is fine."""
    x1, y1, x2, y2 = xyxy
    if not all(math.isfinite(v) for v in xyxy):
        return "box is not finite"
    if x2 <= x1 or y2 <= y1:
        return "box has no area"
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        return "label outside the image"
    # float32 and the clip to the edge can make a sliver vanish
    left, top, right, bottom = np.asarray(clip_box(xyxy, width, height), np.float32)
    return None if right > left and bottom > top else "box has no area inside the image"


def clip_box(xyxy: Box, width: int, height: int) -> Box:
    """The part of a box that lies inside the image."""
    x1, y1, x2, y2 = xyxy
    return max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))


def boxes_array(boxes: Sequence[Box]) -> np.ndarray:
    """(N, 4) float32, also for N = 0."""
    return np.asarray(boxes, np.float32).reshape(-1, 4)


def ids_array(ids: Sequence[int]) -> np.ndarray:
    """(N,) int64, also for N = 0."""
    return np.asarray(ids, np.int64).reshape(-1)


def read_text(path: str) -> str:
    """The text of a label file.

    Raises:
        DataError: it is missing or not UTF-8.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a text file (byte {error.start} is not UTF-8)") from error


def label_lines(path: str) -> List[Tuple[str, str]]:
    """The lines of a label file that are not blank, each with its 'path:line' for messages."""
    lines = read_text(path).splitlines()
    return [(f"{path}:{n}", line.strip()) for n, line in enumerate(lines, start=1) if line.strip()]
