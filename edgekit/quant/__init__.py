"""Quantisation in training: bit search, quantisers, the layers that use them, and the plan that comes out."""

from edgekit.quant.binary import BinaryConfig, BinaryConv2d, binarize, deployed_twin
from edgekit.quant.fold_norm import float_twin, freeze_norms, prepare
from edgekit.quant.hq_search import HqDistances, bits_within, hq_bits, hq_distances
from edgekit.quant.lsq import LsqQuantizer
from edgekit.quant.modules import LayerBits, QuantConv2d, QuantLinear, uniform_bits
from edgekit.quant.observers import calibrate
from edgekit.quant.plan import apply_plan, plan_for_graph, plan_of
from edgekit.quant.swap import share_inputs, swap

__all__ = [
    "BinaryConfig",
    "BinaryConv2d",
    "HqDistances",
    "LayerBits",
    "LsqQuantizer",
    "QuantConv2d",
    "QuantLinear",
    "apply_plan",
    "binarize",
    "bits_within",
    "calibrate",
    "deployed_twin",
    "float_twin",
    "freeze_norms",
    "hq_bits",
    "hq_distances",
    "plan_for_graph",
    "plan_of",
    "prepare",
    "share_inputs",
    "swap",
    "uniform_bits",
]
