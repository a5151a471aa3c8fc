"""The runtime: engines from plans, contexts that execute on the fake GPU."""

from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from tests.nvidia.fake_tensorrt.plan import read_plan, write_plan
from tests.nvidia.fake_tensorrt.state import FakeSegfaultError
from tests.nvidia.fake_tensorrt.vocabulary import Strict, check_logger, check_made, said

_NUMPY = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "BOOL": "bool",
}
_SCRATCH = 1 << 20
_LAYER_MS = 0.1


class Runtime(Strict):
    """`trt.Runtime`: without a driver the real one ends the process."""

    def __init__(self, logger: Any) -> None:
        check_logger(self._trt, logger)
        if not self._trt.fake.driver:
            raise FakeSegfaultError("tensorrt.Runtime was made without a driver: the real one ends the process")
        self._logger = logger
        self._core = 0

    @property
    def logger(self) -> Any:
        return self._logger

    @property
    def num_DLA_cores(self) -> int:
        return self._trt.fake.dla_cores

    @property
    def DLA_core(self) -> int:
        return self._core

    @DLA_core.setter
    def DLA_core(self, value: int) -> None:
        self._trt.fake.note("runtime.DLA_core = {}", value)
        self._core = value

    def deserialize_cuda_engine(self, serialized_engine: Any) -> Any:
        self._trt.fake.note("runtime.deserialize_cuda_engine()")
        try:
            plan = read_plan(bytes(serialized_engine))
        except ValueError:
            return self._refuse(
                "Error Code 1: Serialization (magicTagRead == kPLAN_MAGIC_TAG failed. Magic tag does not match)"
            )
        problem = self._mismatch(plan)
        return self._refuse(problem) if problem else self._trt.ICudaEngine(plan, self)

    def _mismatch(self, plan: Dict[str, Any]) -> str:
        fake = self._trt.fake
        if plan["rtx"] != fake.rtx or plan["tensorrt"] != fake.version:
            text = (
                "Error Code 6: API Usage Error (The engine plan file is not compatible with this version of TensorRT, "
            )
            text += "expecting library version {} got {}, please rebuild.)"
            return text.format(fake.version, plan["tensorrt"])
        if plan["sm"] != fake.sm and not (plan["ampere_plus"] and min(plan["sm"], fake.sm) >= 80):
            text = "Error Code 6: API Usage Error (The engine plan file is generated on an incompatible device, "
            text += "expecting compute {:.1f} got compute {:.1f}, please rebuild.)"
            return text.format(fake.sm / 10, plan["sm"] / 10)
        return ""

    def _refuse(self, text: str) -> None:
        said(self._logger, "ERROR", "IRuntime::deserializeCudaEngine: " + text)


class ICudaEngine(Strict):
    """`trt.ICudaEngine`, with the bindings of 8, the named tensors of 8.5, or both."""

    def __init__(self, plan: Dict[str, Any], runtime: Any) -> None:
        self._plan, self._runtime, self._logger = plan, runtime, runtime._logger
        self._tensors: List[Dict[str, Any]] = plan["tensors"]
        self._names = [one["name"] for one in self._tensors]
        self._trt.fake.born("engine")

    def __del__(self) -> None:
        if hasattr(self, "_names"):
            self._trt.fake.gone("engine")

    @property
    def name(self) -> str:
        return self._plan["name"]

    @property
    def num_layers(self) -> int:
        return len(self._plan["layers"])

    @property
    def num_optimization_profiles(self) -> int:
        return 1

    @property
    def refittable(self) -> bool:
        return False

    @property
    def profiling_verbosity(self) -> Any:
        return getattr(self._trt.ProfilingVerbosity, self._plan["verbosity"])

    @property
    def hardware_compatibility_level(self) -> Any:
        return getattr(self._trt.HardwareCompatibilityLevel, "AMPERE_PLUS" if self._plan["ampere_plus"] else "NONE")

    @property
    def num_aux_streams(self) -> int:
        return 0

    @property
    def device_memory_size(self) -> int:
        return _SCRATCH

    @property
    def device_memory_size_v2(self) -> int:
        return _SCRATCH

    @property
    def has_implicit_batch_dimension(self) -> bool:
        return False

    @property
    def num_bindings(self) -> int:
        return len(self._tensors)

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    @property
    def max_batch_size(self) -> int:
        return 1

    def get_binding_name(self, index: int) -> str:
        return self._names[index]

    def get_binding_index(self, name: str) -> int:
        return self._names.index(name) if name in self._names else -1

    def get_binding_shape(self, index: Any) -> Any:
        return self._shape(self._name_of(index))

    def get_binding_dtype(self, index: Any) -> Any:
        return self._dtype(self._name_of(index))

    def binding_is_input(self, index: Any) -> bool:
        return self._tensor(self._name_of(index))["input"]

    def get_location(self, index: Any) -> Any:
        return self._trt.TensorLocation.DEVICE

    def get_tensor_name(self, index: int) -> str:
        return self._names[index]

    def get_tensor_mode(self, name: str) -> Any:
        return self._trt.TensorIOMode.INPUT if self._tensor(name)["input"] else self._trt.TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> Any:
        return self._shape(name)

    def get_tensor_dtype(self, name: str) -> Any:
        return self._dtype(name)

    def get_tensor_format(self, name: str) -> Any:
        return self._trt.TensorFormat.LINEAR

    def get_tensor_location(self, name: str) -> Any:
        return self._trt.TensorLocation.DEVICE

    def serialize(self) -> Any:
        return self._trt.IHostMemory(write_plan(self._plan))

    def create_execution_context(self, strategy: Any = None) -> Any:
        kinds = getattr(self._trt, "ExecutionContextAllocationStrategy", None)
        if strategy is not None and kinds is None:
            raise TypeError("create_execution_context(): incompatible function arguments")
        given = strategy is not None and strategy.name == "USER_MANAGED"
        self._trt.fake.note("engine.create_execution_context({})", strategy.name if strategy is not None else "")
        return self._trt.IExecutionContext(self, own_memory=not given)

    def create_execution_context_without_device_memory(self) -> Any:
        self._trt.fake.note("engine.create_execution_context_without_device_memory()")
        return self._trt.IExecutionContext(self, own_memory=False)

    def create_engine_inspector(self) -> Any:
        return self._trt.EngineInspector(self)

    def _name_of(self, index: Any) -> str:
        return index if isinstance(index, str) else self._names[index]

    def _tensor(self, name: str) -> Dict[str, Any]:
        return self._tensors[self._names.index(name)]

    def _shape(self, name: str) -> Any:
        return self._trt.Dims(self._tensor(name)["shape"])

    def _dtype(self, name: str) -> Any:
        return getattr(self._trt.DataType, self._tensor(name)["dtype"])


class IExecutionContext(Strict):
    """`trt.IExecutionContext`: queues the test's `compute` on the fake GPU's stream."""

    def __init__(self, engine: Any, own_memory: bool) -> None:
        self._engine = engine
        self._addresses: Dict[str, int] = {}
        self._profiler: Any = None
        self._emits = True
        self._memory: Optional[int] = None
        self._own = own_memory
        self._name = ""
        self._trt.fake.born("context")

    def __del__(self) -> None:
        if hasattr(self, "_name"):
            self._trt.fake.gone("context")

    @property
    def engine(self) -> Any:
        return self._engine

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._name = value

    @property
    def profiler(self) -> Any:
        return self._profiler

    @profiler.setter
    def profiler(self, value: Any) -> None:
        check_made(value, "IProfiler")
        self._trt.fake.note("context.profiler = {}", type(value).__name__)
        self._profiler = value

    @property
    def enqueue_emits_profile(self) -> bool:
        return self._emits

    @enqueue_emits_profile.setter
    def enqueue_emits_profile(self, value: bool) -> None:
        self._trt.fake.note("context.enqueue_emits_profile = {}", value)
        self._emits = value

    @property
    def device_memory(self) -> int:
        return self._memory or 0

    @device_memory.setter
    def device_memory(self, value: int) -> None:
        self._memory = value

    def set_device_memory(self, memory: int, size: int) -> None:
        if size < _SCRATCH:
            self._fail("set_device_memory: {} bytes given, {} needed".format(size, _SCRATCH))
            return
        self._memory = memory

    def report_to_profiler(self) -> bool:
        if self._profiler is None:
            return False
        for index, layer in enumerate(self._engine._plan["layers"]):
            self._profiler.report_layer_time(layer["name"], _LAYER_MS * (index + 1))
        return True

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        return tuple(shape) == tuple(self._engine._tensor(name)["shape"])

    def get_tensor_shape(self, name: str) -> Any:
        return self._engine._shape(name)

    def set_binding_shape(self, binding: int, shape: Sequence[int]) -> bool:
        return tuple(shape) == tuple(self._engine._tensors[binding]["shape"])

    def get_binding_shape(self, binding: int) -> Any:
        return self._engine._shape(self._engine._names[binding])

    def infer_shapes(self) -> List[str]:
        return []

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if name not in self._engine._names:
            return self._fail("IExecutionContext::setTensorAddress: no tensor is named {}".format(name))
        self._trt.fake.note("context.set_tensor_address({})", name)
        self._addresses[name] = int(memory)
        return True

    def get_tensor_address(self, name: str) -> int:
        return self._addresses.get(name, 0)

    def execute_async_v3(self, stream_handle: int) -> bool:
        self._trt.fake.note_run("context.execute_async_v3()")
        missing = [name for name in self._engine._names if not self._addresses.get(name)]
        if missing:
            return self._fail(
                "IExecutionContext::enqueueV3: Error Code 3: API Usage Error (address is not set for {})".format(
                    missing[0]
                )
            )
        return self._execute(dict(self._addresses), stream_handle)

    def execute_async_v2(self, bindings: Sequence[int], stream_handle: int) -> bool:
        self._trt.fake.note_run("context.execute_async_v2({})", ", ".join(self._engine._names))
        if len(bindings) != len(self._engine._names):
            return self._fail("IExecutionContext::enqueueV2: {} bindings given".format(len(bindings)))
        return self._execute(dict(zip(self._engine._names, map(int, bindings))), stream_handle)

    def execute_v2(self, bindings: Sequence[int]) -> bool:
        gpu = self._trt.fake.gpu
        stream = gpu.new_stream()
        done = self._execute(dict(zip(self._engine._names, map(int, bindings))), stream)
        gpu.synchronize(stream)
        gpu.free_stream(stream)
        return done

    def _execute(self, addresses: Dict[str, int], stream: int) -> bool:
        fake = self._trt.fake
        if not self._own and self._memory is None:
            return self._fail("IExecutionContext: no device memory was given to this context")
        tensors, gpu = self._engine._tensors, fake.gpu
        kernels = self._engine._plan["layers"]
        precisions = {kernel["precision"] for kernel in kernels}
        compute = fake.compute if fake.compute_of is None else fake.compute_of(precisions)
        run_ms = _LAYER_MS * len(kernels) if fake.run_ms is None else fake.run_ms(precisions)

        def work() -> None:
            found = {one["name"]: _array(gpu, one, addresses) for one in tensors}
            results = compute({one["name"]: found[one["name"]].copy() for one in tensors if one["input"]})
            for one in tensors:
                if not one["input"]:
                    found[one["name"]][...] = results[one["name"]]

        gpu.queue(stream, work, ms=run_ms, what="execute")
        if self._profiler is not None and self._emits:
            gpu.synchronize(stream)
            self.report_to_profiler()
        return True

    def _fail(self, text: str) -> bool:
        said(self._engine._logger, "ERROR", text)
        return False


def _array(gpu: Any, tensor: Dict[str, Any], addresses: Dict[str, int]) -> np.ndarray:
    dtype = np.dtype(_NUMPY[tensor["dtype"]])
    nbytes = int(np.prod(tensor["shape"], dtype=np.int64)) * dtype.itemsize
    return gpu.view(addresses[tensor["name"]], nbytes).view(dtype).reshape(tensor["shape"])
