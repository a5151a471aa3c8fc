"""Activation functions of 8-bit codes as one lookup each, in the graph that ONNX Runtime has optimised.

A function of one uint8 tensor, element by element, is a table of 256 bytes, however many operators it takes: SiLU is
QLinearSigmoid and QLinearMul, hard swish may be a DequantizeLinear, two float operators and a QuantizeLinear. Each such
group becomes one `Table` of the native library. What stands in a table is what ONNX Runtime itself makes of the 256
codes with the very nodes that are replaced, so that the outputs stay the same bits.

It is done to the optimised graph, not to the one in the bundle: there the layout of every tensor is settled, whereas
an operator that ONNX Runtime does not know would stop its Transposes and cost more than it saves.
"""

from typing import Callable, Dict, List, Optional, Set, Tuple

import numpy as np

from edgekit.runtime.backends.onnx_file import (
    UINT8,
    Node,
    OnnxFile,
    plain_node,
    read_onnx,
    uint8_constant,
    vector_model,
    write_onnx,
)

COUNT = "edgekit_tables"
"""The key of the model's metadata that says how many tables it has."""

# Operators that compute every element from the same element of their inputs -> where the zero points stand: of input 0,
# of input 3 and of the output.
_CODES = {
    "QLinearSigmoid": (2, None, 4),
    "QLinearLeakyRelu": (2, None, 4),
    "QLinearMul": (2, 5, 7),
    "QLinearAdd": (2, 5, 7),
    "DequantizeLinear": (2, None, None),
    "QuantizeLinear": (None, None, 2),
}
_FLOATS = frozenset(
    {"Abs", "Add", "Celu", "Clip", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu"}
    | {"Max", "Min", "Mish", "Mul", "Neg", "QuickGelu", "Relu", "Selu", "Sigmoid", "Softplus", "Softsign", "Sub"}
    | {"Tanh", "ThresholdedRelu"}
)
# They may read tensors without naming them among their inputs.
_WITH_GRAPHS = frozenset({"If", "Loop", "Scan", "SequenceMap"})


def with_tables(
    data: bytes, evaluate: Callable[[bytes], Dict[str, np.ndarray]], domain: str = "edgekit"
) -> Optional[bytes]:
    """The optimised model with its activation functions as tables; None where it has none.

    Args:
        data: the ONNX file that ONNX Runtime wrote.
        evaluate: runs a model without optimisations, every input of which gets the codes 0 to 255 as uint8 (256,);
            gives its outputs by name.
        domain: of the operator `Table`.

    Raises:
        ValueError: it is no ONNX file, or `evaluate` gives something else than tables.
    """
    file = read_onnx(data)
    if any(node.op_type in _WITH_GRAPHS for node in file.nodes):
        return None
    types = _code_types(file)
    origin = _origins(file, types)
    ends = _ends(file, types, origin)
    if not ends:
        return None
    tables = _tables(file, origin, ends, evaluate)
    nodes = _without_unread(_replaced(file.nodes, origin, ends, domain), set(origin), set(file.outputs))
    constants = [uint8_constant(_table_of(name), tables[name]) for name in ends]
    opsets = {} if domain in file.opsets else {domain: 1}
    return write_onnx(file, nodes, constants, opsets, {COUNT: str(len(ends))})


def _code_types(file: OnnxFile) -> Dict[str, int]:
    """The element type of every tensor of codes that an operator of `_CODES` reads or writes."""
    types: Dict[str, int] = {}
    for node in file.nodes:
        if node.op_type not in _CODES:
            continue
        tensors = (node.inputs[0], node.inputs[3] if len(node.inputs) > 3 else "", node.outputs[0])
        for tensor, place in zip(tensors, _CODES[node.op_type]):
            if place is not None and place < len(node.inputs) and node.inputs[place] in file.constants:
                types[tensor] = file.constants[node.inputs[place]].data_type
    return types


def _origins(file: OnnxFile, types: Dict[str, int]) -> Dict[str, str]:
    """Tensor -> the uint8 tensor that alone it is a function of, element by element."""
    origin: Dict[str, str] = {}
    for node in file.nodes:
        if node.op_type not in _CODES and node.op_type not in _FLOATS:
            continue
        named = [name for name in node.inputs if name]
        computed = [name for name in named if name not in file.constants]
        sources = {origin.get(name, name) for name in computed}
        scalars = all(_is_scalar(file.constants[name].shape) for name in named if name in file.constants)
        if len(sources) == 1 and scalars and len(node.outputs) == 1:
            source = sources.pop()
            if types.get(source) == UINT8:
                origin[node.outputs[0]] = source
    return origin


def _is_scalar(shape: Tuple[int, ...]) -> bool:
    return shape in ((), (1,))


def _ends(file: OnnxFile, types: Dict[str, int], origin: Dict[str, str]) -> List[str]:
    """The codes among those functions that stay needed, in the order in which they are made: each becomes a table."""
    needed, ends = set(file.outputs), []  # type: Set[str], List[str]
    for node in reversed(file.nodes):
        if not _is_inside(node, origin):
            needed.update(node.inputs)
        elif node.outputs[0] in needed:
            if types.get(node.outputs[0]) == UINT8:
                ends.append(node.outputs[0])
            else:  # floats cannot be looked up: this node stays
                needed.update(node.inputs)
    return ends[::-1]


def _is_inside(node: Node, origin: Dict[str, str]) -> bool:
    return len(node.outputs) == 1 and node.outputs[0] in origin


def _tables(
    file: OnnxFile, origin: Dict[str, str], ends: List[str], evaluate: Callable[[bytes], Dict[str, np.ndarray]]
) -> Dict[str, np.ndarray]:
    wanted, nodes = set(ends), []  # type: Set[str], List[Node]
    for node in reversed(file.nodes):
        if _is_inside(node, origin) and node.outputs[0] in wanted:
            nodes.append(node)
            wanted.update(node.inputs)
    constants = [constant for name, constant in file.constants.items() if name in wanted]
    inputs = sorted({origin[name] for name in ends})
    found = evaluate(vector_model(file, nodes[::-1], constants, inputs, ends))
    for name in ends:
        if found[name].shape != (256,) or found[name].dtype != np.uint8:
            raise ValueError("{} is {} {}, no table".format(name, found[name].dtype, found[name].shape))
    return found


def _table_of(name: str) -> str:
    return "{}_table".format(name)


def _replaced(nodes: List[Node], origin: Dict[str, str], ends: List[str], domain: str) -> List[Node]:
    made = {name: plain_node("Table", domain, (origin[name], _table_of(name)), name) for name in ends}
    return [made.get(node.outputs[0], node) if _is_inside(node, origin) else node for node in nodes]


def _without_unread(nodes: List[Node], inside: Set[str], read: Set[str]) -> List[Node]:
    """The nodes but for those of the replaced functions that nothing reads any more."""
    kept: List[Node] = []
    for node in reversed(nodes):
        if node.outputs[0] in inside and len(node.outputs) == 1 and node.outputs[0] not in read:
            continue
        kept.append(node)
        read = read.union(node.inputs)
    return kept[::-1]
