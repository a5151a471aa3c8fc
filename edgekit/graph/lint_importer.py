"""Rules of TensorRT's ONNX importer: what it refuses, and what it reads as something else.

Evidence: what TensorRT-RTX 1.7 makes of the graphs of tests/graph/importer_graphs.py, and the source of the importer
in onnx/onnx-tensorrt, branches 8.2 to 10.15.
"""

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from edgekit.graph.constants import constant_value
from edgekit.graph.findings import QDQ, Finding, axes_before_opset_13, bad_scales, quantizer_of, readers, zero_point_of
from edgekit.graph.limits import Release, opset_range, release_of_opset, text, too_new
from edgekit.graph.operators import WEIGHTED

_INTEGER_OPERATORS = frozenset(
    {"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear", "QLinearAdd", "QGemm"}
)


def only_qdq(model: ir.Model) -> Iterator[Finding]:
    """R0: quantisation is Q/DQ, not integer operators."""
    for node in model.graph:
        if node.op_type in _INTEGER_OPERATORS:
            yield Finding(
                "R0", "refused", str(node.name), f"{node.op_type} is not an operator of TensorRT",
                "export in QDQ format instead of QOperator",
            )  # fmt: skip


def axis_needs_opset_13(model: ir.Model) -> Iterator[Finding]:
    """R0: TensorRT reads the attribute whatever the opset, other tools do not."""
    for node, opset in axes_before_opset_13(model):
        yield Finding(
            "R0", "accuracy", str(node.name), f"one scale a channel at opset {opset}, which has no axis",
            "write the graph at opset 13 or newer",
        )  # fmt: skip


def half_needs_opset_19(model: ir.Model) -> Iterator[Finding]:
    """R0: TensorRT 8's importer takes the bytes of a scale for float32; Q and DQ of float16 are ONNX since opset 19."""
    opset = model.graph.opset_imports.get("", 0)
    for node in model.graph:
        scale = constant_value(node.inputs[1]) if node.op_type in QDQ else None
        if scale is not None and scale.dtype == np.float16 and opset < 19:
            yield Finding(
                "R0", "accuracy", str(node.name), f"a float16 scale at opset {opset}: TensorRT 8 reads it as float32",
                "write float32 scales (trt8 does), or opset 19 (trt10 does)",
            )  # fmt: skip


def scales_are_positive(model: ir.Model) -> Iterator[Finding]:
    """R0: "Scale coefficients must all be positive"."""
    for node, scale in bad_scales(model):
        yield Finding(
            "R0", "accuracy" if scale == np.inf else "refused", str(node.name),
            f"a scale of {scale:g}; a scale is finite and above zero",
            "calibrate again; give a channel of zeros the scale 1",
        )  # fmt: skip


def scales_are_constant(model: ir.Model) -> Iterator[Finding]:
    """R0: TensorRT wants scales when it builds."""
    for node in model.graph:
        if node.op_type in QDQ and constant_value(node.inputs[1]) is None:
            yield Finding(
                "R0", "refused", str(node.name), "its scale is computed from the image",
                "calibrate: scales are constants of the graph",
            )  # fmt: skip


def symmetric_int8(model: ir.Model) -> Iterator[Finding]:
    """R0: a zero point is 0 and int8; uint8 is read as int8, whose range is another."""
    for node in model.graph:
        if node.op_type not in QDQ or (node.op_type == "DequantizeLinear" and not _is_byte(node)):
            continue
        zero = zero_point_of(node)
        if np.any(zero != 0):
            yield Finding(
                "R0", "refused", str(node.name),
                f"zero point {int(zero.reshape(-1)[0])} of type {zero.dtype}; TensorRT: int8, 0",
                "calibrate symmetrically to int8 (the trt8 and trt10 lowerings are)",
            )  # fmt: skip
        elif zero.dtype == np.uint8 and node.op_type == "QuantizeLinear":
            yield Finding(
                "R0", "accuracy", str(node.name), "zero point 0 of type uint8, by ONNX's default or written: TensorRT "
                "computes int8, which clips at 127",
                "write an int8 zero point (the trt8 and trt10 lowerings do)",
            )  # fmt: skip
        elif zero.dtype.itemsize == 1 and zero.dtype not in (np.int8, np.uint8) and _conv_reads(node):
            yield Finding(
                "R0", "refused", str(node.name), f"codes of type {zero.dtype} for a convolution; it has int8 alone",
                "quantise convolutions to int8; narrower codes keep their values in it",
            )  # fmt: skip


def zero_point_is_written(model: ir.Model) -> Iterator[Finding]:
    """R0, TensorRT 8: "requires 3 inputs for the DequantizeLinear operator"."""
    for node in model.graph:
        if node.op_type in QDQ and (len(node.inputs) < 3 or node.inputs[2] is None):
            yield Finding(
                "R0", "refused", str(node.name), "it has no zero point, without which TensorRT 8 does not read it",
                "write an int8 zero point of 0",
            )  # fmt: skip


def bias_stays_float(model: ir.Model) -> Iterator[Finding]:
    """R8: TensorRT's importer refuses an int32 bias with DQ; an int8 one loses most of its digits."""
    for node in model.graph:
        dq = quantizer_of(node.inputs[2]) if node.op_type in WEIGHTED and len(node.inputs) > 2 else None
        if dq is not None and _is_byte(dq):
            yield Finding(
                "R8", "accuracy", str(node.name), "its bias is quantised to 8 bits", "keep the bias in float"
            )  # fmt: skip
        elif dq is not None:
            yield Finding(
                "R8", "refused", str(node.name), "its bias is quantised: DequantizeLinear of Int32 is refused",
                "keep the bias in float",
            )  # fmt: skip


def weights_are_float(model: ir.Model) -> Iterator[Finding]:
    """R8, TensorRT 8.0 to 8.4: weights are float32 with Q and DQ, not stored as int8."""
    for node in model.graph:
        dq = quantizer_of(node.inputs[1]) if node.op_type in WEIGHTED and len(node.inputs) > 1 else None
        if dq is not None and dq.inputs[0] is not None and dq.inputs[0].producer() is None:
            yield Finding(
                "R8", "refused", str(node.name),
                "its weight is stored as int8 with DQ alone, which TensorRT before 8.5 refuses",
                "store float32 values with Q and DQ (the trt8 lowering does)",
            )  # fmt: skip


def operators_of_8(model: ir.Model) -> Iterator[Finding]:
    """R15 for TensorRT 8.2, the oldest that JetPack 4.6 and later have."""
    return _unread(model, (8, 2))


def operators_of_10(model: ir.Model) -> Iterator[Finding]:
    """R15 for TensorRT 10.0."""
    return _unread(model, (10, 0))


def _unread(model: ir.Model, release: Release) -> Iterator[Finding]:
    """R15: the importer of `release` reads every operator and the opset."""
    opset, (_, highest) = model.graph.opset_imports.get("", 0), opset_range(release)
    first_node = next(iter(model.graph), None)
    if opset > highest and first_node is not None:
        yield Finding(
            "R15", "accuracy", str(first_node.name), f"opset {opset}; TensorRT {text(release)} knows up to {highest} "
            "and reads newer operators as old ones",
            f"write opset {highest}, or build with TensorRT {text(release_of_opset(opset))} or newer",
        )  # fmt: skip
    for node, needed in too_new(model.graph, release):
        if needed is not None:
            yield Finding(
                "R15", "refused", str(node.name), f"{node.op_type} needs TensorRT >= {text(needed)}",
                f"write it with older operators, or build with TensorRT {text(needed)} or newer",
            )  # fmt: skip
        elif node.op_type not in _INTEGER_OPERATORS:  # rule R0 has said it
            yield Finding(
                "R15", "refused", str(node.name), f"no TensorRT imports {node.op_type}",
                "write it with other operators",
            )  # fmt: skip


def _conv_reads(node: ir.Node) -> bool:
    """Whether a convolution reads what a Q or DQ node leads to."""
    ends = [node] if node.op_type == "DequantizeLinear" else readers(node)
    return any(reader.op_type in ("Conv", "ConvTranspose") for dq in ends for reader in readers(dq))


def _is_byte(node: ir.Node) -> bool:
    """Whether a DQ reads 8-bit codes; an int32 bias is rule R8's business."""
    array = constant_value(node.inputs[0])
    return array is None or array.dtype != np.int32
