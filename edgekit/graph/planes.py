"""Replace the weights of a Q/DQ graph by bit-planes and operators that unpack them.

Needs: a lowered graph whose initializers carry their sources. Does, for every planned layer:

    codes of an integer layer       planes -> unpack -> int8, in the place of the codes in front of their DQ
    values of a layer in float      planes -> unpack -> int8 -> Cast to float32 -> Mul by the scales

Codes of 8 bits are not unpacked: the first kind stays as it is, the second begins with them.

Every input of the unpacking is constant, so onnxruntime computes it once, when it loads the file, and what runs is the
graph without it. Cast and Mul stand for the DQ of a float layer because onnxruntime folds every constant but a DQ.

Unpacking, for n codes of b bits in m = ceil(n / 8) bytes a plane (`edgekit.precision.bit_planes`):

    planes (b, m, 1)  Transpose (m, 1, b)
    << 7..0 (1, 8, 1)                       each bit in turn at the top of a byte; the others fall off or lie below
    >> 7                                    0 or 1, (m, 8, b)
    MatMulInteger by (b, 1)                 two's complement, -2^(b-1), 2^(b-2), .., 1, all times 2^(7-b) as graphs have
                                            it (`edgekit.precision.raised_codes`); one bit is 2 bit - 1
    Cast to int8, Slice n, Reshape          codes in the weights' own shape

Shifts of bytes alone, so the graph stays at opset 13, which onnxruntime 1.10 on Python 3.6 reads; masking with
BitwiseAnd would take opset 18. onnxruntime keeps what it folds until all is folded, so loading takes 2 b + 7 bytes a
weight for a moment.
The constants are shared between layers; a layer whose planes would save less than the operators cost keeps its codes.
Promises: the codes and values are those that it replaces, bit for bit.
"""

import numpy as np
import onnx_ir as ir

from edgekit.graph.constants import constant_value
from edgekit.graph.sources import SOURCE, graph_scales, layer_scale, layer_weight
from edgekit.precision import QuantPlan, QuantSpec, bit_planes, plane_values, quantize, raised_codes

_REPLACED = ("int8", "raised-int8", "dequant-float32")
_OPERATOR_BYTES = 600
"""What the operators of a layer take in the file."""


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
        self._prefix = _free_prefix(graph)
        self._count = 0

    def replace(self, value: ir.Value, layer: str, codes: np.ndarray, spec: QuantSpec) -> None:
        """Compute `value`, the initializer of `layer`, from planes of its `codes`."""
        name, source = str(value.name), value.meta[SOURCE]
        self._count += 1
        short = f"{self._prefix}.{self._count}"  # long names would cost more than the weights of a small layer
        computed = self._codes(short, layer, codes, spec.bits)
        if source[1] == "dequant-float32":
            steps = graph_scales(spec).reshape(spec.scale_array(codes.ndim).shape)
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
        each = self._node("Transpose", [stored], f"{name}.each", {"perm": [1, 2, 0]})
        top = self._shift(each, "LEFT", "shifts", np.arange(7, -1, -1, dtype=np.uint8), f"{name}.top")
        bit = self._shift(top, "RIGHT", "last", np.full(1, 7, np.uint8), f"{name}.bits")
        total = self._node("MatMulInteger", [bit, self._values(bits)], f"{name}.sum")
        if bits == 1:
            total = self._node(
                "Sub", [total, self._constant(self._shared("one"), np.array(1, np.int32))], f"{name}.sign"
            )
        whole = self._node("Cast", [total], f"{name}.int8", {"to": int(ir.DataType.INT8)})
        if codes.size % 8:
            whole = self._node("Reshape", [whole, self._integers("flat", [-1])], f"{name}.padded")
            ends = [self._integers("start", [0]), self._integers(f"size.{codes.size}", [codes.size])]
            whole = self._node("Slice", [whole, *ends], f"{name}.flat")
        return self._node("Reshape", [whole, self._integers(_shape_name(codes), list(codes.shape))], f"{name}.codes")

    def _values(self, bits: int) -> ir.Value:
        values = np.full(1, 2, np.int8) if bits == 1 else raised_codes(plane_values(bits), bits)
        return self._constant(self._shared(f"values.{bits}"), values[:, None])

    def _shift(self, value: ir.Value, direction: str, name: str, by: np.ndarray, output: str) -> ir.Value:
        amount = self._constant(self._shared(name), by[None, :, None])
        return self._node("BitShift", [value, amount], output, {"direction": direction})

    def _integers(self, name: str, values: list[int]) -> ir.Value:
        return self._constant(self._shared(name), np.array(values, np.int64))

    def _shared(self, name: str) -> str:
        return f"{self._prefix}.{name}"

    def _node(
        self,
        op_type: str,
        inputs: list[ir.Value],
        output: str,
        attributes: dict[str, int | str | list[int]] | None = None,
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


def _free_prefix(graph: ir.Graph) -> str:
    """What no name in the graph begins with."""
    names = [str(v.name) for v in (*graph.initializers.values(), *graph.inputs)]
    names += [str(v.name) for node in graph for v in node.outputs]
    prefix = "u"
    while any(name.startswith(f"{prefix}.") for name in names):
        prefix += "u"
    return prefix


def _saved_bytes(value: ir.Value, spec: QuantSpec) -> int:
    assert value.const_value is not None
    return int(value.const_value.nbytes - spec.bits * ((value.const_value.size + 7) // 8))


def _shape_name(codes: np.ndarray) -> str:
    return "shape." + "x".join(map(str, codes.shape))
