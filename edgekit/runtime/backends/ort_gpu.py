"""ONNX Runtime's GPU providers: their options, and whether the graph really runs on them.

ONNX Runtime lists a provider that it was built with, and where that cannot start it runs on the processor and says so
in its log alone. A session that was asked to run on a GPU and does not is refused.
"""

import os
from typing import Any, Callable, Dict, List, Sequence, Tuple

from edgekit.errors import BackendError
from edgekit.nvidia.cuda import driver_problem

Providers = List[Tuple[str, Dict[str, str]]]

_NAMES = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
_NO_CPU = "session.disable_cpu_ep_fallback"  # from 1.16 on; an older version ignores the entry
_TIMING_CACHE_SINCE = (1, 15)


def check_available(provider: str, available: Sequence[str], version: str) -> None:
    """Refuse a provider that cannot start here.

    Raises:
        BackendError: this build of ONNX Runtime does not have it, or there is no driver.
    """
    if _NAMES[provider] not in available:
        raise BackendError(
            "onnxruntime {} here has no {}, it has {}; pip install onnxruntime-gpu (on a Jetson the wheel for its "
            "JetPack), or run with --device cpu".format(version, _NAMES[provider], ", ".join(available))
        )
    problem = driver_problem()
    if problem is not None:
        raise BackendError("{} cannot start: {}; run with --device cpu".format(_NAMES[provider], problem))


def providers_for(provider: str, artifact: str, gpu: int, version: str) -> Providers:
    """Provider names and options, the first to be tried first.

    TensorRT keeps its engines beside the artefact, and may compute in FP16 as our own engines do; what it cannot run
    goes to CUDA.
    """
    cuda = (_NAMES["cuda"], {"device_id": str(gpu)})
    if provider == "cuda":
        return [cuda]
    with open(artifact, "rb") as stream:
        quantized = b"QuantizeLinear" in stream.read()
    options = {"device_id": str(gpu), "trt_fp16_enable": "True", "trt_int8_enable": str(quantized)}
    folder = os.path.dirname(os.path.abspath(artifact))
    if os.access(folder, os.W_OK):
        options.update(trt_engine_cache_enable="True", trt_engine_cache_path=folder)
        if _numbers(version) >= _TIMING_CACHE_SINCE:
            options.update(trt_timing_cache_enable="True", trt_timing_cache_path=folder)
    return [(_NAMES["tensorrt"], options), cuda]


def create_on_gpu(create: Callable[[Any], Any], settings: Callable[[], Any], provider: str, artifact: str) -> Any:
    """A session all of whose nodes run on the GPU.

    Args:
        create: makes a session of settings, without ONNX Runtime's own retry on the processor.
        settings: makes the session's settings.
        provider, artifact: for the message.

    Raises:
        BackendError: the provider does not start, or part of the graph would run on the processor.
    """
    strict = settings()
    strict.add_session_config_entry(_NO_CPU, "1")
    try:
        session = create(strict)
    except BackendError as error:
        _check_started(create(settings()), provider)
        raise BackendError(
            "part of {} would run on the processor under {} ({}); run with --device cpu or gpu".format(
                os.path.basename(artifact), _NAMES[provider], error
            )
        ) from error
    _check_started(session, provider)
    session.disable_fallback()  # nor at a later run
    return session


def _check_started(session: Any, provider: str) -> None:
    if session.get_providers()[0] != _NAMES[provider]:
        raise BackendError(
            "onnxruntime fell back to the processor: {} is listed but could not be started (its log names the library "
            "that is missing); install an onnxruntime-gpu that matches CUDA{} here, or run with --device cpu".format(
                _NAMES[provider], " and TensorRT" if provider == "tensorrt" else ""
            )
        )


def _numbers(version: str) -> Tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
