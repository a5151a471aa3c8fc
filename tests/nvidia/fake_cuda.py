"""The door to CUDA on a fake GPU: for tests of what stands above the door."""

from typing import Any, Callable, List, Optional, Tuple

import numpy as np

from edgekit.errors import BackendError
from edgekit.nvidia.cuda import Cuda, CudaDevice, Pinned
from tests.nvidia.fake_gpu import FakeGpu, GpuError


class FakeCuda(Cuda):
    """`Cuda` over `FakeGpu`.

    Args:
        gpu: the GPU; a new Orin where None.
        graphs: whether this binding knows CUDA graphs; PyCUDA does not.
    """

    def __init__(self, gpu: Optional[FakeGpu] = None, graphs: bool = True) -> None:
        Cuda.__init__(self)
        self.gpu = gpu or FakeGpu()
        self.library = "fake cuda 1.0"
        one = self.gpu
        self.device = CudaDevice(one.name, one.sm, one.sm_count, one.memory_mib, one.integrated, "12.6")
        self.closed = False
        self._graphs = graphs
        self._owned: List[Tuple[Callable[[int], None], int]] = []

    def _own(self, free: Callable[[int], None], handle: int) -> int:
        self._owned.append((free, handle))
        return handle

    def allocate(self, nbytes: int) -> int:
        self.check_thread()
        try:
            return self._own(self.gpu.free, self.gpu.allocate(nbytes))
        except GpuError as error:
            raise BackendError("the GPU has no {} bytes left ({})".format(nbytes, error)) from error

    def pinned(self, shape: Tuple[int, ...], dtype: str) -> Pinned:
        self.check_thread()
        nbytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        address = self._own(self.gpu.free_host, self.gpu.allocate_host(nbytes))
        array = self.gpu.host_array(address)[:nbytes].view(dtype).reshape(shape)
        return Pinned(array, self.gpu.map_host(address) if self.gpu.integrated else None)

    def stream(self) -> Any:
        self.check_thread()
        return self._own(self.gpu.free_stream, self.gpu.new_stream())

    def handle(self, stream: Any) -> int:
        return int(stream)

    def upload(self, pointer: int, array: np.ndarray, stream: Any) -> None:
        self.check_thread()
        self.gpu.upload(pointer, array, stream)

    def download(self, array: np.ndarray, pointer: int, stream: Any) -> None:
        self.check_thread()
        self.gpu.download(array, pointer, stream)

    def event(self) -> Any:
        self.check_thread()
        return self._own(self.gpu.free_event, self.gpu.new_event())

    def record(self, event: Any, stream: Any) -> None:
        self.check_thread()
        self.gpu.record(event, stream)

    def elapsed_ms(self, start: Any, end: Any) -> float:
        self.check_thread()
        return self.gpu.elapsed_ms(start, end)

    def synchronize(self, stream: Any) -> None:
        self.check_thread()
        try:
            self.gpu.synchronize(stream)
        except GpuError as error:
            raise BackendError("the GPU failed ({})".format(error)) from error

    def capture(self, stream: Any, work: Callable[[], None]) -> Optional[Any]:
        self.check_thread()
        if not self._graphs:
            return None
        try:
            self.gpu.begin_capture(stream)
        except GpuError:
            return None
        work()
        return self._own(self.gpu.free_graph, self.gpu.end_capture(stream))

    def launch(self, graph: Any, stream: Any) -> None:
        self.check_thread()
        self.gpu.launch(graph, stream)

    def memory_mb(self) -> Tuple[float, float]:
        self.check_thread()
        free, total = self.gpu.memory()
        return free / 1e6, total / 1e6

    def close(self) -> None:
        self.check_thread()
        while self._owned:
            free, handle = self._owned.pop()
            free(handle)
        self.closed = True
