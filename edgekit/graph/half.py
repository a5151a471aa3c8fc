"""Write FP16 into the graph: every tensor between the inputs and the outputs becomes float16.

TensorRT 11 and strongly typed networks take the types of the ONNX file and have no FP16 builder flag; older versions
take them too. The inputs and outputs stay float32, with a Cast behind and before them.

Needs: a float32 graph, with Q/DQ at opset 19 or newer (from there on Q takes float16 and a float16 scale). Does:

    1   what overflows float16 (`edgekit.graph.overflow`) is an island: its nodes stay float32, with Casts at its shore
    2   Q is of the type of what it reads, DQ of the type of its readers; a DQ with readers of both types becomes two
    3   other nodes, their values and constants become float16; Resize's scales must stay float32

Promises: idempotent; without islands there are Casts at the ends of the graph alone.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import onnx_ir as ir

from edgekit.graph.constants import constant_value
from edgekit.graph.overflow import float32_nodes
from edgekit.graph.sources import SOURCE, half_source

SMALLEST_SCALE = np.float16(2.0**-24)
"""The least float16 above zero: for channels whose weights are nearly zero, whose scale would vanish."""

ISLAND = "float32: "
"""How the `doc_string` of a node begins that stays float32 on purpose; the reason follows."""

Use = tuple[ir.Node, int]
"""A reader of a value, and which of its inputs."""

_STAYS_FLOAT32 = {"Resize": (1, 2), "Upsample": (1,)}
_NOTHING: Mapping[str, float] = MappingProxyType({})


def to_half(model: ir.Model, overflow: Mapping[str, float] = _NOTHING) -> dict[str, str]:
    """Make `model` compute in float16, in place.

    Args:
        model: see above.
        overflow: tensor name -> largest magnitude, of the tensors that float16 may not hold.

    Returns:
        The nodes that stay float32 -> why.
    """
    graph = model.graph
    islands = float32_nodes(graph, overflow)
    if any(node.op_type == "Cast" and node.name == _to_half_name(v) for v in graph.inputs for node in v.consumers()):
        return islands
    wide = {node for node in graph if node.name in islands}
    for node in wide:
        node.doc_string = ISLAND + islands[str(node.name)]
    _follow_quantizers(graph, wide)
    for value in list(graph.initializers.values()):
        if value.dtype == ir.DataType.FLOAT:
            _type_constant(graph, value, wide)
    for node in graph:
        if node not in wide:
            _type_outputs(node)
    _cast_inputs(graph, wide)
    _cast_shores(graph, wide)
    _cast_outputs(graph)
    return islands


def _follow_quantizers(graph: ir.Graph, wide: set[ir.Node]) -> None:
    """Add the Q and DQ nodes that handle float32 to `wide` (rule 2)."""
    for node in list(graph):
        if node.op_type == "QuantizeLinear" and node.inputs[0] is not None and node.inputs[0].producer() in wide:
            wide.add(node)
        if node.op_type != "DequantizeLinear":
            continue
        uses = list(node.outputs[0].uses())
        inside = [use for use in uses if use[0] in wide]
        if inside and len(inside) == len(uses):
            wide.add(node)
        elif inside:
            wide.add(_split_off(graph, node, inside))


def _split_off(graph: ir.Graph, dq: ir.Node, uses: Sequence[Use]) -> ir.Node:
    """A second `dq` for some of its readers: a Cast behind DQ would hide the pair from what fuses it."""
    attributes = {name: attribute.as_int() for name, attribute in dq.attributes.items()}
    copy = ir.node("DequantizeLinear", dq.inputs, attributes=attributes, name=f"{dq.name}_float32")
    value = copy.outputs[0]
    value.name, value.shape, value.dtype = f"{dq.outputs[0].name}_float32", dq.outputs[0].shape, ir.DataType.FLOAT
    graph.insert_after(dq, copy)
    for use in uses:
        use[0].replace_input_with(use[1], value)
    return copy


def _needs_float32(use: Use, wide: set[ir.Node]) -> bool:
    reader, index = use
    return reader in wide or index in _STAYS_FLOAT32.get(reader.op_type, ())


def _type_constant(graph: ir.Graph, value: ir.Value, wide: set[ir.Node]) -> None:
    """Round a constant to float16 for those of its readers that compute in it."""
    uses = list(value.uses())
    narrow = [use for use in uses if not _needs_float32(use, wide)]
    if not narrow and uses:
        return
    half, source = _rounded(value)
    if len(narrow) == len(uses):
        _write(value, half, source)
        return
    if _is_scale(value):  # one grid on both sides of a pair
        value.const_value = ir.tensor(half.astype(np.float32), name=str(value.name))
        value.meta.pop(SOURCE, None)
    second = ir.Value(name=f"{value.name}_half", shape=value.shape)
    _write(second, half, source)
    graph.register_initializer(second)
    for use in narrow:
        use[0].replace_input_with(use[1], second)


def _rounded(value: ir.Value) -> tuple[np.ndarray, tuple[str, str] | None]:
    """The float16 array, and the stored tensor that it comes from."""
    array = constant_value(value)
    assert array is not None
    half, source = array.astype(np.float16), half_source(value.meta.get(SOURCE))
    if _is_scale(value) and not half.all():
        return np.maximum(half, SMALLEST_SCALE), None  # a scale of zero is refused by every importer
    return half, source


def _write(value: ir.Value, half: np.ndarray, source: tuple[str, str] | None) -> None:
    value.const_value = ir.tensor(half, name=str(value.name))
    value.type = ir.TensorType(ir.DataType.FLOAT16)
    value.meta.pop(SOURCE, None)
    if source is not None:
        value.meta[SOURCE] = source


def _is_scale(value: ir.Value) -> bool:
    return any(index == 1 and node.op_type in ("QuantizeLinear", "DequantizeLinear") for node, index in value.uses())


def _type_outputs(node: ir.Node) -> None:
    for value in node.outputs:
        if value.dtype == ir.DataType.FLOAT:
            value.type = ir.TensorType(ir.DataType.FLOAT16)  # clones share type objects: never change one
            if node.op_type == "Cast":
                node.attributes["to"] = ir.AttrInt64("to", ir.DataType.FLOAT16)


def _cast_inputs(graph: ir.Graph, wide: set[ir.Node]) -> None:
    for value in graph.inputs:
        narrow = [use for use in value.uses() if use[0] not in wide]
        if value.dtype == ir.DataType.FLOAT and narrow:
            cast = _cast(value, ir.DataType.FLOAT16, f"{value.name}_half", _to_half_name(value))
            _read_instead(narrow, cast)
            graph.insert_before(next(iter(graph)), cast)


def _cast_shores(graph: ir.Graph, wide: set[ir.Node]) -> None:
    """Casts between an island and the float16 around it, one a tensor."""
    if not wide:
        return
    for node in list(graph):
        for value in node.outputs:
            if value.dtype not in (ir.DataType.FLOAT, ir.DataType.FLOAT16):
                continue
            to_half = node in wide
            uses = [use for use in value.uses() if (use[0] in wide) != to_half]
            if not uses:
                continue
            if to_half:
                cast = _cast(value, ir.DataType.FLOAT16, f"{value.name}_half", _to_half_name(value))
            else:
                cast = _cast(value, ir.DataType.FLOAT, f"{value.name}_float32", f"{value.name}_to_float32")
            _read_instead(uses, cast)
            graph.insert_after(node, cast)


def _cast_outputs(graph: ir.Graph) -> None:
    for index, value in enumerate(list(graph.outputs)):
        if value.dtype != ir.DataType.FLOAT16:
            continue
        name = str(value.name)
        value.name = f"{name}_half"
        cast = _cast(value, ir.DataType.FLOAT, name, f"{name}_to_float")
        graph.append(cast)
        graph.outputs[index] = cast.outputs[0]


def _read_instead(uses: Sequence[Use], cast: ir.Node) -> None:
    for reader, index in uses:
        if reader is not cast:
            reader.replace_input_with(index, cast.outputs[0])


def _cast(value: ir.Value, dtype: ir.DataType, output: str, name: str) -> ir.Node:
    cast = ir.node("Cast", [value], attributes={"to": dtype}, name=name)
    cast.outputs[0].name, cast.outputs[0].dtype, cast.outputs[0].shape = output, dtype, value.shape
    return cast


def _to_half_name(value: ir.Value) -> str:
    return f"{value.name}_to_half"
