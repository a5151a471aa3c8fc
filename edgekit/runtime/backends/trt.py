"""A TensorRT engine on a GPU: buffers made once, one stream, and a CUDA graph where the binding has one.

A run is: copy in, the network, copy out, wait. A Jetson's GPU reads and writes the host's pinned memory itself, so
that nothing is copied. All calls come from the thread that opened the session.
"""

import atexit
import logging
import os
import time
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np

from edgekit.builders.here import key_of, target_here
from edgekit.engine import Engine, EngineKey, read_engine
from edgekit.errors import BackendError
from edgekit.nvidia.cuda import Cuda, Pinned, open_cuda
from edgekit.nvidia.trt import Message, TensorRT, open_tensorrt
from edgekit.nvidia.trt_engine import IoTensor, TrtEngine, open_engine
from edgekit.nvidia.trt_layers import LayerClock, layers_from_json
from edgekit.runtime.session import LayerTime, RunTimes, Session, SessionOptions
from edgekit.tensors import TensorSpec

_MB = 1e6
_PLAIN_RUNS = 2  # TensorRT finishes its set-up in the first; a graph holds what the stream does when it is warm
_IO_COHERENT_SM = 72  # NVIDIA, "CUDA for Tegra": below, the processor does not cache pinned memory

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Buffer:
    """One input or output.

    Attributes:
        tensor: its name, shape and type.
        host: pinned memory.
        pointer: where TensorRT reads or writes it; the pinned memory itself where it is mapped.
        copied: whether it goes to the device and back by copies.
    """

    tensor: IoTensor
    host: Pinned
    pointer: int
    copied: bool


class TrtSession(Session):
    """An engine in TensorRT.

    Inputs and outputs lie in pinned memory that belongs to the session: `input_array` gives an input's for filling in
    place, and `run` gives the outputs', which the next run overwrites.
    """

    def __init__(self, tensorrt: TensorRT, cuda: Cuda, engine: TrtEngine, name: str, options: SessionOptions) -> None:
        self._cuda = cuda
        self._engine = engine
        self._name = name
        self._open = True
        self.backend = "{} {}".format(tensorrt.library, tensorrt.version)
        self.threads = 1
        self._stream = cuda.stream()
        self._events = [cuda.event() for _ in range(4)]
        buffers = [_buffer(cuda, tensor) for tensor in engine.io]
        for buffer in buffers:
            engine.bind(buffer.tensor.name, buffer.pointer)
        self._inputs = [one for one in buffers if one.tensor.is_input]
        self._outputs = [one for one in buffers if not one.tensor.is_input]
        self.inputs = tuple(_spec(one) for one in self._inputs)
        self.outputs = tuple(_spec(one) for one in self._outputs)
        self._results = _results(cuda, self._outputs)
        self.device_memory_mb = engine.device_memory_mb + sum(one.host.array.nbytes for one in buffers) / _MB
        self._graph: Any = None
        self._plain_runs = 0
        self._wants_graph = options.cuda_graph and not options.profile
        self._clock = LayerClock(tensorrt) if options.profile else None
        if self._clock is not None:
            engine.profile(self._clock.profiler)
        atexit.register(self._close_at_exit)

    def run(self, feeds: Mapping[str, np.ndarray]) -> List[np.ndarray]:
        if not self._open:
            raise BackendError("{} was closed; open it again".format(self._name))
        self._cuda.check_thread()
        self._fill(feeds)
        if self._wants_graph and self._plain_runs == _PLAIN_RUNS:
            self._capture()
        start = time.perf_counter()
        self._enqueue()
        queued = time.perf_counter()
        self._cuda.synchronize(self._stream)
        self.last_times = self._times((queued - start) * 1e3)
        for kept, buffer in zip(self._results, self._outputs):
            if kept is not buffer.host.array:
                np.copyto(kept, buffer.host.array)
        return list(self._results)

    def input_array(self, name: str) -> Optional[np.ndarray]:
        return next((one.host.array for one in self._inputs if one.tensor.name == name), None)

    def layer_times(self) -> List[LayerTime]:
        if self._clock is None:
            return super().layer_times()
        ops = {layer["name"]: layer["op"] for layer in self.layer_info()}
        layers = [
            LayerTime(name, ops.get(name, ""), len(ms), sum(ms), float(np.median(ms)))
            for name, ms in self._clock.times()
        ]
        self._clock = None
        self._engine.end_profile()
        return sorted(layers, key=lambda layer: -layer.total_ms)

    def layer_info(self) -> List[Dict[str, Any]]:
        return layers_from_json(self._engine.inspect())

    def close(self) -> None:
        if not self._open:
            return
        self._cuda.check_thread()
        self._open = False
        atexit.unregister(self._close_at_exit)
        try:
            self._cuda.synchronize(self._stream)  # a run that was interrupted may still be at work
        except BackendError as error:
            _log.debug("%s", error)
        self._engine.close()
        self._cuda.close()

    def _close_at_exit(self) -> None:
        """PyCUDA ends the process with an abort where a context is left."""
        try:
            self.close()
        except BackendError as error:  # of a thread that is gone
            _log.debug("%s", error)

    def _fill(self, feeds: Mapping[str, np.ndarray]) -> None:
        for buffer, spec in zip(self._inputs, self.inputs):
            try:
                if spec.name not in feeds:
                    raise ValueError("{} is missing".format(spec.name))
                spec.check(feeds[spec.name])
            except ValueError as error:
                raise BackendError("{} failed in {}: {}".format(self._name, self.backend, error)) from error
            np.copyto(buffer.host.array, feeds[spec.name])  # which NumPy skips where it is the same memory

    def _enqueue(self) -> None:
        begin, copied, computed, end = self._events
        cuda, stream = self._cuda, self._stream
        cuda.record(begin, stream)
        for buffer in self._inputs:
            if buffer.copied:
                cuda.upload(buffer.pointer, buffer.host.array, stream)
        cuda.record(copied, stream)
        if self._graph is not None:
            cuda.launch(self._graph, stream)
        else:
            self._engine.enqueue(cuda.handle(stream))
            self._plain_runs += 1
        cuda.record(computed, stream)
        for buffer in self._outputs:
            if buffer.copied:
                cuda.download(buffer.host.array, buffer.pointer, stream)
        cuda.record(end, stream)

    def _capture(self) -> None:
        self._wants_graph = False
        handle = self._cuda.handle(self._stream)
        self._graph = self._cuda.capture(self._stream, lambda: self._engine.enqueue(handle))
        self.cuda_graph = self._graph is not None
        if not self.cuda_graph:
            _log.info("%s runs without a CUDA graph (%s)", self._name, self._cuda.library)

    def _times(self, enqueue_ms: float) -> RunTimes:
        begin, copied, computed, end = self._events
        elapsed = self._cuda.elapsed_ms
        return RunTimes(
            h2d_ms=elapsed(begin, copied) if any(one.copied for one in self._inputs) else 0.0,
            compute_ms=elapsed(copied, computed),
            d2h_ms=elapsed(computed, end) if any(one.copied for one in self._outputs) else 0.0,
            enqueue_ms=enqueue_ms,
        )


def open_engine_file(artifact: str, options: SessionOptions, here: Optional[EngineKey] = None) -> TrtSession:
    """Load an engine that was built on this machine.

    Args:
        artifact: the `.engine` file, with its record beside it.
        options: `profile`, `cuda_graph` and `gpu` matter.
        here: the key that an engine of this kind would have here; asked of the machine where None.

    Raises:
        BackendError: the engine was built for something else, is damaged, or cannot be loaded; CUDA or TensorRT is
            missing.
    """
    record = read_engine(artifact)
    tensorrt = open_tensorrt()
    cuda = open_cuda(options.gpu)
    try:
        _check_key(record, here or key_of(record.key, tensorrt, target_here(cuda.device)))
        return _open(record, options, tensorrt, cuda)
    except BaseException:
        cuda.close()
        raise


def _open(record: Engine, options: SessionOptions, tensorrt: TensorRT, cuda: Cuda) -> TrtSession:
    messages: List[Message] = []
    with open(record.path, "rb") as stream:
        data = stream.read()
    engine = open_engine(tensorrt, data, messages, record.key.dla_core)
    try:
        return TrtSession(tensorrt, cuda, engine, os.path.basename(record.path), options)
    except BaseException:
        engine.close()
        raise


def _check_key(record: Engine, here: EngineKey) -> None:
    different = record.key.differences(here)
    if different:
        raise BackendError(
            "{} was built for {} (sm_{}): {}; build it again: edgekit build BUNDLE".format(
                os.path.basename(record.path), record.key.gpu, record.key.sm, "; ".join(different)
            )
        )


def _buffer(cuda: Cuda, tensor: IoTensor) -> _Buffer:
    host = cuda.pinned(tensor.shape, tensor.dtype)
    if host.device_pointer is not None:
        return _Buffer(tensor, host, host.device_pointer, False)
    return _Buffer(tensor, host, cuda.allocate(host.array.nbytes), True)


def _spec(buffer: _Buffer) -> TensorSpec:
    return TensorSpec(buffer.tensor.name, buffer.tensor.shape, buffer.tensor.dtype)


def _results(cuda: Cuda, outputs: List[_Buffer]) -> Tuple[np.ndarray, ...]:
    """The arrays that `run` gives: the pinned ones, or on an old Tegra cached copies, as decoding reads them often."""
    if cuda.device.integrated and cuda.device.sm < _IO_COHERENT_SM:
        return tuple(np.empty_like(one.host.array) for one in outputs)
    return tuple(one.host.array for one in outputs)
