"""The door to CUDA: memory, one stream, events, graphs; PyCUDA or cuda-python behind it.

PyCUDA serves every JetPack and is the only one for CUDA 10.2 (JetPack 4); it knows no CUDA graphs. cuda-python imports
without a driver and has graphs. Both use the device's primary context, and all calls come from the thread that opened
the door: a context belongs to a thread, and sharing one is what "no currently active context" comes from.
"""

import ctypes
import logging
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Callable, List, Optional, Tuple

import numpy as np

from edgekit.errors import BackendError

DRIVER = "libcuda.so.1"
_log = logging.getLogger(__name__)
_NO_DEVICE, _STUB = 100, 34  # CUDA_ERROR_NO_DEVICE, CUDA_ERROR_STUB_LIBRARY

# module of a door, the library that it imports, how to get that; cuda-python first: it has graphs and is wheels only
_DOORS = (
    ("edgekit.nvidia.cuda_python", "cuda-python", "pip install cuda-python"),
    ("edgekit.nvidia.cuda_pycuda", "PyCUDA", "pip install pycuda (JetPack 4: 'pycuda<=2022.1')"),
)


@dataclass(frozen=True)
class CudaDevice:
    """A GPU as the driver describes it.

    Attributes:
        name: such as "Orin" or "NVIDIA H100 80GB HBM3".
        sm: compute capability as two digits or three, such as 87 or 120.
        sm_count: multiprocessors that are powered now.
        memory_mib: its memory; all of main memory on Jetson.
        integrated: whether it shares main memory with the processor.
        driver: highest CUDA version of the driver, such as "12.6".
    """

    name: str
    sm: int
    sm_count: int
    memory_mib: int
    integrated: bool
    driver: str


@dataclass(frozen=True)
class Pinned:
    """Host memory that the GPU copies from and to without staging.

    Attributes:
        array: the memory as an array.
        device_pointer: where a GPU that shares main memory sees the same bytes (mapped memory: no copy at all); None
            on a discrete card.
    """

    array: np.ndarray
    device_pointer: Optional[int]


class Cuda(ABC):
    """CUDA on one device, for the thread that opened it; everything that it gave is freed by `close`.

    Attributes:
        library: name and version of the binding, such as "pycuda 2022.1".
        device: the GPU.
    """

    library: str
    device: CudaDevice

    def __init__(self) -> None:
        self._owner = threading.get_ident()

    def check_thread(self) -> None:
        """Refuse a call from another thread, which would have no CUDA context.

        Raises:
            BackendError: this thread did not open the door.
        """
        if threading.get_ident() != self._owner:
            raise BackendError(
                "CUDA was opened by another thread and belongs to it; open and run the detector in one thread"
            )

    @abstractmethod
    def allocate(self, nbytes: int) -> int:
        """Address of `nbytes` of device memory.

        Raises:
            BackendError: there is not that much.
        """

    @abstractmethod
    def pinned(self, shape: Tuple[int, ...], dtype: str) -> Pinned:
        """Pinned host memory, mapped into the GPU where it shares main memory."""

    @abstractmethod
    def stream(self) -> Any:
        """A new stream."""

    @abstractmethod
    def handle(self, stream: Any) -> int:
        """The stream as the integer that TensorRT takes."""

    @abstractmethod
    def upload(self, pointer: int, array: np.ndarray, stream: Any) -> None:
        """Queue a copy of a pinned array to device memory."""

    @abstractmethod
    def download(self, array: np.ndarray, pointer: int, stream: Any) -> None:
        """Queue a copy of device memory to a pinned array."""

    @abstractmethod
    def event(self) -> Any:
        """A new event that keeps the time."""

    @abstractmethod
    def record(self, event: Any, stream: Any) -> None:
        """Queue the event."""

    @abstractmethod
    def elapsed_ms(self, start: Any, end: Any) -> float:
        """Milliseconds between two events that have passed."""

    @abstractmethod
    def synchronize(self, stream: Any) -> None:
        """Wait until everything queued is done; without spinning where the binding allows it.

        Raises:
            BackendError: something queued has failed.
        """

    @abstractmethod
    def capture(self, stream: Any, work: Callable[[], None]) -> Optional[Any]:
        """A graph of what `work` queues on `stream`; None where the binding has no graphs or CUDA refuses."""

    @abstractmethod
    def launch(self, graph: Any, stream: Any) -> None:
        """Queue a captured graph."""

    @abstractmethod
    def memory_mb(self) -> Tuple[float, float]:
        """Free and total device memory, MB of 10^6 bytes."""

    @abstractmethod
    def close(self) -> None:
        """Free everything and release the context; may be called twice."""


def driver_problem() -> Optional[str]:
    """Why no CUDA call can work here, in one sentence, or None.

    Asked before anything else: `tensorrt.Runtime` ends the process with a segmentation fault where there is no driver.
    """
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return "there is no NVIDIA driver ({} is not found)".format(DRIVER)
    status = driver.cuInit(0)
    if status == _STUB:
        return "{} is the toolkit's stub, not the driver; take it off the library path".format(DRIVER)
    count = ctypes.c_int(0)
    if status == 0:
        status = driver.cuDeviceGetCount(ctypes.byref(count))
    if status == _NO_DEVICE or (status == 0 and count.value == 0):
        return "the NVIDIA driver finds no GPU (in a container: start it with --runtime nvidia or --gpus all)"
    return None if status == 0 else "the NVIDIA driver does not start (cuInit gives {})".format(status)


def open_cuda(index: int = 0) -> Cuda:
    """CUDA on device `index`, through the first binding that is installed and works.

    Raises:
        BackendError: no driver, no GPU, no such device, or no binding.
    """
    problem = driver_problem()
    if problem is not None:
        raise BackendError("cannot use the GPU: {}; run with --device cpu, or install the driver".format(problem))
    missing: List[str] = []
    failed: List[BackendError] = []
    for module, library, install in _DOORS:
        try:
            opened: Cuda = import_module(module).open_device(index)
            return opened
        except ImportError as error:
            if error.name and error.name.startswith("edgekit"):
                raise  # a mistake of ours, not a missing library
            missing.append(install)
        except BackendError as error:  # where both are installed the other may serve, as on JetPack 6
            _log.info("%s does not open the GPU: %s", library, error)
            failed.append(error)
    if failed:
        raise failed[0]
    raise BackendError("cannot use the GPU: no Python binding of CUDA is installed; {}".format(", or ".join(missing)))
