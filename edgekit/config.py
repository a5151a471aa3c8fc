"""Strict TOML: a file is a dataclass, an unknown key is an error."""

import difflib
import os
import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Dict, Type, TypeVar, Union, get_type_hints

from edgekit.errors import ConfigError
from edgekit.files import PathLike

_T = TypeVar("_T")


def read_toml(path: PathLike, cls: Type[_T]) -> _T:
    """Read a TOML file into the dataclass `cls`; tables become its nested dataclasses.

    Raises:
        ConfigError: the file cannot be read, is not TOML, lacks a required key, has an unknown one, or a value of
            another type.
    """
    path = os.fspath(path)
    return dataclass_from_dict(load_toml(path), cls, path)


def dataclass_from_dict(table: Dict[str, Any], cls: Type[_T], where: str) -> _T:
    """Build the dataclass `cls` from a plain dict; `where` names the origin in messages."""
    hints = get_type_hints(cls)
    known = {item.name: item for item in fields(cls)}  # type: ignore[arg-type]
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, list(known), n=1)
            hint = "did you mean {!r}?".format(close[0]) if close else "known: " + ", ".join(known)
            raise ConfigError("{}: unknown key {!r}; {}".format(where, key, hint))
    values = {}
    for name, item in known.items():
        if name in table:
            values[name] = _convert(table[name], hints[name], "{}: {}".format(where, name))
        elif item.default is MISSING and item.default_factory is MISSING:
            raise ConfigError("{}: key {!r} is missing".format(where, name))
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError("{}: {}".format(where, error)) from error


def load_toml(path: PathLike) -> Dict[str, Any]:
    """The tables of a TOML file as they are; raises `ConfigError` when it cannot be read or is not TOML."""
    path = os.fspath(path)
    try:
        import tomllib
    except ImportError:  # Python < 3.11
        import tomli as tomllib  # type: ignore[import-not-found, no-redef]
    try:
        with open(path, "rb") as stream:
            return tomllib.loads(stream.read().decode("utf-8"))
    except OSError as error:
        raise ConfigError("cannot read {}: {}".format(path, error.strerror)) from error
    except ValueError as error:
        raise ConfigError("{} is not TOML: {}".format(path, error)) from error


def _convert(value: Any, hint: Any, where: str) -> Any:
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise ConfigError("{} is a table, got {!r}".format(where, value))
        return dataclass_from_dict(value, hint, where)  # type: ignore[arg-type]
    origin = getattr(hint, "__origin__", None)
    if origin is Union or isinstance(hint, getattr(types, "UnionType", ())):  # Optional[X], or X | None
        options = [option for option in hint.__args__ if option is not type(None)]
        return _convert(value, options[0], where)
    if origin in (tuple, list) or getattr(hint, "__extra__", None) in (tuple, list):
        if not isinstance(value, list):
            raise ConfigError("{} is a list, got {!r}".format(where, value))
        items = [_convert(item, hint.__args__[0], where) for item in value]
        is_tuple = origin is tuple or getattr(hint, "__extra__", None) is tuple
        return tuple(items) if is_tuple else items
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (bool, int, float, str) and type(value) is not hint:
        raise ConfigError("{} is {}, got {!r}".format(where, hint.__name__, value))
    return value
