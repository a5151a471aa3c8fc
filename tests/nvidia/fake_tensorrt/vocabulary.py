"""Loggers, shapes, buffers and the classes that users derive from."""

from typing import Any, Dict, Iterator, List, Sequence, Tuple

SEVERITIES = ("INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE")


class Strict:
    """As with pybind11, an object takes no attribute that its class does not have; a subclass of the user's does."""

    def __setattr__(self, name: str, value: Any) -> None:
        kind = type(self)
        if "_trt" in vars(kind) and not name.startswith("_") and not hasattr(kind, name):
            raise AttributeError("'tensorrt.{}' object has no attribute '{}'".format(kind.__name__, name))
        object.__setattr__(self, name, value)


def said(logger: Any, severity: str, text: str) -> None:
    """Log as the library does."""
    logger.log(getattr(type(logger), severity), text)


def check_logger(trt: Any, logger: Any) -> None:
    """Refuse what pybind11 refuses."""
    if not isinstance(logger, trt.ILogger):
        raise TypeError("incompatible constructor arguments: a logger is an ILogger, got {!r}".format(logger))
    check_made(logger, "ILogger")


def check_made(value: Any, kind: str) -> None:
    """Refuse an object whose class forgot the base class's constructor."""
    if not getattr(value, "_made", False):
        raise TypeError("tensorrt.{}.__init__() must be called when overriding __init__".format(kind))


class ILogger(Strict):
    """`trt.ILogger`: users derive from it and write `log`."""

    def __init__(self) -> None:
        self._made = True

    def log(self, severity: Any, msg: str) -> None:
        raise RuntimeError('Tried to call pure virtual function "ILogger::log"')


class Logger(Strict):
    """`trt.Logger`: keeps what it is told, from `min_severity` on, instead of printing it."""

    def __init__(self, min_severity: Any = None) -> None:
        self._made = True
        self._min = min_severity if min_severity is not None else self._trt.ILogger.WARNING
        self.messages: List[Tuple[str, str]] = []

    # of the fake alone: (severity, text)
    messages: List[Tuple[str, str]] = []

    @property
    def min_severity(self) -> Any:
        return self._min

    @min_severity.setter
    def min_severity(self, value: Any) -> None:
        self._min = value

    def log(self, severity: Any, msg: str) -> None:
        if int(severity) <= int(self._min):
            self.messages.append((severity.name, msg))


class IProfiler(Strict):
    """`trt.IProfiler`."""

    def __init__(self) -> None:
        self._made = True

    def report_layer_time(self, layer_name: str, ms: float) -> None:
        raise RuntimeError('Tried to call pure virtual function "IProfiler::reportLayerTime"')


class IProgressMonitor(Strict):
    """`trt.IProgressMonitor`."""

    def __init__(self) -> None:
        self._made = True

    def phase_start(self, phase_name: str, parent_phase: Any, num_steps: int) -> None:
        raise RuntimeError('Tried to call pure virtual function "IProgressMonitor::phase_start"')

    def step_complete(self, phase_name: str, step: int) -> bool:
        raise RuntimeError('Tried to call pure virtual function "IProgressMonitor::step_complete"')

    def phase_finish(self, phase_name: str) -> None:
        raise RuntimeError('Tried to call pure virtual function "IProgressMonitor::phase_finish"')


class IInt8EntropyCalibrator2(Strict):
    """`trt.IInt8EntropyCalibrator2`: there until 10, and never called: these networks carry Q/DQ."""

    def __init__(self) -> None:
        self._made = True

    def get_batch_size(self) -> int:
        raise RuntimeError('Tried to call pure virtual function "IInt8EntropyCalibrator2::getBatchSize"')

    def get_batch(self, names: Sequence[str]) -> Any:
        raise RuntimeError('Tried to call pure virtual function "IInt8EntropyCalibrator2::getBatch"')

    def read_calibration_cache(self) -> Any:
        raise RuntimeError('Tried to call pure virtual function "IInt8EntropyCalibrator2::readCalibrationCache"')

    def write_calibration_cache(self, cache: Any) -> None:
        raise RuntimeError('Tried to call pure virtual function "IInt8EntropyCalibrator2::writeCalibrationCache"')

    def get_algorithm(self) -> Any:
        raise RuntimeError("the fake has no CalibrationAlgoType")


class Dims(Strict):
    """`trt.Dims`: a sequence that is no tuple."""

    MAX_DIMS = 8

    def __init__(self, shape: Sequence[int] = ()) -> None:
        self._shape = tuple(int(size) for size in shape)

    def __len__(self) -> int:
        return len(self._shape)

    def __getitem__(self, index: Any) -> Any:
        return self._shape[index]

    def __iter__(self) -> Iterator[int]:
        return iter(self._shape)

    def __eq__(self, other: object) -> bool:
        return self._shape == tuple(other)  # type: ignore[call-overload]

    def __hash__(self) -> int:
        return hash(self._shape)

    def __repr__(self) -> str:
        return repr(self._shape)


class IHostMemory(bytes):
    """`trt.IHostMemory`: a buffer; `bytes` is the one way of pure Python to be one before 3.12."""

    @property
    def nbytes(self) -> int:
        return memoryview(self).nbytes

    @property
    def dtype(self) -> Any:
        return self._trt.DataType.INT8

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        raise TypeError("object of type 'tensorrt.IHostMemory' has no len()")

    def __getitem__(self, index: Any) -> Any:
        raise TypeError("'tensorrt.IHostMemory' object is not subscriptable")

    def __iter__(self) -> Any:
        raise TypeError("'tensorrt.IHostMemory' object is not iterable")


class IOptimizationProfile(Strict):
    """`trt.IOptimizationProfile`."""

    def __init__(self) -> None:
        self._shapes: Dict[str, Any] = {}

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        self._shapes[input] = (min, opt, max)

    def get_shape(self, input: str) -> Any:
        return [self._trt.Dims(shape) for shape in self._shapes[input]]
