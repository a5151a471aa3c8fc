"""Graphs of a few nodes, good and bad, on which the Q/DQ linter and NVIDIA's own importer are compared.

Each is a function without arguments; `GRAPHS` is the table of them, by what is in the graph. All read `x`, float32 or
float16 of 1 x 16 x 8 x 8, and are valid ONNX as far as the fault under test allows.
"""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS = 16
SIDE = 8
_ZERO = np.int8(0)


class _Graph:
    """Nodes and initializers in the order in which they are added."""

    def __init__(self, opset: int = 13, dtype: int = TensorProto.FLOAT) -> None:
        self.opset = opset
        self.dtype = dtype
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.rng = np.random.default_rng(0)

    @property
    def float(self) -> Any:
        return np.float16 if self.dtype == TensorProto.FLOAT16 else np.float32

    def constant(self, name: str, array: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def op(self, op_type: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=output, **attributes))
        return output

    def pair(self, x: str, scale: float = 0.1, zero: Any = _ZERO, name: str | None = None) -> str:
        """Q/DQ on a computed tensor; `zero` None leaves the zero point out."""
        name = name or f"{x}_pair"
        ends = [self.constant(f"{name}_scale", self.float(scale))]
        if zero is not None:
            ends.append(self.constant(f"{name}_zero", zero))
        return self.op("DequantizeLinear", [self.op("QuantizeLinear", [x, *ends], f"{name}_q"), *ends], f"{name}_dq")

    def weight(
        self, name: str = "w", shape: tuple[int, ...] = (CHANNELS, CHANNELS, 3, 3), axis: int | None = 0,
        stored: str = "float", low: int = -127, scale: float = 0.01,
    ) -> str:  # fmt: skip
        """Quantised weights: "float" is values + Q + DQ, "int8" is codes + DQ."""
        codes = self.rng.integers(low, 128, shape).astype(np.int8)
        codes.reshape(-1)[0] = low
        count = () if axis is None else (shape[axis],)
        attributes = {} if axis is None else {"axis": axis}
        s = self.constant(f"{name}_scale", np.full(count, scale, self.float))
        z = self.constant(f"{name}_zero", np.zeros(count, np.int8))
        if stored == "int8":
            source = self.constant(f"{name}_codes", codes)
        else:
            values = self.constant(f"{name}_values", codes.astype(self.float) * self.float(scale))
            source = self.op("QuantizeLinear", [values, s, z], f"{name}_q", **attributes)
        return self.op("DequantizeLinear", [source, s, z], f"{name}_dq", **attributes)

    def conv(self, x: str, w: str, name: str = "y", bias: str | None = None, **attributes: Any) -> str:
        attributes.setdefault("pads", [1] * 4)
        return self.op("Conv", [x, w, *([bias] if bias else [])], name, **attributes)

    def done(self, dtype: int | None = None) -> onnx.ModelProto:
        """The model: its output is what the last node writes."""
        source = helper.make_tensor_value_info("x", self.dtype, [1, CHANNELS, SIDE, SIDE])
        result = helper.make_tensor_value_info(self.nodes[-1].output[0], dtype or self.dtype, None)
        graph = helper.make_graph(self.nodes, "probe", [source], [result], self.constants)
        ir_version = 10 if self.opset > 19 else 8
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=ir_version)


def _layer(
    zero: Any = _ZERO, scale: float = 0.1, opset: int = 13, dtype: int = TensorProto.FLOAT, **weight: Any
) -> onnx.ModelProto:
    g = _Graph(opset, dtype)
    g.conv(g.pair("x", scale, zero), g.weight(**weight))
    return g.done()


def _int32_bias() -> onnx.ModelProto:
    g = _Graph()
    scale = g.constant("b_scale", np.full(CHANNELS, 0.001, np.float32))
    zero = g.constant("b_zero", np.zeros(CHANNELS, np.int32))
    bias = g.op("DequantizeLinear", [g.constant("b_codes", np.full(CHANNELS, 7, np.int32)), scale, zero], "b", axis=0)
    g.conv(g.pair("x"), g.weight(), bias=bias)
    return g.done()


def _int8_bias() -> onnx.ModelProto:
    g = _Graph()
    g.conv(g.pair("x"), g.weight(), bias=g.weight("b", (CHANNELS,), None))
    return g.done()


def _float_bias() -> onnx.ModelProto:
    g = _Graph()
    g.conv(g.pair("x"), g.weight(), bias=g.constant("b", np.ones(CHANNELS, np.float32)))
    return g.done()


def _after_pad() -> onnx.ModelProto:
    g = _Graph()
    padded = g.op("Pad", ["x", g.constant("pads", np.array([0, 0, 1, 1, 0, 0, 1, 1]))], "padded")
    g.conv(g.pair(padded), g.weight(), pads=[0] * 4)
    return g.done()


def _concat(second: float) -> onnx.ModelProto:
    g = _Graph()
    parts = [g.pair(g.op("Relu", ["x"], "a"), 0.1), g.pair(g.op("Sigmoid", ["x"], "b"), second)]
    g.conv(g.pair(g.op("Concat", parts, "joined", axis=1)), g.weight(shape=(CHANNELS, 2 * CHANNELS, 3, 3)))
    return g.done()


def _residual(both: bool) -> onnx.ModelProto:
    g = _Graph()
    skip = g.pair("x")
    y = g.conv(skip, g.weight())
    total = g.op("Relu", [g.op("Add", [g.pair(y) if both else y, skip], "total")], "relu")
    g.conv(g.pair(total), g.weight("w2"), "z")
    return g.done()


def _on_output() -> onnx.ModelProto:
    g = _Graph()
    g.pair(g.conv(g.pair("x"), g.weight()))
    return g.done()


def _codes_as_output() -> onnx.ModelProto:
    g = _Graph()
    y = g.conv(g.pair("x"), g.weight())
    ends = [g.constant("y_scale", np.float32(0.1)), g.constant("y_zero", np.int8(0))]
    g.op("QuantizeLinear", [y, *ends], "y_q")
    return g.done(TensorProto.INT8)


def _pair_behind_pair() -> onnx.ModelProto:
    g = _Graph()
    g.conv(g.pair(g.pair("x"), 0.2, name="second"), g.weight())
    return g.done()


def _two_quantizers() -> onnx.ModelProto:
    g = _Graph()
    left = g.conv(g.pair("x", name="one"), g.weight(), "left")
    right = g.conv(g.pair("x", name="two"), g.weight("w2"), "right")
    g.op("Add", [left, right], "y")
    return g.done()


def _qoperator() -> onnx.ModelProto:
    g = _Graph()
    ends = [g.constant("s", np.float32(0.1)), g.constant("z", np.int8(0))]
    codes = g.constant("w", g.rng.integers(-127, 128, (CHANNELS, CHANNELS, 3, 3)).astype(np.int8))
    q = g.op("QuantizeLinear", ["x", *ends], "x_q")
    y = g.op("QLinearConv", [q, *ends, codes, *ends, *ends], "y", pads=[1] * 4)
    g.op("DequantizeLinear", [y, *ends], "y_dq")
    return g.done()


def _conv_integer() -> onnx.ModelProto:
    g = _Graph()
    ends = [g.constant("s", np.float32(0.1)), g.constant("z", np.int8(0))]
    codes = g.constant("w", g.rng.integers(-127, 128, (CHANNELS, CHANNELS, 3, 3)).astype(np.int8))
    y = g.op("ConvInteger", [g.op("QuantizeLinear", ["x", *ends], "x_q"), codes], "y")
    g.op("Cast", [y], "y_float", to=TensorProto.FLOAT)
    return g.done()


def _dynamic_quantize() -> onnx.ModelProto:
    g = _Graph()
    g.nodes.append(helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], name="dynamic"))
    g.op("DequantizeLinear", ["q", "s", "z"], "y")
    return g.done()


def _only_activation() -> onnx.ModelProto:
    g = _Graph()
    g.conv(g.pair("x"), g.constant("w", np.ones((CHANNELS, CHANNELS, 3, 3), np.float32)))
    return g.done()


def _only_weight(stored: str) -> onnx.ModelProto:
    g = _Graph()
    g.conv("x", g.weight(stored=stored))
    return g.done()


def _transposed(axis: int) -> onnx.ModelProto:
    g = _Graph()
    w = g.weight(shape=(CHANNELS, 32, 2, 2), axis=axis)
    g.op("ConvTranspose", [g.pair("x"), w], "y", strides=[2, 2])
    return g.done()


def _gemm(transposed: bool) -> onnx.ModelProto:
    g = _Graph()
    flat = g.op("Flatten", ["x"], "flat")
    count = CHANNELS * SIDE * SIDE
    w = g.weight(shape=(32, count) if transposed else (count, 32), axis=0 if transposed else 1)
    g.op("Gemm", [g.pair(flat), w], "y", transB=int(transposed))
    return g.done()


def _matmul() -> onnx.ModelProto:
    g = _Graph()
    g.op("MatMul", [g.pair("x"), g.weight(shape=(SIDE, 32), axis=1)], "y")
    return g.done()


def _per_channel_activation() -> onnx.ModelProto:
    g = _Graph()
    ends = [g.constant("s", np.full(CHANNELS, 0.1, np.float32)), g.constant("z", np.zeros(CHANNELS, np.int8))]
    x = g.op("DequantizeLinear", [g.op("QuantizeLinear", ["x", *ends], "q", axis=1), *ends], "dq", axis=1)
    g.conv(x, g.weight())
    return g.done()


def _computed_scale() -> onnx.ModelProto:
    g = _Graph()
    largest = g.op("ReduceMax", [g.op("Abs", ["x"], "a")], "m", axes=[0, 1, 2, 3], keepdims=0)
    scale = g.op("Div", [largest, g.constant("c", np.float32(127))], "s")
    zero = g.constant("z", np.int8(0))
    g.conv(g.op("DequantizeLinear", [g.op("QuantizeLinear", ["x", scale, zero], "q"), scale, zero], "dq"), g.weight())
    return g.done()


def _mixed_types() -> onnx.ModelProto:
    """float32 scales at opset 19 around float16: each Q and DQ needs a Cast."""
    g = _Graph(19)
    ends = [g.constant("s", np.float32(0.1)), g.constant("z", np.int8(0))]
    x = g.op("DequantizeLinear", [g.op("QuantizeLinear", ["x", *ends], "q"), *ends], "dq")
    half = g.op("Cast", [x], "x_half", to=TensorProto.FLOAT16)
    w = g.op("Cast", [g.weight()], "w_half", to=TensorProto.FLOAT16)
    g.conv(half, w)
    return g.done(TensorProto.FLOAT16)


def _int4_weights() -> onnx.ModelProto:
    g = _Graph(21)
    codes = g.rng.integers(-7, 8, CHANNELS * CHANNELS * 9).astype(np.int8)
    packed = ((codes[1::2].astype(np.uint8) & 15) << 4) | (codes[0::2].astype(np.uint8) & 15)
    shape = [CHANNELS, CHANNELS, 3, 3]
    g.constants.append(helper.make_tensor("w_codes", TensorProto.INT4, shape, packed.tobytes(), raw=True))
    zero = np.zeros(CHANNELS // 2, np.uint8).tobytes()
    g.constants.append(helper.make_tensor("w_zero", TensorProto.INT4, [CHANNELS], zero, raw=True))
    scale = g.constant("w_scale", np.full(CHANNELS, 0.01, np.float32))
    g.conv(g.pair("x"), g.op("DequantizeLinear", ["w_codes", scale, "w_zero"], "w", axis=0))
    return g.done()


def _int4_matmul() -> onnx.ModelProto:
    g = _Graph(21)
    codes = g.rng.integers(-7, 8, SIDE * 32).astype(np.int8)
    packed = ((codes[1::2].astype(np.uint8) & 15) << 4) | (codes[0::2].astype(np.uint8) & 15)
    g.constants.append(helper.make_tensor("w_codes", TensorProto.INT4, [SIDE, 32], packed.tobytes(), raw=True))
    zero = np.zeros(16, np.uint8).tobytes()
    g.constants.append(helper.make_tensor("w_zero", TensorProto.INT4, [32], zero, raw=True))
    scale = g.constant("w_scale", np.full(32, 0.01, np.float32))
    g.op("MatMul", ["x", g.op("DequantizeLinear", ["w_codes", scale, "w_zero"], "w", axis=1)], "y")
    return g.done()


def _shape_quantized() -> onnx.ModelProto:
    g = _Graph()
    size = g.op("Cast", [g.op("Shape", ["x"], "shape")], "size", to=TensorProto.FLOAT)
    total = g.op("ReduceSum", [g.pair(size)], "sum", keepdims=0)
    g.op("Mul", ["x", total], "y")
    return g.done()


def _softmax() -> onnx.ModelProto:
    g = _Graph()
    g.op("Softmax", [g.pair("x")], "y", axis=1)
    return g.done()


def _float_kernel(op_type: str, opset: int, **attributes: Any) -> onnx.ModelProto:
    """An operator that older importers do not have; no Q/DQ at all."""
    g = _Graph(opset)
    inputs = ["x"]
    if op_type == "GridSample":
        inputs.append(g.constant("grid", np.zeros((1, 4, 4, 2), np.float32)))
    elif op_type == "LayerNormalization":
        inputs.append(g.constant("gamma", np.ones(SIDE, np.float32)))
    elif op_type == "Mod":
        inputs.append(g.constant("two", np.float32(2)))
    elif op_type == "DeformConv":
        inputs.append(g.constant("w", np.ones((CHANNELS, CHANNELS, 1, 1), np.float32)))
        inputs.append(g.constant("offset", np.zeros((1, 2, SIDE, SIDE), np.float32)))
    g.op(op_type, inputs, "y", **attributes)
    return g.done()


GRAPHS = {
    # how trt8 writes a layer, and how trt10 does
    "float weights with Q and DQ": lambda: _layer(),
    "int8 weights with DQ": lambda: _layer(stored="int8"),
    "narrow range of weights": lambda: _layer(low=-127),
    "full range of weights": lambda: _layer(low=-128),
    "one scale for all weights": lambda: _layer(axis=None),
    "weight scales along axis 1": lambda: _layer(axis=1),
    "float16 with float16 scales, opset 19": lambda: _layer(opset=19, dtype=TensorProto.FLOAT16, stored="int8"),
    "float16 with float16 scales, opset 13": lambda: _layer(opset=13, dtype=TensorProto.FLOAT16, stored="int8"),
    "float32 scales cast to float16": _mixed_types,
    "float bias": _float_bias,
    # zero points
    "uint8, zero point 128": lambda: _layer(zero=np.uint8(128)),
    "uint8, zero point 0": lambda: _layer(zero=np.uint8(0)),
    "no zero point": lambda: _layer(zero=None),
    "int8, zero point 3": lambda: _layer(zero=np.int8(3)),
    # scales
    "zero scale": lambda: _layer(scale=0.0),
    "negative scale": lambda: _layer(scale=-0.1),
    "NaN scale": lambda: _layer(scale=float("nan")),
    "infinite scale": lambda: _layer(scale=float("inf")),
    "computed scale": _computed_scale,
    "one activation scale a channel": _per_channel_activation,
    # what carries Q/DQ
    "int32 bias with DQ": _int32_bias,
    "int8 bias with Q and DQ": _int8_bias,
    "activation alone": _only_activation,
    "float weight with Q and DQ alone": lambda: _only_weight("float"),
    "int8 weight with DQ alone": lambda: _only_weight("int8"),
    "INT4 weights of a convolution": _int4_weights,
    "INT4 weights of a MatMul": _int4_matmul,
    # where the pairs stand
    "between Pad and Conv": _after_pad,
    "Concat of one scale": lambda: _concat(0.1),
    "Concat of two scales": lambda: _concat(0.3),
    "residual, skip alone": lambda: _residual(False),
    "residual, both": lambda: _residual(True),
    "pair on the output": _on_output,
    "codes as the output": _codes_as_output,
    "pair behind a pair": _pair_behind_pair,
    "one tensor quantised twice": _two_quantizers,
    "Softmax of a quantised tensor": _softmax,
    "quantised shape": _shape_quantized,
    # other operators and formats
    "transposed convolution, axis 1": lambda: _transposed(1),
    "transposed convolution, axis 0": lambda: _transposed(0),
    "Gemm with transB": lambda: _gemm(True),
    "Gemm without transB": lambda: _gemm(False),
    "MatMul": _matmul,
    "QLinearConv": _qoperator,
    "ConvInteger": _conv_integer,
    "DynamicQuantizeLinear": _dynamic_quantize,
    "one scale a channel at opset 12": lambda: _layer(opset=12),
    "one scale a tensor at opset 12": lambda: _layer(opset=12, axis=None),
    # operators that came late
    "GridSample": lambda: _float_kernel("GridSample", 16),
    "LayerNormalization": lambda: _float_kernel("LayerNormalization", 17),
    "HardSwish": lambda: _float_kernel("HardSwish", 14),
    "Mish": lambda: _float_kernel("Mish", 18),
    "Gelu": lambda: _float_kernel("Gelu", 20),
    "Mod": lambda: _float_kernel("Mod", 13, fmod=1),
    "DeformConv": lambda: _float_kernel("DeformConv", 19),
    "Det": lambda: _float_kernel("Det", 13),
    "opset 17": lambda: _float_kernel("Relu", 17),
    "opset 40": lambda: _float_kernel("Relu", 40),
}
