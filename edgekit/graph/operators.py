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

_NEVER_NEGATIVE = frozenset({"Relu", "Sigmoid", "HardSigmoid", "Softmax", "Abs", "Exp"})
_KEEPS_SIGN = frozenset(COMMUTING | {"Concat", "Resize", "AveragePool", "GlobalAveragePool", "Add", "Mul", "Clip"})


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


def never_negative(graph: ir.Graph) -> set[str]:
    """Names of the tensors that no image can make negative: after ReLU, Sigmoid, … and what only moves them."""
    names: set[str] = set()
    for node in graph:
        inputs = tensor_inputs(node)
        kept = node.op_type in _KEEPS_SIGN or commutes(node)
        computed = bool(inputs) and len(inputs) == _data_inputs(node)
        moved = kept and computed and all(v.name in names for v in inputs)
        if node.op_type in _NEVER_NEGATIVE or moved or _clips_at_zero(node):
            names.update(str(output.name) for output in node.outputs)
    return names


def _data_inputs(node: ir.Node) -> int:
    """How many of the inputs carry data, constants among them; the rest are sizes, axes and bounds."""
    return sum(v is not None for v in node.inputs) if node.op_type in ("Add", "Mul", "Concat") else 1


def _clips_at_zero(node: ir.Node) -> bool:
    if node.op_type != "Clip" or len(node.inputs) < 2:
        return False
    low = constant_value(node.inputs[1])
    return low is not None and float(low) >= 0.0
