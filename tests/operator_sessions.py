"""Sessions of onnxruntime with the native library's operators, and the convolutions that their tests run."""

from edgekit.ops.binary import BinaryGeometry
from edgekit.ops.library import operators

GEOMETRIES = [
    BinaryGeometry(64, 64, (3, 3), pads=(1, 1, 1, 1)),
    BinaryGeometry(33, 70, (3, 3), (2, 2), (1, 0, 2, 1), padding="one"),
    BinaryGeometry(66, 70, (3, 5), (1, 2), (1, 2, 1, 2), 2),
    BinaryGeometry(1, 3, (1, 1)),
]


def attributes_of(geometry):
    """Of an operator that runs `geometry`."""
    return {
        "channels": geometry.in_channels,
        "strides": list(geometry.stride),
        "pads": list(geometry.pads),
        "group": geometry.groups,
        "padding": int(geometry.padding == "one"),
    }


def session(data, threads=1):
    """Of a graph's bytes; what onnxruntime says beside its exceptions is not shown."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.register_custom_ops_library(operators().path)
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
