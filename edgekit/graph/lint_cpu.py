"""Rules of onnxruntime and OpenVINO on CPUs: what keeps integer kernels from being used."""

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from edgekit.graph.constants import constant_value
from edgekit.graph.findings import (
    Finding,
    axes_before_opset_13,
    bad_scales,
    of_activation,
    quantizer_of,
    reads_quantized,
    zero_point_of,
)
from edgekit.graph.operators import CLAMPS, WEIGHTED
from edgekit.graph.placement import clamp_after

_ELEMENTWISE = frozenset({"Add", "Mul", "Sigmoid", "LeakyRelu", "Concat"})


def axis_needs_opset_13(model: ir.Model) -> Iterator[Finding]:
    """R0: onnxruntime refuses an attribute that the opset does not have."""
    for node, opset in axes_before_opset_13(model):
        yield Finding(
            "R0", "refused", str(node.name), f"one scale a channel at opset {opset}, which has no axis",
            "write the graph at opset 13 or newer",
        )  # fmt: skip


def scales_are_positive(model: ir.Model) -> Iterator[Finding]:
    """R0: onnxruntime divides by whatever the scale is."""
    for node, scale in bad_scales(model):
        yield Finding(
            "R0", "accuracy", str(node.name), f"a scale of {scale:g}; a scale is finite and above zero",
            "calibrate again; give a channel of zeros the scale 1",
        )  # fmt: skip


def unsigned_on_x86(model: ir.Model) -> Iterator[Finding]:
    """O1: int8 activations are slower than float32 on x86 onnxruntime, and wrong around Concat in OpenVINO."""
    for node in model.graph:
        if node.op_type == "QuantizeLinear" and of_activation(node) and zero_point_of(node).dtype == np.int8:
            yield Finding(
                "O1", "slow", str(node.name), "signed int8 activation: onnxruntime on x86 runs it slower than float32",
                "use uint8 with zero point 128, the same numbers (the ort-x86 lowering does)",
            )  # fmt: skip


def quantized_behind_conv(model: ir.Model) -> Iterator[Finding]:
    """O2: a convolution is fused only as DQ -> Conv -> Q."""
    for node in model.graph:
        if node.op_type not in ("Conv", "ConvTranspose") or not (reads_quantized(node, 0) and reads_quantized(node, 1)):
            continue
        clamp = clamp_after(node)
        last = clamp if clamp is not None else node
        if not _only_quantized(last.outputs[0]):
            yield Finding(
                "O2", "slow", str(node.name), "no Q behind it: it runs in float with conversions, slower than float32",
                "quantise every tensor of the integer part (placement every-tensor)",
            )  # fmt: skip


def clamp_at_zero_point(model: ir.Model) -> Iterator[Finding]:
    """O3: a ReLU disappears into its convolution only where the codes begin at 0."""
    for node in model.graph:
        if node.op_type not in CLAMPS or node.op_type != "Relu" or not node.inputs or node.inputs[0] is None:
            continue
        maker = node.inputs[0].producer()
        if maker is None or maker.op_type not in WEIGHTED or not reads_quantized(maker, 0):
            continue
        for q in node.outputs[0].consumers():
            if q.op_type == "QuantizeLinear" and int(zero_point_of(q)) != np.iinfo(zero_point_of(q).dtype).min:
                yield Finding(
                    "O3", "slow", str(q.name),
                    f"zero point {int(zero_point_of(q))} behind ReLU {node.name}: the ReLU stays",
                    "use the lowest code as zero point (0 of uint8): the tensor is never negative",
                )  # fmt: skip


def whole_elementwise(model: ir.Model) -> Iterator[Finding]:
    """O4: an elementwise operator with quantised inputs has a quantised output, or none of either."""
    for node in model.graph:
        if node.op_type not in _ELEMENTWISE or len(node.outputs) != 1:
            continue
        computed = [v for v in node.inputs if v is not None and v.const_value is None]
        pairs = [quantizer_of(value) is not None for value in computed]
        clamp = clamp_after(node)
        behind = _only_quantized((clamp if clamp is not None else node).outputs[0])
        if behind and any(pairs) and not all(pairs):
            missing = next(v.name for v, has in zip(computed, pairs, strict=True) if not has)
            yield Finding(
                "O4", "slow", str(node.name),
                f"input {missing} is not quantised, the others and the output are: runs in float",
                f"quantise {missing} too",
            )  # fmt: skip


def int32_bias(model: ir.Model) -> Iterator[Finding]:
    """O5: the bias of a fused convolution is int32 at input scale times weight scale."""
    for node in model.graph:
        quantized = reads_quantized(node, 0) and reads_quantized(node, 1)
        if node.op_type != "Conv" or not quantized or len(node.inputs) < 3 or node.inputs[2] is None:
            continue
        dq = quantizer_of(node.inputs[2])
        codes = constant_value(dq.inputs[0]) if dq is not None else None
        if codes is None or codes.dtype != np.int32:
            yield Finding(
                "O5", "slow", str(node.name),
                "its bias is float: onnxruntime before 1.20 does not fuse the convolution",
                "store it as int32 with DQ, scale = input scale * weight scale",
            )  # fmt: skip
        elif int(np.abs(codes.astype(np.int64)).max(initial=0)) >= np.iinfo(np.int32).max:
            yield Finding(
                "O5", "accuracy", str(node.name), "a bias does not fit int32: its channel's weights are almost zero",
                "give that channel a larger weight scale, or keep the layer in float",
            )  # fmt: skip


def symmetric_weights(model: ir.Model) -> Iterator[Finding]:
    """O6: int8 weights have zero point 0."""
    for node in model.graph:
        dq = quantizer_of(node.inputs[1]) if node.op_type in WEIGHTED and len(node.inputs) > 1 else None
        if dq is not None and (np.any(zero_point_of(dq) != 0) or zero_point_of(dq).dtype != np.int8):
            yield Finding(
                "O6", "slow", str(node.name), "its weights are not symmetric int8: no fast kernel",
                "quantise weights symmetrically to int8",
            )  # fmt: skip


def narrow_weights(model: ir.Model) -> Iterator[Finding]:
    """O7: without VNNI, products of full-range weights saturate."""
    for node in model.graph:
        dq = quantizer_of(node.inputs[1]) if node.op_type in WEIGHTED and len(node.inputs) > 1 else None
        codes = constant_value(dq.inputs[0]) if dq is not None else None
        if codes is not None and codes.dtype == np.int8 and int(np.abs(codes.astype(np.int16)).max(initial=0)) > 63:
            yield Finding(
                "O7", "accuracy", str(node.name),
                "8-bit weights on a CPU without VNNI: sums saturate and the result is wrong",
                "use 7-bit weights (the ort-x86-narrow lowering does)",
            )  # fmt: skip


def _only_quantized(value: ir.Value) -> bool:
    """Whether Q alone reads `value`."""
    consumers = list(value.consumers())
    return bool(consumers) and not value.is_graph_output() and all(n.op_type == "QuantizeLinear" for n in consumers)
