"""The fake TensorRT of each version."""

from tests.nvidia.conftest import tensorrt, trt

__all__ = ["tensorrt", "trt"]
