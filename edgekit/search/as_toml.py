"""A dataclass as the TOML file that `edgekit.config.read_toml` reads back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any


def toml_of(value: Any) -> str:
    """The text of a dataclass of plain values, tuples, tables and other such dataclasses; None is left out.

    Raises:
        TypeError: something in it is none of these.
    """
    return "\n".join(_lines(_table(value), "")) + "\n"


def _table(value: Any) -> dict[str, Any]:
    return {item.name: getattr(value, item.name) for item in fields(value)}


def _lines(table: Mapping[str, Any], path: str) -> list[str]:
    """Plain keys first: what follows a table's head belongs to it."""
    plain, tables = [], []
    for key, value in table.items():
        if hasattr(value, "__dataclass_fields__") or isinstance(value, Mapping):
            inner = f"{path}.{_key(key)}" if path else _key(key)
            tables += ["", f"[{inner}]", *_lines(value if isinstance(value, Mapping) else _table(value), inner)]
        elif value is not None:
            plain.append(f"{_key(key)} = {_text(value)}")
    return plain + tables


def _key(name: str) -> str:
    return name if name.replace("_", "").isalnum() and name.isascii() else json.dumps(name)


def _text(value: Any) -> str:
    if isinstance(value, bool | int | float | str):
        return json.dumps(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_text, value))}]"
    raise TypeError(f"{value!r} has no form in TOML")
