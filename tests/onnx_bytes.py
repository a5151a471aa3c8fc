"""Small ONNX files for tests, written without the onnx package."""

import numpy as np

from edgekit.runtime.backends.onnx_file import Constant, field, number, plain_node

_TYPES = {"float32": 1, "uint8": 2, "int8": 3}


def node(op_type, inputs, output, domain="", floats=None):
    """A node; `floats` are attributes of one float32 each."""
    made = plain_node(op_type, domain, inputs, output)
    raw = made.raw
    for name, value in (floats or {}).items():
        bits = np.float32(value).tobytes()
        raw += field(5, field(1, name.encode()) + bytes([2 << 3 | 5]) + bits + number(20, 1))
    return made._replace(raw=raw)


def constant(name, values):
    raw = b"".join(number(1, size) for size in values.shape)
    raw += number(2, _TYPES[values.dtype.name]) + field(8, name.encode()) + field(9, values.tobytes())
    return Constant(_TYPES[values.dtype.name], values.shape, raw)


def scalar(name, value):
    return constant(name, np.asarray(value))


def model_of(nodes, constants, outputs, inputs=("x",), shape=(1, 3, 5, 7), element="uint8"):
    """A file whose inputs are `element` of `shape`, and whose outputs are uint8."""
    graph = b"".join(field(1, each.raw) for each in nodes)
    graph += field(2, b"graph") + b"".join(field(5, each.raw) for each in constants.values())
    graph += b"".join(field(11, _value(name, shape, element)) for name in inputs)
    graph += b"".join(field(12, _value(name, shape, "uint8")) for name in outputs)
    opsets = field(8, field(1, b"") + number(2, 13)) + field(8, field(1, b"com.microsoft") + number(2, 1))
    return number(1, 8) + opsets + field(7, graph)


def _value(name, shape, element):
    dims = b"".join(field(1, number(1, size)) for size in shape)
    return field(1, name.encode()) + field(2, field(1, number(1, _TYPES[element]) + field(2, dims)))
