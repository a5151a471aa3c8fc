"""The door to TensorRT: the module, its version, its log; and the rule by which versions are bridged.

One code path serves 8.2 to 11. A name that some version lacks is reached by `optional(owner, "name")` only, and stands
in `VERSIONED`; every other name is plain, and exists in all of them (a type checker on each version's bindings shows
that). Enumerators are never written as integers: their values moved between 8.6, 10 and 11.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Tuple

from edgekit.errors import BackendError

if TYPE_CHECKING:
    import tensorrt as trt

_log = logging.getLogger(__name__)

# TensorRT first; TensorRT-RTX has the same interface, builds without a GPU, and is for desktop cards
LIBRARIES = ("tensorrt", "tensorrt_rtx")

# Names that not every version from 8.2 to 11 has -> (first, last) version that has them, "" for open ends.
VERSIONED: Dict[str, Dict[str, Tuple[str, str]]] = {
    "NetworkDefinitionCreationFlag": {"EXPLICIT_BATCH": ("", "10"), "STRONGLY_TYPED": ("10.0", "")},
    "BuilderFlag": {"FP16": ("", "10"), "INT8": ("", "10"), "OBEY_PRECISION_CONSTRAINTS": ("", "10")},
    "MemoryPoolType": {"WORKSPACE": ("8.4", "")},
    "TacticSource": {"CUBLAS": ("", "10"), "CUBLAS_LT": ("", "10"), "CUDNN": ("", "10")},
    "Builder": {"platform_has_fast_int8": ("", "10")},
    "IBuilderConfig": {
        "max_workspace_size": ("", "8.6"),
        "set_memory_pool_limit": ("8.4", ""),
        "builder_optimization_level": ("8.6", ""),
        "progress_monitor": ("10.0", ""),
    },
    "ILayer": {"precision": ("", "10"), "set_output_type": ("", "10")},
    "ICudaEngine": {
        "num_io_tensors": ("8.5", ""),
        "get_tensor_name": ("8.5", ""),
        "get_tensor_mode": ("8.5", ""),
        "get_tensor_shape": ("8.5", ""),
        "get_tensor_dtype": ("8.5", ""),
        "num_bindings": ("", "8.6"),
        "get_binding_name": ("", "8.6"),
        "binding_is_input": ("", "8.6"),
        "get_binding_shape": ("", "8.6"),
        "get_binding_dtype": ("", "8.6"),
        "device_memory_size": ("", "10"),
        "device_memory_size_v2": ("10.1", ""),
    },
    "IExecutionContext": {
        "set_tensor_address": ("8.5", ""),
        "execute_async_v3": ("8.5", ""),
        "execute_async_v2": ("", "8.6"),
    },
}


def optional(owner: Any, name: str, default: Any = None) -> Any:
    """A name of `VERSIONED`, or `default` in a version that lacks it."""
    return getattr(owner, name, default)


class Message(NamedTuple):
    """One line of TensorRT's log.

    Attributes:
        severity: "INTERNAL_ERROR", "ERROR", "WARNING", "INFO" or "VERBOSE".
        text: as TensorRT wrote it.
    """

    severity: str
    text: str


class TensorRT:
    """An imported TensorRT.

    Attributes:
        module: `tensorrt` or `tensorrt_rtx`.
        library: its name.
        version: such as "10.3.0".
    """

    if TYPE_CHECKING:
        import tensorrt as module  # what is reached through `module` is checked against the bindings

    def __init__(self, module: Any, library: str) -> None:
        self.module = module
        self.library = library
        self.version = str(module.__version__)

    @property
    def generation(self) -> int:
        """The major version of TensorRT whose graphs it reads: TensorRT-RTX 1.x counts as 10, without flags as 11."""
        if self.library == LIBRARIES[0]:
            return int(self.version.split(".")[0])
        return 11 if optional(self.module.BuilderFlag, "FP16") is None else 10

    @property
    def keeps_timings(self) -> bool:
        """Whether a timing cache means anything: TensorRT-RTX chooses its kernels on the device, when it runs."""
        return self.library == LIBRARIES[0]

    @property
    def strongly_typed(self) -> bool:
        """Whether networks take their types from the ONNX file: TensorRT 10 and later."""
        flags = optional(self.module, "NetworkDefinitionCreationFlag")
        return optional(flags, "STRONGLY_TYPED") is not None


def open_tensorrt() -> TensorRT:
    """Import TensorRT, or TensorRT-RTX where that is what is installed.

    Raises:
        BackendError: neither is installed for this Python, or one fails to import.
    """
    problems: List[str] = []
    for name in LIBRARIES:
        try:
            module = import_module(name)
        except ImportError as error:
            if error.name != name:  # it is there, and something that it needs is not
                problems.append("{}: {}".format(name, error))
            continue
        except AttributeError as error:  # TensorRT 8.5 and older say np.bool at import with NumPy 1.24 and later
            raise BackendError(
                "TensorRT does not import ({}); it is older than this NumPy: pip install 'numpy<1.24'".format(error)
            ) from error
        return TensorRT(module, name)
    if problems:
        raise BackendError("TensorRT does not import here: {}; see edgekit doctor".format("; ".join(problems)))
    raise BackendError(
        "there is no TensorRT for this Python; on a Jetson use the system's Python and apt install "
        "python3-libnvinfer, on a PC pip install tensorrt; or run on --device cpu"
    )


def make_logger(tensorrt: TensorRT, messages: List[Message]) -> "trt.ILogger":
    """A logger that keeps errors, warnings and notes in `messages`, and passes them on to `logging`, below warnings.

    An error of TensorRT's is no error yet: a build may heal it, and where it does not, an exception quotes it.
    """
    module = tensorrt.module
    severities = module.ILogger.Severity
    ours = {
        severities.INTERNAL_ERROR: ("INTERNAL_ERROR", logging.INFO),
        severities.ERROR: ("ERROR", logging.INFO),
        severities.WARNING: ("WARNING", logging.DEBUG),
        severities.INFO: ("INFO", logging.DEBUG),
        severities.VERBOSE: ("VERBOSE", logging.DEBUG),
    }

    class Log(module.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            module.ILogger.__init__(self)

        def log(self, severity: Any, text: str) -> None:
            name, level = ours[severity]
            _log.log(level, "TensorRT: %s", text)
            if name != "VERBOSE":
                messages.append(Message(name, text))

    return Log()


def errors_in(messages: List[Message]) -> List[str]:
    """The texts of the errors, in order."""
    return [one.text for one in messages if one.severity in ("ERROR", "INTERNAL_ERROR")]
