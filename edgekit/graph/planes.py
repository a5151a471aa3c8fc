"""Replace the weights of a Q/DQ graph by bit-planes and operators that unpack them.

Needs: a lowered graph whose initializers carry their sources. Does, for every planned layer:

    codes of an integer layer       planes -> unpack -> int8, in the place of the codes in front of their DQ
    values of a layer in float      planes -> unpack -> int8 -> Cast to float32 -> Mul by the scales

Codes of 8 bits are not unpacked: the first kind stays as it is, the second begins with them.

Every input of the unpacking is constant, so onnxruntime computes it once, when it loads the file, and what runs is the
graph without it. Cast and Mul stand for the DQ of a float layer because onnxruntime folds every constant but a DQ.

Unpacking, for n codes of b bits in m = ceil(n / 8) bytes a plane (`edgekit.precision.bit_planes`):

    planes (b, m, 1)  << 7..0  (1, 1, 8)    each bit in turn at the top of a byte; the others fall off or stay below
                      >> 7                  0 or 1
                      << b-1..0 (b, 1, 1)   at its place; with one bit: at place 1
    Cast to int32, ReduceSum over planes    offset binary, 0 .. 2^b - 1
    Reshape (8 m), Slice n, - 2^(b-1)       codes; with one bit: 2 bit - 1
    Cast to int8, Reshape                   the weights' own shape

Shifts of bytes alone, so the graph stays at opset 13, which onnxruntime 1.10 on Python 3.6 reads; masking with
BitwiseAnd would take opset 18. Bytes until the sum keep what loading needs at 4 b n bytes for the layer at hand.
The constants are shared between layers; a layer whose planes would save less than the operators cost keeps its codes.
Promises: the codes and values are those that it replaces, bit for bit.
"""

import numpy as np
import onnx_ir as ir

from edgekit.graph.constants import constant_value
from edgekit.graph.sources import SOURCE, layer_scale, layer_weight
from edgekit.precision import QuantPlan, QuantSpec, bit_planes, quantize

_REPLACED = ("int8", "dequant-float32")
_OPERATOR_BYTES = 700
"""What ten operators take in the file."""


def weights_as_planes(model: ir.Model, canonical: ir.Model, plan: QuantPlan) -> None:
    """Rewrite `model` in place.

    Args:
        model: a lowering of `canonical` with int8 + DQ weights.
        canonical: the graph that `plan` speaks about; its weights are read.
        plan: widths and scales.
    """
    unpacking = _Unpacking(model.graph)
    for node in canonical.graph:
        spec = plan.weights.get(str(node.name))
        values = constant_value(node.inputs[1]) if spec is not None else None
        if spec is None or values is None or not spec.signed:
            continue
        for value in list(model.graph.initializers.values()):
            source = value.meta.get(SOURCE)
            mine = source is not None and source[0] == layer_weight(str(node.name)) and source[1] in _REPLACED
            if mine and _saved_bytes(value, spec) > _OPERATOR_BYTES:
                unpacking.replace(value, str(node.name), quantize(values, spec), spec)


class _Unpacking:
    """The rewrite of one graph; holds the constants that its layers share."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._first = next(iter(graph))
        self._count = 0

    def replace(self, value: ir.Value, layer: str, codes: np.ndarray, spec: QuantSpec) -> None:
        """Compute `value`, the initializer of `layer`, from planes of its `codes`."""
        name, source = str(value.name), value.meta[SOURCE]
        self._count += 1
        short = f"p{self._count}"  # ten names a layer: long ones would cost more than the weights of a small one
        computed = self._codes(short, layer, codes, spec.bits)
        if source[1] == "dequant-float32":
            steps = spec.scale_array(codes.ndim)
            scale = self._constant(f"{layer}.steps", steps, (layer_scale(layer), "float32"))
            cast = self._node("Cast", [computed], f"{short}.floats", {"to": int(ir.DataType.FLOAT)})
            computed = self._node("Mul", [cast, scale], f"{short}.values")
        computed.shape, computed.type = value.shape, value.type
        ir.convenience.replace_all_uses_with(value, computed)
        del self._graph.initializers[name]
        computed.name = name

    def _codes(self, name: str, layer: str, codes: np.ndarray, bits: int) -> ir.Value:
        """int8 codes of `layer` in their own shape."""
        if bits == 8:
            return self._constant(f"{layer}.codes", codes, (layer_weight(layer), "int8"))
        planes = bit_planes(codes, bits)[:, :, None]
        stored = self._constant(f"{layer}.planes", planes, (layer_weight(layer), "planes"))
        place = np.arange(bits - 1, -1, -1) if bits > 1 else np.ones(1)
        top = self._shift(stored, "LEFT", "bits.each", np.arange(7, -1, -1, dtype=np.uint8)[None, None], f"{name}.top")
        bit = self._shift(top, "RIGHT", "bits.last", np.full((1, 1, 1), 7, np.uint8), f"{name}.bits")
        placed = self._shift(bit, "LEFT", f"bits.{bits}", place.astype(np.uint8)[:, None, None], f"{name}.placed")
        wide = self._node("Cast", [placed], f"{name}.wide", {"to": int(ir.DataType.INT32)})
        total = self._node("ReduceSum", [wide, self._integers("axis.0", [0])], f"{name}.sum", {"keepdims": 0})
        if codes.size % 8:
            total = self._node("Reshape", [total, self._integers("shape.flat", [-1])], f"{name}.padded")
            ends = [self._integers("axis.0", [0]), self._integers(f"size.{codes.size}", [codes.size])]
            total = self._node("Slice", [total, *ends], f"{name}.flat")
        offset = self._constant(f"offset.{bits}", np.array(2 ** (bits - 1), np.int32))
        signed = self._node("Sub", [total, offset], f"{name}.signed")
        narrow = self._node("Cast", [signed], f"{name}.int8", {"to": int(ir.DataType.INT8)})
        return self._node("Reshape", [narrow, self._integers(_shape_name(codes), list(codes.shape))], f"{name}.codes")

    def _shift(self, value: ir.Value, direction: str, name: str, by: np.ndarray, output: str) -> ir.Value:
        return self._node("BitShift", [value, self._constant(name, by)], output, {"direction": direction})

    def _integers(self, name: str, values: list[int]) -> ir.Value:
        return self._constant(name, np.array(values, np.int64))

    def _node(
        self, op_type: str, inputs: list[ir.Value], output: str, attributes: dict[str, int | str] | None = None
    ) -> ir.Value:
        node = ir.node(op_type, inputs, attributes=attributes or {}, name=output)
        node.outputs[0].name = output
        self._graph.insert_before(self._first, node)
        return node.outputs[0]

    def _constant(self, name: str, array: np.ndarray, source: tuple[str, str] | None = None) -> ir.Value:
        known = self._graph.initializers.get(name)
        if known is not None:
            return known
        value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
        value.shape, value.dtype = ir.Shape(array.shape), ir.DataType.from_numpy(array.dtype)
        if source is not None:
            value.meta[SOURCE] = source
        self._graph.register_initializer(value)
        return value


def _saved_bytes(value: ir.Value, spec: QuantSpec) -> int:
    assert value.const_value is not None
    return int(value.const_value.nbytes - spec.bits * ((value.const_value.size + 7) // 8))


def _shape_name(codes: np.ndarray) -> str:
    return "shape." + "x".join(map(str, codes.shape))
