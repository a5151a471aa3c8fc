"""The lowering with operators of the native library, held to the canonical graph."""

from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from edgekit.bundle import LoweredGraph, open_bundle, write_bundle
from edgekit.errors import BackendError, GateError, ModelError
from edgekit.graph.binary_sums import exact_sums
from edgekit.graph.code_parity import BinaryParity, CodeParity, compare_codes
from edgekit.graph.external import whole, with_external_data
from edgekit.graph.families import detect_family
from edgekit.graph.insert import CANONICAL
from edgekit.graph.lint import lint
from edgekit.graph.load import load_canonical
from edgekit.graph.lower import binary, lower
from edgekit.graph.lower.binary import with_pairs
from edgekit.graph.parity import Agreement, ParityCheck, Thresholds, _failures
from edgekit.graph.plan import binary_plan
from edgekit.graph.runner import Runner
from edgekit.graph.sources import stored_tensors
from edgekit.metrics.match import MatchReport
from edgekit.ops.library import operators
from edgekit.precision import unpack_signs
from edgekit.runtime.session import open_session
from tests.graph import binary_nets, small

needs_library = pytest.mark.skipif(operators().path is None, reason=str(operators().problem))
NETS = {"residual": binary_nets.residual_net, "chain": binary_nets.chain_net}


def kinds(model):
    return Counter(node.op_type for node in model.graph)


def lowered_net(name, one=False, **arguments):
    model = small.canonical(NETS[name](one=one, **arguments))
    plan = small.plan_of(model)
    return model, plan, lower("binary", model, plan)


@pytest.mark.parametrize("one", [False, True])
@pytest.mark.parametrize("name", list(NETS))
def test_the_graph_is_valid_and_repeatable(name, one):
    model, plan, lowered = lowered_net(name, one)
    data = whole(lowered.model)
    assert data == whole(lower("binary", model, plan).model)
    proto = onnx.load_from_string(data)
    onnx.checker.check_model(proto)
    assert {entry.domain: entry.version for entry in proto.opset_import} == {"": 13, "edgekit": 1}
    assert lowered.requires["operators"] == "edgekit"
    assert lint(lowered.model, "binary") == []
    names = [each.name for each in proto.graph.node]
    assert len(set(names)) == len(names)


def test_bits_and_nhwc_stay_between_layers_that_add():
    model = small.canonical(binary_nets.residual_net())
    lowered = lower("binary", model, binary_plan(model))
    found = kinds(lowered.model)
    assert found["BinaryConvSum"] == 4
    assert found["BinarySigns"] == 1  # of the stem; the others are handed over
    assert found["Where"] == found["GreaterOrEqual"] == 0
    assert found["Add"] == found["MatMul"] == 1  # the shortcut's, in NHWC like its neighbours
    activations = [n for n in lowered.model.graph if n.op_type == "Transpose" and n.inputs[0].producer() is not None]
    assert len([n for n in activations if len(n.attributes["perm"].as_ints()) == 4]) == 2  # behind stem, before last


def test_a_chain_hands_over_bits_alone():
    """second has half a word too many for the groups of third, fourth is read as numbers."""
    _, _, lowered = lowered_net("chain")
    assert kinds(lowered.model)["BinaryConvBits"] == 2
    assert {name: reading.bits for name, reading in lowered.readings.items() if reading.is_given} == {
        "first_clipped": True,
        "second": False,
        "third_clipped": True,
        "fourth_relu": False,
    }


@needs_library
@pytest.mark.parametrize("optimised", [False, True])
@pytest.mark.parametrize("one", [False, True])
@pytest.mark.parametrize("channels", [32, 33, 48])
@pytest.mark.parametrize("name", list(NETS))
def test_sums_are_those_of_plain_operators_bit_for_bit(name, channels, one, optimised):
    """The first layer, whose input both graphs compute alike: not one value differs."""
    net = NETS[name](channels, one)
    model = small.canonical(net)
    plan = binary_plan(model)
    lowered = lower("binary", model, plan)
    canonical, reading = next(iter(lowered.readings.items()))
    x = small.inputs(model, 1)[0]
    got = Runner(lowered.model, [reading.name], optimised=optimised).run(x)[0]
    stem = Runner(lowered.model, ["stem_clipped"], optimised=optimised).run(x)[0]
    twin = exact_sums(model.clone(), plan)
    from_stem = np.asarray(cut(twin, "stem_clipped", canonical, stem))
    if reading.bits:
        expected = np.where(from_stem < 0, -1, 1)
        assert np.array_equal(unpack_signs(got, reading.channels).transpose(0, 3, 1, 2), expected)
    else:
        assert np.array_equal(got.transpose(0, 3, 1, 2), from_stem)


def cut(model, given, wanted, array):
    """Tensor `wanted` of a graph in which `given` holds `array`."""
    proto = ir.to_proto(model)
    known = {value.name: value for value in proto.graph.value_info}
    for each in proto.graph.node:
        for index, name in enumerate(each.input):
            if name == given:
                each.input[index] = "given"
    value = onnx.ValueInfoProto.FromString(known[given].SerializeToString())
    value.name = "given"
    proto.graph.input.append(value)
    proto.graph.output.append(known[wanted])
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    image = np.zeros([d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim], np.float32)
    return session.run([wanted], {"given": array, proto.graph.input[0].name: image})[0]


@needs_library
@pytest.mark.parametrize("one", [False, True])
def test_a_detector_passes_parity(one):
    model = load_canonical(binary_nets.detector(one))
    plan, family, inputs = small.plan_of(model), detect_family(model), small.inputs(model, 3)
    parity = ParityCheck(model, model, plan, family, inputs).check(lower("binary", model, plan))
    parity.gate()
    assert parity.codes.binary.layers == 6
    assert parity.codes.binary.worst < 1e-5
    assert parity.to_json()["codes"]["binary"]["layers"] == 6


@needs_library
def test_a_float_layer_that_rounds_otherwise_turns_no_sign():
    """Where it gives nearly 0, another order of its additions is another sign."""
    model = load_canonical(binary_nets.detector())
    plan, inputs = small.plan_of(model), small.inputs(model, 2)
    lowered = lower("binary", model, plan)
    assert not lowered.readings["down4_clipped"].is_given
    float_layer = Runner(lowered.model, ["down4_clipped"]).run(inputs[0])[0][0]
    nearest = np.where(float_layer < 0, -float_layer, np.inf)
    channel = int(np.argmin(nearest.min(axis=(1, 2))))
    moved = model.clone()
    bias = moved.graph.initializers["down4_b"]
    values = np.array(bias.const_value.numpy())
    values[channel] += 2 * nearest.min()  # one sign, and all that follows
    bias.const_value = ir.tensor(values, name=bias.name)
    twin = exact_sums(with_pairs(moved, plan, CANONICAL), plan)
    layers = {name: each for name, each in lowered.readings.items() if each.is_given}
    turned = compare_codes(lowered.model, twin, inputs, True, layers).binary.worst
    found = compare_codes(lowered.model, twin, inputs, True, lowered.readings).binary
    assert found.layers == len(layers) == 6
    assert 0 < 10 * found.worst < turned  # the float layer itself, and what a sign more makes of the next one


@needs_library
def test_with_integers_around_the_binary_layers(monkeypatch):
    monkeypatch.setattr(binary, "_NS_PER_BORDER_ELEMENT", 0.0)
    monkeypatch.setattr(binary, "layer_cost", lambda node: -1.0)
    model = load_canonical(binary_nets.detector())
    plan, family, inputs = small.plan_of(model), detect_family(model), small.inputs(model, 3)
    lowered = lower("binary", model, plan)
    assert lowered.requires == {"operators": "edgekit", "cpu": "vnni"}
    quantized = {n.name for n in lowered.model.graph if n.op_type == "QuantizeLinear"}
    assert "stem_clipped_quantized_node" in quantized
    assert not any("signs" in name or ("block" in name and "clipped" not in name) for name in quantized)
    parity = ParityCheck(model, model, plan, family, inputs).check(lowered)
    parity.gate()
    assert parity.codes.tensors >= 6


@needs_library
def test_parity_sees_a_wrong_sign_and_a_wrong_scale():
    model = load_canonical(binary_nets.detector())
    plan, family, inputs = small.plan_of(model), detect_family(model), small.inputs(model, 2)
    check = ParityCheck(model, model, plan, family, inputs)
    for suffix, change in (("words", lambda array: array ^ np.uint32(1)), ("multiplier", lambda a: a * 1.01)):
        lowered = lower("binary", model, plan)
        value = lowered.model.graph.initializers[f"block0_node.{suffix}"]
        array = change(value.const_value.numpy()).astype(value.dtype.numpy())
        value.const_value = type(value.const_value)(array, name=value.name)
        with pytest.raises(GateError, match="a binary layer is"):
            check.check(lowered).gate()


def test_signs_that_differ_fail_too():
    codes = CodeParity(0, 0, 0.0, None, 0.0, None, BinaryParity(3, 0.0, 0.0, 2e-5))
    same = Agreement(1, MatchReport(0, 0, 0, 0, 0.0, 0.0), None)
    assert _failures(codes, same, same, Thresholds(max_binary_error=1e-5)) == [
        "a binary layer is 2.0e-05 off, allowed 1e-05"
    ]
    assert _failures(codes, same, same, Thresholds(max_binary_error=1e-4)) == []


def test_weights_take_one_bit_in_file_and_bundle(tmp_path):
    model = small.canonical(binary_nets.residual_net(64))
    plan = small.plan_of(model)
    lowered = lower("binary", model, plan)
    data, references = with_external_data(lowered.model)
    stored = stored_tensors(model, plan)
    graph = LoweredGraph(data, references, lowered.opset, lowered.requires)
    tensors = [stored[name] for name in dict.fromkeys(name for name, _ in references)]
    manifest = {"model": {"name": "x"}, "preprocess": {}, "decode": {}}
    write_bundle(tmp_path / "x.ekb", manifest=manifest, tensors=tensors, lowerings={"binary": graph})
    bundle = open_bundle(tmp_path / "x.ekb")
    record = next(each for each in bundle.manifest["weights"] if each["name"] == "first_node.weight")
    assert (record["bits"], record["bytes"]) == (1, 64 * 64 * 9 // 8)
    path = bundle.materialise("binary", str(tmp_path))
    stored = {each.name: numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer}
    for each in onnx.load_from_string(whole(lowered.model)).graph.initializer:
        assert np.array_equal(stored[each.name], numpy_helper.to_array(each)), each.name
    assert len(whole(lowered.model)) < 0.06 * len(whole(model))


@needs_library
def test_odd_channels_from_a_bundle_run(tmp_path):
    model, plan, lowered = lowered_net("chain", channels=33)
    data, references = with_external_data(lowered.model)
    stored = stored_tensors(model, plan)
    tensors = [stored[name] for name in dict.fromkeys(name for name, _ in references)]
    graph = LoweredGraph(data, references, lowered.opset)
    manifest = {"model": {"name": "x"}, "preprocess": {}, "decode": {}}
    write_bundle(tmp_path / "x.ekb", manifest=manifest, tensors=tensors, lowerings={"binary": graph})
    path = open_bundle(tmp_path / "x.ekb").materialise("binary", str(tmp_path))
    x = small.inputs(model, 1)[0]
    with open_session(path) as session:
        assert np.array_equal(session.run({"images": x})[0], Runner(lowered.model).run(x)[0])


def test_a_network_without_binary_layers_is_told_what_to_take():
    model = small.canonical(small.relu_net())
    with pytest.raises(ModelError, match="no binary convolution .* lower it to ort-x86 or ort-arm instead"):
        lower("binary", model, small.plan_of(model))


def test_layers_that_the_plan_leaves_in_float_stay_plain():
    model = small.canonical(binary_nets.residual_net())
    plan = small.plan_of(model, keep=["second_node"])
    found = kinds(lower("binary", model, plan).model)
    assert found["BinaryConvSum"] == 3
    assert found["Where"] == 1


def test_the_runner_says_what_is_missing(monkeypatch):
    _, _, lowered = lowered_net("residual")
    monkeypatch.setenv("EDGEKIT_NATIVE", "off")
    with pytest.raises(BackendError, match=r"has operators of the native library: .* absent \(EDGEKIT_NATIVE=off\)"):
        Runner(lowered.model)


def test_a_value_that_several_read_is_kept():
    """A tail is taken in only where nobody else reads what stands between."""
    net = binary_nets.residual_net()
    net.op("Relu", ["second"], "seen")
    model = load_canonical(net.bytes(["last", "seen"]))
    plan = small.plan_of(model)
    lowered = lower("binary", model, plan)
    assert "second" in lowered.readings
    assert {value.name for value in lowered.model.graph.outputs} == {"last", "seen"}
    assert lowered.readings["first_sum_clipped"].bits is False
