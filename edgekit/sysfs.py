"""Files in which the kernel shows a number or a name; one that is missing or holds neither gives None, never 0."""

import glob
import math
import os
from typing import List, Optional


def below(root: str, path: str) -> str:
    """An absolute path, taken below another root."""
    return os.path.join(root, path.lstrip("/"))


def find(root: str, pattern: str) -> List[str]:
    """The files that a glob below `root` names, sorted; none for an empty pattern."""
    return sorted(glob.glob(below(root, pattern))) if pattern else []


def read_text(path: str) -> Optional[str]:
    """The text of a file without the blanks and zero bytes around it, or None where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip("\0\n ")
    except OSError:  # a channel that is off answers ENODATA or EAGAIN, debugfs is for root
        return None


def read_number(path: str) -> Optional[float]:
    """The finite number that a file holds, or None."""
    try:
        value = float(read_text(path) or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
