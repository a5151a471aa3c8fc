"""ONNX Runtime, version 1.10 (Python 3.6) and later: on the processor, or on a GPU by one of its providers."""

import json
import logging
import os
import tempfile
from dataclasses import replace
from typing import Any, Dict, List, Mapping, Tuple

import numpy as np
import onnxruntime

from edgekit.devices import cpu_features, cpu_model, is_x86, physical_cores
from edgekit.errors import BackendError
from edgekit.files import atomic_write, sha256_bytes
from edgekit.onnx_scan import signed_activation
from edgekit.runtime.backends.ort_gpu import Providers, check_available, create_on_gpu, providers_for
from edgekit.runtime.backends.ort_tables import COUNT, with_tables
from edgekit.runtime.operators import add_operators_of, operators_obstacle
from edgekit.runtime.session import LayerTime, Session, SessionOptions
from edgekit.tensors import TensorSpec

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}
_ERRORS_ONLY = 3
_PROCESSOR: Providers = [("CPUExecutionProvider", {})]
_log = logging.getLogger(__name__)


class OrtSession(Session):
    """A graph in ONNX Runtime."""

    def __init__(self, session: Any, threads: int, options: SessionOptions, name: str) -> None:
        self._session = session
        self._name = name
        self._profile = options.profile
        self.threads = threads
        self.backend = "onnxruntime {}".format(onnxruntime.__version__)
        if options.provider != "cpu":
            self.backend += " ({})".format(session.get_providers()[0])
        elif COUNT in session.get_modelmeta().custom_metadata_map:
            self.backend += " with {} activation tables".format(session.get_modelmeta().custom_metadata_map[COUNT])
        self.inputs = tuple(_spec(node, name) for node in session.get_inputs())
        self.outputs = tuple(_spec(node, name) for node in session.get_outputs())

    def run(self, feeds: Mapping[str, np.ndarray]) -> List[np.ndarray]:
        try:
            outputs: List[np.ndarray] = self._session.run(None, dict(feeds))
        except Exception as error:  # the library's classes share no base of their own
            raise _failed("{} failed in {}".format(self._name, self.backend), error) from error
        return outputs

    def layer_times(self) -> List[LayerTime]:
        if not self._profile:
            return super().layer_times()
        self._profile = False
        path = self._session.end_profiling()
        try:
            with open(path, encoding="utf-8") as stream:
                return _layer_times(json.load(stream))
        finally:
            os.unlink(path)

    def close(self) -> None:
        if self._profile:
            self.layer_times()
        self._session = None


def open_onnx(artifact: str, options: SessionOptions) -> OrtSession:
    """Load an ONNX graph.

    Raises:
        BackendError: ONNX Runtime refuses the graph, the graph would be slow on this processor, or it was to run on a
            GPU and would not.
    """
    threads = options.threads or physical_cores()
    if options.provider != "cpu":
        session = _create_on_gpu(artifact, options, threads)
    elif options.keep_optimized and options.optimize:
        session = _create_kept(artifact, options, threads)
    else:
        _refuse_signed(artifact)
        session = _create(artifact, _settings(options, threads))
    return OrtSession(session, threads, options, os.path.basename(artifact))


def _create_on_gpu(artifact: str, options: SessionOptions, threads: int) -> Any:
    version = onnxruntime.__version__
    check_available(options.provider, onnxruntime.get_available_providers(), version)
    providers = providers_for(options.provider, artifact, options.gpu, version)
    return create_on_gpu(
        lambda settings: _create(artifact, settings, providers),
        lambda: _settings(options, threads),
        options.provider,
        artifact,
    )


def _refuse_signed(artifact: str) -> None:
    if not is_x86():
        return
    with open(artifact, "rb") as stream:
        tensor = signed_activation(stream.read())
    if tensor is not None:
        raise BackendError(
            "{} quantises {!r} to signed int8, which ONNX Runtime runs slower than float on x86; "
            "export the ort-x86 lowering, or run it on ARM".format(artifact, tensor)
        )


def _settings(options: SessionOptions, threads: int) -> Any:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = _ERRORS_ONLY
    # Spinning workers are a little faster on an idle machine, slower on a busy one, and cost power.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    # One plan for all tensors keeps them all allocated: 7 to 25 MB more for a detector, and no faster.
    settings.enable_mem_pattern = False
    if not options.optimize:
        settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if options.profile:
        settings.enable_profiling = True
        settings.profile_file_prefix = os.path.join(tempfile.gettempdir(), "edgekit-profile-{}".format(os.getpid()))
    return settings


def _create(path: str, settings: Any, providers: Providers = _PROCESSOR) -> Any:
    names, options = [name for name, _ in providers], [one for _, one in providers]
    add_operators_of(settings, path, onnxruntime.__version__)
    try:
        return onnxruntime.InferenceSession(path, settings, names, options, enable_fallback=0)
    except Exception as error:  # the library's classes share no base of their own
        raise _failed("onnxruntime {} cannot load {}".format(onnxruntime.__version__, path), error) from error


def _create_kept(artifact: str, options: SessionOptions, threads: int) -> Any:
    """Load the optimised graph of an earlier start; where there is none, or a damaged one, make and keep it."""
    tables = operators_obstacle(onnxruntime.__version__) is None
    ready = _optimized_path(artifact, tables)
    if os.path.isfile(ready):
        try:
            return _create_optimized(ready, options, threads)
        except BackendError as error:
            _log.warning("made again: %s", error)
    _refuse_signed(artifact)
    temporary = "{}.{}.part".format(ready, os.getpid())
    settings = _settings(replace(options, profile=options.profile and not tables), threads)
    settings.optimized_model_filepath = temporary
    try:
        session = _create(artifact, settings)
        if tables and _put_tables(temporary):
            session = _create_optimized(temporary, options, threads)
        elif tables and options.profile:
            session = _create(artifact, _settings(options, threads))
        os.replace(temporary, ready)
        return session
    except Exception as error:  # a folder that cannot be written is no reason not to run
        _log.info("the optimised graph is not kept: %s", error)
        return _create(artifact, _settings(options, threads))
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def _create_optimized(path: str, options: SessionOptions, threads: int) -> Any:
    settings = _settings(options, threads)
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return _create(path, settings)


def _put_tables(path: str) -> bool:
    """Rewrite an optimised graph with its activations as tables; False, and the file as it was, where it has none."""
    try:
        with open(path, "rb") as stream:
            made = with_tables(stream.read(), _evaluate)
    except Exception as error:  # the library's classes share no base of their own
        _log.warning("activation functions stay operators: %s", error)
        return False
    if made is None:
        return False
    with atomic_write(path) as stream:
        stream.write(made)
    return True


def _evaluate(model: bytes) -> Dict[str, np.ndarray]:
    """The outputs of a model, every input of which gets the codes 0 to 255."""
    settings = _settings(SessionOptions(threads=1, optimize=False), 1)
    session = onnxruntime.InferenceSession(model, settings, [name for name, _ in _PROCESSOR])
    codes = np.arange(256, dtype=np.uint8)
    names = [node.name for node in session.get_outputs()]
    return dict(zip(names, session.run(names, {node.name: codes for node in session.get_inputs()})))


def _optimized_path(artifact: str, tables: bool) -> str:
    """Beside the artefact, named after what the optimised graph depends on."""
    with open(artifact, "rb") as stream:
        graph = stream.read()
    key = json.dumps([sha256_bytes(graph), onnxruntime.__version__, cpu_model(), cpu_features()] + ["tables"] * tables)
    folder, name = os.path.split(artifact)
    return os.path.join(folder, "{}.{}.optimized".format(name, sha256_bytes(key.encode())[:16]))


def _spec(node: Any, name: str) -> TensorSpec:
    shape = tuple(node.shape)
    if not all(isinstance(size, int) for size in shape):
        raise BackendError(
            "{}: {} has the shape {}, expected a fixed one; export it with a fixed input size".format(
                name, node.name, list(shape)
            )
        )
    return TensorSpec(node.name, shape, _DTYPES.get(node.type, node.type))


def _layer_times(events: List[Dict[str, Any]]) -> List[LayerTime]:
    total: Dict[Tuple[str, str], List[float]] = {}
    for event in events:
        name = event.get("name", "")
        if event.get("cat") == "Node" and name.endswith("_kernel_time"):
            key = (name[: -len("_kernel_time")], event.get("args", {}).get("op_name", ""))
            total.setdefault(key, []).append(event["dur"] / 1000.0)
    layers = [LayerTime(name, op, len(ms), sum(ms), float(np.median(ms))) for (name, op), ms in total.items()]
    return sorted(layers, key=lambda layer: -layer.total_ms)


def _failed(what: str, error: Exception) -> BackendError:
    return BackendError("{}: {}".format(what, " ".join(str(error).split())))
