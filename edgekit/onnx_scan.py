"""Look into an ONNX file without the onnx package: just enough to list its operators and find signed quantisers.

An ONNX file is protocol buffers: a message is a sequence of (field number, wire type, value); nested messages and
strings are byte ranges. Field numbers are those of onnx.proto3.
"""

from typing import Dict, Iterator, List, Optional, Tuple

_GRAPH, _OPSET = 7, 8  # of ModelProto
_DOMAIN = 1  # of OperatorSetIdProto
_NODE, _INITIALIZER = 1, 5  # of GraphProto
_INPUT, _OP_TYPE = 1, 4  # of NodeProto
_DATA_TYPE, _NAME = 2, 8  # of TensorProto
_INT8 = 3


def signed_activation(model: bytes) -> Optional[str]:
    """Name of the first tensor, not a weight, that is quantised to int8; None if there is none or it is not ONNX."""
    if b"QuantizeLinear" not in model:
        return None
    try:
        return _first_signed(memoryview(model))
    except (IndexError, ValueError):
        return None  # not protocol buffers: the library that loads it says what is wrong


def node_operators(model: bytes) -> List[str]:
    """The operator of every node of the main graph, in order; none if it is not ONNX."""
    try:
        nodes = [v for graph in _messages(memoryview(model), _GRAPH) for field, v in _fields(graph) if field == _NODE]
        return [_node(node)[1].decode("utf-8", "replace") for node in nodes]
    except (IndexError, ValueError):
        return []


def imported_domains(model: bytes) -> List[str]:
    """The domains of operators that the model imports, "" for ONNX's own; none if it is not ONNX."""
    try:
        opsets = [list(_fields(opset)) for opset in _messages(memoryview(model), _OPSET)]
        return ["".join(bytes(v).decode() for field, v in opset if field == _DOMAIN) for opset in opsets]
    except (IndexError, ValueError, TypeError):
        return []


def _first_signed(model: memoryview) -> Optional[str]:
    types: Dict[bytes, int] = {}
    quantizers: List[List[bytes]] = []
    for graph in _messages(model, _GRAPH):
        for field, value in _fields(graph):
            if field == _INITIALIZER:
                name, data_type = _tensor(value)
                types[name] = data_type
            elif field == _NODE:
                inputs, op_type = _node(value)
                if op_type == b"QuantizeLinear":
                    quantizers.append(inputs)
    for inputs in quantizers:
        if inputs[0] not in types and len(inputs) > 2 and types.get(inputs[2]) == _INT8:
            return inputs[0].decode("utf-8", "replace")
    return None


def _node(data: memoryview) -> Tuple[List[bytes], bytes]:
    inputs, op_type = [], b""
    for field, value in _fields(data):
        if field == _INPUT:
            inputs.append(bytes(value))
        elif field == _OP_TYPE:
            op_type = bytes(value)
    return inputs, op_type


def _tensor(data: memoryview) -> Tuple[bytes, int]:
    name, data_type = b"", 0
    for field, value in _fields(data):
        if field == _NAME:
            name = bytes(value)
        elif field == _DATA_TYPE:
            data_type = value[0]
    return name, data_type


def _messages(data: memoryview, wanted: int) -> Iterator[memoryview]:
    return (value for field, value in _fields(data) if field == wanted)


def _fields(data: memoryview) -> Iterator[Tuple[int, memoryview]]:
    """Field number and bytes of each field of a message; a number is given as its own bytes."""
    return ((number, value) for number, value, _ in pieces(data))


def pieces(data: memoryview) -> Iterator[Tuple[int, memoryview, memoryview]]:
    """Of each field of a message its number, its bytes, and these with what stands before them.

    A number is given as its own bytes.

    Raises:
        ValueError, IndexError: the bytes are no message.
    """
    at = 0
    while at < len(data):
        start = at
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == 2:
            size, at = _varint(data, at)
            end = at + size
        elif wire == 0:
            _, end = _varint(data, at)
        elif wire in (1, 5):
            end = at + (8 if wire == 1 else 4)
        else:
            raise ValueError("wire type {}".format(wire))
        if end > len(data):
            raise ValueError("field past the end")
        yield tag >> 3, data[at:end], data[start:end]
        at = end


def number_of(value: memoryview) -> int:
    """A number, from the bytes that `pieces` gives for it."""
    return _varint(value, 0)[0]


def _varint(data: memoryview, at: int) -> Tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
        shift += 7
