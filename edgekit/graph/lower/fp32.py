"""`fp32`: the reference. No Q/DQ; the weights of planned layers are their quantised values, as float32.

In a float bundle (no plan) it is the canonical graph itself. Otherwise it shows what the activations' integers cost:
everything else is as in the INT8 lowerings.
"""

import onnx_ir as ir

from edgekit.graph.bake import bake_weights
from edgekit.graph.lower.lowered import LoweredModel, Overflow
from edgekit.precision import QuantPlan


def lower(model: ir.Model, plan: QuantPlan, _: Overflow) -> LoweredModel:
    """The canonical graph with quantised weights baked in."""
    return LoweredModel("fp32", bake_weights(model, plan), {})
