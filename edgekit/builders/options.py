"""What a build can be asked for."""

from dataclasses import dataclass
from typing import Optional, Tuple

from edgekit.errors import ConfigError
from edgekit.profiles import Profile

_LEAST_WORKSPACE_MIB = 16
_DEFAULT_WORKSPACE_MIB = 1024
_HIGHEST_LEVEL = 5
_LOW_MEMORY_LEVEL = 2


@dataclass(frozen=True)
class BuildOptions:
    """How an engine is built.

    Attributes:
        lowering: which graph of the bundle; the best for this device where None.
        workspace_mib: scratch memory of one tactic; the device profile's where None.
        level: 0 to 5, how long TensorRT 8.6 and later search; TensorRT's own where None, 2 with `low_memory`.
        low_memory: do without cuDNN's and cuBLAS' kernels and with a low level; the device profile's where None.
        dla_core: run on this DLA core what it can run, or None for the GPU alone.
        retries: how often a failed build is tried again with less.
        rebuild: build even where a fitting engine is in the cache.
        timing_cache: keep tactic timings between builds.
        check_memory: refuse a build for which there is not enough memory.
        cache_dir: where engines, graphs and timings go; see `edgekit.bundle.default_cache_dir`.
    """

    lowering: Optional[str] = None
    workspace_mib: Optional[int] = None
    level: Optional[int] = None
    low_memory: Optional[bool] = None
    dla_core: Optional[int] = None
    retries: int = 8
    rebuild: bool = False
    timing_cache: bool = True
    check_memory: bool = True
    cache_dir: Optional[str] = None

    def __post_init__(self) -> None:
        if self.workspace_mib is not None and self.workspace_mib < _LEAST_WORKSPACE_MIB:
            raise ConfigError("a workspace is {} MiB or more, got {}".format(_LEAST_WORKSPACE_MIB, self.workspace_mib))
        if self.level is not None and not 0 <= self.level <= _HIGHEST_LEVEL:
            raise ConfigError("a builder level is 0 to {}, got {}".format(_HIGHEST_LEVEL, self.level))
        if self.retries < 0 or (self.dla_core is not None and self.dla_core < 0):
            raise ConfigError("retries and a DLA core are 0 or more")


@dataclass(frozen=True)
class Settings:
    """Options made definite for one device.

    Attributes:
        workspace_mib, level, low_memory, dla_core: see `BuildOptions`; level None is TensorRT's own.
    """

    workspace_mib: int
    level: Optional[int]
    low_memory: bool
    dla_core: Optional[int]

    def to_pairs(self) -> Tuple[Tuple[str, str], ...]:
        """(name, value) sorted by name: what an engine's key says of them."""
        level = "default" if self.level is None else str(self.level)
        return (("level", level), ("low_memory", str(self.low_memory)), ("workspace_mib", str(self.workspace_mib)))


def settings_for(options: BuildOptions, profile: Optional[Profile]) -> Settings:
    """The options with what the device's profile says where they are silent."""
    low = options.low_memory
    if low is None:
        low = profile.memory.low_memory if profile is not None else False
    workspace = options.workspace_mib
    if workspace is None:
        workspace = profile.memory.workspace_mib if profile is not None else _DEFAULT_WORKSPACE_MIB
    level = _LOW_MEMORY_LEVEL if options.level is None and low else options.level
    return Settings(workspace, level, low, options.dla_core)
