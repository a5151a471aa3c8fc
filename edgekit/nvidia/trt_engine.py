"""A built engine, loaded: what it takes and gives, its addresses, one run; the same over TensorRT 8.2 to 11.

Tensors have names and addresses from 8.5 on; before, there is a list of "bindings" in the engine's order.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, List, Optional, Tuple

from edgekit.errors import BackendError
from edgekit.nvidia.cuda import driver_problem
from edgekit.nvidia.trt import Message, TensorRT, errors_in, make_logger, optional

if TYPE_CHECKING:
    import tensorrt as trt

# TensorRT's own `nptype` fails with NumPy 1.24 and later before 8.6; and not every type of it is one of NumPy's.
_DTYPES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "UINT8": "uint8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
}
_MB = 1e6


@dataclass(frozen=True)
class IoTensor:
    """An input or output of an engine; `dtype` is NumPy's name."""

    name: str
    shape: Tuple[int, ...]
    dtype: str
    is_input: bool


class TrtEngine:
    """An engine with one execution context, on the CUDA context of the thread that opened it.

    Attributes:
        io: inputs and outputs, in the engine's order.
        device_memory_mb: the plan, which is mostly weights, and the context's scratch memory; MB of 10^6 bytes.
    """

    def __init__(
        self,
        tensorrt: TensorRT,
        runtime: "trt.Runtime",
        engine: "trt.ICudaEngine",
        messages: List[Message],
        plan_bytes: int,
    ) -> None:
        self._tensorrt = tensorrt
        self._messages = messages
        self.io = _io_of(engine)
        self.device_memory_mb = (plan_bytes + _scratch_bytes(engine)) / _MB
        context = engine.create_execution_context()
        if context is None:
            raise self._error("gives no execution context", "close other programs that use memory")
        # each owns the one before it, in TensorRT's own memory: freed in the opposite order by `close`
        self._runtime: Any = runtime
        self._engine: Any = engine
        self._context: Any = context
        self._named = optional(engine, "num_io_tensors") is not None
        self._places = {tensor.name: index for index, tensor in enumerate(self.io)}
        self._bindings = [0] * len(self.io)

    def bind(self, name: str, pointer: int) -> None:
        """Say where a tensor lies in device memory; it stays there for all runs.

        Raises:
            BackendError: TensorRT refuses the address.
        """
        if not self._named:
            self._bindings[self._places[name]] = pointer
        elif not optional(self._context, "set_tensor_address")(name, pointer):
            raise self._error("takes no address for {}".format(name))

    def enqueue(self, stream: int) -> None:
        """Queue one run.

        Args:
            stream: the CUDA stream as an integer.

        Raises:
            BackendError: TensorRT refuses; the message has its words.
        """
        del self._messages[:]  # of this run alone, so that a flight of hours does not collect them
        if self._named:
            done = optional(self._context, "execute_async_v3")(stream)
        else:
            done = optional(self._context, "execute_async_v2")(self._bindings, stream)
        if not done:
            raise self._error("refuses to run")

    def profile(self, profiler: "trt.IProfiler") -> None:
        """Report the time of every layer to `profiler` after each run."""
        self._context.profiler = profiler

    def end_profile(self) -> None:
        """Report no more; the context keeps the profiler."""
        self._context.enqueue_emits_profile = False

    def inspect(self) -> str:
        """What the layers became, as the JSON of TensorRT's EngineInspector."""
        inspector = self._engine.create_engine_inspector()
        return str(inspector.get_engine_information(self._tensorrt.module.LayerInformationFormat.JSON))

    def close(self) -> None:
        """Free context, engine and runtime, in this order; may be called twice."""
        self._context = None
        self._engine = None
        self._runtime = None

    def _error(self, what: str, cure: str = "build it again: edgekit build BUNDLE") -> BackendError:
        return _error(self._tensorrt, self._messages, what, cure)


def open_engine(
    tensorrt: TensorRT, data: bytes, messages: List[Message], dla_core: Optional[int] = None
) -> "TrtEngine":
    """Load a built engine; CUDA must be open in this thread.

    Args:
        tensorrt: the library.
        data: the file's content.
        messages: where the log goes.
        dla_core: the core of an engine that was built for a DLA.

    Raises:
        BackendError: there is no driver, the engine is not for this device and TensorRT, it has inputs of variable
            size, or there is not enough memory; the message has TensorRT's words.
    """
    problem = driver_problem()
    if problem is not None:  # TensorRT would end the process
        raise BackendError("TensorRT cannot start: {}; run with --device cpu".format(problem))
    try:
        runtime = tensorrt.module.Runtime(make_logger(tensorrt, messages))
    except TypeError as error:  # the bindings' way of saying that the C++ factory returned nothing
        raise _error(tensorrt, messages, "does not start", "see edgekit doctor") from error
    if dla_core is not None:
        runtime.DLA_core = dla_core
    engine = runtime.deserialize_cuda_engine(data)
    if engine is None:
        raise _error(tensorrt, messages, "cannot load the engine")
    return TrtEngine(tensorrt, runtime, engine, messages, len(data))


def _error(
    tensorrt: TensorRT, messages: List[Message], what: str, cure: str = "build it again: edgekit build BUNDLE"
) -> BackendError:
    said = " | ".join(" ".join(text.split()) for text in errors_in(messages)[:2]) or "no reason given"
    return BackendError("TensorRT {} {}: {}; {}".format(tensorrt.version, what, said, cure))


def _io_of(engine: Any) -> Tuple[IoTensor, ...]:
    count = optional(engine, "num_io_tensors")
    if count is not None:
        found = [_named_tensor(engine, index) for index in range(count)]
    else:
        found = [_binding(engine, index) for index in range(optional(engine, "num_bindings"))]
    for tensor in found:
        if any(size < 0 for size in tensor.shape):
            raise BackendError(
                "the engine's {} has the shape {}, expected a fixed one; export it with a fixed input size".format(
                    tensor.name, list(tensor.shape)
                )
            )
    return tuple(found)


def _named_tensor(engine: Any, index: int) -> IoTensor:
    name = str(optional(engine, "get_tensor_name")(index))
    is_input = optional(engine, "get_tensor_mode")(name).name == "INPUT"
    shape = tuple(int(size) for size in optional(engine, "get_tensor_shape")(name))
    return IoTensor(name, shape, _dtype(name, optional(engine, "get_tensor_dtype")(name)), is_input)


def _binding(engine: Any, index: int) -> IoTensor:
    name = str(optional(engine, "get_binding_name")(index))
    shape = tuple(int(size) for size in optional(engine, "get_binding_shape")(index))
    dtype = _dtype(name, optional(engine, "get_binding_dtype")(index))
    return IoTensor(name, shape, dtype, bool(optional(engine, "binding_is_input")(index)))


def _dtype(name: str, kind: Any) -> str:
    if kind.name not in _DTYPES:
        raise BackendError(
            "the engine's {} is {}, expected one of {}; export it with float32 inputs and outputs".format(
                name, kind.name, ", ".join(_DTYPES)
            )
        )
    return _DTYPES[kind.name]


def _scratch_bytes(engine: Any) -> int:
    newer = optional(engine, "device_memory_size_v2")  # the older name counts wrongly beside weight streaming, and ends
    return int(newer if newer is not None else optional(engine, "device_memory_size"))
