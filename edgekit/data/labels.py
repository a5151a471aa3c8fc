"""What every reader does with one label: check it, clip it to the image, or say what is wrong with it."""

import logging
import math
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from edgekit.data.dataset import Sample
from edgekit.errors import DataError

_log = logging.getLogger(__name__)

Box = Tuple[float, float, float, float]


class Label(NamedTuple):
    """One annotated box.

    Attributes:
        xyxy: pixels, inside the image.
        class_id: index of its class; `EVERY_CLASS` for a region that is ignored for every class.
        ignore: whether it is an ignored region and no object.
        area: annotated area in square pixels, or None for that of the box.
    """

    xyxy: Box
    class_id: int
    ignore: bool = False
    area: Optional[float] = None


class BadLabels:
    """What happens to labels that cannot be used: the first one raises, or all are left out and counted."""

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


def checked_box(where: str, seen: str, xyxy: Sequence[float], width: int, height: int, bad: BadLabels) -> Optional[Box]:
    """The part of a box that lies inside an image of that size, or None after reporting it to `bad`."""
    x1, y1, x2, y2 = xyxy
    problem = _box_problem(x1, y1, x2, y2, width, height)
    if problem is not None:
        bad.add(where, problem, f"{seen} in a {width}x{height} image")
        return None
    return _clip(x1, y1, x2, y2, width, height)


def _box_problem(x1: float, y1: float, x2: float, y2: float, width: int, height: int) -> Optional[str]:
    if not all(math.isfinite(v) for v in (x1, y1, x2, y2)):
        return "box is not finite"
    if x2 <= x1 or y2 <= y1:
        return "box has no area"
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
        return "label outside the image"
    # float32 and the clip to the edge can make a sliver vanish
    left, top, right, bottom = np.asarray(_clip(x1, y1, x2, y2, width, height), np.float32)
    return None if right > left and bottom > top else "box has no area inside the image"


def _clip(x1: float, y1: float, x2: float, y2: float, width: int, height: int) -> Box:
    return max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))


def numbers(texts: Sequence[str]) -> Optional[List[float]]:
    """The texts as numbers, or None when one is none."""
    try:
        return [float(text) for text in texts]
    except ValueError:
        return None


def sample_of(
    image: str,
    size: Tuple[int, int],
    labels: Sequence[Label],
    image_id: int,
    infrared: Optional[str] = None,
) -> Sample:
    """The sample of an image of `size` (width, height) with its labels."""
    objects = [label for label in labels if not label.ignore]
    regions = [label for label in labels if label.ignore]
    areas = [label.area for label in objects]
    return Sample(
        image=image,
        width=size[0],
        height=size[1],
        xyxy=_boxes([label.xyxy for label in objects]),
        class_id=_ids([label.class_id for label in objects]),
        ignore_xyxy=_boxes([label.xyxy for label in regions]),
        image_id=image_id,
        infrared=infrared,
        area=None if None in areas else np.asarray(areas, np.float64),
        ignore_class_id=_ids([label.class_id for label in regions]),
    )


def _boxes(boxes: Sequence[Box]) -> np.ndarray:
    return np.asarray(boxes, np.float32).reshape(-1, 4)


def _ids(ids: Sequence[int]) -> np.ndarray:
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
