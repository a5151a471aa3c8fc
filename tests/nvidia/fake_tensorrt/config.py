"""The builder's configuration and its timing cache."""

import json
from typing import Any, Dict, List

from tests.nvidia.fake_tensorrt.vocabulary import Strict, check_made, said

_CACHE_MAGIC = b"fake timing cache\n"
_GPU_MEMORY = 8 << 30


class ITimingCache(Strict):
    """`trt.ITimingCache`; its header says for which version and GPU it was timed."""

    def __init__(self, header: Dict[str, Any], entries: Dict[str, float], logger: Any) -> None:
        self._header, self._entries, self._logger = header, entries, logger

    def serialize(self) -> Any:
        body = json.dumps({"header": self._header, "entries": self._entries}, sort_keys=True)
        return self._trt.IHostMemory(_CACHE_MAGIC + body.encode())

    def combine(self, input_cache: Any, ignore_mismatch: bool) -> bool:
        if input_cache._header != self._header and not ignore_mismatch:
            said(self._logger, "ERROR", _cache_mismatch("combine"))
            return False
        self._entries.update(input_cache._entries)
        return True

    def reset(self) -> bool:
        self._entries = {}
        return True

    def queryKeys(self) -> List[str]:
        return sorted(self._entries)

    def query(self, key: str) -> float:
        return self._entries[key]

    def update(self, key: str, value: float) -> bool:
        self._entries[key] = value
        return True


def _cache_mismatch(call: str) -> str:
    return "ITimingCache::{}: the cache was made by another version of TensorRT or on another device".format(call)


class IBuilderConfig(Strict):
    """`trt.IBuilderConfig`."""

    def __init__(self, logger: Any) -> None:
        trt = self._trt
        self._logger = logger
        self._flags = 1 << int(trt.BuilderFlag.TF32)
        self._pools: Dict[Any, int] = {}
        self._workspace = _GPU_MEMORY
        self._tactics = sum(1 << int(one) for one in trt.TacticSource.__members__.values())
        self._level = 3
        self._verbosity = trt.ProfilingVerbosity.LAYER_NAMES_ONLY
        self._cache: Any = None
        self._device, self._core = trt.DeviceType.GPU, 0
        self._devices: Dict[str, Any] = {}
        self._monitor: Any = None
        self._calibrator: Any = None
        self._streams = -1
        self._compatibility: Any = None
        self._profiles: List[Any] = []
        self._capabilities: List[Any] = []
        self._previews: Dict[str, bool] = {}
        self._iterations = 1

    def set_flag(self, flag: Any) -> None:
        self._trt.fake.note("config.set_flag({})", flag.name)
        self._flags |= 1 << int(flag)

    def clear_flag(self, flag: Any) -> None:
        self._trt.fake.note("config.clear_flag({})", flag.name)
        self._flags &= ~(1 << int(flag))

    def get_flag(self, flag: Any) -> bool:
        return bool(self._flags & (1 << int(flag)))

    @property
    def flags(self) -> int:
        return self._flags

    @flags.setter
    def flags(self, value: int) -> None:
        self._flags = value

    @property
    def max_workspace_size(self) -> int:
        return self._workspace

    @max_workspace_size.setter
    def max_workspace_size(self, value: int) -> None:
        self._trt.fake.note("config.max_workspace_size = {}", value)
        self._workspace = value

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self._trt.fake.note("config.set_memory_pool_limit({}, {})", pool.name, pool_size)
        self._pools[pool] = pool_size
        if pool.name == "WORKSPACE":
            self._workspace = pool_size

    def get_memory_pool_limit(self, pool: Any) -> int:
        return self._workspace if pool.name == "WORKSPACE" else self._pools.get(pool, 0)

    def set_tactic_sources(self, tactic_sources: int) -> bool:
        names = [one.name for one in self._trt.TacticSource.__members__.values() if tactic_sources & (1 << int(one))]
        self._trt.fake.note("config.set_tactic_sources({})", "|".join(names))
        self._tactics = tactic_sources
        return True

    def get_tactic_sources(self) -> int:
        return self._tactics

    def set_preview_feature(self, feature: Any, enable: bool) -> None:
        self._previews[feature.name] = enable

    def get_preview_feature(self, feature: Any) -> bool:
        return self._previews.get(feature.name, False)

    @property
    def builder_optimization_level(self) -> int:
        return self._level

    @builder_optimization_level.setter
    def builder_optimization_level(self, value: int) -> None:
        self._trt.fake.note("config.builder_optimization_level = {}", value)
        self._level = value

    @property
    def max_aux_streams(self) -> int:
        return self._streams

    @max_aux_streams.setter
    def max_aux_streams(self, value: int) -> None:
        self._streams = value

    @property
    def avg_timing_iterations(self) -> int:
        return self._iterations

    @avg_timing_iterations.setter
    def avg_timing_iterations(self, value: int) -> None:
        self._iterations = value

    @property
    def hardware_compatibility_level(self) -> Any:
        return self._compatibility or self._trt.HardwareCompatibilityLevel.NONE

    @hardware_compatibility_level.setter
    def hardware_compatibility_level(self, value: Any) -> None:
        self._compatibility = value

    @property
    def profiling_verbosity(self) -> Any:
        return self._verbosity

    @profiling_verbosity.setter
    def profiling_verbosity(self, value: Any) -> None:
        self._trt.fake.note("config.profiling_verbosity = {}", value.name)
        self._verbosity = value

    @property
    def progress_monitor(self) -> Any:
        return self._monitor

    @progress_monitor.setter
    def progress_monitor(self, value: Any) -> None:
        if value is not None:
            check_made(value, "IProgressMonitor")
        self._monitor = value

    @property
    def int8_calibrator(self) -> Any:
        return self._calibrator

    @int8_calibrator.setter
    def int8_calibrator(self, value: Any) -> None:
        self._calibrator = value

    def create_timing_cache(self, serialized_timing_cache: Any) -> Any:
        data = bytes(serialized_timing_cache)
        self._trt.fake.note("config.create_timing_cache({})", "empty" if not data else "of a file")
        if not data:
            return self._trt.ITimingCache(self._header(), {}, self._logger)
        if not data.startswith(_CACHE_MAGIC):
            said(self._logger, "ERROR", "IBuilderConfig::createTimingCache: the serialized timing cache is corrupt")
            return None
        cache = json.loads(data[len(_CACHE_MAGIC) :].decode())
        return self._trt.ITimingCache(cache["header"], cache["entries"], self._logger)

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        self._trt.fake.note("config.set_timing_cache(ignore_mismatch={})", ignore_mismatch)
        if cache._header != self._header() and not ignore_mismatch:
            said(self._logger, "ERROR", _cache_mismatch("setTimingCache"))
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> Any:
        return self._cache

    def _header(self) -> Dict[str, Any]:
        fake = self._trt.fake
        return {"tensorrt": fake.version, "sm": fake.sm, "device": fake.device_name}

    @property
    def default_device_type(self) -> Any:
        return self._device

    @default_device_type.setter
    def default_device_type(self, value: Any) -> None:
        self._trt.fake.note("config.default_device_type = {}", value.name)
        self._device = value

    @property
    def DLA_core(self) -> int:
        return self._core

    @DLA_core.setter
    def DLA_core(self, value: int) -> None:
        self._trt.fake.note("config.DLA_core = {}", value)
        self._core = value

    def set_device_type(self, layer: Any, device_type: Any) -> None:
        self._trt.fake.note("config.set_device_type({}, {})", layer.name, device_type.name)
        self._devices[layer.name] = device_type

    def get_device_type(self, layer: Any) -> Any:
        return self._devices.get(layer.name, self._device)

    def is_device_type_set(self, layer: Any) -> bool:
        return layer.name in self._devices

    def can_run_on_DLA(self, layer: Any) -> bool:
        able = "CONVOLUTION DECONVOLUTION ACTIVATION POOLING ELEMENTWISE CONCATENATION SCALE RESIZE"
        return self._trt.fake.dla_cores > 0 and layer.type.name in able.split()

    def add_optimization_profile(self, profile: Any) -> int:
        self._profiles.append(profile)
        return len(self._profiles) - 1

    @property
    def num_optimization_profiles(self) -> int:
        return len(self._profiles)

    @property
    def num_compute_capabilities(self) -> int:
        return len(self._capabilities)

    @num_compute_capabilities.setter
    def num_compute_capabilities(self, value: int) -> None:
        self._capabilities = [self._trt.ComputeCapability.NONE] * value

    def set_compute_capability(self, compute_capability: Any, index: int) -> bool:
        self._trt.fake.note("config.set_compute_capability({}, {})", compute_capability.name, index)
        self._capabilities[index] = compute_capability
        return True

    def get_compute_capability(self, index: int) -> Any:
        return self._capabilities[index]
