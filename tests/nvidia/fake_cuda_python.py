"""A stand-in for cuda-python's driver bindings, as far as the door uses them: each call gives (status, values...)."""

import enum
import threading
import types
from typing import Any, Callable, Dict, List

from tests.nvidia.fake_gpu import FakeGpu, GpuError

_CODES = {
    "CUDA_SUCCESS": 0,
    "CUDA_ERROR_INVALID_VALUE": 1,
    "CUDA_ERROR_OUT_OF_MEMORY": 2,
    "CUDA_ERROR_INVALID_DEVICE": 101,
    "CUDA_ERROR_INVALID_CONTEXT": 201,
    "CUDA_ERROR_INVALID_HANDLE": 400,
    "CUDA_ERROR_ILLEGAL_STATE": 401,
    "CUDA_ERROR_NOT_READY": 600,
    "CUDA_ERROR_ILLEGAL_ADDRESS": 700,
    "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED": 900,
}
CUresult = enum.IntEnum("CUresult", sorted(_CODES.items(), key=lambda item: item[1]))


class _Attribute(enum.IntEnum):
    CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16
    CU_DEVICE_ATTRIBUTE_INTEGRATED = 18
    CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY = 19
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76


class _EventFlags(enum.IntEnum):
    CU_EVENT_DEFAULT = 0
    CU_EVENT_BLOCKING_SYNC = 1
    CU_EVENT_DISABLE_TIMING = 2


class _StreamFlags(enum.IntEnum):
    CU_STREAM_DEFAULT = 0
    CU_STREAM_NON_BLOCKING = 1


class _CtxFlags(enum.IntEnum):
    CU_CTX_SCHED_AUTO = 0
    CU_CTX_SCHED_BLOCKING_SYNC = 4
    CU_CTX_MAP_HOST = 8


class _CaptureMode(enum.IntEnum):
    CU_STREAM_CAPTURE_MODE_GLOBAL = 0
    CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1
    CU_STREAM_CAPTURE_MODE_RELAXED = 2


class _Handle:
    """A CUstream, CUevent, CUdeviceptr, ...: an object that `int()` takes."""

    def __init__(self, value: int = 0) -> None:
        self._value = int(value)

    def __int__(self) -> int:
        return self._value


def make_cuda_python(gpu: FakeGpu, version: str = "13.0.1", count: int = 1, old: bool = False) -> Dict[str, Any]:
    """The modules by name, for `sys.modules`: "cuda.bindings.driver" and its parents, or `old`: "cuda.cuda"."""
    driver = types.ModuleType("cuda.cuda" if old else "cuda.bindings.driver")
    driver.__dict__.update(_Driver(gpu, count, int(version.split(".")[0])).names())
    package = types.ModuleType("cuda")
    package.__path__ = []  # type: ignore[attr-defined]
    if old:
        package.__dict__.update(cuda=driver, __version__=version)
        return {"cuda": package, "cuda.cuda": driver, "cuda.bindings": None}
    bindings = types.ModuleType("cuda.bindings")
    bindings.__dict__.update(driver=driver, __version__=version, __path__=[])
    package.__dict__["bindings"] = bindings
    return {"cuda": package, "cuda.bindings": bindings, "cuda.bindings.driver": driver}


class _Driver:
    """The module's contents, over one GPU."""

    def __init__(self, gpu: FakeGpu, count: int, major: int) -> None:
        self.gpu, self.count, self.major = gpu, count, major
        self.current: Dict[int, List[int]] = {}

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """(status,) or (status, value)."""
        if not self.current.get(threading.get_ident()):
            return (CUresult.CUDA_ERROR_INVALID_CONTEXT, None)
        try:
            value = function(*arguments)
        except GpuError as error:
            return (CUresult["CUDA_ERROR_{}".format(error)], None)
        except KeyError:
            return (CUresult.CUDA_ERROR_INVALID_HANDLE, None)
        return (CUresult.CUDA_SUCCESS,) if value is None else (CUresult.CUDA_SUCCESS, value)

    def handle(self, function: Callable[..., int], *arguments: Any) -> Any:
        """(status, handle)."""
        done = self.call(function, *arguments)
        return done if done[0] else (done[0], _Handle(done[1]))

    def attribute(self, attribute: _Attribute) -> int:
        values = {
            _Attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: self.gpu.sm_count,
            _Attribute.CU_DEVICE_ATTRIBUTE_INTEGRATED: int(self.gpu.integrated),
            _Attribute.CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY: 1,
            _Attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: self.gpu.sm // 10,
            _Attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: self.gpu.sm % 10,
        }
        return values[attribute]

    def device(self, number: int) -> Any:
        if number >= self.count:
            return (CUresult.CUDA_ERROR_INVALID_DEVICE, None)
        return (CUresult.CUDA_SUCCESS, _Handle(number))

    def set_current(self, context: Any) -> Any:
        self.current[threading.get_ident()] = [int(context)] if int(context) else []
        return (CUresult.CUDA_SUCCESS,)

    def push(self, context: Any) -> Any:
        self.current.setdefault(threading.get_ident(), []).append(int(context))
        return (CUresult.CUDA_SUCCESS,)

    def pop(self) -> Any:
        stack = self.current.get(threading.get_ident())
        if not stack:
            return (CUresult.CUDA_ERROR_INVALID_CONTEXT, None)
        return (CUresult.CUDA_SUCCESS, _Handle(stack.pop()))

    def instantiate(self, graph: Any, flags: int) -> Any:
        return self.handle(self.gpu.copy_graph, int(graph))

    def names(self) -> Dict[str, Any]:
        gpu, ok = self.gpu, CUresult.CUDA_SUCCESS
        found: Dict[str, Any] = {
            "CUresult": CUresult,
            "CUdevice_attribute": _Attribute,
            "CUevent_flags": _EventFlags,
            "CUstream_flags": _StreamFlags,
            "CUctx_flags": _CtxFlags,
            "CUstreamCaptureMode": _CaptureMode,
            "CU_MEMHOSTALLOC_PORTABLE": 1,
            "CU_MEMHOSTALLOC_DEVICEMAP": 2,
            "cuInit": lambda flags: (ok,),
            "cuDriverGetVersion": lambda: (ok, 12060),
            "cuGetErrorName": lambda code: (ok, CUresult(code).name.encode()),
            "cuGetErrorString": lambda code: (ok, CUresult(code).name[11:].lower().replace("_", " ").encode()),
            "cuDeviceGetCount": lambda: (ok, self.count),
            "cuDeviceGet": self.device,
            "cuDeviceGetName": lambda length, device: (ok, gpu.name.encode().ljust(length, b"\0")),
            "cuDeviceGetAttribute": lambda attribute, device: (ok, self.attribute(attribute)),
            "cuDeviceTotalMem": lambda device: (ok, gpu.memory_mib << 20),
            "cuDevicePrimaryCtxRetain": lambda device: (ok, _Handle(0xC0)),
            "cuDevicePrimaryCtxRelease": lambda device: (ok,),
            "cuDevicePrimaryCtxSetFlags": lambda device, flags: (ok,),
            "cuCtxSetCurrent": self.set_current,
            "cuCtxPushCurrent": self.push,
            "cuCtxPopCurrent": self.pop,
            "cuMemAlloc": lambda nbytes: self.handle(gpu.allocate, nbytes),
            "cuMemFree": lambda pointer: self.call(gpu.free, int(pointer)),
            "cuMemHostAlloc": lambda nbytes, flags: self.call(gpu.allocate_host, nbytes),
            "cuMemHostGetDevicePointer": lambda pointer, flags: self.handle(gpu.map_host, int(pointer)),
            "cuMemFreeHost": lambda pointer: self.call(gpu.free_host, int(pointer)),
            "cuMemGetInfo": lambda: (ok,) + gpu.memory(),
            "cuMemcpyHtoDAsync": lambda to, source, size, stream: self.call(
                lambda: gpu.upload(int(to), gpu.host_bytes(int(source), size), int(stream))
            ),
            "cuMemcpyDtoHAsync": lambda to, source, size, stream: self.call(
                lambda: gpu.download(gpu.host_bytes(int(to), size), int(source), int(stream))
            ),
            "cuStreamCreate": lambda flags: self.handle(gpu.new_stream),
            "cuStreamDestroy": lambda stream: self.call(gpu.free_stream, int(stream)),
            "cuStreamSynchronize": lambda stream: self.call(gpu.synchronize, int(stream)),
            "cuEventCreate": lambda flags: self.handle(gpu.new_event),
            "cuEventDestroy": lambda event: self.call(gpu.free_event, int(event)),
            "cuEventRecord": lambda event, stream: self.call(gpu.record, int(event), int(stream)),
            "cuEventSynchronize": lambda event: self.call(gpu.wait_event, int(event)),
            "cuStreamBeginCapture": lambda stream, mode: self.call(gpu.begin_capture, int(stream)),
            "cuStreamEndCapture": lambda stream: self.handle(gpu.end_capture, int(stream)),
            "cuGraphLaunch": lambda graph, stream: self.call(gpu.launch, int(graph), int(stream)),
            "cuGraphExecDestroy": lambda graph: self.call(gpu.free_graph, int(graph)),
            "cuGraphDestroy": lambda graph: self.call(gpu.free_graph, int(graph)),
            "cuEventElapsedTime": lambda start, end: self.call(gpu.elapsed_ms, int(start), int(end)),
        }
        found.update((name, _Handle) for name in ("CUstream", "CUevent", "CUdeviceptr", "CUcontext", "CUdevice"))
        if self.major >= 12:  # CUDA 12 dropped the form with an error node and a log
            found["cuGraphInstantiate"] = self.instantiate
            found["cuGraphInstantiateWithFlags"] = self.instantiate
        else:
            found["cuGraphInstantiate"] = lambda graph, log, size: self.instantiate(graph, 0) + (_Handle(),)
            found["cuGraphInstantiateWithFlags"] = self.instantiate
        return found
