"""Let codes of integer layers through to binary operators, and from them: no Q, no DQ and no floats in between.

Needs: the operators of `edgekit.graph.binary_operators`, their signs handed over, and Q/DQ around the integer layers.
Does:

    1  Transpose of DQ becomes DQ of Transpose: bytes are turned, not floats
    2  BinarySigns of DQ becomes QLinearBinarySigns: the sign of a code is exact
    3  a BinaryConvSum that adds what DQ gives adds the codes
    4  a BinaryConvSum of which Q alone reads the numbers, behind a Transpose or not, becomes QLinearBinaryConvSum; the
       signs that it gives stay those of the numbers before they are rounded to codes

Promises: the codes and signs of the graph before, bit for bit; so whether a tensor is rounded to 8 bits is not decided
here, but by the plan and by where it has Q and DQ.
"""

import numpy as np
import onnx_ir as ir

from edgekit.graph.constants import constant_value
from edgekit.graph.findings import quantizer_of
from edgekit.graph.transposes import cancel_transposes, drop_unused, permutation

DOMAIN = "edgekit"
_RESIDUAL = 4  # place among the inputs of BinaryConvSum


def pass_codes(graph: ir.Graph) -> dict[str, str]:
    """Rules 1 to 4, in place.

    Returns:
        Name of the numbers that a layer gave, which now are codes -> the name that Q gave these.
    """
    for node in list(graph):
        if node.op_type == "Transpose":
            _turn_codes(graph, node)
    drop_unused(graph)
    cancel_transposes(graph)
    given = {}
    for node in list(graph):
        if node.domain != DOMAIN:
            continue
        if node.op_type == "BinarySigns":
            _read_codes(graph, node)
        elif node.op_type == "BinaryConvSum":
            _add_codes(node)
            name = str(node.outputs[0].name)
            if (codes := _give_codes(graph, node)) is not None:
                given[name] = codes
    drop_unused(graph)
    cancel_transposes(graph)
    return given


def _turn_codes(graph: ir.Graph, transpose: ir.Node) -> None:
    """Rule 1."""
    source = _dequantized(transpose.inputs[0])
    if source is None or transpose.outputs[0].is_graph_output():
        return
    before, after = source.inputs[0], transpose.outputs[0]
    assert before is not None
    turned = ir.node("Transpose", [before], {"perm": list(permutation(transpose))}, name=f"{transpose.name}.codes")
    again = ir.node("DequantizeLinear", [turned.outputs[0], *source.inputs[1:]], name=f"{transpose.name}.values")
    for node, dtype in ((turned, before.dtype), (again, after.dtype)):
        node.outputs[0].name, node.outputs[0].shape = node.name, after.shape
        _retype(node.outputs[0], dtype)
    graph.insert_before(transpose, [turned, again])
    ir.convenience.replace_all_uses_with(after, again.outputs[0])


def _read_codes(graph: ir.Graph, signs: ir.Node) -> None:
    """Rule 2."""
    source = _dequantized(signs.inputs[0])
    if source is None:
        return
    node = ir.Node(DOMAIN, "QLinearBinarySigns", source.inputs[:3], signs.attributes.values(), name=signs.name)
    _stand_in(graph, signs, node)


def _add_codes(sums: ir.Node) -> None:
    """Rule 3."""
    if len(sums.inputs) != _RESIDUAL + 1:
        return
    source = _dequantized(sums.inputs[_RESIDUAL])
    if source is not None:
        sums.resize_inputs(_RESIDUAL + 3)
        for place, value in enumerate(source.inputs[:3], _RESIDUAL):
            sums.replace_input_with(place, value)


def _give_codes(graph: ir.Graph, sums: ir.Node) -> str | None:
    """Rule 4; the name that Q gave the codes."""
    ends = _quantizers(sums.outputs[0])
    residual = sums.inputs[_RESIDUAL:]
    if not ends or len({_grid(end) for end in ends}) > 1:
        return None
    codes, name = ends[0].outputs[0].dtype, str(ends[0].outputs[0].name)
    if len(residual) > 1 and residual[0] is not None and residual[0].dtype is not codes:
        return None
    inputs = [*sums.inputs[:_RESIDUAL], *ends[0].inputs[1:3], *residual]
    node = ir.Node(DOMAIN, "QLinearBinaryConvSum", inputs, sums.attributes.values(), num_outputs=2, name=sums.name)
    _stand_in(graph, sums, node)
    _retype(node.outputs[0], codes)
    for end in ends:
        value, old = end.inputs[0], end.outputs[0]
        assert value is not None
        ir.convenience.replace_all_uses_with(old, value)
        if value is not node.outputs[0]:
            _retype(value, codes)
            old.name, value.name = f"{old.name}.replaced", old.name
    return name


def _quantizers(y: ir.Value) -> list[ir.Node]:
    """The Q nodes that read `y`, or Transposes of it; empty where anything else reads it too."""
    found: list[ir.Node] = []
    for use in y.uses():
        value = use.node.outputs[0]
        readers = [each.node for each in value.uses()] if _turns(use.node) else [use.node]
        if (_turns(use.node) and value.is_graph_output()) or not all(_is_quantizer(each) for each in readers):
            return []
        found += readers
    return [] if y.is_graph_output() else found


def _turns(node: ir.Node) -> bool:
    return node.op_type == "Transpose"


def _is_quantizer(node: ir.Node) -> bool:
    return node.op_type == "QuantizeLinear" and not node.outputs[0].is_graph_output() and _grid(node) is not None


def _dequantized(value: ir.Value | None) -> ir.Node | None:
    """The DQ of computed codes, of one scale, that gives `value`."""
    node = quantizer_of(value)
    if node is None or _grid(node) is None:
        return None
    return node if node.inputs[0] is not None and node.inputs[0].const_value is None else None


def _grid(node: ir.Node) -> tuple[float, int, str] | None:
    """Scale, zero point and type of a Q or DQ of a whole tensor; None for anything else."""
    if len(node.inputs) < 3:
        return None
    scale, zero = constant_value(node.inputs[1]), constant_value(node.inputs[2])
    if scale is None or zero is None or scale.size != 1 or zero.dtype not in (np.uint8, np.int8):
        return None
    return float(scale.reshape(-1)[0]), int(zero.reshape(-1)[0]), str(zero.dtype)


def _retype(value: ir.Value, dtype: ir.DataType | None) -> None:
    value.type = None if dtype is None else ir.TensorType(dtype)


def _stand_in(graph: ir.Graph, old: ir.Node, new: ir.Node) -> None:
    """Put `new` in the place of `old`, whose outputs it gives."""
    graph.insert_before(old, new)
    for before, after in zip(old.outputs, new.outputs, strict=True):
        after.type, after.shape = before.type, before.shape
        ir.convenience.replace_all_uses_with(before, after)
        before.name, after.name = f"{before.name}.replaced", before.name
    graph.remove(old, safe=True)
