from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgekit.bundle import LoweredGraph, open_bundle, write_bundle
from edgekit.errors import ConfigError
from edgekit.graph import placement
from edgekit.graph.external import SMALLEST_EXTERNAL, whole, with_external_data
from edgekit.graph.half import to_half
from edgekit.graph.lint import lint
from edgekit.graph.load import load_canonical
from edgekit.graph.lower import (
    BINARY_LOWERINGS,
    FLOAT_LOWERINGS,
    LOWERINGS,
    check_lowering,
    is_worth_writing,
    lower,
)
from edgekit.graph.parity import RUNS_OPTIMISED
from edgekit.graph.plan import PlanOptions, make_plan, weighted_layers
from edgekit.graph.runner import Runner
from edgekit.graph.sources import stored_tensors
from edgekit.metrics.arrays import snr_db
from edgekit.precision import dequantize, narrow_codes, quantize
from tests.graph import small, tiny
from tests.graph.tiny import Net

NETS = {"silu": small.silu_net, "relu": small.relu_net, "concat": small.concat_net}
GENERAL = [name for name in LOWERINGS if name not in BINARY_LOWERINGS]
INT8 = [name for name in GENERAL if name not in FLOAT_LOWERINGS]


@pytest.fixture(scope="module", params=list(NETS))
def network(request):
    model = small.canonical(NETS[request.param]())
    return model, small.plan_of(model, keep=["stem_node"])


@pytest.mark.parametrize("name", GENERAL)
def test_every_lowering_is_valid_repeatable_and_breaks_no_rule(network, name):
    model, plan = network
    lowered = lower(name, model, plan)
    data = whole(lowered.model)
    assert data == whole(lower(name, model, plan).model)
    proto = onnx.load_from_string(data)
    onnx.checker.check_model(proto, full_check=True)
    expected = (19, 9) if name == "trt10" else (13, 8)
    assert (lowered.opset, proto.ir_version) == expected
    assert lowered.name == name
    assert lint(lowered.model, name) == []


@pytest.mark.parametrize("name", GENERAL)
def test_inputs_and_outputs_keep_names_shapes_and_float32(network, name):
    model, plan = network
    lowered = lower(name, model, plan).model
    for old, new in zip(
        [*model.graph.inputs, *model.graph.outputs], [*lowered.graph.inputs, *lowered.graph.outputs], strict=True
    ):
        assert (old.name, old.shape, old.dtype) == (new.name, new.shape, new.dtype)


@pytest.mark.parametrize("name", GENERAL)
def test_every_lowering_is_near_the_float_network(network, name):
    model, plan = network
    optimised = name in RUNS_OPTIMISED
    x = small.inputs(model)[0]
    reference = Runner(model).run(x)[0]
    value = Runner(lower(name, model, plan).model, optimised=optimised).run(x)[0]
    assert snr_db(reference, value) > {"fp32": 35, "fp16": 35, "ort-x86-narrow": 22}.get(name, 25)


def test_zero_points_and_types_by_lowering(network):
    model, plan = network
    for name, dtype in (("trt8", np.int8), ("trt10", np.int8), ("ort-x86", np.uint8), ("ort-arm", np.int8)):
        graph = lower(name, model, plan).model.graph
        zeros = [
            v.const_value.numpy()
            for n, v in graph.initializers.items()
            if n.endswith("_zero_point") and "bias" not in n
        ]
        assert zeros
        assert {z.dtype for z in zeros} == {np.dtype(dtype)}
        if name.startswith("trt"):
            assert {int(z) for z in zeros} == {0}


def test_arm_and_x86_are_the_same_numbers(network):
    """Every code 128 less, every optimisation off: the same bits."""
    model, plan = network
    runs = [Runner(lower(name, model, plan).model, optimised=False) for name in ("ort-x86", "ort-arm")]
    for x in small.inputs(model):
        np.testing.assert_array_equal(*[runner.run(x)[0] for runner in runs])


@pytest.fixture(scope="module")
def odd_network():
    """Odd counts of channels, odd kernels, a transposed convolution: no length is a multiple of 8."""
    net = Net(size=15)
    x = net.op("Relu", [net.conv("images", "stem", 3, 33)], "stem_relu")
    x = net.op("Relu", [net.conv(x, "mix", 33, 17, 5)], "mix_relu")
    w = net.constant("up_w", net.rng.normal(0, 0.1, (17, 19, 3, 3)).astype(np.float32))
    x = net.op("Relu", [net.op("ConvTranspose", [x, w], "up")], "up_relu")
    net.conv(net.op("Relu", [net.conv(x, "mid", 19, 35, 1)], "mid_relu"), "last", 35, 37, 3)
    return small.canonical(net)


@pytest.mark.parametrize("name", GENERAL)
@pytest.mark.parametrize("bits", range(2, 9))
def test_weights_of_any_width_are_those_of_the_arithmetic(odd_network, name, bits):
    """Codes where a layer has Q/DQ, else values; float16 where the lowering is."""
    widths = {str(node.name): bits for node in weighted_layers(odd_network)}
    plan = make_plan(odd_network, small.ranges_of(odd_network), PlanOptions("minmax", layer_bits=widths))
    lowered = lower(name, odd_network, plan).model
    found = {str(node.name): node for node in weighted_layers_of(lowered)}
    assert set(found) == set(widths)
    for node in weighted_layers(odd_network):
        spec, dq = plan.weights[str(node.name)], found[str(node.name)].inputs[1].producer()
        codes = quantize(node.inputs[1].const_value.numpy(), spec)
        if dq is not None and dq.op_type == "DequantizeLinear":
            narrow = name == "ort-x86-narrow" and bits == 8
            expected = narrow_codes(codes) if narrow else codes * np.int8(2 ** (7 - bits) if bits < 8 else 1)
            np.testing.assert_array_equal(constant_part(lowered, dq.inputs[0]), expected)
            if not narrow and name != "trt10":  # whose scales are float16
                values = dequantize(expected, replace(spec, scale=tuple(dq.inputs[1].const_value.numpy().reshape(-1))))
                np.testing.assert_array_equal(values, dequantize(codes, spec))
        else:
            values = constant_part(lowered, found[str(node.name)].inputs[1])
            expected = dequantize(codes, spec)
            np.testing.assert_array_equal(values, expected.astype(values.dtype))


def weighted_layers_of(lowered):
    return [node for node in lowered.graph if node.op_type in ("Conv", "ConvTranspose")]


def constant_part(model, value):
    """What `value`, which depends on no input, is."""
    if value.const_value is not None:
        return value.const_value.numpy()
    proto = ir.to_proto(model)
    codes = any(node.op_type == "DequantizeLinear" for node in value.consumers())
    kind = onnx.TensorProto.INT8 if codes else onnx.TensorProto.FLOAT
    del proto.graph.output[:]
    proto.graph.output.append(onnx.helper.make_tensor_value_info(value.name, kind, None))
    return Runner(ir.from_proto(proto), optimised=False).run(small.inputs(model, 1)[0])[0]


def test_narrow_weights_have_seven_bits(network):
    model, plan = network
    wide = lower("ort-x86", model, plan).model.graph.initializers
    narrow = lower("ort-x86-narrow", model, plan).model.graph.initializers
    names = [n for n in wide if n.endswith(".codes")]
    assert names
    for name in names:
        codes, scale = narrow[name].const_value.numpy(), narrow[name[:-5] + "scale"].const_value.numpy()
        np.testing.assert_array_equal(codes, narrow_codes(wide[name].const_value.numpy()))
        assert np.abs(codes).max() <= 63
        np.testing.assert_allclose(scale, wide[name[:-5] + "scale"].const_value.numpy() * 127 / 63, rtol=1e-6)


def test_float16_is_written_into_the_graph():
    model = load_canonical(tiny.yolox())
    for name in ("fp16", "trt10"):
        graph = lower(name, model, small.plan_of(model)).model.graph
        floats = [v for n in graph for v in n.outputs if v.dtype == ir.DataType.FLOAT]
        assert [v.name for v in floats] == ["output"]
        assert [n.op_type for n in graph].count("Cast") == 2


def test_sizes_of_a_resize_stay_float32():
    model = small.canonical(small.concat_net())
    graph = lower("fp16", model, small.plan_of(model)).model.graph
    assert graph.initializers["scales"].dtype == ir.DataType.FLOAT
    assert graph.initializers["left_b"].dtype == ir.DataType.FLOAT16


def test_scales_too_small_for_float16_do_not_become_zero():
    """A channel of weights near zero: importers refuse a scale of zero."""
    net = small.relu_net()
    weight = onnx.numpy_helper.to_array(net.constants[2]).copy()
    weight[3] *= 1e-9
    net.constants[2].CopyFrom(onnx.numpy_helper.from_array(weight, "mix_w"))
    model = small.canonical(net)
    plan = small.plan_of(model)
    layer = plan.weights["mix_node"]
    plan.weights["mix_node"] = replace(layer, scale=(*layer.scale[:3], 1e-10, *layer.scale[4:]))
    lowered = lower("trt10", model, plan)
    scale = lowered.model.graph.initializers["mix_node.scale"].const_value.numpy()
    assert scale[3] == np.float16(2.0**-24)
    assert (scale > 0).all()
    assert lint(lowered.model, "trt10") == []
    assert ("mix_node.scale", "float16") not in with_external_data(lowered.model)[1]


def test_to_half_twice_changes_nothing():
    model = load_canonical(tiny.yolox()).clone()
    to_half(model)
    before = whole(model)
    to_half(model)
    assert whole(model) == before


def test_reductions_take_their_axes_as_an_input_at_opset_19():
    net = small.relu_net()
    net.op("ReduceMax", ["last"], "largest", axes=[2, 3])
    net.op("ReduceSum", ["last"], "sum")
    model = small.canonical(net, ["largest", "sum"])
    lowered = lower("trt10", model, small.plan_of(model)).model
    onnx.checker.check_model(onnx.load_from_string(whole(lowered)), full_check=True)
    x = small.inputs(model)[0]
    reference, value = Runner(model).run(x)[0], Runner(lowered, optimised=False).run(x)[0]
    assert snr_db(reference, value) > 25


def test_unknown_names_are_suggested_and_int8_needs_a_plan():
    with pytest.raises(ConfigError, match="no lowering 'ort-x68'; did you mean 'ort-x86'"):
        check_lowering("ort-x68", True)
    with pytest.raises(ConfigError, match="'trt8' is INT8 and this network is not quantised; export with --int8"):
        lower("trt8", small.canonical(small.silu_net()), None)
    assert lower("fp32", small.canonical(small.silu_net()), None).placement is None


@pytest.mark.parametrize("name", GENERAL)
def test_a_materialised_graph_is_the_lowered_one(network, name, tmp_path):
    """Through the bundle: codes stored once, each lowering's initializers derived from them."""
    model, plan = network
    lowered = lower(name, model, plan)
    data, references = with_external_data(lowered.model)
    stored = stored_tensors(model, plan)
    path = tmp_path / "x.ekb"
    manifest = {"model": {"name": "x", "classes": []}, "preprocess": {}, "decode": {}}
    graph = LoweredGraph(data, references, lowered.opset)
    tensors = [stored[tensor] for tensor in dict(references)]
    write_bundle(path, manifest=manifest, tensors=tensors, lowerings={name: graph})
    back = onnx.load(open_bundle(path).materialise(name, str(tmp_path)))
    expected = onnx.load_from_string(whole(lowered.model))
    assert [n.SerializeToString() for n in back.graph.node] == [n.SerializeToString() for n in expected.graph.node]
    for one, two in zip(back.graph.initializer, expected.graph.initializer, strict=True):
        assert one.name == two.name
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(one), onnx.numpy_helper.to_array(two))
    assert len(references) >= 3
    assert all(stored[tensor].values.size >= SMALLEST_EXTERNAL for tensor, _ in references)


@pytest.mark.parametrize("name", INT8)
def test_all_int8_lowerings_refer_to_the_same_codes(network, name):
    model, plan = network
    _, references = with_external_data(lower(name, model, plan).model)
    used = {tensor for tensor, encoding in references if tensor.endswith(".weight")}
    assert used == {f"{layer}.weight" for layer in plan.weights}


def odd_net(kind):
    """What else detectors are made of: other weighted operators and activation functions."""
    net = Net(size=16)
    x = net.conv("images", "stem", 3, 32)
    if kind == "transposed":
        w = net.constant("up_w", net.rng.normal(0, 0.1, (32, 32, 2, 2)).astype(np.float32))
        x = net.op("Relu", [net.op("ConvTranspose", [net.op("Relu", [x], "r"), w], "up", strides=[2, 2])], "up_relu")
    elif kind == "matmul":
        shape = net.constant("rows", np.array([1, 32, 256], np.int64))
        w = net.constant("mix_w", net.rng.normal(0, 0.1, (256, 256)).astype(np.float32))
        mixed = net.op("MatMul", [net.op("Reshape", [net.op("Relu", [x], "r"), shape], "flat"), w], "mixed")
        back = net.constant("back", np.array([1, 32, 16, 16], np.int64))
        x = net.op("Reshape", [mixed, back], "unflat")
    elif kind == "hardswish":
        x = net.op("Mul", [x, net.op("HardSigmoid", [x], "gate", alpha=1 / 6, beta=0.5)], "hard")
    elif kind == "leaky":
        x = net.op("LeakyRelu", [x], "leaky", alpha=0.1)
    elif kind == "shuffle":
        x = net.op("Relu", [x], "r")
        five = net.constant("s5", np.array([1, 2, 16, 16, 16], np.int64))
        four = net.constant("s4", np.array([1, 32, 16, 16], np.int64))
        x = net.op("Transpose", [net.op("Reshape", [x, five], "g")], "t", perm=[0, 2, 1, 3, 4])
        x = net.op("Reshape", [x, four], "shuffled")
        net.op("Split", [x], "left", outputs=["left", "right"], axis=1)
        x = net.op(
            "Concat", ["right", net.op("Relu", [net.conv("left", "half", 16, 16)], "half_relu")], "joined", axis=1
        )
    elif kind == "pooled":
        x = net.op("AveragePool", [net.silu(x)], "pooled", kernel_shape=[2, 2], strides=[2, 2])
    elif kind == "depth":
        x = net.op("DepthToSpace", [net.silu(x)], "depth", blocksize=2)
    channels = 8 if kind == "depth" else 32
    net.op(
        "Sigmoid", [net.conv(net.op("Relu", [net.conv(x, "mix2", channels, 32)], "m_relu"), "last", 32, 32, 1)], "score"
    )
    return small.canonical(net, ["score"])


@pytest.mark.parametrize("kind", ["transposed", "matmul", "hardswish", "leaky", "shuffle", "pooled", "depth"])
@pytest.mark.parametrize("name", GENERAL)
def test_other_operators(kind, name, monkeypatch):
    monkeypatch.setattr(placement, "float_prefix", lambda graph, planned, looked_up=False: {})
    model = odd_net(kind)
    lowered = lower(name, model, small.plan_of(model)).model
    onnx.checker.check_model(onnx.load_from_string(whole(lowered)), full_check=True)
    x = small.inputs(model)[0]
    reference = Runner(model).run(x)[0]
    for optimised in (False, True) if name in RUNS_OPTIMISED else (False,):
        assert snr_db(reference, Runner(lowered, optimised=optimised).run(x)[0]) > 15
    assert lint(lowered, name) == []


def test_tables_are_worth_a_graph_where_activations_hold_the_integers_back():
    net = Net(size=32)
    x = net.silu(net.conv("images", "stem", 3, 16))
    x = net.silu(net.conv(x, "narrow", 16, 16, 1))
    x = net.silu(net.conv(x, "wide", 16, 128, stride=2))
    net.conv(x, "last", 128, 32, 1)
    model = small.canonical(net)
    plan = small.plan_of(model)
    plain, tables = (lower(name, model, plan) for name in ("ort-x86", "ort-x86-tables"))
    assert "narrow_node" in plain.kept_float and "narrow_node" not in tables.kept_float
    assert tables.requires == {**plain.requires, "library": "edgekit"}
    assert is_worth_writing("ort-x86-tables", model, plan)
    assert is_worth_writing("ort-x86", model, plan)
    relu = small.canonical(small.relu_net())
    assert not is_worth_writing("ort-x86-tables", relu, small.plan_of(relu))
    assert not is_worth_writing("ort-x86-tables", model, None)
