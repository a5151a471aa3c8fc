"""Replace the weights of planned layers by the values that their codes stand for.

Needs: a canonical graph. Does: w -> codes(w) * scale, float32. Promises: idempotent, the graph's structure stays.
"""

import onnx_ir as ir

from edgekit.graph.constants import constant_value
from edgekit.graph.sources import SOURCE, layer_weight, tag_sources
from edgekit.precision import QuantPlan, fake_quantize


def bake_weights(model: ir.Model, plan: QuantPlan) -> ir.Model:
    """A copy of `model` whose planned layers hold quantised weights, without Q/DQ."""
    baked = model.clone()
    tag_sources(baked.graph)
    for node in list(baked.graph):
        spec = plan.weights.get(str(node.name))
        if spec is None or node.name in plan.excluded:
            continue
        values, name = constant_value(node.inputs[1]), layer_weight(str(node.name))
        if values is None or node.inputs[1] is None or node.inputs[1].name == name:
            continue
        weight = ir.Value(name=name, const_value=ir.tensor(fake_quantize(values, spec), name=name))
        weight.shape, weight.dtype = ir.Shape(values.shape), ir.DataType.FLOAT
        weight.meta[SOURCE] = (name, "dequant-float32")
        baked.graph.register_initializer(weight)
        node.replace_input_with(1, weight)
    drop_unused_initializers(baked.graph)
    return baked


def drop_unused_initializers(graph: ir.Graph) -> None:
    """Remove the initializers that nothing reads."""
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output():
            del graph.initializers[name]
