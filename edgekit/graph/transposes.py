"""Take Transposes out of a graph that goes back and forth between NCHW and NHWC.

Needs: Transposes with constant permutations. Does, until nothing changes:

    1  a Transpose of a Transpose becomes one, or none where the two undo each other
    2  equal Transposes of one tensor become one
    3  a float 1x1 convolution between NHWC and NHWC becomes [Slice,] MatMul, Add in NHWC

Promises: the outputs are those of the graph before; in 3 sums may be added up in another order.
"""

import numpy as np
import onnx_ir as ir

from edgekit.graph.constants import static_shape

TO_NHWC = (0, 2, 3, 1)
TO_NCHW = (0, 3, 1, 2)


def cancel_transposes(graph: ir.Graph) -> None:
    """Rules 1 and 2, in place; what nobody reads any more is removed."""
    for node in list(graph):
        if node.op_type != "Transpose":
            continue
        source = node.inputs[0]
        before = source.producer() if source is not None else None
        if before is not None and before.op_type == "Transpose":
            both = tuple(permutation(before)[axis] for axis in permutation(node))
            node.attributes["perm"] = ir.AttrInt64s("perm", both)
            node.replace_input_with(0, before.inputs[0])
    seen: dict[tuple[ir.Value | None, tuple[int, ...]], ir.Node] = {}
    for node in list(graph):
        if node.op_type != "Transpose":
            continue
        key = node.inputs[0], permutation(node)
        twin = seen.setdefault(key, node)
        if permutation(node) == tuple(range(len(permutation(node)))):
            if not node.outputs[0].is_graph_output() and node.inputs[0] is not None:
                ir.convenience.replace_all_uses_with(node.outputs[0], node.inputs[0])
        elif twin is not node and not node.outputs[0].is_graph_output():
            ir.convenience.replace_all_uses_with(node.outputs[0], twin.outputs[0])
    drop_unused(graph)


def pointwise_in_nhwc(graph: ir.Graph) -> int:
    """Rule 3, in place; how many convolutions were rewritten."""
    count = 0
    for node in list(graph):
        if node.op_type == "Conv" and _is_pointwise(node) and _lives_in_nhwc(node):
            _as_product(graph, node)
            count += 1
    return count


def permutation(transpose: ir.Node) -> tuple[int, ...]:
    """Its `perm`."""
    return tuple(transpose.attributes["perm"].as_ints())


def drop_unused(graph: ir.Graph) -> None:
    """Remove the nodes of which nobody reads an output."""
    for node in reversed(list(graph)):
        if not any(value.uses() or value.is_graph_output() for value in node.outputs):
            graph.remove(node, safe=True)


def _is_pointwise(conv: ir.Node) -> bool:
    shape = static_shape(conv.inputs[1])
    maker = conv.inputs[1].producer() if conv.inputs[1] is not None else None
    group = conv.attributes["group"].as_int() if "group" in conv.attributes else 1
    pads = conv.attributes["pads"].as_ints() if "pads" in conv.attributes else (0,)
    in_float = maker is None or maker.op_type != "DequantizeLinear"
    return shape is not None and shape[2:] == (1, 1) and group == 1 and not any(pads) and in_float


def _lives_in_nhwc(conv: ir.Node) -> bool:
    maker = conv.inputs[0].producer() if conv.inputs[0] is not None else None
    if maker is None or maker.op_type != "Transpose" or permutation(maker) != TO_NCHW:
        return False
    readers = [use.node for use in conv.outputs[0].uses()]
    back = [node for node in readers if node.op_type == "Transpose" and permutation(node) == TO_NHWC]
    return bool(readers) and len(back) == len(readers) and not conv.outputs[0].is_graph_output()


def _as_product(graph: ir.Graph, conv: ir.Node) -> None:
    name, (out_channels, depth, _, _) = str(conv.name), static_shape(conv.inputs[1]) or (0, 0, 0, 0)
    maker = conv.inputs[0].producer() if conv.inputs[0] is not None else None
    assert maker is not None
    strides = tuple(conv.attributes["strides"].as_ints()) if "strides" in conv.attributes else (1, 1)
    value = maker.inputs[0]
    if strides != (1, 1):
        bounds = [
            _integers(graph, f"{name}.slice_{part}", numbers)
            for part, numbers in (("from", [0, 0]), ("to", [2**31 - 1] * 2), ("axes", [1, 2]), ("steps", list(strides)))
        ]
        value = _node(graph, conv, "Slice", [value, *bounds], f"{name}.strided")
    # Both are of constants alone: the runtime folds them when it loads the graph.
    flat = _node(
        graph,
        conv,
        "Reshape",
        [conv.inputs[1], _integers(graph, f"{name}.shape", [out_channels, depth])],
        f"{name}.flat",
    )
    turned = _node(graph, conv, "Transpose", [flat], f"{name}.turned", perm=[1, 0])
    value = _node(graph, conv, "MatMul", [value, turned], f"{name}.product")
    if len(conv.inputs) > 2 and conv.inputs[2] is not None:
        value = _node(graph, conv, "Add", [value, conv.inputs[2]], f"{name}.sum")
    back = _node(graph, conv, "Transpose", [value], f"{name}.nchw", perm=list(TO_NCHW))
    back.shape, back.dtype = conv.outputs[0].shape, ir.DataType.FLOAT
    ir.convenience.replace_all_uses_with(conv.outputs[0], back)
    graph.remove(conv, safe=True)


def _node(
    graph: ir.Graph, before: ir.Node, op_type: str, inputs: list[ir.Value | None], output: str, **attributes: list[int]
) -> ir.Value:
    node = ir.node(op_type, inputs, attributes=attributes, name=output)
    node.outputs[0].name = output
    graph.insert_before(before, node)
    return node.outputs[0]


def _integers(graph: ir.Graph, name: str, values: list[int]) -> ir.Value:
    value = ir.Value(name=name, const_value=ir.tensor(np.array(values, np.int64), name=name))
    value.shape, value.dtype = ir.Shape([len(values)]), ir.DataType.INT64
    graph.register_initializer(value)
    return value
