"""What a search has done so far: a file of JSON lines, one for each finished item, written when it is finished."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from edgekit.errors import ConfigError
from edgekit.files import storage_errors

_T = TypeVar("_T")
_FILE = "journal.jsonl"


class Journal:
    """Items by name; an item that is in the file is not made again.

    A killed process loses the item under way: lines are whole or, where the power went, the last one is dropped.

    Attributes:
        path: the file.
        seconds: item -> what it took to make, in whatever sitting.
    """

    def __init__(self, path: Path, items: dict[str, Any], seconds: dict[str, float]):
        self.path = path
        self.seconds = seconds
        self._items = items

    def __contains__(self, name: str) -> bool:
        return name in self._items

    def once(self, name: str, make: Callable[[], _T]) -> _T:
        """The item called `name`: from the file, or made by `make` and written.

        Args:
            name: says what the item depends on beyond the head of the journal.
            make: returns plain JSON values.

        Raises:
            StorageError: the disk is full or the folder cannot be written.
        """
        if name not in self._items:
            # Through JSON even now, so that a resumed search sees the very same values.
            begin = time.monotonic()
            value = make()
            taken = round(time.monotonic() - begin, 3)
            line = json.dumps({"item": name, "seconds": taken, "value": value})
            with storage_errors(self.path):
                with open(self.path, "a", encoding="utf-8") as stream:
                    stream.write(line + "\n")
                    stream.flush()
                    os.fsync(stream.fileno())
            self._items[name] = json.loads(line)["value"]
            self.seconds[name] = taken
        kept: _T = self._items[name]
        return kept


def open_journal(folder: Path, head: Mapping[str, Any], resume: bool) -> Journal:
    """Start the journal of a search, or go on with it.

    Args:
        folder: of the results; it is made.
        head: what every item depends on, as plain JSON values.
        resume: go on with what is there.

    Raises:
        ConfigError: the folder holds a search already and `resume` is not set, or it is the search of another head.
        StorageError: the folder cannot be written.
    """
    path = folder / _FILE
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    items, seconds = _read(path)
    if items and not resume:
        raise ConfigError(f"{folder} holds a search already; go on with --resume, or delete the folder to start again")
    wanted = json.loads(json.dumps(head))
    journal = Journal(path, items, seconds)
    found = journal.once("head", lambda: wanted)
    if found != wanted:
        changed = ", ".join(sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)))
        raise ConfigError(f"{folder} holds the search of another recipe ({changed} differ); choose another `out`")
    return journal


def _read(path: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """The items of a file, and their seconds; its last line may be torn, and is cut off then."""
    items: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    if not path.exists():
        return items, seconds
    good = 0
    with storage_errors(path), open(path, "rb") as stream:
        lines = stream.readlines()
    for number, line in enumerate(lines):
        try:
            # A line without its end may be a number cut short, which still parses.
            entry = json.loads(line if line.endswith(b"\n") else b"")
            items[entry["item"]], seconds[entry["item"]] = entry["value"], float(entry["seconds"])
        except (ValueError, KeyError, TypeError) as error:
            if number + 1 < len(lines):
                raise ConfigError(f"{path} is damaged at line {number + 1}; delete it and search anew") from error
            with storage_errors(path):
                os.truncate(path, good)
        good += len(line)
    return items, seconds
