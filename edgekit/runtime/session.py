"""The door to an inference library: arrays in, arrays out."""

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np

from edgekit.errors import BackendError
from edgekit.files import PathLike
from edgekit.tensors import TensorSpec

# suffix of the artefact -> module of its backend, function that opens it, extra that installs the library
_BACKENDS = {
    ".onnx": ("edgekit.runtime.backends.ort", "open_onnx", "ort"),
    ".engine": ("edgekit.runtime.backends.trt", "open_engine_file", "trt"),
}
_PROVIDERS = ("cpu", "cuda", "tensorrt")


@dataclass(frozen=True)
class SessionOptions:
    """How a network is run.

    Attributes:
        threads: worker threads of one run; the physical cores that this process may use where None.
        optimize: let the backend rewrite the graph; off only to compare numbers.
        profile: record the time of every layer, read by `Session.layer_times`.
        keep_optimized: keep the rewritten graph in the folder of the artefact for the next start. It is named after
            the library's version and the processor, and is only used by these.
        provider: what runs an ONNX graph: "cpu", or ONNX Runtime's "cuda" or "tensorrt" on a GPU.
        cuda_graph: launch an engine's kernels as one CUDA graph, where the CUDA binding has graphs; not with `profile`,
            which needs the layers apart.
        gpu: number of the GPU that an engine or a GPU provider runs on.
    """

    threads: Optional[int] = None
    optimize: bool = True
    profile: bool = False
    keep_optimized: bool = False
    provider: str = "cpu"
    cuda_graph: bool = True
    gpu: int = 0

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise BackendError("threads is at least 1, got {}".format(self.threads))
        if self.provider not in _PROVIDERS:
            raise BackendError("there is no provider {!r}, known are {}".format(self.provider, ", ".join(_PROVIDERS)))


@dataclass(frozen=True)
class LayerTime:
    """The time that one layer took.

    Attributes:
        name: the layer's name in the optimised graph.
        op: its operator.
        calls: how often it ran.
        total_ms: all its runs together.
        median_ms: of its runs.
    """

    name: str
    op: str
    calls: int
    total_ms: float
    median_ms: float


@dataclass(frozen=True)
class RunTimes:
    """The parts of one run on a GPU, between events on its stream.

    Attributes:
        h2d_ms: copy to the device; 0 where the GPU reads host memory itself.
        compute_ms: the network.
        d2h_ms: copy back.
        enqueue_ms: processor time until all was queued.
    """

    h2d_ms: float
    compute_ms: float
    d2h_ms: float
    enqueue_ms: float


class Session(ABC):
    """A network, loaded and ready to run; one thread uses it at a time.

    Attributes:
        inputs: what `run` takes.
        outputs: what `run` gives, in this order.
        backend: library and version, such as "onnxruntime 1.19.2".
        threads: worker threads of one run.
        last_times: the parts of the last run; None on a processor.
        cuda_graph: whether runs are launched as one CUDA graph.
        device_memory_mb: GPU memory that the session holds, MB of 10^6 bytes; None on a processor.
    """

    inputs: Tuple[TensorSpec, ...]
    outputs: Tuple[TensorSpec, ...]
    backend: str
    threads: int
    last_times: Optional[RunTimes] = None
    cuda_graph: bool = False
    device_memory_mb: Optional[float] = None

    @abstractmethod
    def run(self, feeds: Mapping[str, np.ndarray]) -> List[np.ndarray]:
        """Run the network once.

        Args:
            feeds: input name to array, as `inputs` says. They are read until `run` returns, never written.

        Returns:
            One array for each of `outputs`. They belong to the session and are overwritten by the next `run`: copy
            what must stay.

        Raises:
            BackendError: the library failed.
        """

    def input_array(self, name: str) -> Optional[np.ndarray]:
        """The session's own memory for an input: filled in place and fed to `run`, it is not copied there again.

        None where the library takes any array as it is. It is the session's until `close`.
        """
        return None

    def layer_times(self) -> List[LayerTime]:
        """Time of every layer since the session was opened with `profile`, slowest first; ends the recording.

        Raises:
            BackendError: the session was not opened with `profile`.
        """
        raise BackendError("{} records no layer times here; open the session with profile=True".format(self.backend))

    def layer_info(self) -> List[Dict[str, Any]]:
        """What the layers became: one plain dict a layer, with at least `name`, `op` and `precision`.

        Raises:
            BackendError: the library does not tell.
        """
        raise BackendError("{} does not say what its layers became".format(self.backend))

    @abstractmethod
    def close(self) -> None:
        """Free the network; the session cannot be used after."""

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()


def open_session(
    artifact: PathLike,
    threads: Optional[int] = None,
    optimize: bool = True,
    profile: bool = False,
    keep_optimized: bool = False,
    provider: str = "cpu",
    cuda_graph: bool = True,
    gpu: int = 0,
) -> Session:
    """Open a graph or engine with the backend that its suffix names.

    Args:
        artifact: the file: `model.onnx`, or `model.engine` that TensorRT built here.
        threads, optimize, profile, keep_optimized, provider, cuda_graph, gpu: see `SessionOptions`.

    Raises:
        BackendError: no backend takes this file, its library is not installed, or it refuses the graph.
    """
    artifact = os.fspath(artifact)
    suffix = os.path.splitext(artifact)[1]
    if suffix not in _BACKENDS:
        raise BackendError(
            "cannot run {}: no backend for {!r}, known are {}".format(artifact, suffix, ", ".join(_BACKENDS))
        )
    if not os.path.isfile(artifact):
        raise BackendError("cannot run {}: there is no such file".format(artifact))
    module, opener, extra = _BACKENDS[suffix]
    try:
        backend = import_module(module)
    except ImportError as error:
        if error.name and error.name.startswith("edgekit"):
            raise  # a mistake of ours, not a missing library
        raise BackendError(
            "cannot run {} here: {}. Install its library with: pip install 'edgekit[{}]'".format(
                os.path.basename(artifact), error, extra
            )
        ) from error
    options = SessionOptions(threads, optimize, profile, keep_optimized, provider, cuda_graph, gpu)
    session: Session = getattr(backend, opener)(artifact, options)
    return session
