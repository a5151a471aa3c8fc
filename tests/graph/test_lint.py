"""Each rule on a graph of a few nodes, with the violation and without it."""

import numpy as np
import onnx_ir as ir
import pytest

from edgekit.errors import ConfigError
from edgekit.graph.lint import SEVERITIES, TARGETS, lint
from tests.graph.tiny import Net

X86, TRT8, TRT10 = "ort-x86", "trt8", "trt10"


class Graph(Net):
    """A net with a shorthand for Q/DQ pairs."""

    def pair(self, x, scale=0.1, zero=None, name=None):
        """Q/DQ on the tensor `x`; int8 with zero point 0 unless `zero` is another."""
        name = name or f"{x}_pair"
        zero = np.int8(0) if zero is None else zero
        s = self.constant(f"{name}_s", np.array(scale, np.float32))
        z = self.constant(f"{name}_z", np.array(zero))
        return self.op("DequantizeLinear", [self.op("QuantizeLinear", [x, s, z], f"{name}_q"), s, z], f"{name}_dq")

    def codes(self, name, array, scale, axis=0):
        """An initializer of integers behind DQ."""
        c = self.constant(f"{name}_codes", array)
        s = self.constant(f"{name}_scale", np.asarray(scale, np.float32))
        z = self.constant(f"{name}_zero", np.zeros(np.shape(scale), array.dtype))
        attributes = {"axis": axis} if np.ndim(scale) else {}
        return self.op("DequantizeLinear", [c, s, z], f"{name}_dq", **attributes)

    def weight(self, name, shape=(16, 16, 3, 3), stored="int8", largest=100, dtype=np.int8):
        """Quantised weights: stored as int8 + DQ, or float32 + Q + DQ."""
        array = self.rng.integers(0, largest + 1, shape).astype(dtype)
        if stored == "int8":
            return self.codes(name, array, np.full(shape[0], 0.01))
        values = self.constant(f"{name}_values", array.astype(np.float32) * np.float32(0.01))
        s = self.constant(f"{name}_scale", np.full(shape[0], 0.01, np.float32))
        z = self.constant(f"{name}_zero", np.zeros(shape[0], np.int8))
        q = self.op("QuantizeLinear", [values, s, z], f"{name}_q", axis=0)
        return self.op("DequantizeLinear", [q, s, z], f"{name}_dq", axis=0)

    def layer(self, x, name, w, bias=None, **attributes):
        attributes.setdefault("pads", [1] * 4)
        return self.op("Conv", [x, w, *([bias] if bias else [])], name, **attributes)

    def features(self, name="x", channels=16):
        """A float tensor of 16 channels."""
        return self.conv("images", name, 3, channels)

    def model(self, *outputs, opset=13):
        return ir.from_proto(__import__("onnx").load_from_string(self.bytes(outputs or [self.last()], opset=opset)))

    def last(self):
        return self.nodes[-1].output[0]


def found(graph, target, rule, opset=13):
    """Findings of `rule`, each checked to name a node of the graph, and a cure."""
    model = graph.model(opset=opset)
    names = {node.name for node in model.graph}
    rows = [finding for finding in lint(model, target) if finding.rule == rule]
    for row in rows:
        assert row.node in names
        assert row.message
        assert row.cure
        assert set(row.to_json()) == {"rule", "severity", "node", "message", "cure"}
        assert row.severity in SEVERITIES
    return rows


def axis_at(opset):
    g = Graph()
    g.layer(g.pair(g.features()), "y", g.weight("w"))
    return g, opset


def positive_scale(scale):
    g = Graph()
    g.op("Relu", [g.pair(g.features(), scale=scale)], "y")
    return g


def integer_operator(qdq):
    g = Graph()
    x = g.features()
    if qdq:
        g.layer(g.pair(x), "y", g.weight("w"))
    else:
        q = g.op("QuantizeLinear", [x, g.constant("s", np.float32(1)), g.constant("z", np.uint8(0))], "x_q")
        g.op("ConvInteger", [q, g.constant("w8", np.zeros((4, 16, 3, 3), np.int8))], "y")
    return g


def zero_point(zero):
    g = Graph()
    g.layer(g.pair(g.features(), zero=zero), "y", g.weight("w"))
    return g


def weight_pair(weight, activation):
    g = Graph()
    x = g.features()
    w = g.weight("w") if weight else g.constant("w", np.ones((16, 16, 3, 3), np.float32))
    g.layer(g.pair(x) if activation else x, "y", w)
    return g


def behind_conv(before_activation):
    g = Graph()
    y = g.layer(g.pair(g.features()), "y", g.weight("w"))
    if before_activation:
        y = g.pair(y)
    g.pair(g.op("Relu", [y], "y_relu"))
    g.op("Identity", [g.last()], "out")
    return g


def batch_norm(present):
    g = Graph()
    x = g.features()
    if present:
        parts = [g.constant(n, np.ones(16, np.float32)) for n in ("gamma", "beta", "mean", "var")]
        x = g.op("BatchNormalization", [x, *parts], "bn")
    g.op("Relu", [x], "y")
    return g


def residual(both, skip=True):
    g = Graph()
    x = g.op("Relu", [g.features()], "x_relu")
    skipped = g.pair(x) if skip else x
    y = g.layer(skipped if skip else g.pair(x, name="inner"), "y", g.weight("w"))
    total = g.op("Add", [g.pair(y) if both else y, skipped], "total")
    g.op("Identity", [g.pair(total)], "out")
    return g


def concat(second):
    g = Graph()
    x = g.features()
    parts = [g.pair(g.op("Relu", [x], "a")), g.pair(g.op("Sigmoid", [x], "b"), scale=second)]
    g.op("Concat", parts, "y", axis=1)
    return g


def pooled(scale):
    g = Graph()
    y = g.op("MaxPool", [g.pair(g.features())], "y", kernel_shape=[3, 3])
    g.op("Identity", [g.pair(y, scale=scale)], "out")
    return g


def pair_of_pair(again):
    g = Graph()
    x = g.pair(g.features())
    g.op("Relu", [g.pair(x, scale=0.2, name="again") if again else x], "y")
    return g


def pairs(count):
    g = Graph()
    x = g.features()
    made = [g.pair(x, name=f"p{i}") for i in range(count)]
    g.op("Sum", made, "y")
    return g


def bias(kind, target_scale=1.0):
    g = Graph()
    x = g.pair(g.features(), zero=np.uint8(128))
    codes = np.full(16, 2**31 - 1 if kind == "overflow" else 7, np.int32)
    b = g.constant("b", np.ones(16, np.float32)) if kind == "float" else g.codes("b", codes, np.full(16, 0.001))
    g.op("Identity", [g.pair(g.layer(x, "y", g.weight("w"), b), zero=np.uint8(128))], "out")
    return g


def stored(kind):
    g = Graph()
    g.layer(g.pair(g.features()), "y", g.weight("w", stored=kind))
    return g


def channels(count):
    g = Graph()
    x = g.pair(g.features(channels=count))
    g.layer(x, "y", g.weight("w", (count, count, 3, 3)))
    return g


def softmax(quantized):
    g = Graph()
    x = g.features()
    g.op("Softmax", [g.pair(x) if quantized else x], "y", axis=1)
    return g


def on_output(quantized):
    g = Graph()
    x = g.features()
    g.pair(x) if quantized else g.op("Relu", [x], "y")
    return g


def codes_out(codes):
    g = Graph()
    x = g.features()
    if codes:
        g.op("QuantizeLinear", [x, g.constant("s", np.float32(1)), g.constant("z", np.int8(0))], "x_q")
    else:
        g.op("Relu", [x], "y")
    return g


def weight_along(axis):
    g = Graph()
    w = g.codes("w", g.rng.integers(-9, 9, (16, 32, 3, 3)).astype(np.int8), np.full((16, 32)[axis], 0.01), axis)
    g.layer(g.pair(g.features(channels=32)), "y", w)
    return g


def by_channel(scales):
    g = Graph()
    s = g.constant("s", np.full(scales, 0.1, np.float32) if scales > 1 else np.float32(0.1))
    z = g.constant("z", np.zeros(scales, np.int8) if scales > 1 else np.int8(0))
    q = g.op("QuantizeLinear", [g.features(), s, z], "x_q", axis=1)
    g.layer(g.op("DequantizeLinear", [q, s, z], "x_dq", axis=1), "y", g.weight("w"))
    return g


def zero_point_left_out(missing):
    g = Graph()
    s, z = g.constant("s", np.float32(0.1)), g.constant("z", np.int8(0))
    ends = [s] if missing else [s, z]
    g.op("Relu", [g.op("DequantizeLinear", [g.op("QuantizeLinear", [g.features(), *ends], "q"), *ends], "dq")], "y")
    return g


def scale_from_image(computed):
    g = Graph()
    x = g.features()
    s = g.op("ReduceMax", [x], "s", keepdims=0) if computed else g.constant("s", np.float32(0.1))
    z = g.constant("z", np.int8(0))
    g.op("Relu", [g.op("DequantizeLinear", [g.op("QuantizeLinear", [x, s, z], "q"), s, z], "dq")], "y")
    return g


def operator(op_type):
    g = Graph()
    g.op(op_type, [g.features()], "y")
    return g


def padded(between):
    g = Graph()
    pads = g.constant("pads", np.array([0, 0, 1, 1, 0, 0, 1, 1]))
    x = g.features()
    x = g.pair(g.op("Pad", [x, pads], "p")) if between else g.op("Pad", [g.pair(x), pads], "p")
    g.layer(x, "y", g.weight("w"), pads=[0] * 4)
    return g


def shape_path(quantized):
    g = Graph()
    value = g.op("Cast", [g.op("Shape", ["images"], "size")], "size_float", to=1)
    g.op("Relu", [g.pair(value) if quantized else value], "y")
    return g


def half(dtype):
    g = Graph()
    x = g.op("Cast", ["images"], "x", to=10) if dtype == "float16" else "images"
    g.op("Conv", [x, g.constant("w", np.ones((16, 3, 3, 3), dtype))], "y")
    return g


def x86_chain(closed):
    g = Graph()
    x = g.pair(g.features(), zero=np.uint8(128))
    y = g.layer(x, "y", g.weight("w"))
    if closed:
        y = g.pair(y, zero=np.uint8(128))
    g.op("Sigmoid", [y], "out")
    return g


def relu_zero(zero):
    g = Graph()
    y = g.layer(g.pair(g.features(), zero=np.uint8(128)), "y", g.weight("w"))
    g.op("Identity", [g.pair(g.op("Relu", [y], "y_relu"), zero=np.uint8(zero))], "out")
    return g


def half_quantized_add(both):
    g = Graph()
    x = g.features()
    a, b = g.op("Relu", [x], "a"), g.op("Sigmoid", [x], "b")
    u8 = np.uint8(0)
    total = g.op("Add", [g.pair(a, zero=u8), g.pair(b, zero=u8) if both else b], "total")
    g.op("Identity", [g.pair(total, zero=u8)], "out")
    return g


def weight_type(dtype):
    g = Graph()
    g.layer(g.pair(g.features(), zero=np.uint8(128)), "y", g.weight("w", dtype=dtype))
    return g


def weight_width(largest):
    g = Graph()
    g.layer(g.pair(g.features(), zero=np.uint8(128)), "y", g.weight("w", largest=largest))
    return g


CASES = {
    "R0 zero scale": ("R0", X86, lambda: positive_scale(0.0), lambda: positive_scale(0.1)),
    "R0 not finite": ("R0", X86, lambda: positive_scale(np.inf), lambda: positive_scale(0.1)),
    "R0 operator": ("R0", TRT8, lambda: integer_operator(False), lambda: integer_operator(True)),
    "R0 zero point": ("R0", TRT10, lambda: zero_point(np.int8(3)), lambda: zero_point(np.int8(0))),
    "R0 type": ("R0", TRT8, lambda: zero_point(np.uint8(0)), lambda: zero_point(np.int8(0))),
    "R0 uint8": ("R0", TRT10, lambda: zero_point(np.uint8(0)), lambda: zero_point(np.int8(0))),
    "R0 left out": ("R0", TRT8, lambda: zero_point_left_out(True), lambda: zero_point_left_out(False)),
    "R0 computed": ("R0", TRT10, lambda: scale_from_image(True), lambda: scale_from_image(False)),
    "R0 NaN": ("R0", TRT8, lambda: positive_scale(np.nan), lambda: positive_scale(0.1)),
    "R1 weight alone": ("R1", X86, lambda: weight_pair(True, False), lambda: weight_pair(True, True)),
    "R1 activation alone": ("R1", TRT8, lambda: weight_pair(False, True), lambda: weight_pair(False, False)),
    "R1 weight axis": ("R1", TRT8, lambda: weight_along(1), lambda: weight_along(0)),
    "R1 activation by channel": ("R1", TRT10, lambda: by_channel(16), lambda: by_channel(1)),
    "R2": ("R2", TRT8, lambda: behind_conv(True), lambda: behind_conv(False)),
    "R3": ("R3", TRT8, lambda: batch_norm(True), lambda: batch_norm(False)),
    "R4 both": ("R4", TRT8, lambda: residual(True), lambda: residual(False)),
    "R4 none": ("R4", TRT8, lambda: residual(False, skip=False), lambda: residual(False)),
    "R5": ("R5", TRT10, lambda: concat(0.3), lambda: concat(0.1)),
    "R6": ("R6", TRT8, lambda: pooled(0.3), lambda: pooled(0.1)),
    "R7": ("R7", X86, lambda: pairs(2), lambda: pairs(1)),
    "R7 twice": ("R7", TRT8, lambda: pair_of_pair(True), lambda: pair_of_pair(False)),
    "R8 bias": ("R8", TRT10, lambda: bias("int32"), lambda: bias("float")),
    "R8 weight": ("R8", TRT8, lambda: stored("int8"), lambda: stored("float32")),
    "R9": ("R9", TRT10, lambda: channels(8), lambda: channels(16)),
    "R10": ("R10", TRT8, lambda: softmax(True), lambda: softmax(False)),
    "R11 output": ("R11", X86, lambda: on_output(True), lambda: on_output(False)),
    "R11 codes": ("R11", TRT8, lambda: codes_out(True), lambda: codes_out(False)),
    "R11 pad": ("R11", TRT8, lambda: padded(True), lambda: padded(False)),
    "R11 shape": ("R11", X86, lambda: shape_path(True), lambda: shape_path(False)),
    "R12": ("R12", "fp16", lambda: on_output(True), lambda: on_output(False)),
    "R14": ("R14", TRT10, lambda: half("float32"), lambda: half("float16")),
    "R15": ("R15", "fp16", lambda: operator("Reciprocal"), lambda: operator("Relu")),
    "R15 never": ("R15", TRT10, lambda: operator("Det"), lambda: operator("Relu")),
    "O1": ("O1", X86, lambda: zero_point(np.int8(0)), lambda: zero_point(np.uint8(128))),
    "O1 openvino": ("O1", "openvino", lambda: zero_point(np.int8(0)), lambda: zero_point(np.uint8(128))),
    "O2": ("O2", X86, lambda: x86_chain(False), lambda: x86_chain(True)),
    "O3": ("O3", X86, lambda: relu_zero(128), lambda: relu_zero(0)),
    "O4": ("O4", X86, lambda: half_quantized_add(False), lambda: half_quantized_add(True)),
    "O5 float": ("O5", X86, lambda: bias("float"), lambda: bias("int32")),
    "O5 overflow": ("O5", X86, lambda: bias("overflow"), lambda: bias("int32")),
    "O6": ("O6", X86, lambda: weight_type(np.uint8), lambda: weight_type(np.int8)),
    "O7": ("O7", "ort-x86-narrow", lambda: weight_width(100), lambda: weight_width(63)),
}


@pytest.mark.parametrize("case", list(CASES))
def test_a_rule_finds_its_violation_and_nothing_else(case):
    rule, target, bad, good = CASES[case]
    assert len(found(bad(), target, rule)) >= 1
    assert found(good(), target, rule) == []


def test_axis_needs_opset_13():
    graph, _ = axis_at(13)
    assert found(graph, X86, "R0") == []
    assert len(found(graph, X86, "R0", opset=12)) == 1


def test_rules_of_one_target_do_not_hold_for_another():
    """Signed activations are right for ARM, an int32 bias for CPUs, asymmetry for x86."""
    assert found(zero_point(np.int8(0)), "ort-arm", "O1") == []
    assert found(bias("int32"), X86, "R8") == []
    assert found(zero_point(np.uint8(128)), X86, "R0") == []
    assert found(stored("int8"), TRT10, "R8") == []


def test_every_rule_has_a_case():
    covered = {rule for rule, *_ in CASES.values()}
    assert covered == {f"R{n}" for n in (*range(13), 14, 15)} | {f"O{n}" for n in range(1, 8)}


@pytest.mark.parametrize(
    ("graph", "target", "rule", "severity"),
    [
        (lambda: zero_point(np.int8(3)), TRT8, "R0", "refused"),
        (lambda: zero_point(np.uint8(0)), TRT10, "R0", "accuracy"),
        (lambda: positive_scale(0.0), TRT8, "R0", "refused"),
        (lambda: positive_scale(0.0), X86, "R0", "accuracy"),
        (lambda: positive_scale(np.inf), TRT8, "R0", "accuracy"),
        (lambda: bias("int32"), TRT8, "R8", "refused"),
        (lambda: stored("int8"), TRT8, "R8", "refused"),
        (lambda: padded(True), TRT8, "R11", "slow"),
        (lambda: on_output(True), "fp16", "R12", "refused"),
    ],
)
def test_a_severity_says_what_follows(graph, target, rule, severity):
    assert {finding.severity for finding in found(graph(), target, rule)} == {severity}


def test_an_operator_names_the_release_that_brought_it():
    (finding,) = found(operator("Reciprocal"), TRT8, "R15")
    assert finding.message == "Reciprocal needs TensorRT >= 8.5"
    (finding,) = found(operator("Relu"), TRT8, "R15", opset=17)
    assert finding.message.startswith("opset 17; TensorRT 8.2 knows up to 13")
    assert found(operator("Relu"), TRT10, "R15", opset=20) == []


def test_an_unknown_target_is_suggested():
    with pytest.raises(ConfigError, match="no target 'ort-x8' to check for; did you mean 'ort-x86'"):
        lint(on_output(False).model(), "ort-x8")
    assert set(TARGETS) >= {"fp16", "trt8", "trt10", "ort-x86", "ort-x86-narrow", "ort-arm", "openvino"}
