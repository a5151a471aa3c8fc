"""CUDA through PyCUDA, for every JetPack; with the interface of 2022.1, the last one for Python 3.6 and CUDA 10.2.

PyCUDA has no CUDA graphs, and frees what nobody refers to: streams and events are handed out as numbers, so that
`close` drops the only references.
"""

from contextlib import contextmanager
from typing import Any, Callable, Iterator, List, Optional, Tuple

import numpy as np

from edgekit.errors import BackendError
from edgekit.nvidia.cuda import Cuda, CudaDevice, Pinned

try:
    import pycuda
    import pycuda.driver as driver
except ImportError as error:
    if error.name == "pycuda":
        raise  # not installed: another binding may be
    raise BackendError(
        "PyCUDA is installed and does not import here ({}); build it again for this CUDA and Python".format(error)
    ) from error

_MB = 1e6
_MIB = 1 << 20


def open_device(index: int) -> "PyCuda":
    """CUDA on device `index`.

    Raises:
        BackendError: there is no such device, or CUDA refuses it.
    """
    with _checked():
        driver.init()
        count = driver.Device.count()
    if not 0 <= index < count:
        raise BackendError("there is no GPU {}, CUDA finds {}; count from 0".format(index, count))
    with _checked():
        return PyCuda(driver.Device(index))


class PyCuda(Cuda):
    """A device's primary context through PyCUDA."""

    def __init__(self, device: Any) -> None:
        super().__init__()
        self.library = "pycuda {}".format(pycuda.VERSION_TEXT)
        self.device = _describe(device)
        self._memory: List[Any] = []
        self._streams: List[Any] = []
        self._events: List[Any] = []
        self._context = device.retain_primary_context()
        self._context.push()
        try:
            # A stream's own wait spins in a primary context; a blocking event lets the processor sleep.
            self._done: Any = driver.Event(driver.event_flags.BLOCKING_SYNC)
        except driver.Error:
            self._context.detach()
            raise

    def allocate(self, nbytes: int) -> int:
        self.check_thread()
        with _checked():
            memory = driver.mem_alloc(nbytes)
        self._memory.append(memory)
        return int(memory)

    def pinned(self, shape: Tuple[int, ...], dtype: str) -> Pinned:
        self.check_thread()
        mapped = self.device.integrated
        with _checked():
            flags = driver.host_alloc_flags.DEVICEMAP if mapped else 0
            array = driver.pagelocked_empty(shape, np.dtype(dtype), mem_flags=flags)
            pointer = int(array.base.get_device_pointer()) if mapped else None
        array[...] = 0
        self._memory.append(array.base)
        return Pinned(array, pointer)

    def stream(self) -> Any:
        self.check_thread()
        with _checked():
            self._streams.append(driver.Stream())
        return len(self._streams) - 1

    def handle(self, stream: Any) -> int:
        return int(self._streams[stream].handle)

    def upload(self, pointer: int, array: np.ndarray, stream: Any) -> None:
        self.check_thread()
        with _checked():
            driver.memcpy_htod_async(pointer, array, self._streams[stream])

    def download(self, array: np.ndarray, pointer: int, stream: Any) -> None:
        self.check_thread()
        with _checked():
            driver.memcpy_dtoh_async(array, pointer, self._streams[stream])

    def event(self) -> Any:
        self.check_thread()
        with _checked():
            self._events.append(driver.Event())
        return len(self._events) - 1

    def record(self, event: Any, stream: Any) -> None:
        self.check_thread()
        with _checked():
            self._events[event].record(self._streams[stream])

    def elapsed_ms(self, start: Any, end: Any) -> float:
        self.check_thread()
        with _checked():
            return float(self._events[start].time_till(self._events[end]))

    def synchronize(self, stream: Any) -> None:
        self.check_thread()
        with _checked():
            self._done.record(self._streams[stream])
            self._done.synchronize()

    def capture(self, stream: Any, work: Callable[[], None]) -> Optional[Any]:
        return None

    def launch(self, graph: Any, stream: Any) -> None:
        raise ValueError("PyCUDA captures no graphs, there is none to launch")

    def memory_mb(self) -> Tuple[float, float]:
        self.check_thread()
        with _checked():
            free, total = driver.mem_get_info()
        return free / _MB, total / _MB

    def close(self) -> None:
        if self._context is None:
            return
        self.check_thread()
        self._done = None
        del self._events[:], self._streams[:]
        while self._memory:
            self._memory.pop().free()
        # Not `pop` and forget as pycuda.autoprimaryctx does: the destructor calls cuCtxDetach, which leaves it retained
        self._context.detach()
        self._context = None


@contextmanager
def _checked() -> Iterator[None]:
    """Turns PyCUDA's errors, which name the driver's function, into ours."""
    try:
        yield
    except driver.Error as error:
        hint = "; close other programs on the GPU" if isinstance(error, driver.MemoryError) else ""
        raise BackendError("CUDA: {}{}".format(" ".join(str(error).split()), hint)) from error


def _describe(device: Any) -> CudaDevice:
    major, minor = device.compute_capability()
    kinds = driver.device_attribute
    version = driver.get_driver_version()
    return CudaDevice(
        name=device.name(),
        sm=10 * major + minor,
        sm_count=device.get_attribute(kinds.MULTIPROCESSOR_COUNT),
        memory_mib=device.total_memory() // _MIB,
        integrated=bool(device.get_attribute(kinds.INTEGRATED)),
        driver="{}.{}".format(version // 1000, version % 1000 // 10),
    )
