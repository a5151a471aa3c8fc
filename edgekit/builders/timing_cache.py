"""Tactic timings between builds: one file for each kind of TensorRT and machine, used only where its header fits.

A cache of another version or GPU makes TensorRT refuse the build or, with "ignore mismatch", choose kernels by another
GPU's timings. So the header is checked here, and what does not fit is left aside with a warning.
"""

import json
import logging
import os
import re
from typing import Any, Dict, NamedTuple

from edgekit.bundle import default_cache_dir
from edgekit.engine import EngineKey
from edgekit.files import atomic_write, sha256_bytes, storage_errors

_MAGIC = b"edgekit-timing-cache 1\n"
_log = logging.getLogger(__name__)


class Timings(NamedTuple):
    """What was found.

    Attributes:
        data: for TensorRT; empty where there is nothing that fits.
        state: "used", "none yet", or why the file was left aside.
    """

    data: bytes
    state: str


def timing_cache_path(key: EngineKey, cache_dir: str = "") -> str:
    """The file for builds of this key: named after library, version, GPU, multiprocessors, power mode and DLA."""
    mode = "-" + re.sub(r"[^A-Za-z0-9]+", "_", key.power_mode) if key.power_mode else ""
    dla = "" if key.dla_core is None else "-dla"
    name = "{}-{}-sm{}x{}{}{}.timing.cache".format(key.library, key.tensorrt, key.sm, key.sm_count, mode, dla)
    return os.path.join(cache_dir or default_cache_dir(), "timing", name)


def read_timings(path: str, key: EngineKey) -> Timings:
    """The timings in `path` if they were taken on such a machine; otherwise none, and why."""
    try:
        with open(path, "rb") as stream:
            content = stream.read()
    except OSError:
        return Timings(b"", "none yet")
    problem = "damaged"
    if content.startswith(_MAGIC):
        line, _, data = content[len(_MAGIC) :].partition(b"\n")
        try:
            header: Dict[str, Any] = json.loads(line.decode("utf-8"))
            problem = _mismatch(header, key, data)
        except (ValueError, AttributeError):
            problem = "damaged"
        if not problem:
            return Timings(data, "used")
    _log.warning("the timing cache %s is not used (%s); this build times its kernels anew", path, problem)
    return Timings(b"", problem)


def write_timings(path: str, key: EngineKey, data: bytes) -> None:
    """Keep the timings of a build.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    header = dict(_identity(key), sha256=sha256_bytes(data))
    with storage_errors(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
    with atomic_write(path) as stream:
        stream.write(_MAGIC + json.dumps(header, sort_keys=True).encode() + b"\n" + data)


def _identity(key: EngineKey) -> Dict[str, Any]:
    return {
        "library": key.library,
        "tensorrt": key.tensorrt,
        "cuda": key.cuda,
        "gpu": key.gpu,
        "sm": key.sm,
        "sm_count": key.sm_count,
        "power_mode": key.power_mode,
    }


def _mismatch(header: Dict[str, Any], key: EngineKey, data: bytes) -> str:
    for name, value in _identity(key).items():
        if header.get(name) != value:
            return "{} {} there, {} here".format(name, header.get(name), value)
    return "" if header.get("sha256") == sha256_bytes(data) else "damaged"
