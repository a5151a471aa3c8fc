"""Quantisation in training: quantisers, the layers that use them, and the plan that comes out."""

from edgekit.quant.fold_norm import float_twin, freeze_norms, prepare
from edgekit.quant.lsq import LsqQuantizer
from edgekit.quant.modules import LayerBits, QuantConv2d, QuantLinear
from edgekit.quant.observers import calibrate
from edgekit.quant.plan import apply_plan, plan_for_graph, plan_of
from edgekit.quant.swap import share_inputs, swap

__all__ = [
    "LayerBits",
    "LsqQuantizer",
    "QuantConv2d",
    "QuantLinear",
    "apply_plan",
    "calibrate",
    "float_twin",
    "freeze_norms",
    "plan_for_graph",
    "plan_of",
    "prepare",
    "share_inputs",
    "swap",
]
