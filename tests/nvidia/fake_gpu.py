"""A GPU that is a few NumPy arrays: memory with addresses, streams that run when waited for, events with their clock.

What is queued runs at the earliest wait, in order, and not before: who forgets to wait reads old data, as on a GPU.
Addresses are made up, and reading past what was allocated is an error instead of a crash.
"""

import ctypes
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

_FIRST_ADDRESS = 0x7F0000000000
_COPY_MS = 0.05


class GpuError(Exception):
    """What CUDA would say, by the name of its code: "ILLEGAL_ADDRESS", "OUT_OF_MEMORY", "INVALID_HANDLE", ..."""


class _Work(NamedTuple):
    run: Callable[[], None]
    ms: float
    what: str


class FakeGpu:
    """Memory, streams, events, graphs.

    Attributes:
        name, sm, sm_count, memory_mib, integrated: as the driver would tell.
        trace: what was queued, in order.
        fail: what the next wait fails with, such as "ILLEGAL_ADDRESS"; None for no failure.
        refuse_capture: whether graphs cannot be captured.
        allocations: how many allocations there ever were, device and pinned.
        clock_ms: time so far: moves by the length of what runs.
    """

    def __init__(
        self, name: str = "Orin", sm: int = 87, sm_count: int = 8, memory_mib: int = 7620, integrated: bool = True
    ) -> None:
        self.name, self.sm, self.sm_count, self.memory_mib = name, sm, sm_count, memory_mib
        self.integrated = integrated
        self.trace: List[str] = []
        self.fail: Optional[str] = None
        self.refuse_capture = False
        self.allocations = 0
        self.clock_ms = 0.0
        self._next = _FIRST_ADDRESS
        self._handle = 0x1000
        self._device: Dict[int, np.ndarray] = {}
        self._mapped: Dict[int, int] = {}  # device pointer -> host address
        self._host: Dict[int, np.ndarray] = {}
        self._streams: Dict[int, List[_Work]] = {0: []}
        self._captures: Dict[int, List[_Work]] = {}
        self._events: Dict[int, Optional[float]] = {}
        self._graphs: Dict[int, List[_Work]] = {}

    @property
    def live(self) -> Dict[str, int]:
        """What is allocated now, by kind."""
        return {
            "device": len(self._device) - len(self._mapped),
            "pinned": len(self._host),
            "streams": len(self._streams) - 1,
            "events": len(self._events),
            "graphs": len(self._graphs),
        }

    @property
    def used_bytes(self) -> int:
        """Device memory in use; pinned memory is not counted."""
        return sum(one.nbytes for at, one in self._device.items() if at not in self._mapped)

    def allocate(self, nbytes: int) -> int:
        """Device memory."""
        if self.used_bytes + nbytes > self.memory_mib << 20:
            raise GpuError("OUT_OF_MEMORY")
        return self._place(np.full(nbytes, 0xCD, np.uint8))

    def _place(self, memory: np.ndarray) -> int:
        address = self._next
        self._next += (memory.nbytes // 512 + 2) * 512
        self._device[address] = memory
        self.allocations += 1
        return address

    def free(self, address: int) -> None:
        """Free device memory."""
        if address in self._mapped or self._device.pop(address, None) is None:
            raise GpuError("INVALID_VALUE")

    def allocate_host(self, nbytes: int) -> int:
        """Pinned memory; its real address."""
        memory = np.zeros(max(nbytes, 1), np.uint8)
        self._host[memory.ctypes.data] = memory
        self.allocations += 1
        return int(memory.ctypes.data)

    def host_array(self, address: int) -> np.ndarray:
        """Pinned memory as bytes."""
        return self._host[address]

    def map_host(self, address: int) -> int:
        """Where the GPU sees pinned memory."""
        if address not in self._host:
            raise GpuError("INVALID_VALUE")
        for mapped, host in self._mapped.items():
            if host == address:
                return mapped
        mapped = self._place(self._host[address])
        self.allocations -= 1
        self._mapped[mapped] = address
        return mapped

    def free_host(self, address: int) -> None:
        """Free pinned memory and its mapping."""
        if self._host.pop(address, None) is None:
            raise GpuError("INVALID_VALUE")
        for mapped in [one for one, host in self._mapped.items() if host == address]:
            del self._mapped[mapped], self._device[mapped]

    def view(self, address: int, nbytes: int) -> np.ndarray:
        """Device memory as bytes."""
        for start, memory in self._device.items():
            if start <= address and address + nbytes <= start + memory.nbytes:
                return memory[address - start : address - start + nbytes]
        raise GpuError("ILLEGAL_ADDRESS")

    def new_stream(self) -> int:
        """A stream's handle."""
        self._handle += 16
        self._streams[self._handle] = []
        return self._handle

    def free_stream(self, stream: int) -> None:
        """End a stream; what it still has to do is done first."""
        self.synchronize(stream)
        del self._streams[stream]

    def queue(self, stream: int, run: Callable[[], None], ms: float, what: str) -> None:
        """Put work on a stream, or into the graph that is captured from it."""
        if stream not in self._streams:
            raise GpuError("INVALID_HANDLE")
        if stream in self._captures:
            self._captures[stream].append(_Work(run, ms, what))
            return
        self.trace.append(what)
        self._streams[stream].append(_Work(run, ms, what))

    def synchronize(self, stream: int) -> None:
        """Do what is queued."""
        if stream not in self._streams:
            raise GpuError("INVALID_HANDLE")
        if stream in self._captures:
            raise GpuError("STREAM_CAPTURE_UNSUPPORTED")
        ahead, self._streams[stream] = self._streams[stream], []
        for work in ahead:
            self.clock_ms += work.ms
            work.run()
        if self.fail is not None:
            failure, self.fail = self.fail, None
            raise GpuError(failure)

    def upload(self, address: int, source: np.ndarray, stream: int) -> None:
        """Queue a copy to the device; the host's bytes are read when it runs."""

        def copy() -> None:
            self.view(address, source.nbytes)[...] = source.reshape(-1).view(np.uint8)

        self.queue(stream, copy, _COPY_MS, "upload {}".format(source.nbytes))

    def download(self, target: np.ndarray, address: int, stream: int) -> None:
        """Queue a copy from the device."""

        def copy() -> None:
            target.reshape(-1).view(np.uint8)[...] = self.view(address, target.nbytes)

        self.queue(stream, copy, _COPY_MS, "download {}".format(target.nbytes))

    def new_event(self) -> int:
        """An event's handle."""
        self._handle += 16
        self._events[self._handle] = None
        return self._handle

    def free_event(self, event: int) -> None:
        """End an event."""
        del self._events[event]

    def record(self, event: int, stream: int) -> None:
        """Queue an event; it keeps the clock's time when it runs."""
        if event not in self._events:
            raise GpuError("INVALID_HANDLE")
        self._events[event] = None

        def stamp() -> None:
            self._events[event] = self.clock_ms

        self.queue(stream, stamp, 0.0, "event")

    def wait_event(self, event: int) -> None:
        """Wait until an event has passed."""
        if event not in self._events:
            raise GpuError("INVALID_HANDLE")
        for stream in list(self._streams):
            if self._events[event] is None and stream not in self._captures:
                self.synchronize(stream)

    def elapsed_ms(self, start: int, end: int) -> float:
        """Between two events that have passed."""
        first, last = self._events.get(start), self._events.get(end)
        if first is None or last is None:
            raise GpuError("NOT_READY")
        return last - first

    def begin_capture(self, stream: int) -> None:
        """What is queued from now on becomes a graph and does not run."""
        if self.refuse_capture:
            raise GpuError("STREAM_CAPTURE_UNSUPPORTED")
        if stream not in self._streams or stream in self._captures:
            raise GpuError("ILLEGAL_STATE")
        self._captures[stream] = []

    def end_capture(self, stream: int) -> int:
        """The graph's handle."""
        if stream not in self._captures:
            raise GpuError("ILLEGAL_STATE")
        self._handle += 16
        self._graphs[self._handle] = self._captures.pop(stream)
        return self._handle

    def copy_graph(self, graph: int) -> int:
        """An executable graph of a graph."""
        self._handle += 16
        self._graphs[self._handle] = self._graphs[graph]
        return self._handle

    def free_graph(self, graph: int) -> None:
        """End a graph."""
        del self._graphs[graph]

    def launch(self, graph: int, stream: int) -> None:
        """Queue all of a graph."""
        if graph not in self._graphs:
            raise GpuError("INVALID_HANDLE")
        self.trace.append("graph")
        self._streams[stream] += self._graphs[graph]

    def memory(self) -> Tuple[int, int]:
        """Free and total bytes."""
        total = self.memory_mib << 20
        return total - self.used_bytes, total

    def host_bytes(self, address: int, nbytes: int) -> np.ndarray:
        """Any host memory by its address, as bytes."""
        found: Any = (ctypes.c_uint8 * nbytes).from_address(address)
        return np.frombuffer(found, np.uint8)
