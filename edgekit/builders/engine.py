"""A bundle becomes an engine: found in the cache where it fits, else built, healed where it must be, and recorded."""

import json
import logging
import os
import time
from dataclasses import replace
from typing import Any, Dict, List, Optional

from edgekit.builders.attempts import build_plan
from edgekit.builders.here import Target, new_key, this_target
from edgekit.builders.memory import BuildMemory, predict_build_memory, refuse_torch
from edgekit.builders.options import BuildOptions, Settings, settings_for
from edgekit.builders.suitable import suitable_lowering
from edgekit.bundle import WEIGHTS_DATA, Bundle, default_cache_dir
from edgekit.devices import available_memory_mib, free_swap_mib
from edgekit.engine import SUFFIX, Engine, EngineKey, read_engine, write_engine
from edgekit.errors import BackendError
from edgekit.files import storage_errors
from edgekit.nvidia.trt import TensorRT, open_tensorrt
from edgekit.nvidia.trt_build import Progress

_log = logging.getLogger(__name__)


def engine_from_bundle(
    bundle: Bundle,
    options: Optional[BuildOptions] = None,
    target: Optional[Target] = None,
    progress: Optional[Progress] = None,
) -> Engine:
    """The engine of a bundle for this device, from the cache if everything that it depends on is the same.

    Args:
        bundle: opened.
        options: what is asked for; the defaults where None.
        target: what to build for; this machine's GPU where None. Another one only with TensorRT-RTX.
        progress: called with (steps done, steps, phase), where TensorRT tells.

    Raises:
        BackendError: TensorRT or the GPU is missing, the device cannot run this bundle, or the build failed.
        StorageError: the cache cannot be written.
    """
    options = options or BuildOptions()
    tensorrt = open_tensorrt()
    target = target or this_target()
    key = key_for(bundle, options, tensorrt, target)
    settings = settings_for(options, target.profile)
    path = engine_path(bundle, key, options.cache_dir)
    found = None if options.rebuild else cached_engine(path, key)
    if found is not None:
        return found
    return _build(bundle, path, key, settings, options, target, tensorrt, progress)


def key_for(bundle: Bundle, options: BuildOptions, tensorrt: TensorRT, target: Target) -> EngineKey:
    """The key of the engine that these options ask for on `target`.

    Raises:
        BackendError: the device cannot run this bundle.
    """
    dla = options.dla_core is not None
    lowering = suitable_lowering(bundle, target.profile, tensorrt.generation, options.lowering, dla)
    key = new_key(bundle.sha256, lowering, tensorrt, target, options.dla_core)
    return replace(key, settings=settings_for(options, target.profile).to_pairs())


def engine_path(bundle: Bundle, key: EngineKey, cache_dir: Optional[str] = None) -> str:
    """Where the engine of that key lies: `<cache>/<bundle>/engines/<lowering>-<digest of the key>.engine`."""
    folder = os.path.join(cache_dir or default_cache_dir(), bundle.sha256[:16], "engines")
    return os.path.join(folder, "{}-{}{}".format(key.lowering, key.digest(), SUFFIX))


def cached_engine(path: str, key: EngineKey) -> Optional[Engine]:
    """The engine at `path`, whole and of this key; None, with what is otherwise in the log, where it must be built."""
    if os.path.exists(path):
        try:
            engine = read_engine(path)
        except BackendError as error:
            _log.warning("%s", error)
            return None
        if not engine.key.differences(key):
            return engine
    for other in _others(path, key):
        _log.warning("an engine of this bundle is there, but for %s; building again", "; ".join(other.differences(key)))
        break
    return None


def _others(path: str, key: EngineKey) -> List[EngineKey]:
    """Keys of the engines of the same lowering beside `path`, the most alike first."""
    folder = os.path.dirname(path)
    found = []
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        if name.startswith(key.lowering + "-") and name.endswith(SUFFIX + ".json"):
            try:
                with open(os.path.join(folder, name), encoding="utf-8") as stream:
                    found.append(EngineKey.from_json(json.load(stream)["key"]))
            except (OSError, ValueError, KeyError, TypeError):
                continue
    return sorted(found, key=lambda other: len(other.differences(key)))


def _build(
    bundle: Bundle,
    path: str,
    key: EngineKey,
    settings: Settings,
    options: BuildOptions,
    target: Target,
    tensorrt: TensorRT,
    progress: Optional[Progress],
) -> Engine:
    refuse_torch(target.profile)
    record = bundle.manifest["lowerings"][key.lowering]
    graph = bundle.materialise(key.lowering, options.cache_dir)
    memory = _memory(graph, record, settings, tensorrt)
    warning = memory.check(settings.low_memory) if options.check_memory and target.here else None
    if warning:
        _log.warning("%s", warning)
    begin = time.perf_counter()
    built = build_plan(tensorrt, graph, record, key, settings, options, target, progress)
    seconds = time.perf_counter() - begin
    facts: Dict[str, Any] = dict(built.facts, memory=memory.to_json())
    with storage_errors(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
    return write_engine(path, built.plan, key, seconds, built.concessions, facts)


def _memory(graph: str, record: Dict[str, Any], settings: Settings, tensorrt: TensorRT) -> BuildMemory:
    weights = os.path.getsize(os.path.join(os.path.dirname(graph), WEIGHTS_DATA))
    return predict_build_memory(
        weights,
        int(record.get("hints", {}).get("activation_bytes_peak", 0)),
        settings.workspace_mib,
        settings.low_memory,
        tensorrt.generation,
        available_memory_mib(),
        free_swap_mib(),
    )
