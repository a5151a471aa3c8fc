"""An engine and where it came from: a cache entry, never an artefact.

`NAME.engine` is what TensorRT wrote, as trtexec takes it too; `NAME.engine.json` beside it says which bundle, machine
and settings it was built with. An engine is only opened where all of that is the same: TensorRT itself reports a
mismatch late, in words that name no key, or not at all.
"""

import json
import os
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from edgekit.errors import BackendError
from edgekit.files import PathLike, atomic_write, sha256_bytes, sha256_file

FORMAT = "edgekit-engine"
VERSION = 1
SUFFIX = ".engine"

# What a user does about each key that differs.
_WORDS = {
    "bundle": "bundle",
    "lowering": "lowering",
    "library": "library",
    "tensorrt": "TensorRT",
    "cuda": "CUDA",
    "sm": "compute capability",
    "sm_count": "multiprocessors",
    "gpu": "GPU",
    "power_mode": "power mode",
    "dla_core": "DLA core",
    "settings": "build settings",
}


@dataclass(frozen=True)
class EngineKey:
    """All that an engine depends on.

    Attributes:
        bundle: the bundle's identity, SHA-256.
        lowering: the graph that was built.
        library: "tensorrt" or "tensorrt_rtx".
        tensorrt: its whole version, such as "10.3.0".
        cuda: highest CUDA version of the driver.
        sm: compute capability as digits, such as 87.
        sm_count: multiprocessors that were powered: tactics are timed on these.
        gpu: the GPU's name.
        power_mode: nvpmodel's name, or "" where there are no modes.
        dla_core: which DLA, or None for the GPU.
        settings: (name, value) of what the build was asked for, sorted by name.
    """

    bundle: str
    lowering: str
    library: str
    tensorrt: str
    cuda: str
    sm: int
    sm_count: int
    gpu: str
    power_mode: str = ""
    dla_core: Optional[int] = None
    settings: Tuple[Tuple[str, str], ...] = ()

    def differences(self, here: "EngineKey") -> List[str]:
        """What of an engine of this key is otherwise `here`: "TensorRT 10.3.0, here 10.7.0"; none if it may be used."""
        found = []
        for name, words in _WORDS.items():
            built, wanted = getattr(self, name), getattr(here, name)
            if built != wanted:
                found.append("{} {}, here {}".format(words, _shown(built), _shown(wanted)))
        return found

    def digest(self) -> str:
        """Sixteen hex digits that stand for the key, for a file's name."""
        return sha256_bytes(json.dumps(self.to_json(), sort_keys=True).encode())[:16]

    def to_json(self) -> Dict[str, Any]:
        """A plain dict."""
        return dict(self.__dict__, settings=dict(self.settings))

    @classmethod
    def from_json(cls, value: Dict[str, Any]) -> "EngineKey":
        """The key of a record."""
        settings = tuple(sorted((str(name), str(one)) for name, one in value["settings"].items()))
        return cls(**dict(value, settings=settings))


@dataclass(frozen=True)
class Concession:
    """Something that the build gave up so that there is an engine.

    Attributes:
        layer: the layer's name; "" where it concerns the whole network.
        what: "runs without its Q/DQ", "pinned to FP32", "workspace raised to 512 MiB", …
        why: the line of the log, or the finding, that led to it.
    """

    layer: str
    what: str
    why: str

    def to_json(self) -> Dict[str, str]:
        """A plain dict."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class Engine:
    """A built engine on disk.

    Attributes:
        path: the `.engine` file.
        key: what it depends on.
        sha256: of the file.
        nbytes: of the file.
        built_s: how long the build took.
        concessions: what was given up.
        facts: anything else worth keeping: layer counts, timing-cache use, memory.
    """

    path: str
    key: EngineKey
    sha256: str
    nbytes: int
    built_s: float
    concessions: Tuple[Concession, ...] = ()
    facts: Dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> Dict[str, Any]:
        """A plain dict, the record beside the engine."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "key": self.key.to_json(),
            "sha256": self.sha256,
            "bytes": self.nbytes,
            "built_s": self.built_s,
            "concessions": [one.to_json() for one in self.concessions],
            "facts": self.facts,
        }


def write_engine(
    path: PathLike,
    plan: Any,
    key: EngineKey,
    built_s: float,
    concessions: Tuple[Concession, ...] = (),
    facts: Optional[Dict[str, Any]] = None,
) -> Engine:
    """Write an engine and its record; a reader sees both or treats the engine as absent.

    Args:
        path: the `.engine` file.
        plan: bytes-like, from TensorRT.
        key, built_s, concessions, facts: see `Engine`.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    path = os.fspath(path)
    data = bytes(plan)
    engine = Engine(path, key, sha256_bytes(data), len(data), round(built_s, 3), concessions, dict(facts or {}))
    with atomic_write(path) as stream:
        stream.write(data)
    with atomic_write(path + ".json", "w") as text:  # last: its hash makes an older record of this name void
        json.dump(engine.to_json(), text, indent=1, sort_keys=True)
    return engine


def read_engine(path: PathLike) -> Engine:
    """The record of an engine, after checking that the file beside it is the one that was built.

    Raises:
        BackendError: a file is missing, or the engine is not what the record describes.
    """
    path = os.fspath(path)
    record = _read_record(path)
    if not os.path.isfile(path) or os.path.getsize(path) != record["bytes"] or sha256_file(path) != record["sha256"]:
        raise BackendError("{} is not the engine that its record describes; build it again".format(path))
    concessions = tuple(Concession(**one) for one in record["concessions"])
    key = EngineKey.from_json(record["key"])
    return Engine(path, key, record["sha256"], record["bytes"], record["built_s"], concessions, record["facts"])


def _read_record(path: str) -> Dict[str, Any]:
    try:
        with open(path + ".json", encoding="utf-8") as stream:
            record: Dict[str, Any] = json.load(stream)
        if record["format"] != FORMAT or record["version"] != VERSION:
            raise ValueError("format {} {}".format(record["format"], record["version"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackendError(
            "{} has no record of what it was built with ({}); build it here: edgekit build BUNDLE".format(path, error)
        ) from error
    return record


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join("{}={}".format(*pair) for pair in value) or "none"
    text = str(value)
    return text[:12] + "…" if len(text) == 64 else text or "none"
