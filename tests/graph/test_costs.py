from dataclasses import replace
from math import prod

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgekit.bundle import open_bundle
from edgekit.errors import BundleError, ConfigError
from edgekit.graph.costs import choose_cost, layer_costs, model_cost, network_cost
from edgekit.graph.load import load_canonical
from edgekit.graph.lower import lower
from tests.graph import small
from tests.graph.tiny import Net
from tests.roofline import NANO, ORIN

STUDENT = "models/fasterx_student_thermal.ekb"
PIXELS = small.SIZE * small.SIZE


@pytest.fixture(scope="module")
def student():
    return open_bundle(STUDENT)


def cost_of(model, float_type="fp16", smooth=True):
    return model_cost(model, "net", "fp16", smooth, float_type)


def layer(cost, name):
    return next(one for one in cost.layers if one.name == name)


def test_a_convolution_by_hand():
    net = Net(size=small.SIZE)
    net.conv(net.conv("images", "stem", 3, 32, stride=2), "last", 32, 64, 1)
    last = layer(cost_of(small.canonical(net)), "last_node")
    quarter = PIXELS // 4
    assert last.macs == quarter * 64 * 32
    assert last.weight_bytes == 2 * 64 * 32 + 4 * 64
    assert (last.input_bytes, last.output_bytes) == (2 * 32 * quarter, 2 * 64 * quarter)
    assert (last.in_channels, last.out_channels, last.groups, last.positions) == (32, 64, 1, quarter)


def test_a_depthwise_convolution_by_hand():
    net = Net(size=small.SIZE)
    net.conv(net.conv("images", "stem", 3, 32), "last", 32, 32, 3, group=32)
    last = layer(cost_of(small.canonical(net)), "last_node")
    assert last.depthwise
    assert last.macs == PIXELS * 32 * 9
    assert (last.in_channels, last.out_channels, last.groups) == (1, 1, 32)


def test_a_transposed_convolution_by_hand():
    net = Net(size=small.SIZE)
    x = net.conv("images", "stem", 3, 32)
    weight = net.constant("up_w", np.zeros((32, 16, 2, 2), np.float32))
    net.op("ConvTranspose", [x, weight], "last", kernel_shape=[2, 2], strides=[2, 2])
    last = layer(cost_of(small.canonical(net)), "last_node")
    assert last.macs == PIXELS * 32 * 16 * 4
    assert last.positions == 4 * PIXELS


def test_float_types_set_the_bytes():
    model = small.canonical(small.relu_net())
    half, whole = cost_of(model, "fp16"), cost_of(model, "fp32")
    assert half.macs == whole.macs
    assert layer(whole, "mix_node").input_bytes == 2 * layer(half, "mix_node").input_bytes
    assert [one.op for one in half.layers] == ["Reformat", "Conv+Relu", "Conv+Relu", "Conv", "Reformat"]
    assert [one.op for one in whole.layers] == ["Reformat", "Conv+Relu", "Conv+Relu", "Conv"]


@pytest.mark.parametrize("name", ["trt8", "trt10"])
def test_int8_layers_read_and_write_single_bytes(name):
    model = small.canonical(small.relu_net())
    cost = cost_of(lower(name, model, small.plan_of(model, keep=["stem_node"])).model)
    stem, mix, last = (layer(cost, f"{node}_node") for node in ("stem", "mix", "last"))
    assert [one.precision for one in (stem, mix, last)] == ["fp16", "int8", "int8"]
    assert (stem.input_bytes, stem.output_bytes) == (2 * 3 * PIXELS, 32 * PIXELS)
    assert (mix.input_bytes, mix.output_bytes) == (32 * PIXELS, 32 * PIXELS)
    assert mix.weight_bytes == 32 * 32 * 9 + 4 * 32
    assert last.output_bytes == 2 * 32 * PIXELS


def test_a_tensor_in_both_types_is_converted_once():
    net = Net(size=small.SIZE)
    x = net.op("Relu", [net.conv("images", "stem", 3, 32)], "stem_relu")
    y = net.op("Relu", [net.conv(x, "mix", 32, 32)], "mix_relu")
    net.conv(net.op("Mul", [y, x], "gated"), "last", 32, 32, 1)
    model = small.canonical(net)
    cost = cost_of(lower("trt8", model, small.plan_of(model, keep=["stem_node"])).model)
    conversions = [one for one in cost.layers if one.op == "Quantize"]
    assert [one.name for one in conversions] == ["stem_relu to int8"]
    assert (conversions[0].input_bytes, conversions[0].output_bytes) == (2 * 32 * PIXELS, 32 * PIXELS)


def test_most_that_is_alive_by_hand():
    """images 3, stem 32 channels, mix 32, last 32: two tensors of 32 channels at a time, half precision."""
    assert cost_of(small.canonical(small.relu_net())).activation_bytes == 2 * 64 * PIXELS


def test_a_skipped_tensor_stays_alive():
    """In a residual block the block's input is there until the Add: three tensors of 32 channels."""
    assert cost_of(small.canonical(small.residual_net(False))).activation_bytes == 2 * 96 * PIXELS


def test_borders_are_float32():
    cost = cost_of(small.canonical(small.relu_net()))
    assert cost.border_bytes == 4 * (3 + 32) * PIXELS


def test_the_student_has_the_multiply_accumulates_of_its_card(student):
    costs = [network_cost(student, name) for name in ("fp32", "fp16", "trt8", "trt10")]
    assert {round(cost.macs / 1e9, 2) for cost in costs} == {1.45}
    assert len({cost.macs for cost in costs}) == 1


def test_both_int8_graphs_of_the_student_cost_the_same(student):
    assert layer_costs(student, "trt8") == layer_costs(student, "trt10")


def test_int8_halves_the_students_weights(student):
    half, int8 = (network_cost(student, name) for name in ("fp16", "trt10"))
    assert int8.weight_bytes == pytest.approx(half.weight_bytes / 2, rel=0.02)
    assert sum(one.precision == "int8" for one in int8.layers if one.macs) == 50


@pytest.mark.parametrize(
    ("weights", "gmac", "million"), [("yolox_nano_416.onnx", 0.54, 0.91), ("nanodet_m_320.onnx", 0.36, 0.95)]
)
def test_published_networks(reference_data, weights, gmac, million):
    """YOLOX-Nano 1.08 GFLOP and 0.91 M parameters at 416; NanoDet-m 0.72 GFLOP and 0.95 M at 320.

    The published operations hold normalisation, activations and biases too, some 5 % of networks that small.
    """
    cost = cost_of(load_canonical(str(reference_data / "weights" / weights)), "fp32")
    assert 0.93 * gmac < cost.macs / 1e9 < gmac
    assert cost.weight_bytes / 4e6 == pytest.approx(million, rel=0.02)


@pytest.mark.parametrize("weights", ["yolox_nano_416.onnx", "nanodet_m_320.onnx"])
def test_against_a_count_over_the_file(reference_data, weights):
    """Output positions times weights, convolution by convolution, from onnx alone."""
    path = str(reference_data / "weights" / weights)
    proto = onnx.shape_inference.infer_shapes(onnx.load(path), data_prop=True)
    sizes = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in proto.graph.value_info}
    sizes.update({v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in proto.graph.output})
    weights_of = {tensor.name: list(tensor.dims) for tensor in proto.graph.initializer}
    counted = 0
    for node in proto.graph.node:
        if node.op_type == "Conv":
            counted += prod(sizes[node.output[0]][2:]) * prod(weights_of[node.input[1]])
    assert cost_of(load_canonical(path)).macs == counted


def test_a_device_gets_its_best_graph(student):
    assert choose_cost(student, ORIN).lowering == "trt10"
    assert choose_cost(student, NANO).lowering == "fp16"
    assert choose_cost(student, ORIN, "fp16").lowering == "fp16"


def test_the_nano_has_no_silu_epilogue(tmp_path):
    model = small.canonical(small.silu_net())
    assert cost_of(model, smooth=False).kernels == cost_of(model, smooth=True).kernels + 2


def test_without_a_half_precision_graph_the_fp32_one_is_counted_in_that_type():
    tiny = open_bundle("tests/golden/tiny.ekb")
    cost = choose_cost(tiny, NANO)
    assert cost.lowering == "fp32"
    assert {one.precision for one in cost.layers} == {"fp16"}
    assert "no fp16 graph" in cost.notes[0]


def test_an_int8_graph_is_refused_for_a_device_without(student):
    with pytest.raises(ConfigError, match=r"jetson-nano does not run lowering 'trt8'; it runs fp16"):
        choose_cost(student, NANO, "trt8")


def test_a_processors_graph_is_refused(student):
    with pytest.raises(ConfigError, match=r"TensorRT does not run lowering 'ort-x86'; it runs trt10, trt8, fp16, fp32"):
        network_cost(student, "ort-x86")


def test_a_missing_graph_is_said():
    tiny = open_bundle("tests/golden/tiny.ekb")
    with pytest.raises(BundleError, match=r"has no lowering 'trt10'; it has fp32, trt8"):
        network_cost(tiny, "trt10")


def test_a_bundle_without_any_graph_for_the_device_is_said(student):
    class Shorn:
        path, lowerings = "x.ekb", ("ort-x86",)

    with pytest.raises(BundleError, match=r"x.ekb has no graph for orin, which runs trt10, .* with --lowering trt10"):
        choose_cost(Shorn(), replace(ORIN, lowerings=("trt10", "trt8")))


def test_shapes_are_inferred_where_the_file_has_none():
    model = small.canonical(small.relu_net())
    proto = onnx.load_from_string(small.model_bytes(model))
    del proto.graph.value_info[:]
    assert cost_of(ir.from_proto(proto)).macs == cost_of(model).macs
