"""A stand-in for TensorRT's Python module, one for each version that a JetPack or a PC has.

It really reads ONNX files, builds and runs "engines", and refuses what that version refuses; a name that the version
lacks is missing. What it computes is the test's own function: it says nothing about numbers or speed.
"""

import enum
import sys
import types
from collections import OrderedDict
from importlib.machinery import ModuleSpec
from typing import Any, Dict

from tests.nvidia.fake_tensorrt import build, config, inspect, network, parser, run, surface, vocabulary
from tests.nvidia.fake_tensorrt.state import Fake, FakeSegfaultError

__all__ = ["VERSIONS", "Fake", "FakeSegfaultError", "install_tensorrt", "make_tensorrt"]

# JetPack 4.6, 5.0-5.1, 5.1 containers and PCs, 6.x, 7.2, and what PCs get today
VERSIONS = ("8.2.1.8", "8.5.2.2", "8.6.1.6", "10.3.0", "10.16.2.10", "11.4.1")

_ALIASES = {
    "float32": "FLOAT",
    "float16": "HALF",
    "int8": "INT8",
    "int32": "INT32",
    "bool": "BOOL",
    "uint8": "UINT8",
    "bfloat16": "BF16",
    "int64": "INT64",
    "int4": "INT4",
}


class _Enum(enum.Enum):
    """As pybind11's enumerations: `int()` gives the number, nothing else does."""

    def __int__(self) -> int:
        return int(self.value)


def make_tensorrt(version: str, sm: int = 87, dla_cores: int = 0) -> Any:
    """The module `tensorrt` of `version`, or `tensorrt_rtx` for "rtx-1.7.1"; its `fake` has the knobs and the trace.

    Args:
        version: such as "10.3.0".
        sm, dla_cores: of the GPU that it sees.
    """
    module = types.ModuleType("tensorrt_rtx" if version.startswith("rtx-") else "tensorrt")
    module.__spec__ = ModuleSpec(module.__name__, None, origin=__file__)
    fake = Fake(version, sm, dla_cores)
    module.__dict__.update(__version__=fake.version, fake=fake)
    for name in list(surface.ENUMS) + ["ComputeCapability"]:
        members = surface.names(surface.ENUMS, name, version)
        if members:
            module.__dict__[name] = _Enum(name, OrderedDict((one, i) for i, one in enumerate(members)))
    for name in surface.CLASSES:
        if name and surface.names(surface.CLASSES, name, version):
            module.__dict__[name] = _class(module, name, version)
    aliases = surface.names(surface.CLASSES, "", version)
    module.__dict__.update((name, module.DataType[_ALIASES[name]]) for name in aliases if name in _ALIASES)
    module.__dict__["init_libnvinfer_plugins"] = lambda logger, namespace: True
    return module


def install_tensorrt(monkeypatch: Any, version: str, sm: int = 87, dla_cores: int = 0) -> Any:
    """Make `import tensorrt` (or `tensorrt_rtx`) give the fake until the test ends; the other one is not there."""
    module = make_tensorrt(version, sm, dla_cores)
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, module if name == module.__name__ else None)
    return module


def _class(module: Any, name: str, version: str) -> type:
    """The class as this version has it: a copy without the names that it lacks."""
    full = _full(name)
    here = surface.names(surface.CLASSES, name, version)
    kept: Dict[str, Any] = {
        key: value for key, value in vars(full).items() if key.startswith("_") or key in here or key == "messages"
    }
    for key in ("__dict__", "__weakref__"):
        kept.pop(key, None)
    if "INTERNAL_ERROR" in here:
        severity = _Enum("Severity", OrderedDict((one, i) for i, one in enumerate(vocabulary.SEVERITIES)))
        if name == "Logger":  # as a subclass of ILogger it has the same enumeration
            severity = module.ILogger.Severity
        kept.update(severity.__members__, Severity=severity)
    kept.update({key: _not_here(name, key) for key in here if key not in kept})
    kept["_trt"] = module
    bases = (module.ILogger,) if name == "Logger" else full.__bases__
    return type(name, bases, kept)


def _full(name: str) -> type:
    for source in (vocabulary, network, parser, config, build, run, inspect):
        if name in vars(source):
            found: type = vars(source)[name]
            return found
    raise KeyError(name)


def _not_here(owner: str, name: str) -> Any:
    """A name that the version has and no caller needs: there, and loud."""

    def absent(*arguments: Any, **named: Any) -> Any:
        raise NotImplementedError("the fake has no {}.{}".format(owner, name))

    return absent
