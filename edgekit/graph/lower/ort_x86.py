"""`ort-x86`: onnxruntime and OpenVINO on x86: uint8 activations, Q/DQ on every tensor, opset 13.

onnxruntime fuses DQ -> Conv -> Q with uint8 activations and int32 bias into QLinearConv; with int8 activations most of
the graph runs as float with conversions, slower than float32 (docs/lowerings.md). OpenVINO computes wrong numbers
around Concat with int8 activations. uint8 with zero point 128 is the same arithmetic bit for bit.

`ort-x86-narrow` is for CPUs without VNNI (AVX2 sums pairs of u8 x s8 products in int16, which saturates at full range):
7-bit weights.

`ort-x86-tables` is for machines with the native library, which makes one lookup of each activation function of codes
when the graph is loaded (`edgekit.runtime.backends.ort_tables`): with SiLU nearly for nothing the integers begin
earlier. It holds standard operators like the others, and gives the same bits where it runs without the library.
"""

import onnx_ir as ir

from edgekit.graph.insert import QdqStyle, insert_qdq
from edgekit.graph.lower.lowered import LoweredModel, Overflow
from edgekit.graph.placement import PLACEMENTS, place_every_tensor, place_looked_up
from edgekit.precision import QuantPlan

STYLE = QdqStyle(activations="uint8", from_floor=True, weights="int8", bias="int32")
NARROW = QdqStyle(activations="uint8", from_floor=True, weights="narrow-int8", bias="int32")


def lower(model: ir.Model, plan: QuantPlan, _: Overflow) -> LoweredModel:
    """uint8 activations, 8-bit weights: for CPUs with AVX-512 VNNI or AVX-VNNI."""
    return _lower("ort-x86", model, plan, STYLE, {"arch": "x86_64", "cpu": "vnni"})


def lower_tables(model: ir.Model, plan: QuantPlan, _: Overflow) -> LoweredModel:
    """`ort-x86` whose integers begin where they should with the native library."""
    requires = {"arch": "x86_64", "cpu": "vnni", "library": "edgekit"}
    return _lower("ort-x86-tables", model, plan, STYLE, requires, "looked-up")


def gains_from_tables(model: ir.Model, plan: QuantPlan) -> bool:
    """Whether `ort-x86-tables` is another graph than `ort-x86`; not for a network of ReLUs, for one."""
    return place_looked_up(model.graph, plan).kept_float != place_every_tensor(model.graph, plan).kept_float


def lower_narrow(model: ir.Model, plan: QuantPlan, _: Overflow) -> LoweredModel:
    """uint8 activations, 7-bit weights: for CPUs without VNNI."""
    return _lower("ort-x86-narrow", model, plan, NARROW, {"arch": "x86_64"})


def _lower(
    name: str,
    model: ir.Model,
    plan: QuantPlan,
    style: QdqStyle,
    requires: dict[str, str],
    placement: str = "every-tensor",
) -> LoweredModel:
    lowered = insert_qdq(model, plan, placement, style)
    kept = PLACEMENTS[placement](model.graph, plan).kept_float
    return LoweredModel(name, lowered, dict(requires), placement, kept)
