"""A failure that is known by how a log tells of it."""

from typing import NamedTuple, Tuple


class Failure(NamedTuple):
    """One known failure.

    Attributes:
        signs: regular expressions in lower case; one of them is found in the line, letter case apart.
        cause: what has happened.
        cure: what to do about it.
    """

    signs: Tuple[str, ...]
    cause: str
    cure: str
