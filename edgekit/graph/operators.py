"""What each ONNX operator means for integers: the tables that placement, scales and lint share."""

import onnx_ir as ir

from edgekit.graph.constants import constant_value

WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})

# The output holds values of the first input and nothing else: one scale serves both sides.
COMMUTING = frozenset(
    {"MaxPool", "Reshape", "Transpose", "Slice", "Split", "Squeeze", "Unsqueeze", "Flatten", "Expand", "Gather"}
    | {"DepthToSpace", "SpaceToDepth", "Identity"}
)

# onnxruntime and OpenVINO have integer kernels for these once Q/DQ stands on every input and on the output.
INTEGER_KERNELS = frozenset(
    COMMUTING | {"Add", "Mul", "Sigmoid", "LeakyRelu", "Concat", "Resize", "AveragePool", "GlobalAveragePool"}
)

# Clamps that vanish into the saturation of the Q that follows.
CLAMPS = frozenset({"Relu", "Clip"})


def is_weighted(node: ir.Node) -> bool:
    """Whether `node` multiplies by a constant weight tensor (its input 1)."""
    if node.op_type not in WEIGHTED or len(node.inputs) < 2:
        return False
    weight = constant_value(node.inputs[1])
    return weight is not None and weight.ndim >= 2


def commutes(node: ir.Node) -> bool:
    """Whether quantising before `node` equals quantising after it."""
    if node.op_type == "Resize":
        mode = node.attributes.get("mode")
        return mode is None or mode.as_string() == "nearest"
    return node.op_type in COMMUTING


def has_integer_kernel(node: ir.Node) -> bool:
    """Whether CPU backends run `node` on integers, given Q/DQ on all of its tensors."""
    if node.op_type not in INTEGER_KERNELS:
        return False
    return node.op_type != "Resize" or commutes(node)


def tensor_inputs(node: ir.Node) -> list[ir.Value]:
    """The float inputs of `node` that are computed (not constants)."""
    return [
        value
        for value in node.inputs
        if value is not None and value.const_value is None and value.dtype in (ir.DataType.FLOAT, None)
    ]
