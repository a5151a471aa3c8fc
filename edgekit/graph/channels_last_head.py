"""Transpose a detection head's outputs where it costs least: straight behind its convolutions.

YOLOX-like heads end in Concat over channels -> Reshape (1, C, H W) -> Concat over levels -> Transpose (0, 2, 1), which
moves every number of the output once more, as float32, with large strides. The same result is

    branch: Transpose (0, 2, 3, 1) -> (Sigmoid)    level: Concat on the last axis -> Reshape (1, H W, C)
    output: Concat on axis 1

and backends that compute convolutions channels-last (onnxruntime's integer kernels) then need no Transpose at all.

Needs: a canonical graph. Does: the above, where the final Transpose is the only reader of that chain. Promises: equal
outputs; idempotent; names of convolutions and their outputs stay.
"""

import numpy as np
import onnx_ir as ir

from edgekit.graph.bake import drop_unused_initializers
from edgekit.graph.constants import static_shape

_POINTWISE = frozenset({"Sigmoid", "Relu", "Exp"})


def channels_last_head(model: ir.Model) -> bool:
    """Rewrite the heads of `model` in place; return whether there was one."""
    modified = False
    for node in list(model.graph):
        if node.op_type == "Transpose" and list(node.attributes["perm"].as_ints()) == [0, 2, 1]:
            levels = _levels(node)
            if levels is not None:
                _rewrite(model.graph, node, levels)
                modified = True
    if modified:
        drop_unused_initializers(model.graph)
    return modified


def _levels(transpose: ir.Node) -> list[list[ir.Value]] | None:
    """The branches (1, C, H, W) of each level, or None when the chain is another."""
    join = _only_maker(transpose.inputs[0], "Concat")
    if join is None or join.attributes["axis"].as_int() not in (2, -1):
        return None
    levels = []
    for value in join.inputs:
        reshape = _only_maker(value, "Reshape")
        source = reshape.inputs[0] if reshape is not None else None
        before, after = static_shape(source), static_shape(value)
        if source is None or before is None or after is None or len(before) != 4 or len(after) != 3:
            return None
        if after[:2] != before[:2] or before[0] != 1:
            return None
        concat = _only_maker(source, "Concat")
        if concat is None or concat.attributes["axis"].as_int() not in (1, -3):
            return None
        levels.append([v for v in concat.inputs if v is not None])
    return levels


def _only_maker(value: ir.Value | None, op_type: str) -> ir.Node | None:
    """The producer of `value` if it is of this type and nothing else reads the value."""
    node = value.producer() if value is not None else None
    if value is None or node is None or node.op_type != op_type or len(value.uses()) != 1 or value.is_graph_output():
        return None
    return node


def _rewrite(graph: ir.Graph, transpose: ir.Node, levels: list[list[ir.Value]]) -> None:
    output = transpose.outputs[0]
    name, shape = str(output.name), output.shape
    output.name = f"{name}_replaced"
    rows: list[ir.Value] = []
    for index, branches in enumerate(levels):
        moved = [_channels_last(graph, transpose, value) for value in branches]
        joined = _add(graph, transpose, "Concat", moved, f"{name}_level{index}", {"axis": 3})
        channels = sum(_size(value)[3] for value in moved)
        _set_shape(joined, [1, *_size(moved[0])[1:3], channels])
        count = _size(joined)[1] * _size(joined)[2]
        target = _constant(graph, f"{name}_rows{index}_shape", np.array([1, count, channels], np.int64))
        row = _add(graph, transpose, "Reshape", [joined, target], f"{name}_rows{index}", {})
        _set_shape(row, [1, count, channels])
        rows.append(row)
    final = _add(graph, transpose, "Concat", rows, name, {"axis": 1})
    final.shape, final.type = shape, ir.TensorType(ir.DataType.FLOAT)
    dead = _chain(transpose)
    ir.convenience.replace_all_uses_with(output, final, replace_graph_outputs=True)
    for node in dead:
        if not any(o.uses() or o.is_graph_output() for o in node.outputs):
            graph.remove(node, safe=True)


def _channels_last(graph: ir.Graph, before: ir.Node, value: ir.Value) -> ir.Value:
    """`value` (1, C, H, W) as (1, H, W, C); a pointwise function read here alone goes behind the Transpose."""
    maker = value.producer()
    pointwise = maker is not None and maker.op_type in _POINTWISE and len(value.uses()) == 1
    source = maker.inputs[0] if maker is not None and pointwise else value
    assert source is not None
    _, channels, height, width = _size(value)
    moved = _add(graph, before, "Transpose", [source], f"{source.name}_nhwc", {"perm": [0, 2, 3, 1]})
    _set_shape(moved, [1, height, width, channels])
    if maker is None or not pointwise:
        return moved
    result = _add(graph, before, maker.op_type, [moved], f"{value.name}_nhwc", {})
    _set_shape(result, [1, height, width, channels])
    return result


def _add(
    graph: ir.Graph, before: ir.Node, op_type: str, inputs: list[ir.Value], name: str, attributes: dict[str, object]
) -> ir.Value:
    node = ir.node(op_type, inputs, attributes=attributes, name=f"{name}_node")  # type: ignore[arg-type]
    node.outputs[0].name = name
    graph.insert_before(before, node)
    return node.outputs[0]


def _constant(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
    value.shape, value.dtype = ir.Shape(array.shape), ir.DataType.from_numpy(array.dtype)
    graph.register_initializer(value)
    return value


def _set_shape(value: ir.Value, shape: list[int]) -> None:
    value.shape, value.type = ir.Shape(shape), ir.TensorType(ir.DataType.FLOAT)


def _size(value: ir.Value) -> tuple[int, ...]:
    shape = static_shape(value)
    assert shape is not None  # canonical graphs are static
    return shape


def _chain(transpose: ir.Node) -> list[ir.Node]:
    """The nodes that the rewrite leaves unread, readers first."""
    found: dict[ir.Node, None] = {transpose: None}
    for node in found.copy():
        waiting = [node]
        while waiting:
            for value in waiting.pop(0).inputs:
                maker = value.producer() if value is not None else None
                if maker is not None and maker.op_type in {"Concat", "Reshape", *_POINTWISE} and maker not in found:
                    found[maker] = None
                    waiting.append(maker)
    return list(found)
