"""Bring a network to opset 13, which TensorRT 8.0 and onnxruntime 1.10 both read.

Older models go up with onnx's own converter. Newer ones come down here: an operator whose newer version only added
types, or attributes and inputs that are left at their defaults, is the same operator; the few that moved an attribute
to an input are moved back. What has no opset 13 form is an error that names the operator.
"""

import numpy as np
import onnx
import onnx.version_converter
import onnx_ir as ir

from edgekit.errors import ModelError
from edgekit.graph.constants import constant_value, static_shape

TARGET = 13
OLDEST = 9


def upgrade(proto: onnx.ModelProto, source: int) -> onnx.ModelProto:
    """`proto` at opset 13 when it is older; unchanged when it is 13 or newer.

    Raises:
        ModelError: the opset is older than 9, or onnx cannot convert an operator.
    """
    if source >= TARGET:
        return proto
    if source < OLDEST:
        raise ModelError(f"opset {source} is too old, expected {OLDEST} or newer; export again with opset {TARGET}")
    metadata = list(proto.metadata_props)
    try:
        converted = onnx.version_converter.convert_version(proto, TARGET)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"cannot convert opset {source} to {TARGET}: {reason}; export again with it") from error
    del converted.metadata_props[:]
    converted.metadata_props.extend(metadata)
    return converted


def downgrade(model: ir.Model) -> bool:
    """Write a newer `model` in opset 13, in place; constants must be initializers already.

    Raises:
        ModelError: an operator has no opset 13 form.
    """
    source = model.graph.opset_imports.get("", TARGET)
    if source <= TARGET:
        return False
    for node in list(model.graph):
        if node.domain in ("", "ai.onnx"):
            _lower_node(model.graph, node, source)
    model.graph.opset_imports[""] = TARGET
    return True


def _lower_node(graph: ir.Graph, node: ir.Node, source: int) -> None:
    schema = _schema(node.op_type, source)
    if schema is None:
        raise ModelError(f"node {node.name}: {node.op_type} is not an operator of opset {source}")
    if schema.since_version <= TARGET:
        return
    if node.op_type == "HardSwish":
        _split_hardswish(graph, node)
        return
    if node.op_type in _MOVED:
        _MOVED[node.op_type](graph, node)
    older = _schema(node.op_type, TARGET)
    if older is None:
        raise ModelError(
            f"node {node.name}: {node.op_type} came with opset {schema.since_version} and has no opset {TARGET} form; "
            f"export again with opset {TARGET}"
        )
    _drop_defaults(node, schema, older)


def _schema(op_type: str, version: int) -> "onnx.defs.OpSchema | None":
    try:
        return onnx.defs.get_schema(op_type, version)
    except onnx.defs.SchemaError:
        return None


def _drop_defaults(node: ir.Node, schema: onnx.defs.OpSchema, older: onnx.defs.OpSchema) -> None:
    for name in [n for n in node.attributes if n not in older.attributes]:
        default = onnx.helper.get_attribute_value(schema.attributes[name].default_value)
        default = default.decode() if isinstance(default, bytes) else default
        if node.attributes[name].value != default:
            raise ModelError(
                f"node {node.name}: {node.op_type} uses {name}={node.attributes[name].value!r}, which opset {TARGET} "
                f"cannot say; export again with opset {TARGET}"
            )
        del node.attributes[name]
    extra = [v.name for v in node.inputs[older.max_input :] if v is not None]
    if extra:
        raise ModelError(
            f"node {node.name}: opset {TARGET} {node.op_type} has no input for {', '.join(map(str, extra))}"
        )


def _axes_to_attribute(_: ir.Graph, node: ir.Node) -> None:
    axes = constant_value(node.inputs[1]) if len(node.inputs) > 1 else None
    noop = node.attributes.pop("noop_with_empty_axes", None)
    if len(node.inputs) > 1 and node.inputs[1] is not None and axes is None:
        raise ModelError(f"node {node.name}: the axes of {node.op_type} are computed, expected constants")
    if axes is None and noop is not None and noop.as_int():
        raise ModelError(f"node {node.name}: {node.op_type} over no axes; remove it from the network")
    if axes is not None:
        node.attributes["axes"] = ir.AttrInt64s("axes", [int(a) for a in np.atleast_1d(axes)])
    node.resize_inputs(1)


def _split_sizes(graph: ir.Graph, node: ir.Node) -> None:
    count = node.attributes.pop("num_outputs", None)
    if count is None or (len(node.inputs) > 1 and node.inputs[1] is not None):
        return
    shape = static_shape(node.inputs[0])
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
    if shape is None:
        raise ModelError(f"node {node.name}: the size of the split axis is not known; export with a static shape")
    size, parts = shape[axis], len(node.outputs)
    step = -(-size // parts)
    sizes = np.array([step] * (parts - 1) + [size - step * (parts - 1)], np.int64)
    value = ir.Value(name=f"{node.name}_sizes", const_value=ir.tensor(sizes, name=f"{node.name}_sizes"))
    value.shape, value.dtype = ir.Shape(sizes.shape), ir.DataType.INT64
    graph.register_initializer(value)
    node.resize_inputs(2)
    node.replace_input_with(1, value)


def _split_hardswish(graph: ir.Graph, node: ir.Node) -> None:
    """x * hardsigmoid(x, 1/6, 1/2), which is what HardSwish is defined as."""
    gate = ir.node(
        "HardSigmoid", [node.inputs[0]], attributes={"alpha": 1.0 / 6.0, "beta": 0.5}, name=f"{node.name}_gate"
    )
    gate.outputs[0].name = f"{node.outputs[0].name}_gate"
    product = ir.node("Mul", [node.inputs[0], gate.outputs[0]], name=node.name)
    output, name = node.outputs[0], node.outputs[0].name
    for value in (gate.outputs[0], product.outputs[0]):
        value.shape, value.type = output.shape, output.type
    graph.insert_before(node, [gate, product])
    ir.convenience.replace_all_uses_with(output, product.outputs[0], replace_graph_outputs=True)
    graph.remove(node, safe=True)
    product.outputs[0].name = name


_MOVED = {
    "Split": _split_sizes,
    **dict.fromkeys(
        ["ReduceMax", "ReduceMin", "ReduceMean", "ReduceProd", "ReduceL1", "ReduceL2"]
        + ["ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"],
        _axes_to_attribute,
    ),
}
