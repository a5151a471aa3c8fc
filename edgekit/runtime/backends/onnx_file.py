"""An ONNX file as a list of nodes and its constants, to change and to write again, without the onnx package.

What is not looked at is kept as the bytes that it was. Field numbers are those of onnx.proto3.
"""

from typing import Dict, Iterable, List, NamedTuple, Sequence, Tuple

import numpy as np

from edgekit.onnx_scan import number_of, pieces

UINT8, INT8 = 2, 3  # of TensorProto.DataType

_GRAPH, _OPSET, _METADATA = 7, 8, 14  # of ModelProto
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12  # of GraphProto
_GRAPH_NAME = 2


class Node(NamedTuple):
    """A node: what it reads and writes, by name, and the bytes that it is."""

    op_type: str
    domain: str
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]
    raw: bytes


class Constant(NamedTuple):
    """An initializer: its element type, its shape, and the bytes that it is."""

    data_type: int
    shape: Tuple[int, ...]
    raw: bytes


class OnnxFile(NamedTuple):
    """The main graph of an ONNX file.

    Attributes:
        nodes: in the order in which they run.
        constants: by name.
        outputs: names of the graph's outputs.
        opsets: domain -> version.
        head: the rest of the file, fields as they were.
        rest: the rest of the graph, fields as they were.
    """

    nodes: List[Node]
    constants: Dict[str, Constant]
    outputs: List[str]
    opsets: Dict[str, int]
    head: bytes
    rest: bytes


def read_onnx(data: bytes) -> OnnxFile:
    """The graph of an ONNX file.

    Raises:
        ValueError: it is none.
    """
    try:
        return _read(memoryview(data))
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError("not an ONNX file: {}".format(error)) from error


def write_onnx(
    file: OnnxFile,
    nodes: Iterable[Node],
    constants: Iterable[Constant],
    opsets: Dict[str, int],
    metadata: Dict[str, str],
) -> bytes:
    """`file` with other nodes, and with more constants, operator sets and metadata."""
    graph = [field(_NODE, node.raw) for node in nodes]
    graph += [file.rest]
    graph += [field(_INITIALIZER, constant.raw) for constant in constants]
    head = [file.head]
    head += [field(_OPSET, field(1, domain.encode()) + number(2, version)) for domain, version in opsets.items()]
    head += [field(_METADATA, field(1, key.encode()) + field(2, text.encode())) for key, text in metadata.items()]
    return b"".join(head) + field(_GRAPH, b"".join(graph))


def vector_model(
    file: OnnxFile, nodes: Sequence[Node], constants: Iterable[Constant], inputs: Iterable[str], outputs: Iterable[str]
) -> bytes:
    """A file of some of `file`'s nodes, whose inputs and outputs are uint8 of shape (256,)."""
    graph = [field(_NODE, node.raw) for node in nodes]
    graph += [field(_GRAPH_NAME, b"vector")]
    graph += [field(_INITIALIZER, constant.raw) for constant in constants]
    graph += [field(_INPUT, _uint8_vector(name)) for name in inputs]
    graph += [field(_OUTPUT, _uint8_vector(name)) for name in outputs]
    return file.head + field(_GRAPH, b"".join(graph))


def plain_node(op_type: str, domain: str, inputs: Sequence[str], output: str) -> Node:
    """A node without attributes, named after its output."""
    raw = b"".join(field(1, name.encode()) for name in inputs)
    raw += field(2, output.encode()) + field(3, output.encode()) + field(4, op_type.encode())
    return Node(op_type, domain, tuple(inputs), (output,), raw + field(7, domain.encode()))


def uint8_constant(name: str, values: np.ndarray) -> Constant:
    """An initializer of a uint8 array."""
    raw = b"".join(number(1, size) for size in values.shape)
    raw += number(2, UINT8) + field(8, name.encode()) + field(9, values.tobytes())
    return Constant(UINT8, values.shape, raw)


def field(place: int, value: bytes) -> bytes:
    """A field of bytes: text, or a message."""
    return _varint(place << 3 | 2) + _varint(len(value)) + value


def number(place: int, value: int) -> bytes:
    """A field of a number that is not negative."""
    return _varint(place << 3) + _varint(value)


def _uint8_vector(name: str) -> bytes:
    shape = field(1, number(1, 256))
    return field(1, name.encode()) + field(2, field(1, number(1, UINT8) + field(2, shape)))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read(data: memoryview) -> OnnxFile:
    file = OnnxFile([], {}, [], {}, b"", b"")
    head, rest = [], []
    for place, value, whole in pieces(data):
        if place != _GRAPH:
            head.append(bytes(whole))
            if place == _OPSET:
                file.opsets.update([_opset(value)])
            continue
        for inner, part, raw in pieces(value):
            if inner == _NODE:
                file.nodes.append(_node(part))
                continue
            rest.append(bytes(raw))
            if inner == _INITIALIZER:
                file.constants.update([_constant(part)])
            elif inner == _OUTPUT:
                file.outputs.append(_first_text(part))
    if not file.nodes:
        raise ValueError("not an ONNX file: it has no nodes")
    return file._replace(head=b"".join(head), rest=b"".join(rest))


def _node(data: memoryview) -> Node:
    inputs, outputs, texts = [], [], {}
    for place, value, _ in pieces(data):
        if place == 1:
            inputs.append(_text(value))
        elif place == 2:
            outputs.append(_text(value))
        elif place in (4, 7):
            texts[place] = _text(value)
    return Node(texts.get(4, ""), texts.get(7, ""), tuple(inputs), tuple(outputs), bytes(data))


def _constant(data: memoryview) -> Tuple[str, Constant]:
    name, data_type, shape = "", 0, []  # type: Tuple[str, int, List[int]]
    for place, value, whole in pieces(data):
        if place == 1:
            shape += _numbers(value, whole)
        elif place == 2:
            data_type = number_of(value)
        elif place == 8:
            name = _text(value)
    return name, Constant(data_type, tuple(shape), bytes(data))


def _numbers(value: memoryview, whole: memoryview) -> List[int]:
    """One number, or several packed into one field."""
    if whole[0] & 7 == 0:
        return [number_of(value)]
    found, at = [], 0
    while at < len(value):
        found.append(number_of(value[at:]))
        while value[at] > 127:
            at += 1
        at += 1
    return found


def _opset(data: memoryview) -> Tuple[str, int]:
    domain, version = "", 0
    for place, value, _ in pieces(data):
        if place == 1:
            domain = _text(value)
        elif place == 2:
            version = number_of(value)
    return domain, version


def _first_text(data: memoryview) -> str:
    return next((_text(value) for place, value, _ in pieces(data) if place == 1), "")


def _text(value: memoryview) -> str:
    return bytes(value).decode("utf-8")
