"""A stand-in for PyCUDA, as far as the door uses it; nothing that PyCUDA 2022.1 lacks, so no graphs."""

import threading
import types
from typing import Any, Dict, List, Optional

import numpy as np

from tests.nvidia.fake_gpu import FakeGpu, GpuError


class Error(Exception):
    """`pycuda.driver.Error`."""


class LogicError(Error):
    """`pycuda.driver.LogicError`."""


class LaunchError(Error):
    """`pycuda.driver.LaunchError`."""


class MemoryError(Error):  # PyCUDA's own name
    """`pycuda.driver.MemoryError`."""


class RuntimeError(Error):
    """`pycuda.driver.RuntimeError`."""


_KINDS = {"OUT_OF_MEMORY": MemoryError, "ILLEGAL_ADDRESS": LaunchError}


def make_pycuda(gpu: FakeGpu, version: str = "2022.1", count: int = 1) -> Dict[str, Any]:
    """The modules by name, for `sys.modules`: "pycuda" and "pycuda.driver"."""
    package, driver = types.ModuleType("pycuda"), types.ModuleType("pycuda.driver")
    package.__dict__.update(driver=driver, VERSION_TEXT=version, VERSION=tuple(map(int, version.split("."))))
    package.__path__ = []  # type: ignore[attr-defined]
    driver.__dict__.update(_Driver(gpu, count).names())
    return {"pycuda": package, "pycuda.driver": driver}


def _call(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except GpuError as error:
        kind = _KINDS.get(str(error), LogicError)
        raise kind("cuCall failed: {}".format(str(error).lower().replace("_", " "))) from error


class _Driver:
    """The module's contents, over one GPU."""

    def __init__(self, gpu: FakeGpu, count: int) -> None:
        self.gpu, self.count = gpu, count
        self.started = False
        self.stacks: Dict[int, List[Any]] = {}

    def check(self) -> None:
        """Every call needs a context that is current in its thread."""
        if not self.stacks.get(threading.get_ident()):
            raise LogicError("cuCall failed: invalid device context - no currently active context?")

    def names(self) -> Dict[str, Any]:
        me, gpu = self, self.gpu

        class Context:
            def __init__(self) -> None:
                self.detached = False

            def push(self) -> None:
                me.stacks.setdefault(threading.get_ident(), []).append(self)

            @staticmethod
            def pop() -> None:
                if not me.stacks.get(threading.get_ident()):
                    raise LogicError("context::pop failed: invalid device context - cannot pop non-current context")
                me.stacks[threading.get_ident()].pop()

            @staticmethod
            def synchronize() -> None:
                me.check()
                for stream in list(gpu._streams):
                    _call(gpu.synchronize, stream)

            def detach(self) -> None:
                self.detached = True

        class Device:
            def __init__(self, number: int) -> None:
                if not me.started:
                    raise LogicError("cuDeviceGet failed: initialization error")
                if number >= me.count:
                    raise LogicError("cuDeviceGet failed: invalid device ordinal")

            @staticmethod
            def count() -> int:
                return me.count

            def name(self) -> str:
                return gpu.name

            def compute_capability(self) -> Any:
                return gpu.sm // 10, gpu.sm % 10

            def total_memory(self) -> int:
                return gpu.memory_mib << 20

            def get_attribute(self, attribute: str) -> int:
                values = {"MULTIPROCESSOR_COUNT": gpu.sm_count, "INTEGRATED": int(gpu.integrated)}
                values["CAN_MAP_HOST_MEMORY"] = 1
                return values[attribute]

            def retain_primary_context(self) -> Any:
                return Context()

        class DeviceAllocation:
            def __init__(self, address: int) -> None:
                self.address: Optional[int] = address

            def __int__(self) -> int:
                return int(self.address or 0)

            def __index__(self) -> int:
                return int(self)

            def free(self) -> None:
                if self.address is not None:
                    _call(gpu.free, self.address)
                self.address = None

            def __del__(self) -> None:
                self.free()

        class PagelockedHostAllocation:
            def __init__(self, shape: Any, dtype: Any, mapped: bool) -> None:
                nbytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
                self.address: Optional[int] = gpu.allocate_host(nbytes)
                self.mapped = mapped
                memory = gpu.host_array(self.address)[:nbytes].view(dtype).reshape(shape)
                self.__array_interface__ = memory.__array_interface__
                self.kept = memory

            def get_device_pointer(self) -> int:
                if not self.mapped:
                    raise LogicError("cuMemHostGetDevicePointer failed: invalid argument")
                return int(_call(gpu.map_host, self.address))

            def free(self) -> None:
                if self.address is not None:
                    _call(gpu.free_host, self.address)
                self.address = None

            def __del__(self) -> None:
                self.free()

        class Stream:
            def __init__(self, flags: int = 0) -> None:
                me.check()
                self.handle = gpu.new_stream()

            def synchronize(self) -> None:
                me.check()
                _call(gpu.synchronize, self.handle)

            def __del__(self) -> None:
                if self.handle in gpu._streams:
                    gpu.free_stream(self.handle)

        class Event:
            def __init__(self, flags: int = 0) -> None:
                me.check()
                self.number = gpu.new_event()

            def record(self, stream: Any = None) -> Any:
                me.check()
                _call(gpu.record, self.number, stream.handle if stream is not None else 0)
                return self

            def synchronize(self) -> Any:
                me.check()
                _call(gpu.wait_event, self.number)
                return self

            def time_since(self, start: Any) -> float:
                return float(_call(gpu.elapsed_ms, start.number, self.number))

            def time_till(self, end: Any) -> float:
                return float(_call(gpu.elapsed_ms, self.number, end.number))

            def __del__(self) -> None:
                if self.number in gpu._events:
                    gpu.free_event(self.number)

        def init(flags: int = 0) -> None:
            me.started = True

        def mem_alloc(nbytes: int) -> Any:
            me.check()
            return DeviceAllocation(_call(gpu.allocate, int(nbytes)))

        def pagelocked_empty(shape: Any, dtype: Any, order: str = "C", mem_flags: int = 0) -> np.ndarray:
            me.check()
            return np.asarray(PagelockedHostAllocation(shape, dtype, bool(mem_flags & host_alloc_flags.DEVICEMAP)))

        def memcpy_htod_async(dest: Any, src: np.ndarray, stream: Any = None) -> None:
            me.check()
            _call(gpu.upload, int(dest), src, stream.handle if stream is not None else 0)

        def memcpy_dtoh_async(dest: np.ndarray, src: Any, stream: Any = None) -> None:
            me.check()
            _call(gpu.download, dest, int(src), stream.handle if stream is not None else 0)

        def mem_get_info() -> Any:
            me.check()
            return gpu.memory()

        def get_driver_version() -> int:
            return 12060

        host_alloc_flags = types.SimpleNamespace(PORTABLE=1, DEVICEMAP=2, WRITECOMBINED=4)
        event_flags = types.SimpleNamespace(DEFAULT=0, BLOCKING_SYNC=1, DISABLE_TIMING=2)
        ctx_flags = types.SimpleNamespace(SCHED_AUTO=0, SCHED_BLOCKING_SYNC=4, MAP_HOST=8)
        attributes = ("MULTIPROCESSOR_COUNT", "INTEGRATED", "CAN_MAP_HOST_MEMORY")
        device_attribute = types.SimpleNamespace(**{name: name for name in attributes})
        errors = {kind.__name__: kind for kind in (Error, LogicError, LaunchError, MemoryError, RuntimeError)}
        found = {
            key: value for key, value in locals().items() if key not in ("self", "me", "gpu", "attributes", "errors")
        }
        found.update(errors)
        return found
