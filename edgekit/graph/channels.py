"""Rule R9: convolutions for which TensorRT has no INT8 tensor-core kernel worth its Q/DQ.

As NVIDIA ModelOpt does: fewer than 16 input or output channels stay in float, unless the other side has 16 or more, one
of the two is a multiple of 8 and the kernel is square; a grouped convolution needs output channels in multiples of 8
and a kernel of at least 3.
"""

import onnx_ir as ir

from edgekit.graph.constants import constant_value

_LEAST = 16
_MULTIPLE = 8


def float_reason(node: ir.Node) -> str | None:
    """Why TensorRT should run the weighted `node` in float, or None when INT8 suits it."""
    weight = constant_value(node.inputs[1])
    if node.op_type != "Conv" or weight is None or weight.ndim != 4:
        return None
    return float_reason_of_shape(weight.shape, node.attributes["group"].as_int() if "group" in node.attributes else 1)


def float_reason_of_shape(weight: tuple[int, ...], group: int) -> str | None:
    """The same for a weight (O, I / group, kh, kw) of a convolution."""
    out_channels, in_channels, height, width = weight
    if group > 1:
        if out_channels % _MULTIPLE or min(height, width) < 3:
            return f"grouped, {out_channels} output channels, kernel {height}x{width}: no INT8 kernel (R9)"
        return None
    if min(in_channels, out_channels) >= _LEAST:
        return None
    aligned = in_channels % _MULTIPLE == 0 or out_channels % _MULTIPLE == 0
    if aligned and max(in_channels, out_channels) >= _LEAST and height == width:
        return None
    return f"{in_channels} input and {out_channels} output channels: too few for an INT8 kernel (R9)"
