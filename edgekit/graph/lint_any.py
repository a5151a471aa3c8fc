"""Rules that hold for every backend."""

from collections.abc import Iterator

import onnx_ir as ir

from edgekit.graph.constants import constant_value
from edgekit.graph.findings import QDQ, Finding, of_activation, quantizer_of, readers
from edgekit.graph.operators import WEIGHTED


def weights_with_activations(model: ir.Model) -> Iterator[Finding]:
    """R1: a weighted operator whose weight has Q/DQ has them on its activation too."""
    for node in model.graph:
        if len(node.inputs) < 2 or node.op_type not in WEIGHTED:
            continue
        if quantizer_of(node.inputs[1]) is not None and quantizer_of(node.inputs[0]) is None:
            yield Finding(
                "R1", "slow", str(node.name), "its weight is quantised, its activation is not: it runs in float",
                "quantise the activation per tensor, or bake the weight's values in",
            )  # fmt: skip


def no_batch_norm(model: ir.Model) -> Iterator[Finding]:
    """R3: batch normalisation is folded before scales are chosen."""
    for node in model.graph:
        if node.op_type == "BatchNormalization":
            yield Finding(
                "R3", "slow", str(node.name), "BatchNormalization between quantised layers blocks fusion",
                "fold it into the convolution before calibrating (edgekit does when it loads a model)",
            )  # fmt: skip


def one_pair_a_tensor(model: ir.Model) -> Iterator[Finding]:
    """R7: one Q a tensor, shared by its readers."""
    for value in [*model.graph.inputs, *(v for node in model.graph for v in node.outputs)]:
        quantizers = [node for node in value.consumers() if node.op_type == "QuantizeLinear"]
        for extra in quantizers[1:]:
            yield Finding(
                "R7", "slow", str(extra.name), f"{value.name} is quantised {len(quantizers)} times",
                f"let all readers share {quantizers[0].name}",
            )  # fmt: skip


def no_pair_behind_a_pair(model: ir.Model) -> Iterator[Finding]:
    """R7: what DQ gives is not quantised again."""
    for node in model.graph:
        before = quantizer_of(node.inputs[0]) if node.op_type == "QuantizeLinear" else None
        if before is not None:
            yield Finding(
                "R7", "accuracy", str(node.name), f"it quantises what {before.name} has dequantised: rounded twice",
                "take one of the two pairs off",
            )  # fmt: skip


def none_on_outputs(model: ir.Model) -> Iterator[Finding]:
    """R11: the network's outputs are not quantised."""
    for node in model.graph:
        if node.op_type == "DequantizeLinear" and any(v.is_graph_output() for v in node.outputs):
            yield Finding(
                "R11", "slow", str(node.name), f"output {node.outputs[0].name} of the network is quantised",
                "let the last layer write float",
            )  # fmt: skip
        elif node.op_type == "QuantizeLinear" and any(v.is_graph_output() for v in node.outputs):
            yield Finding(
                "R11", "accuracy", str(node.name), f"output {node.outputs[0].name} of the network is integer codes",
                "let the last layer write float: what decodes the output expects it",
            )  # fmt: skip


def none_after_pad(model: ir.Model) -> Iterator[Finding]:
    """R11: nothing stands between Pad and Conv, which would then not be merged; nor would a padding by 1."""
    for node in model.graph:
        if node.op_type != "QuantizeLinear" or node.inputs[0] is None:
            continue
        maker = node.inputs[0].producer()
        convs = [conv for dq in readers(node) for conv in readers(dq) if conv.op_type == "Conv"]
        if maker is not None and maker.op_type == "Pad" and convs and _pads_zeros(maker):
            yield Finding(
                "R11", "slow", str(node.name),
                f"Q/DQ between {maker.name} and {convs[0].name}: the padding is not merged",
                "put the pair before the Pad, or the padding into the convolution's pads",
            )  # fmt: skip


def _pads_zeros(pad: ir.Node) -> bool:
    value = constant_value(pad.inputs[2]) if len(pad.inputs) > 2 else None
    return value is None or not value.any()


def none_on_shapes(model: ir.Model) -> Iterator[Finding]:
    """R11: sizes and indices are not quantised."""
    for node in model.graph:
        maker = node.inputs[0].producer() if node.op_type == "QuantizeLinear" and node.inputs[0] is not None else None
        shaped = maker is not None and maker.op_type == "Cast" and maker.inputs[0] is not None
        source = maker.inputs[0].producer() if shaped and maker is not None and maker.inputs[0] is not None else None
        if source is not None and source.op_type in ("Shape", "Size", "NonZero", "ArgMax"):
            yield Finding(
                "R11", "accuracy", str(node.name), f"the {source.op_type} {source.name} is quantised",
                "take the pair off; only activations and weights are quantised",
            )  # fmt: skip


def no_qdq_at_all(model: ir.Model) -> Iterator[Finding]:
    """R12: boards without INT8 refuse a graph with Q/DQ."""
    for node in model.graph:
        if node.op_type in QDQ and of_activation(node):
            yield Finding(
                "R12", "refused", str(node.name), "Q/DQ in a graph for boards without INT8, which refuse it",
                "use the fp16 lowering: the quantised weights are baked in",
            )  # fmt: skip
