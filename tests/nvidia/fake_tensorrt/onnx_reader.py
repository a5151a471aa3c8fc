"""Read an ONNX file without the onnx package, as far as the fake importer needs it.

Field numbers are those of onnx.proto3; protocol buffers are sequences of (field number, wire type, value).
"""

import os
import struct
from collections import OrderedDict
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

_NUMPY = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "float64"}
_TYPED = {4: "float32", 5: "int32", 7: "int64"}  # float_data, int32_data, int64_data of TensorProto
_FOUR_BITS = (21, 22)  # uint4, int4: two in a byte, which is how they are left
_EXTERNAL = 1


class Tensor(NamedTuple):
    """An initializer or a Constant's value; `values` is None where its external file is missing."""

    name: str
    dtype: int
    dims: Tuple[int, ...]
    values: Optional[np.ndarray]


class Node(NamedTuple):
    """One operator."""

    name: str
    op: str
    inputs: List[str]
    outputs: List[str]
    attributes: Dict[str, Any]


class Value(NamedTuple):
    """A graph input or output; a dimension without a number is -1."""

    name: str
    dtype: int
    shape: Tuple[int, ...]


class Model(NamedTuple):
    """What is in the file."""

    opset: int
    nodes: List[Node]
    initializers: Dict[str, Tensor]
    inputs: List[Value]
    outputs: List[Value]
    values: Dict[str, Value]


def read_onnx(data: bytes, folder: str = "") -> Model:
    """Parse a ModelProto; external weights lie in `folder`.

    Raises:
        ValueError: not protocol buffers.
    """
    opset, graph = 0, memoryview(b"")
    for field, value in _fields(memoryview(data)):
        if field == 7:
            graph = value
        elif field == 8:
            entry = dict(_fields(value))
            if not bytes(entry.get(1, b"")):
                opset = entry.get(2, 0)
    if not graph or not opset:
        raise ValueError("no graph")
    return _graph(graph, opset, folder)


def _graph(data: memoryview, opset: int, folder: str) -> Model:
    nodes: List[Node] = []
    initializers: Dict[str, Tensor] = OrderedDict()
    values: Dict[int, List[Value]] = {11: [], 12: [], 13: []}
    for field, value in _fields(data):
        if field == 1:
            nodes.append(_node(value, folder))
        elif field == 5:
            tensor = _tensor(value, folder)
            initializers[tensor.name] = tensor
        elif field in values:
            values[field].append(_value(value))
    inputs = [one for one in values[11] if one.name not in initializers]
    return Model(opset, nodes, initializers, inputs, values[12], {one.name: one for one in values[13] + values[12]})


def _node(data: memoryview, folder: str) -> Node:
    name, op = "", ""
    inputs: List[str] = []
    outputs: List[str] = []
    attributes: Dict[str, Any] = {}
    for field, value in _fields(data):
        if field == 1:
            inputs.append(_text(value))
        elif field == 2:
            outputs.append(_text(value))
        elif field == 3:
            name = _text(value)
        elif field == 4:
            op = _text(value)
        elif field == 5:
            attribute = _attribute(value, folder)
            attributes[attribute[0]] = attribute[1]
    return Node(name, op, inputs, outputs, attributes)


def _attribute(data: memoryview, folder: str) -> Tuple[str, Any]:
    name, found = "", None  # type: str, Any
    for field, value in _fields(data):
        if field == 1:
            name = _text(value)
        elif field == 2:
            found = struct.unpack("<f", value)[0]
        elif field == 3:
            found = _signed(value)
        elif field == 4:
            found = _text(value)
        elif field == 5:
            found = _tensor(value, folder)
        elif field == 8:
            found = (found or []) + _varints(value)
    return name, found


def _value(data: memoryview) -> Value:
    name, dtype = "", 0
    shape: List[int] = []
    for field, value in _fields(data):
        if field == 1:
            name = _text(value)
        elif field == 2:  # TypeProto -> tensor_type -> elem_type, shape -> dim -> dim_value
            tensor = dict(_fields(dict(_fields(value)).get(1, memoryview(b""))))
            dtype = tensor.get(1, 0)
            for number, dim in _fields(tensor.get(2, memoryview(b""))):
                if number == 1:
                    shape.append(_signed(dict(_fields(dim)).get(1, (1 << 64) - 1)))
    return Value(name, dtype, tuple(shape))


def _tensor(data: memoryview, folder: str) -> Tensor:
    name, dtype, location = "", 0, 0
    dims: List[int] = []
    raw = None  # type: Optional[bytes]
    typed: List[Any] = []
    external: Dict[str, str] = {}
    for field, value in _fields(data):
        if field == 1:
            dims += _varints(value)
        elif field == 2:
            dtype = value
        elif field in _TYPED:
            typed += _numbers(field, value)
        elif field == 8:
            name = _text(value)
        elif field == 9:
            raw = bytes(value)
        elif field == 13:
            entry = dict(_fields(value))
            external[_text(entry[1])] = _text(entry[2])
        elif field == 14:
            location = value
    if location == _EXTERNAL:
        raw = _external(external, folder)
    values = None  # type: Optional[np.ndarray]
    if dtype in _FOUR_BITS:
        packed = raw if raw is not None else bytes(bytearray(number & 0xFF for number in typed))
        values = np.frombuffer(packed, np.uint8)
    elif dtype in _NUMPY and raw is not None:
        values = np.frombuffer(raw, _NUMPY[dtype]).reshape(dims)
    elif dtype in _NUMPY and location != _EXTERNAL:
        values = np.array(typed).astype(_NUMPY[dtype]).reshape(dims)
    return Tensor(name, dtype, tuple(dims), values)


def _external(entry: Dict[str, str], folder: str) -> Optional[bytes]:
    path = os.path.join(folder, entry["location"])
    if not os.path.isfile(path):
        return None
    with open(path, "rb") as stream:
        stream.seek(int(entry.get("offset", "0")))
        return stream.read(int(entry.get("length", "-1")))


def _numbers(field: int, value: Any) -> List[Any]:
    if field == 4:
        return list(np.frombuffer(bytes(value), "<f4"))
    return _varints(value)


def _varints(value: Any) -> List[int]:
    if isinstance(value, int):
        return [_signed(value)]
    found, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(_signed(number))
    return found


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _text(value: Any) -> str:
    return bytes(value).decode("utf-8")


def _fields(data: memoryview) -> List[Tuple[int, Any]]:
    """Field number and value of each field: an int for a varint, else its bytes."""
    found, at = [], 0  # type: List[Tuple[int, Any]], int
    while at < len(data):
        tag, at = _varint(data, at)
        wire, size = tag & 7, 0
        if wire == 0:
            number, at = _varint(data, at)
            found.append((tag >> 3, number))
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError("wire type {}".format(wire))
        if at + size > len(data):
            raise ValueError("a field runs past the end")
        found.append((tag >> 3, data[at : at + size]))
        at += size
    return found


def _varint(data: memoryview, at: int) -> Tuple[int, int]:
    value, shift = 0, 0
    while True:
        if at >= len(data):
            raise ValueError("a number runs past the end")
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
        shift += 7
