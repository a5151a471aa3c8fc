"""Which engine of a bundle this device flies with: what the perf guard found, kept beside the engines.

A choice counts for the machine that it was measured on, whatever the build was asked for: `edgekit build --workspace
512` decides what `edgekit run` flies. On another TensorRT, GPU or power mode it means nothing, and is not used.
"""

import json
import logging
import os
from dataclasses import replace
from typing import Any, Dict, Optional

from edgekit.builders.engine import engine_from_bundle, engine_path, key_for
from edgekit.builders.here import this_target
from edgekit.builders.options import BuildOptions
from edgekit.bundle import Bundle
from edgekit.engine import Engine, EngineKey, read_engine
from edgekit.errors import BackendError
from edgekit.files import atomic_write, storage_errors
from edgekit.nvidia.trt import open_tensorrt

FORMAT = "edgekit-engine-choice"
VERSION = 1
_log = logging.getLogger(__name__)


def engine_to_fly(bundle: Bundle, options: BuildOptions, index: int = 0) -> Engine:
    """The engine that the perf guard chose for this machine, or where it has not run the first that suits.

    Args:
        bundle: opened.
        options: with another lowering than the chosen one, that one is taken.
        index: which GPU.

    Raises:
        BackendError: see `engine_from_bundle`.
    """
    tensorrt, target = open_tensorrt(), this_target(index)
    key = key_for(bundle, options, tensorrt, target)
    chosen = read_choice(bundle, key, options.cache_dir)
    if chosen is not None and options.lowering in (None, chosen["lowering"]):
        engine = _chosen_engine(bundle, key, chosen, options)
        if engine is not None:
            return engine
        options = replace(options, lowering=chosen["lowering"])
        key = key_for(bundle, options, tensorrt, target)
    if not os.path.exists(engine_path(bundle, key, options.cache_dir)):
        _log.warning("building an engine of %s, which may take minutes; edgekit build does it ahead", bundle.name)
    return engine_from_bundle(bundle, options, target)


def choice_path(bundle: Bundle, key: EngineKey, cache_dir: Optional[str] = None) -> str:
    """Where the choice for a machine lies; the key's lowering and settings do not matter."""
    folder = os.path.dirname(engine_path(bundle, key, cache_dir))
    return os.path.join(folder, "choice-{}.json".format(_of_machine(key).digest()))


def write_choice(
    bundle: Bundle, engine: Engine, why: str, evidence: Dict[str, Any], cache_dir: Optional[str] = None
) -> str:
    """Record that `engine` won.

    Args:
        bundle: opened.
        engine: one of its engines, in the cache.
        why: one sentence.
        evidence: what was measured, plain values.
        cache_dir: see `edgekit.bundle.default_cache_dir`.

    Returns:
        The file's path.

    Raises:
        StorageError: the cache cannot be written.
    """
    path = choice_path(bundle, engine.key, cache_dir)
    record = {
        "format": FORMAT,
        "version": VERSION,
        "key": _of_machine(engine.key).to_json(),
        "lowering": engine.key.lowering,
        "engine": os.path.basename(engine.path),
        "why": why,
        "evidence": evidence,
    }
    with storage_errors(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
    with atomic_write(path, "w") as stream:
        json.dump(record, stream, indent=1, sort_keys=True)
    return path


def read_choice(bundle: Bundle, key: EngineKey, cache_dir: Optional[str] = None) -> Optional[Dict[str, Any]]:
    """The record for this machine: lowering, engine, why, evidence; None where nothing was measured."""
    path = choice_path(bundle, key, cache_dir)
    try:
        with open(path, encoding="utf-8") as stream:
            record: Dict[str, Any] = json.load(stream)
        if record["format"] != FORMAT or record["version"] != VERSION or record["lowering"] not in bundle.lowerings:
            raise ValueError("not a choice of this bundle")
        if os.path.basename(record["engine"]) != record["engine"]:
            raise ValueError("an engine elsewhere")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("%s is not used (%s); edgekit build measures again", path, error)
        return None
    return record


def _chosen_engine(bundle: Bundle, key: EngineKey, chosen: Dict[str, Any], options: BuildOptions) -> Optional[Engine]:
    """The engine of a choice, if it is still there and is one for this machine."""
    path = os.path.join(os.path.dirname(engine_path(bundle, key, options.cache_dir)), chosen["engine"])
    try:
        engine = read_engine(path)
    except BackendError as error:
        _log.warning("%s", error)
        return None
    return engine if not _of_machine(engine.key).differences(_of_machine(key)) else None


def _of_machine(key: EngineKey) -> EngineKey:
    """What of a key is not a matter of choice."""
    return replace(key, lowering="", settings=())
