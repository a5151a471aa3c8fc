"""CUDA through NVIDIA's cuda-python: the driver's functions, with graphs.

Serves cuda-python 11.8 (`cuda.cuda`) to 13 (`cuda.bindings.driver`). Every function gives its status first; one place,
`_call`, turns a bad one into an error.
"""

import ctypes
import logging
from typing import Any, Callable, List, Optional, Tuple

import numpy as np

from edgekit.errors import BackendError
from edgekit.nvidia.cuda import Cuda, CudaDevice, Pinned

try:
    from cuda.bindings import driver
except ImportError:  # before 12.6
    from cuda import cuda as driver

_MB = 1e6
_MIB = 1 << 20
_log = logging.getLogger(__name__)


def open_device(index: int) -> "CudaPython":
    """CUDA on device `index`.

    Raises:
        BackendError: there is no such device, or CUDA refuses it.
    """
    _call(driver.cuInit, 0)
    count = _call(driver.cuDeviceGetCount)
    if not 0 <= index < count:
        raise BackendError("there is no GPU {}, CUDA finds {}; count from 0".format(index, count))
    return CudaPython(_call(driver.cuDeviceGet, index))


class CudaPython(Cuda):
    """A device's primary context through cuda-python."""

    def __init__(self, device: Any) -> None:
        super().__init__()
        self.library = "cuda-python {}".format(_version())
        self.device = _describe(device)
        self._device = device
        self._frees: List[Tuple[Callable[..., Any], Any]] = []
        context = _call(driver.cuDevicePrimaryCtxRetain, device)
        self._open = True
        try:
            _call(driver.cuCtxPushCurrent, context)
            # A stream's own wait spins in a primary context; a blocking event lets the processor sleep.
            self._done = self._kept(
                driver.cuEventDestroy, _call(driver.cuEventCreate, driver.CUevent_flags.CU_EVENT_BLOCKING_SYNC.value)
            )
        except BackendError:
            _call(driver.cuDevicePrimaryCtxRelease, device)
            raise

    def allocate(self, nbytes: int) -> int:
        self.check_thread()
        pointer = self._kept(driver.cuMemFree, _call(driver.cuMemAlloc, nbytes))
        return int(pointer)

    def pinned(self, shape: Tuple[int, ...], dtype: str) -> Pinned:
        self.check_thread()
        nbytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        mapped = self.device.integrated
        flags = driver.CU_MEMHOSTALLOC_DEVICEMAP if mapped else 0
        address = self._kept(driver.cuMemFreeHost, _call(driver.cuMemHostAlloc, nbytes, flags))
        memory = (ctypes.c_uint8 * nbytes).from_address(int(address))
        array = np.ctypeslib.as_array(memory).view(dtype).reshape(shape)
        array[...] = 0
        return Pinned(array, int(_call(driver.cuMemHostGetDevicePointer, address, 0)) if mapped else None)

    def stream(self) -> Any:
        self.check_thread()
        flags = driver.CUstream_flags.CU_STREAM_NON_BLOCKING.value
        return self._kept(driver.cuStreamDestroy, _call(driver.cuStreamCreate, flags))

    def handle(self, stream: Any) -> int:
        return int(stream)

    def upload(self, pointer: int, array: np.ndarray, stream: Any) -> None:
        self.check_thread()
        _call(driver.cuMemcpyHtoDAsync, pointer, array.ctypes.data, array.nbytes, stream)

    def download(self, array: np.ndarray, pointer: int, stream: Any) -> None:
        self.check_thread()
        _call(driver.cuMemcpyDtoHAsync, array.ctypes.data, pointer, array.nbytes, stream)

    def event(self) -> Any:
        self.check_thread()
        flags = driver.CUevent_flags.CU_EVENT_DEFAULT.value
        return self._kept(driver.cuEventDestroy, _call(driver.cuEventCreate, flags))

    def record(self, event: Any, stream: Any) -> None:
        self.check_thread()
        _call(driver.cuEventRecord, event, stream)

    def elapsed_ms(self, start: Any, end: Any) -> float:
        self.check_thread()
        return float(_call(driver.cuEventElapsedTime, start, end))

    def synchronize(self, stream: Any) -> None:
        self.check_thread()
        _call(driver.cuEventRecord, self._done, stream)
        _call(driver.cuEventSynchronize, self._done)

    def capture(self, stream: Any, work: Callable[[], None]) -> Optional[Any]:
        self.check_thread()
        try:
            return self._captured(stream, work)
        except BackendError as error:
            _log.info("no CUDA graph: %s", error)
            return None

    def launch(self, graph: Any, stream: Any) -> None:
        self.check_thread()
        _call(driver.cuGraphLaunch, graph, stream)

    def memory_mb(self) -> Tuple[float, float]:
        self.check_thread()
        free, total = _call(driver.cuMemGetInfo)
        return free / _MB, total / _MB

    def close(self) -> None:
        if not self._open:
            return
        self.check_thread()
        self._open = False
        for free, resource in reversed(self._frees):
            _quietly(free, resource)
        del self._frees[:]
        _quietly(driver.cuCtxPopCurrent)
        _quietly(driver.cuDevicePrimaryCtxRelease, self._device)

    def _kept(self, free: Callable[..., Any], resource: Any) -> Any:
        self._frees.append((free, resource))
        return resource

    def _captured(self, stream: Any, work: Callable[[], None]) -> Any:
        # Of this thread alone: a camera's or an encoder's CUDA calls in another thread must not spoil the capture.
        _call(driver.cuStreamBeginCapture, stream, driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
        try:
            work()
        except BaseException:
            _abandon(stream)
            raise
        graph = _call(driver.cuStreamEndCapture, stream)
        try:
            return self._kept(driver.cuGraphExecDestroy, _call(*_instantiate(graph)))
        finally:
            _quietly(driver.cuGraphDestroy, graph)


def _abandon(stream: Any) -> None:
    """End a capture that went wrong: else the stream stays in it for good."""
    try:
        _quietly(driver.cuGraphDestroy, _call(driver.cuStreamEndCapture, stream))
    except BackendError as error:  # CUDA has invalidated the capture, and there is no graph
        _log.debug("%s", error)


def _instantiate(graph: Any) -> Tuple[Any, ...]:
    """The call that makes a graph executable: cuda-python 11 has the two-argument form under a name of its own."""
    with_flags = getattr(driver, "cuGraphInstantiateWithFlags", None)
    return (with_flags or driver.cuGraphInstantiate, graph, 0)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of the driver gives after its status: nothing, one value, or a tuple of them.

    Raises:
        BackendError: the status is an error; the message has the function's and the error's names.
    """
    try:
        status, *results = function(*arguments)
    except RuntimeError as error:  # the driver is older than cuda-python and lacks the function
        raise BackendError("CUDA: {} cannot be called: {}".format(function.__name__, error)) from error
    if status != driver.CUresult.CUDA_SUCCESS:
        raise BackendError("CUDA: {} failed with {}{}".format(function.__name__, status.name, _hint(status.name)))
    return results[0] if len(results) == 1 else tuple(results) or None


def _quietly(function: Callable[..., Any], *arguments: Any) -> None:
    """Free, going on where that fails: after a sticky error nothing can be freed, and all else must still be tried."""
    try:
        _call(function, *arguments)
    except BackendError as error:
        _log.debug("%s", error)


def _hint(name: str) -> str:
    return "; close other programs on the GPU" if name == "CUDA_ERROR_OUT_OF_MEMORY" else ""


def _describe(device: Any) -> CudaDevice:
    kinds = driver.CUdevice_attribute

    def attribute(name: str) -> int:
        return int(_call(driver.cuDeviceGetAttribute, getattr(kinds, "CU_DEVICE_ATTRIBUTE_" + name), device))

    name = _call(driver.cuDeviceGetName, 256, device)
    version = int(_call(driver.cuDriverGetVersion))
    return CudaDevice(
        name=bytes(name).split(b"\0")[0].decode(),
        sm=10 * attribute("COMPUTE_CAPABILITY_MAJOR") + attribute("COMPUTE_CAPABILITY_MINOR"),
        sm_count=attribute("MULTIPROCESSOR_COUNT"),
        memory_mib=int(_call(driver.cuDeviceTotalMem, device)) // _MIB,
        integrated=bool(attribute("INTEGRATED")),
        driver="{}.{}".format(version // 1000, version % 1000 // 10),
    )


def _version() -> str:
    import cuda

    bindings = getattr(cuda, "bindings", cuda)
    return str(getattr(bindings, "__version__", "")) or "of unknown version"
