"""Codes of integer layers that go through to binary operators: the same bits as with Q, DQ and floats in between."""

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from edgekit.errors import GateError
from edgekit.graph import binary_operators
from edgekit.graph.binary_sums import exact_sums
from edgekit.graph.code_parity import compare_codes
from edgekit.graph.families import detect_family
from edgekit.graph.insert import CANONICAL
from edgekit.graph.load import load_canonical
from edgekit.graph.lower import binary, lower
from edgekit.graph.lower.binary import with_pairs
from edgekit.graph.parity import ParityCheck
from edgekit.graph.runner import Runner
from edgekit.ops.library import operators
from tests.graph import binary_nets, small

needs_library = pytest.mark.skipif(operators().path is None, reason=str(operators().problem))


def shortcut_net(pooled=False, stem="float"):
    """A stem, a block, a strided layer with a pointwise shortcut; `pooled`: a pool reads what the shortcut reads."""
    net = binary_nets.BinaryNet(size=16)
    x = net.conv("images", "stem", 3, 32)
    x = net.block(x if stem == "int8" else net.clipped(x), "first", 32)
    y = net.op("Add", [net.binary(x, "down", 32, 64, stride=2), net.conv(x, "shortcut", 32, 64, 1, 2)], "down_sum")
    last = net.conv(net.clipped(y), "last", 64, 32, 1)
    outputs = [last]
    if pooled:
        outputs.append(net.op("MaxPool", [x], "pooled", kernel_shape=[2, 2], strides=[2, 2]))
    return load_canonical(net.bytes(outputs))


def with_integers(monkeypatch):
    """Whatever can be is INT8."""
    monkeypatch.setattr(binary, "layer_cost", lambda node: -1e9)


def kinds(lowered):
    return Counter(node.op_type for node in lowered.model.graph)


def without_pass(monkeypatch, model, plan):
    with monkeypatch.context() as patch:
        patch.setattr(binary_operators, "pass_codes", lambda graph: {})
        return lower("binary", model, plan)


def activations(lowered, op_type):
    """Names of the Q or DQ of computed tensors."""
    return {n.name for n in lowered.model.graph if n.op_type == op_type and n.inputs[0].const_value is None}


def test_a_shortcut_reads_and_gives_codes():
    model = shortcut_net()
    lowered = lower("binary", model, small.plan_of(model))
    found = kinds(lowered)
    assert (found["QLinearBinaryConvSum"], found["BinaryConvSum"]) == (1, 1)
    down = next(node for node in lowered.model.graph if node.op_type == "BinaryConvSum")
    assert [value.name for value in down.inputs[5:]] == ["shortcut_scale", "shortcut_zero_point"]
    # The Q behind the first layer is the operator's own, and no DQ stands in front of the last.
    assert "first_sum_clipped_quantized_node" not in activations(lowered, "QuantizeLinear")
    assert not [name for name in activations(lowered, "DequantizeLinear") if name.startswith("shortcut")]
    reading = lowered.readings["first_sum_clipped"]
    assert (reading.bits, reading.codes) == (True, ("first_sum_clipped_quantized", "first_node.nhwc"))


@needs_library
@pytest.mark.parametrize("optimised", [False, True])
@pytest.mark.parametrize(("stem", "pooled"), [("float", False), ("int8", False), ("int8", True)])
def test_the_outputs_are_those_of_the_graph_with_q_and_dq(monkeypatch, stem, pooled, optimised):
    model = shortcut_net(pooled, stem)
    plan = small.plan_of(model)
    if stem == "int8":
        with_integers(monkeypatch)
    plain, passed = without_pass(monkeypatch, model, plan), lower("binary", model, plan)
    assert kinds(plain) != kinds(passed)
    assert (kinds(passed)["QLinearBinarySigns"] == 1) == (stem == "int8")
    for x in small.inputs(model, 2):
        one, two = (Runner(each.model, optimised=optimised).run(x) for each in (plain, passed))
        assert len(one) == 1 + pooled
        for expected, got in zip(one, two, strict=True):
            assert np.array_equal(expected, got)


@needs_library
def test_a_strided_stem_is_integer_and_hands_over_codes(monkeypatch):
    """The beginning of ResNet-18: its pool moves codes, which the first block reads as signs and as a residual."""
    net = binary_nets.BinaryNet(size=64)
    x = net.op("MaxPool", [net.conv("images", "stem", 3, 64, 7, 2)], "pooled", kernel_shape=[2, 2], strides=[2, 2])
    last = net.conv(net.block(x, "first", 64), "last", 64, 8, 1)
    model = load_canonical(net.bytes([last]))
    plan = small.plan_of(model)
    plain, passed = without_pass(monkeypatch, model, plan), lower("binary", model, plan)
    assert "stem_node" not in passed.kept_float
    assert kinds(passed)["QLinearBinarySigns"] == 1
    sums = next(node for node in passed.model.graph if node.op_type == "BinaryConvSum")
    assert [value.name for value in sums.inputs[5:]] == ["pooled_scale", "pooled_zero_point"]
    assert not [name for name in activations(passed, "DequantizeLinear") if name.startswith("pooled_dequantized")]
    for each in small.inputs(model, 2):
        assert np.array_equal(Runner(plain.model).run(each)[0], Runner(passed.model).run(each)[0])


@needs_library
def test_a_gemm_at_the_end_reads_integers_and_gives_floats(tmp_path):
    net = binary_nets.BinaryNet(size=16)
    x = net.block(net.clipped(net.conv("images", "stem", 3, 32)), "first", 32)
    flat = net.op("Flatten", [net.op("GlobalAveragePool", [x], "mean")], "flat")
    w = net.constant("last_w", net.rng.normal(0, 0.2, (200, 32)).astype(np.float32))
    last = net.op("Gemm", [flat, w, net.constant("last_b", np.ones(200, np.float32))], "last", transB=1)
    model = load_canonical(net.bytes([last]))
    plan = small.plan_of(model)
    activations_of_trained = {name: spec for name, spec in plan.activations.items() if name != "last"}
    for each in (plan, replace(plan, activations=activations_of_trained)):
        lowered = lower("binary", model, each)
        assert "last_node" not in lowered.kept_float
        assert activations(lowered, "QuantizeLinear") == {"flat_quantized_node"}
    options = ort.SessionOptions()
    options.register_custom_ops_library(operators().path)
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "optimised.onnx"), 4
    ort.InferenceSession(small.model_bytes(lowered.model), options, providers=["CPUExecutionProvider"])
    assert "QGemm" in [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    twin = exact_sums(with_pairs(model, plan, CANONICAL), plan)
    found = compare_codes(lowered.model, twin, small.inputs(model, 2), True, lowered.readings)
    assert found.tensors == 1
    assert found.max_difference <= 1
    assert found.output_snr_db is None or found.output_snr_db > 100


def test_numbers_that_a_float_layer_reads_too_stay_numbers(monkeypatch):
    with_integers(monkeypatch)
    model = shortcut_net(pooled=True)
    lowered = lower("binary", model, small.plan_of(model))
    assert kinds(lowered)["QLinearBinaryConvSum"] == 0
    assert "first_sum_clipped_quantized_node" in activations(lowered, "QuantizeLinear")


def test_a_layer_that_pays_for_its_own_q_stays_in_float():
    """Its codes would be made beside the numbers that the pool reads: more than such a layer saves."""
    model = shortcut_net(pooled=True)
    lowered = lower("binary", model, small.plan_of(model))
    assert lowered.kept_float["shortcut_node"] == binary.LONELY
    assert activations(lowered, "QuantizeLinear") == set()


@needs_library
def test_parity_compares_codes_that_an_operator_gives(monkeypatch):
    with_integers(monkeypatch)
    model = load_canonical(binary_nets.detector())
    plan, family, inputs = small.plan_of(model), detect_family(model), small.inputs(model, 2)
    check = ParityCheck(model, model, plan, family, inputs)
    lowered = lower("binary", model, plan)
    name, reading = next((name, each) for name, each in lowered.readings.items() if each.codes is not None)
    parity = check.check(lowered)
    parity.gate()
    assert parity.codes.binary.signs == 0.0
    given = [each for each in lowered.readings.values() if each.codes is not None]
    assert parity.codes.tensors == len(given) + len(activations(lowered, "QuantizeLinear"))
    maker = next(n for n in lowered.model.graph if reading.codes[1] in [v.name for v in n.outputs])
    value = maker.inputs[2]
    value.const_value = type(value.const_value)(value.const_value.numpy() * np.float32(1.2), name=value.name)
    with pytest.raises(GateError, match=f"codes of {name}_quantized are up to .* steps off"):
        check.check(lowered).gate()
