"""The same network in torch: half precision, channels last, with and without a CUDA graph."""

from pathlib import Path
from typing import Any

import numpy as np
from arms import Absent, Arm, Opened

from edgekit.bundle import Bundle

_WARM_UP = 3


def torch_arms(bundle: Bundle, folder: Path) -> list[Opened]:
    """Both torch arms, or why there are none.

    The network is the one of edgekit.models whose tensors have the names and shapes of the ONNX file that the bundle
    was made from; that file lies in `folder`.
    """
    names = ("torch fp16", "torch fp16 graph")
    try:
        import torch
    except ImportError as error:
        return [Absent(name, "fp16", f"torch is not installed ({error})") for name in names]
    if not torch.cuda.is_available():
        return [Absent(name, "fp16", "torch has no CUDA device here") for name in names]
    model, reason = model_of(bundle, folder)
    if model is None:
        return [Absent(name, "fp16", reason) for name in names]
    shape = tuple(bundle.manifest["input"]["shape"])
    model = model.cuda().half().to(memory_format=torch.channels_last)
    return [eager_arm(names[0], model, shape), graph_arm(names[1], model, shape)]


def model_of(bundle: Bundle, folder: Path) -> tuple[Any, str]:
    """(module in eval mode, "") or (None, why)."""
    import onnx
    import torch
    from onnx import numpy_helper

    from edgekit.models import MODELS, build

    source = folder / str((bundle.manifest["model"].get("source") or {}).get("file"))
    if not source.is_file():
        return None, f"the ONNX file that the bundle was made from ({source.name}) is not beside it"
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(str(source)).graph.initializer}
    for name in MODELS:
        model = build(name, len(bundle.classes)).eval().deploy()
        state = model.state_dict()
        if all(key in arrays and arrays[key].shape == tuple(value.shape) for key, value in state.items()):
            model.load_state_dict({key: torch.from_numpy(arrays[key].copy()) for key in state})
            return model, ""
    return None, f"no network of edgekit.models has the tensors of {source.name}"


def eager_arm(name: str, model: Any, shape: tuple[int, ...]) -> Arm:
    """As it is written, one kernel launch after the other."""
    import torch

    clock = _Events()

    def run(x: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            tensor = torch.from_numpy(x).cuda().half().to(memory_format=torch.channels_last)
            outputs = clock.time(lambda: _list(model(tensor)))
            return [output.float().cpu().numpy() for output in outputs]

    return Arm(
        name, "fp16", run, clock.ms, lambda: None, {"backend": f"torch {torch.__version__}", "cuda_graph": False}
    )


def graph_arm(name: str, model: Any, shape: tuple[int, ...]) -> Arm:
    """Captured once, launched as one CUDA graph."""
    import torch

    clock = _Events()
    static = torch.zeros(shape, device="cuda", dtype=torch.half).to(memory_format=torch.channels_last)
    graph = torch.cuda.CUDAGraph()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.inference_mode(), torch.cuda.stream(side):
        for _ in range(_WARM_UP):
            model(static)
    torch.cuda.current_stream().wait_stream(side)
    with torch.inference_mode(), torch.cuda.graph(graph):
        outputs = _list(model(static))

    def run(x: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            static.copy_(torch.from_numpy(x))
            clock.time(graph.replay)
            return [output.float().cpu().numpy() for output in outputs]

    return Arm(name, "fp16", run, clock.ms, lambda: None, {"backend": f"torch {torch.__version__}", "cuda_graph": True})


class _Events:
    """GPU time between two events on the current stream."""

    def __init__(self) -> None:
        import torch

        self._first, self._last = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def time(self, call: Any) -> Any:
        self._first.record()
        value = call()
        self._last.record()
        return value

    def ms(self) -> float:
        self._last.synchronize()
        return float(self._first.elapsed_time(self._last))


def _list(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
