"""Which stored tensor, in which encoding, an initializer of a lowered graph comes from.

A bundle stores every tensor once; the graphs of its lowerings hold references. While a graph is being lowered, each
initializer carries its reference in `value.meta[SOURCE]` as (tensor name, encoding of docs/bundle.md). Initializers
without one are written into the graph itself.
"""

import numpy as np
import onnx_ir as ir

from edgekit.bundle import WeightTensor
from edgekit.graph.constants import constant_value
from edgekit.precision import QuantPlan, QuantSpec, quantize, raised_by

SOURCE = "edgekit.source"
_HALF = {"float32": "float16", "dequant-float32": "dequant-float16"}


def layer_weight(layer: str) -> str:
    """Name of the stored codes of a layer."""
    return f"{layer}.weight"


def layer_scale(layer: str) -> str:
    """Name of the stored scales of a layer's codes, `graph_scales`."""
    return f"{layer}.scale"


def graph_scales(spec: QuantSpec) -> np.ndarray:
    """The scales (C,) float32 of a layer's codes as graphs hold them (`edgekit.precision.raised_codes`)."""
    return np.array(spec.scale, np.float32) / np.float32(2 ** raised_by(spec.bits))


def codes_encoding(spec: QuantSpec) -> str:
    """The encoding of the codes that go with `graph_scales`."""
    return "raised-int8" if raised_by(spec.bits) else "int8"


def tag_sources(graph: ir.Graph) -> None:
    """Refer every float32 initializer of a canonical graph to itself; others stay in the graph."""
    for name, value in graph.initializers.items():
        array = constant_value(value)
        if array is not None and array.dtype == np.float32 and SOURCE not in value.meta:
            value.meta[SOURCE] = (name, "float32")


def half_source(source: tuple[str, str] | None) -> tuple[str, str] | None:
    """The reference of the same tensor rounded to float16."""
    if source is None or source[1] not in _HALF:
        return None
    return source[0], _HALF[source[1]]


def stored_tensors(model: ir.Model, plan: QuantPlan | None) -> dict[str, WeightTensor]:
    """Every tensor that lowerings of `model` may refer to, by name: float32 values, codes, and scales of codes."""
    tensors: dict[str, WeightTensor] = {}
    for name, value in model.graph.initializers.items():
        array = constant_value(value)
        if array is not None and array.dtype == np.float32:
            tensors[name] = WeightTensor(name, array)
    for node in model.graph:
        spec = plan.weights.get(str(node.name)) if plan is not None else None
        if spec is None or plan is None or node.name in plan.excluded:
            continue
        values, scale = constant_value(node.inputs[1]), np.array(spec.scale, np.float32)
        if values is None:
            continue
        name = layer_weight(str(node.name))
        tensors[name] = WeightTensor(name, quantize(values, spec), spec.bits, spec.axis, scale)
        name = layer_scale(str(node.name))
        tensors[name] = WeightTensor(name, graph_scales(spec))
    return tensors
