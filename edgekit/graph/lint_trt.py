"""Rules of TensorRT: where Q/DQ pairs stand so that its builder makes fast INT8 kernels of them."""

from collections.abc import Iterator

import onnx_ir as ir

from edgekit.graph.channels import float_reason_of_shape
from edgekit.graph.constants import static_shape
from edgekit.graph.findings import (
    Finding,
    of_activation,
    quantizer_of,
    reads_quantized,
    scale_of,
)
from edgekit.graph.half import ISLAND
from edgekit.graph.operators import WEIGHTED, commutes, is_weighted
from edgekit.graph.placement import clamp_after
from edgekit.graph.plan import weight_axis
from edgekit.graph.residual import node_depths, skip_operand

_FLOAT_ONLY = frozenset({"Softmax", "LayerNormalization", "InstanceNormalization"})


def activations_with_weights(model: ir.Model) -> Iterator[Finding]:
    """R1: a weighted operator whose activation has Q/DQ has them on its weight too."""
    for node in model.graph:
        if is_weighted(node) and reads_quantized(node, 0):
            yield Finding(
                "R1", "slow", str(node.name), "its activation is quantised, its weight is not: it runs in float",
                "quantise the weight per output channel, or take the pair off the activation",
            )  # fmt: skip


def activations_by_tensor(model: ir.Model) -> Iterator[Finding]:
    """R1: an activation has one scale; one a channel cannot leave the sum over input channels."""
    for node in model.graph:
        if node.op_type == "QuantizeLinear" and len(scale_of(node)) > 1 and of_activation(node):
            yield Finding(
                "R1", "slow", str(node.name), "an activation with one scale a channel: no INT8 kernel takes it",
                "quantise activations with one scale a tensor",
            )  # fmt: skip


def weights_by_output(model: ir.Model) -> Iterator[Finding]:
    """R1: scales of weights run along the output channels, or they cannot leave the sum."""
    for node in model.graph:
        dq = quantizer_of(node.inputs[1]) if node.op_type in WEIGHTED and len(node.inputs) > 1 else None
        if dq is None or len(scale_of(dq)) < 2:
            continue
        seen = dq.attributes["axis"].as_int() if "axis" in dq.attributes else 1
        rank = len(static_shape(node.inputs[1]) or ()) or 4
        wanted = weight_axis(node) if node.op_type != "MatMul" else rank - 1
        if wanted is None or seen % rank != wanted:
            yield Finding(
                "R1", "slow", str(node.name), f"weight scales along axis {seen}, its output channels are "
                f"{'in groups' if wanted is None else f'axis {wanted}'}: it runs in float",
                "quantise weights per output channel",
            )  # fmt: skip


def nothing_after_weighted(model: ir.Model) -> Iterator[Finding]:
    """R2: no Q straight behind a weighted operator whose activation function follows."""
    for node in model.graph:
        if node.op_type != "QuantizeLinear" or node.inputs[0] is None:
            continue
        maker = node.inputs[0].producer()
        if maker is None or maker.op_type not in WEIGHTED:
            continue
        reading = [r for dq in node.outputs[0].consumers() for r in dq.outputs[0].consumers()]
        if any(r.op_type in ("Sigmoid", "Relu", "HardSigmoid", "LeakyRelu", "Clip") for r in reading):
            yield Finding(
                "R2", "slow", str(node.name),
                f"Q between {maker.name} and its activation function keeps them from fusing",
                "quantise behind the activation function, where the next layer reads",
            )  # fmt: skip


def residual_operand(model: ir.Model) -> Iterator[Finding]:
    """R4: of a residual Add behind a convolution, the skip operand alone is quantised."""
    depth = node_depths(model.graph)
    for node in model.graph:
        if node.op_type != "Add" or len(node.inputs) != 2:
            continue
        pairs = [quantizer_of(value) for value in node.inputs]
        sources = [_before_pair(dq) for dq in pairs if dq is not None]
        if all(pairs) and any(s is not None and s.op_type in WEIGHTED for s in sources):
            yield Finding(
                "R4", "slow", str(node.name),
                "both operands are quantised: a separate kernel instead of Conv + Add in one",
                "take the pair off the operand that comes from the convolution",
            )  # fmt: skip
        skip = skip_operand(node, depth) if not any(pairs) and _is_quantized_behind(node) else None
        if skip is not None and _conv_is_quantized(node.inputs[1 - skip]):
            yield Finding(
                "R4", "slow", str(node.name),
                "the skip operand is not quantised: the INT8 convolution cannot absorb the Add",
                f"quantise {node.inputs[skip].name}",  # type: ignore[union-attr]
            )  # fmt: skip


def concat_scales(model: ir.Model) -> Iterator[Finding]:
    """R5: quantised inputs of a Concat share one scale."""
    for node in model.graph:
        pairs = [quantizer_of(value) for value in node.inputs] if node.op_type == "Concat" else []
        scales = {scale_of(dq) for dq in pairs if dq is not None}
        if len(scales) > 1:
            yield Finding(
                "R5", "slow", str(node.name), f"its inputs have {len(scales)} scales: TensorRT rescales every branch",
                "give them one scale where theirs are within a factor of 4, else quantise behind the Concat only",
            )  # fmt: skip


def commuting_scales(model: ir.Model) -> Iterator[Finding]:
    """R6: an operator that only moves values has one scale on both sides."""
    for node in model.graph:
        before = quantizer_of(node.inputs[0]) if commutes(node) and node.inputs else None
        for reader in node.outputs[0].consumers() if before is not None else ():
            if before is not None and reader.op_type == "QuantizeLinear" and scale_of(reader) != scale_of(before):
                yield Finding(
                    "R6", "slow", str(reader.name), f"another scale behind {node.op_type} {node.name} than before it",
                    "use the scale of its input on both sides",
                )  # fmt: skip


def enough_channels(model: ir.Model) -> Iterator[Finding]:
    """R9: no Q/DQ on convolutions without an INT8 kernel."""
    for node in model.graph:
        if node.op_type != "Conv" or not reads_quantized(node, 0) or len(node.inputs) < 2:
            continue
        shape = static_shape(node.inputs[1])
        group = node.attributes["group"].as_int() if "group" in node.attributes else 1
        reason = float_reason_of_shape(shape, group) if shape is not None and len(shape) == 4 else None
        if reason is not None:
            yield Finding("R9", "slow", str(node.name), reason, "take its Q/DQ off: it is faster in FP16")


def attention_stays_float(model: ir.Model) -> Iterator[Finding]:
    """R10: Softmax and normalisations stay in float."""
    for node in model.graph:
        if node.op_type in _FLOAT_ONLY and reads_quantized(node, 0):
            yield Finding(
                "R10", "accuracy", str(node.name), f"{node.op_type} reads a quantised tensor and loses accuracy",
                "take the pair off its input",
            )  # fmt: skip


def typed_half(model: ir.Model) -> Iterator[Finding]:
    """R14, strongly typed builders: what is not INT8 is FP16 in the file itself."""
    for node in model.graph:
        if (node.doc_string or "").startswith(ISLAND):
            continue  # on purpose: float16 may not hold what it computes
        if is_weighted(node) or (node.op_type in WEIGHTED and reads_quantized(node, 1)):
            value = node.inputs[0]
            if value is not None and value.dtype == ir.DataType.FLOAT:
                yield Finding(
                    "R14", "slow", str(node.name), "float32 in a strongly typed graph runs as float32",
                    "write float16 into the graph (the trt10 lowering does)",
                )  # fmt: skip


def _before_pair(dq: ir.Node) -> ir.Node | None:
    q = dq.inputs[0].producer() if dq.inputs[0] is not None else None
    return q.inputs[0].producer() if q is not None and q.inputs[0] is not None and of_activation(q) else None


def _is_quantized_behind(node: ir.Node) -> bool:
    clamp = clamp_after(node)
    readers = {reader.op_type for reader in (clamp if clamp is not None else node).outputs[0].consumers()}
    # Where its signs are taken too, in front of a binary layer, the sum is needed as a number whatever is fused.
    return "QuantizeLinear" in readers and "GreaterOrEqual" not in readers


def _conv_is_quantized(value: ir.Value | None) -> bool:
    conv = value.producer() if value is not None else None
    return conv is not None and reads_quantized(conv, 0)
