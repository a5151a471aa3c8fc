"""Fold what does not depend on the image into initializers.

Needs: static input shapes. Does: a `Shape` of a tensor with a known shape, and every node whose inputs are all
constant, become initializers of the same name. Promises: the outputs are unchanged; idempotent.
"""

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from onnx_ir.passes.common import RemoveUnusedNodesPass, ShapeInferencePass

_NOT_FOLDED = frozenset({"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli"})
_MAX_ROUNDS = 16


def fold_constants(model: ir.Model) -> bool:
    """Fold `model` in place until nothing changes; return whether anything did."""
    modified = False
    for _ in range(_MAX_ROUNDS):
        ShapeInferencePass(data_prop=True)(model)
        changed = _fold_shapes(model.graph)
        changed |= _fold_closure(model)
        if not changed:
            return modified
        RemoveUnusedNodesPass()(model)
        modified = True
    return modified


def constant_value(value: ir.Value | None) -> np.ndarray | None:
    """The array behind an initializer, or None when `value` is computed or absent."""
    if value is None or value.const_value is None:
        return None
    return value.const_value.numpy()


def static_shape(value: ir.Value | None) -> tuple[int, ...] | None:
    """The shape of `value`, or None when any part of it is not known."""
    if value is None or value.shape is None:
        return None
    sizes = tuple(size for size in value.shape if isinstance(size, int))
    return sizes if len(sizes) == len(value.shape) else None


def replace_by_initializer(graph: ir.Graph, value: ir.Value, array: np.ndarray) -> None:
    """Make `value`, the output of a node, an initializer of the same name that holds `array`."""
    node = value.producer()
    if node is None:
        raise ValueError(f"{value.name} is not computed by a node")
    name = value.name
    is_output = value in graph.outputs
    constant = ir.Value(name=name, const_value=ir.tensor(array, name=name))
    constant.shape, constant.dtype = ir.Shape(array.shape), ir.DataType.from_numpy(array.dtype)
    ir.convenience.replace_all_uses_with(value, constant)
    value.name = f"{name}_folded"
    if is_output:
        graph.outputs[list(graph.outputs).index(value)] = constant
    graph.register_initializer(constant)


def _fold_shapes(graph: ir.Graph) -> bool:
    changed = False
    for node in list(graph):
        shape = static_shape(node.inputs[0]) if node.op_type == "Shape" else None
        if shape is not None and node.outputs[0].uses():
            begin = node.attributes["start"].as_int() if "start" in node.attributes else 0
            end = node.attributes["end"].as_int() if "end" in node.attributes else None
            replace_by_initializer(graph, node.outputs[0], np.array(shape[begin:end], np.int64))
            changed = True
    return changed


def _fold_closure(model: ir.Model) -> bool:
    """Run all nodes that hang on constants alone, once, and keep what the rest of the graph reads of them."""
    constant: set[ir.Value] = set(model.graph.initializers.values())
    nodes = []
    for node in model.graph:
        if _is_foldable(node) and all(v is None or v in constant for v in node.inputs):
            nodes.append(node)
            constant.update(node.outputs)
    inside = set(nodes)
    wanted = [
        value
        for node in nodes
        for value in node.outputs
        if value in model.graph.outputs or any(use.node not in inside for use in value.uses())
    ]
    if not wanted:
        return False
    for value, array in zip(wanted, _run(model, nodes, wanted), strict=True):
        replace_by_initializer(model.graph, value, array)
    return True


def _is_foldable(node: ir.Node) -> bool:
    if node.domain not in ("", "ai.onnx") or node.op_type in _NOT_FOLDED:
        return False
    return not any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values())


def _run(model: ir.Model, nodes: list[ir.Node], wanted: list[ir.Value]) -> list[np.ndarray]:
    needed = {v.name: v for node in nodes for v in node.inputs if v is not None and v.const_value is not None}
    proto = ir.to_proto(model)
    keep = {node.name for node in nodes}
    kept_nodes = [n for n in proto.graph.node if n.name in keep]
    kept_init = [t for t in proto.graph.initializer if t.name in needed]
    del proto.graph.node[:], proto.graph.initializer[:], proto.graph.input[:], proto.graph.output[:]
    del proto.graph.value_info[:]
    proto.graph.node.extend(kept_nodes)
    proto.graph.initializer.extend(kept_init)
    for value in wanted:
        proto.graph.output.add().name = str(value.name)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    arrays: list[np.ndarray] = session.run(None, {})
    return arrays
