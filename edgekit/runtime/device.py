"""Where a network runs: what `--device` and `open(device=…)` name."""

import re
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Optional, Tuple

from edgekit.errors import ConfigError
from edgekit.nvidia.cuda import driver_problem
from edgekit.nvidia.trt import LIBRARIES

KNOWN = "auto, cpu, gpu (TensorRT), dla:N, ort-cuda or ort-tensorrt"
_GPU = re.compile(r"^(?:gpu|cuda|trt|tensorrt)?(?::?(\d+))?$")
_DLA = re.compile(r"^dla(?::(\d+))?$")

# provider of ONNX Runtime -> the lowerings that it runs well, best first
ORT_LOWERINGS = {"cuda": ("fp16", "fp32"), "tensorrt": ("trt8", "fp16", "fp32")}


@dataclass(frozen=True)
class Device:
    """A place to run.

    Attributes:
        kind: "cpu" (ONNX Runtime), "tensorrt" (an engine), "ort-cuda" or "ort-tensorrt" (ONNX Runtime's providers).
        index: which GPU.
        dla_core: which DLA, or None.
    """

    kind: str
    index: int = 0
    dla_core: Optional[int] = None

    @property
    def provider(self) -> str:
        """ONNX Runtime's provider, in the words of `SessionOptions.provider`."""
        return self.kind[len("ort-") :] if self.kind.startswith("ort-") else "cpu"


def parse_device(text: str) -> Device:
    """A device by its name.

    Args:
        text: `cpu`; `gpu`, `cuda:0` or a number for TensorRT on that GPU; `dla:0` for a DLA core; `ort-cuda` or
            `ort-tensorrt` for ONNX Runtime's providers; `auto` for TensorRT where it can work, else the processor.

    Raises:
        ConfigError: it is none of these.
    """
    name = text.strip().lower()
    if name in ("cpu", "ort-cuda", "ort-tensorrt"):
        return Device(name)
    if name == "auto":
        return Device("cpu" if gpu_obstacle() else "tensorrt")
    dla = _DLA.match(name)
    if dla:
        return Device("tensorrt", dla_core=int(dla.group(1) or 0))
    gpu = _GPU.match(name)
    if name and gpu:
        return Device("tensorrt", int(gpu.group(1) or 0))
    raise ConfigError("there is no device {!r}; known are {}".format(text, KNOWN))


def gpu_obstacle() -> Optional[str]:
    """Why TensorRT cannot run here, in one sentence, or None; nothing heavy is imported."""
    problem = driver_problem()
    if problem is not None:
        return problem
    if not any(_installed(name) for name in LIBRARIES):
        return "TensorRT is not installed for this Python"
    if not any(_installed(name) for name in ("pycuda", "cuda")):
        return "neither cuda-python nor PyCUDA is installed for this Python"
    return None


def _installed(name: str) -> bool:
    if name in sys.modules:
        return sys.modules[name] is not None
    return find_spec(name) is not None


def ort_lowering(provider: str, available: Tuple[str, ...]) -> Optional[str]:
    """The best of `available` for a GPU provider of ONNX Runtime, or None."""
    return next((name for name in ORT_LOWERINGS[provider] if name in available), None)
